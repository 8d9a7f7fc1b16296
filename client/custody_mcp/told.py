"""What holds for every tool: it answers in time, and errors of the library reach the model in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.mcpserver.exceptions import ToolError

from custody_client import CustodyError
from custody_mcp.words import in_words

LIMIT_S = 24.0
"""No call takes longer, whatever it waits for: clients give up on calls, and 25 s is what is promised."""


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Let a tool do its work within `LIMIT_S`; an error other than ToolError would not reach the model.

    Raises:
        ToolError: in place of any `CustodyError`, and when the time is over.
    """
    try:
        async with asyncio.timeout(LIMIT_S):
            yield
    except TimeoutError:
        raise ToolError(f"Custody gave no answer in {LIMIT_S:g} s. Call the tool again.") from None
    except CustodyError as error:
        raise ToolError(in_words(error)) from error
