"""What one verb or view answers."""

from __future__ import annotations

from typing import Final, NamedTuple

from docs.generator.replies.result import Result
from domain.errors import RefusalCode

E = RefusalCode
EVERYWHERE: Final = (E.INVALID_COMMAND, E.COMMAND_CONFLICT, E.OVERLOADED, E.NOT_WRITER, E.UNAVAILABLE)
"""Errors that any command can get; queries likewise, but for `command_conflict` and `not_writer`."""


class Reply(NamedTuple):
    """What a verb answers."""

    result: type[Result] | tuple[type[Result], ...]
    """The model of `result`, or those that it may be: the usual one first."""
    errors: tuple[RefusalCode, ...] = ()
    """Besides those that any command can get, in the order in which they are looked for."""
    note: str = ""

    @property
    def results(self) -> tuple[type[Result], ...]:
        """The models that `result` may be."""
        return self.result if isinstance(self.result, tuple) else (self.result,)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the usual result."""
        return tuple(self.results[0].model_fields)
