"""Text that controls neither a terminal nor a log: agents choose titles, notes, and keys of JSON."""

from __future__ import annotations

import io
import logging
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    _ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def printable(text: str) -> str:
    """Return the text with line breaks, control characters and marks of the writing direction as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str, kept: str = "\n") -> str:
    """As `printable`, for text of several lines: the characters in `kept` stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in kept else printable(each) for each in text)


class PrintableText(io.TextIOBase):
    """Writes lines to a terminal with what is not printable as escapes."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__()
        self._file = file

    def write(self, text: str) -> int:
        """Write some text."""
        return self._file.write(printable_lines(text, "\r\n"))

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


class PrintableFormatter(logging.Formatter):
    """Formats log records so that each begins a line of its own, and nothing in it looks like another's or commands."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 # the library's name
        """Return the record's line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 # the library's name
        """Return a traceback's lines."""
        return printable_lines(super().formatException(ei))
