"""Making one command of a function, when it is called for."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from infra.cli.framework.lazy_group import context_settings, markup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def made(name: str, function: Callable[..., None], help_text: str | None = None) -> Any:
    """Return the command of this name; its options are the function's parameters."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=markup())
    app.command(name, help=help_text, context_settings=context_settings())(function)
    return typer.main.get_command(app)


def takes(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
    """Let a function be seen with these parameters, which it takes by name, so that a command gets its options."""
    function.__signature__ = inspect.Signature([*parameters])  # type: ignore[attr-defined] # `inspect` looks for it
