"""Events as they happen, each once and in order: from the feed, and from the log what the feed left out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from nats.aio.msg import Msg

from custody_client.calls import Calls
from custody_client.errors import NoAnswerError, NoBrokerError
from custody_client.wire import Event, decoded

POSITION = "Nats-Sequence"
LOOK_S = 2.0
"""After so long without an event it is asked whether there were any."""
READ_S = 5.0
PAUSE_S = 0.2


class _Stored(msgspec.Struct):
    data: str = ""


class _Read(msgspec.Struct):
    message: _Stored | None = None
    error: dict[str, Any] | None = None


async def watched(calls: Calls, after: int | None) -> AsyncIterator[Event]:
    """Yield each event after a position, over restarts; None: those from now on."""
    position = after
    while True:
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        connection = calls.link.connections
        try:
            async with calls.link.subscribed(f"custody.{calls.pool}.feed.>", arrived.put):
                connection = calls.link.connections
                end = await _end(calls)
                position = end if position is None else position
                async for event in _logged(calls, position + 1, end):
                    yield event
                    position = event.position
                position = max(position, end)
                while calls.link.connections == connection and calls.link.problem is None:
                    try:
                        async with asyncio.timeout(LOOK_S):
                            message = await arrived.get()
                    except TimeoutError:
                        end = await _end(calls)
                        if arrived.empty():
                            async for event in _logged(calls, position + 1, end):
                                yield event
                            position = max(position, end)
                        continue
                    at = int((message.headers or {}).get(POSITION, 0))
                    if at <= position:
                        continue
                    async for event in _logged(calls, position + 1, at - 1):
                        yield event
                    position = at
                    yield decoded(message.data, Event)
        except (NoAnswerError, NoBrokerError):
            await asyncio.sleep(PAUSE_S)


async def _end(calls: Calls) -> int:
    return (await calls.query("health", {})).position


async def _logged(calls: Calls, first: int, last: int) -> AsyncIterator[Event]:
    """Yield the events from position `first` to `last`; those that cannot be read are left out."""
    for position in range(first, last + 1):
        message = await calls.link.request(
            f"$JS.API.STREAM.MSG.GET.CUSTODY_{calls.pool}", msgspec.json.encode({"seq": position}), READ_S
        )
        stored = decoded(message.data, _Read).message
        if stored is None:
            continue
        try:
            yield decoded(base64.b64decode(stored.data), Event)
        except msgspec.MsgspecError:
            continue
