"""A group of commands that are imported when they are called, so that a listing needs none of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from typer.core import TyperCommand, TyperGroup

from infra.cli.framework.typer_command import CONTEXT_SETTINGS, help_option, page_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class LazyCommand(NamedTuple):
    """A command that is not imported yet."""

    help: str
    """Its line in the listing."""
    panel: str
    """The heading under which it is listed."""
    load: Callable[[str], Any]
    """Returns the command of this name, imported."""
    verbs: tuple[str, ...] = ()
    """The commands of a group."""


class LazyGroup(TyperGroup):
    """Lists commands by their names and help alone; imports only the one that runs."""

    lazy_commands: Mapping[str, LazyCommand] = {}
    footer = ""
    """The end of the help."""
    names_only = False
    """Whether `--help` lists names alone, for they are many; `--help-all` lists each with its line."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's signature
        """Return the names in the order of declaration."""
        return list(self.lazy_commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the library's signature
        """Return a stub: enough to list the command and to complete its name."""
        lazy = self.lazy_commands.get(cmd_name)
        if lazy is None:
            return None
        return TyperCommand(cmd_name, help=lazy.help, short_help=lazy.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name and the imported command that the arguments begin with, and the remaining arguments.

        A name may be written with `-` instead of `_`.
        """
        # The library suggests similar names from `commands`.
        self.commands = {name: self.get_command(ctx, name) for name in self.lazy_commands}
        alike = args[0].replace("-", "_")
        name, stub, rest = super().resolve_command(ctx, [alike if alike in self.commands else args[0], *args[1:]])
        if name is None or stub is None:
            return name, stub, rest
        return name, self.lazy_commands[name].load(name), rest

    def get_help_option(self, ctx: Any) -> Any:  # noqa: ARG002 - the library's signature
        """Return `-h` and `--help`."""
        return help_option()

    def get_help(self, ctx: Any) -> str:
        """Return the page that `--help` shows."""
        from infra.cli.framework.help_page import names_page

        text = self.help or ""
        if not self.names_only:
            return self.page(ctx)
        names: dict[str, list[str]] = {}
        for name, lazy in self.lazy_commands.items():
            names.setdefault(lazy.panel, []).append(f"{name} ({', '.join(lazy.verbs)})" if lazy.verbs else name)
        return "\n".join(names_page(ctx.command_path, text, names, self.footer))

    def page(self, ctx: Any) -> str:
        """Return the page with a line for each command."""
        from infra.cli.framework.help_page import Line, group_page

        panels: dict[str, list[Line]] = {}
        for name, lazy in self.lazy_commands.items():
            panels.setdefault(lazy.panel, []).append(Line(name, lazy.help.removesuffix(".")))
        return "\n".join(group_page(ctx.command_path, self.help or "", panels, self.footer))

    def _main_shell_completion(self, ctx_args: Any, prog_name: str, complete_var: str | None = None) -> None:
        if complete_var is None and f"_{prog_name.upper()}_COMPLETE" in os.environ:
            from infra.cli.framework.shell_completion import register

            register()
        super()._main_shell_completion(ctx_args, prog_name, complete_var)


def lazy_group(
    name: str | None, commands: Mapping[str, LazyCommand], help_text: str, footer: str, *, names_only: bool = False
) -> LazyGroup:
    """Return a group of these commands; called without arguments it shows its help."""
    group = LazyGroup(
        name=name, help=help_text, no_args_is_help=True, rich_markup_mode=None, context_settings=CONTEXT_SETTINGS
    )
    group.lazy_commands = commands
    group.footer = footer
    group.names_only = names_only
    group.params.append(page_option(["--help-all"], group.page, "", hidden=True))
    return group
