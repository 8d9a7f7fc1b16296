"""A group of commands that are imported when they are called, so that a listing needs none of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN_WIDTH = 120


def markup() -> Literal["rich"] | None:
    """Return how help and usage errors are shown: in rich's panels in a terminal, as plain text elsewhere."""
    return "rich" if sys.stdout.isatty() and sys.stderr.isatty() else None


def context_settings() -> dict[str, Any]:
    """Return the settings of every command's context: plain text is not wrapped to a terminal's width."""
    return {} if markup() else {"terminal_width": _PLAIN_WIDTH}


class LazyCommand(NamedTuple):
    """A command that is not imported yet."""

    help: str
    """Its line in the listing."""
    panel: str
    """The heading under which it is listed."""
    load: Callable[[str], Any]
    """Returns the command of this name, imported."""


class LazyGroup(TyperGroup):
    """Lists commands by their names and help alone; imports only the one that runs."""

    lazy_commands: Mapping[str, LazyCommand] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's signature
        """Return the names in the order of declaration."""
        return list(self.lazy_commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the library's signature
        """Return a stub: enough to list the command and to complete its name."""
        lazy = self.lazy_commands.get(cmd_name)
        if lazy is None:
            return None
        stub = TyperCommand(cmd_name, help=lazy.help, short_help=lazy.help)
        stub.rich_help_panel = lazy.panel
        return stub

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name and the imported command that the arguments begin with, and the remaining arguments."""
        # The library suggests similar names from `commands`.
        self.commands = {name: self.get_command(ctx, name) for name in self.lazy_commands}
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None or stub is None:
            return name, stub, rest
        return name, self.lazy_commands[name].load(name), rest


def lazy_group(name: str | None, commands: Mapping[str, LazyCommand], help_text: str) -> LazyGroup:
    """Return a group of these commands; called without arguments it shows its help."""
    group = LazyGroup(
        name=name,
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=markup(),
        context_settings=context_settings(),
    )
    group.lazy_commands = commands
    return group
