"""One typer command made of a function, at the time when it is called, with the options that show its help."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperOption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HELP_NAMES = ["--help", "-h"]
CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": HELP_NAMES}
"""The settings of every command's context."""

ALSO = "Also accepted"
"""The panel of other spellings of options; only `--help-all` shows it."""


def topic_of(panel: str) -> str:
    """Return the word of a panel in `--help-WORD`: its first one."""
    return re.split(r"\W", panel.lower(), maxsplit=1)[0]


class HelpfulCommand(TyperCommand):
    """A command whose help fits a screen, with a topic for each panel of its options."""

    _topics: list[Any] | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments apart, and say in plain words what is wrong with a value."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            from infra.cli.framework.plain_refusal import plain_refusal

            error.message = plain_refusal(error.message)
            raise

    def get_help_option(self, ctx: Any) -> Any:  # noqa: ARG002 - the library's signature
        """Return `-h` and `--help`."""
        return help_option()

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters, with the options that show its help."""
        if self._topics is None:
            self._topics = [_page_option(self, topic) for topic in (*self._panels(), "all")]
        return [*super().get_params(ctx), *self._topics]

    def get_help(self, ctx: Any) -> str:
        """Return the page that `--help` shows."""
        return self.page(ctx)

    def page(self, ctx: Any, topic: str | None = None) -> str:
        """Return the page of a topic, or of the command."""
        from infra.cli.framework.help_page import command_page

        params = super().get_params(ctx)
        return "\n".join(command_page(ctx.command_path, self.help or "", params, self._panels(), topic))

    def _panels(self) -> dict[str, str]:
        """Return the panel of each topic."""
        params: list[Any] = self.params
        panels = dict.fromkeys(each.rich_help_panel for each in params if each.rich_help_panel)
        return {topic_of(panel): panel for panel in panels if panel != ALSO}

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage line, for an error's message."""
        from infra.cli.framework.help_page import page_width, usage

        params: list[Any] = self.params
        own = [each for each in params if not each.hidden and not each.rich_help_panel]
        formatter.write("\n".join(usage(ctx.command_path, own, page_width())))


_SHORT_PAST = re.compile(r"-(?:\d*\.?\d+\s*[a-z]+\s*)+", re.ASCII | re.IGNORECASE)
"""A length before now, such as `-1h`."""


class PastCommand(HelpfulCommand):
    """A command whose arguments are moments: `-1h` is one, and no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments apart."""
        return super().parse_args(ctx, [f"{each[1:]} ago" if _SHORT_PAST.fullmatch(each) else each for each in args])


@cache
def help_option() -> Any:
    """Return `-h` and `--help`, one option for all commands."""
    return page_option(HELP_NAMES, lambda ctx: str(ctx.get_help()), "Show this.")


def _page_option(command: HelpfulCommand, topic: str) -> Any:
    return page_option([f"--help-{topic}"], lambda ctx: command.page(ctx, topic), "", hidden=True)


def page_option(names: Sequence[str], page: Callable[[Any], str], text: str, *, hidden: bool = False) -> Any:
    """Return an option that shows a page and ends the command."""
    from typer._coercion import bool_flag_type_descriptor

    def show(ctx: Any, _: Any, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            typer.echo(page(ctx))
            ctx.exit()

    return TyperOption(
        param_decls=[*names],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        help=text,
        callback=show,
        hidden=hidden,
        type_descriptor=bool_flag_type_descriptor(),
    )


def typer_command(
    name: str,
    function: Callable[..., None],
    help_text: str | None = None,
    *,
    cls: type[HelpfulCommand] = HelpfulCommand,
) -> Any:
    """Return the command of this name; its options are the function's parameters."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(name, cls=cls, help=help_text, context_settings=CONTEXT_SETTINGS)(function)
    return typer.main.get_command(app)


def set_parameters(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
    """Give a function that takes `**values` a signature with these parameters: typer makes its options from that."""
    function.__signature__ = inspect.Signature([*parameters])  # type: ignore[attr-defined] # `inspect` reads it
