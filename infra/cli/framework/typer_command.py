"""One typer command made of a function, at the time when it is called."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from infra.cli.framework.lazy_group import context_settings, markup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def typer_command(name: str, function: Callable[..., None], help_text: str | None = None) -> Any:
    """Return the command of this name; its options are the function's parameters."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=markup())
    app.command(name, help=help_text, context_settings=context_settings())(function)
    return typer.main.get_command(app)


def set_parameters(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
    """Give a function that takes `**values` a signature with these parameters: typer makes its options from that."""
    function.__signature__ = inspect.Signature([*parameters])  # type: ignore[attr-defined] # `inspect` reads it
