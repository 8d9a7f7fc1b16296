"""Errors of the library as errors of tools, which the model reads; any other error it would not see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mcp.server.mcpserver.exceptions import ToolError

from custody_client import CustodyError
from custody_mcp.words import in_words


@contextmanager
def told_in_words() -> Iterator[None]:
    """Make each error of the library one that the model reads, in words.

    Raises:
        ToolError: in place of any `CustodyError`.
    """
    try:
        yield
    except CustodyError as error:
        raise ToolError(in_words(error)) from error
