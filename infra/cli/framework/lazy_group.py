"""A group of commands that are made when they are called for, so that a listing costs no import."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN_WIDTH = 120


def markup() -> Literal["rich"] | None:
    """How help and usage errors are shown: in panels where a person looks, as plain text elsewhere."""
    return "rich" if sys.stdout.isatty() and sys.stderr.isatty() else None


def context_settings() -> dict[str, Any]:
    """Settings of every command's context: plain text is not squeezed into a terminal's width."""
    return {} if markup() else {"terminal_width": _PLAIN_WIDTH}


class Entry(NamedTuple):
    """A command before it is made."""

    help: str
    """Its line in the listing."""
    panel: str
    load: Callable[[str], Any]
    """Makes the command of this name."""


class LazyGroup(TyperGroup):
    """Lists stubs and makes only the command that runs."""

    entries: Mapping[str, Entry] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's signature
        """Return the names in the order of declaration."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the library's signature
        """Return a stub that is enough for a listing and for completing names."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        stub = TyperCommand(cmd_name, help=entry.help, short_help=entry.help)
        stub.rich_help_panel = entry.panel
        return stub

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name, made now, and the arguments left for it."""
        # The library suggests near names from `commands`.
        self.commands = {name: self.get_command(ctx, name) for name in self.entries}
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None or stub is None:
            return name, stub, rest
        return name, self.entries[name].load(name), rest


def lazy_group(name: str | None, entries: Mapping[str, Entry], help_text: str) -> LazyGroup:
    """Return a group of these entries; without arguments it shows its help."""
    group = LazyGroup(
        name=name,
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=markup(),
        context_settings=context_settings(),
    )
    group.entries = entries
    return group
