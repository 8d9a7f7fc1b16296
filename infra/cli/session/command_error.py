"""A failure of a command of the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class CommandError(Exception):
    """A command cannot do what it was asked to do. The message is one line; the exit status is EXIT_FAILED."""


class RefusedError(CommandError):
    """The service refused a command; the message is the line for people."""

    def __init__(self, message: str, reply: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.reply = reply
        """The whole reply."""
