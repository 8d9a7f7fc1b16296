"""Reads the messages on matching subjects between two positions; the broker filters them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from infra.nats.reader import StreamReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from handlers.ports import StoredMessage
    from infra.nats.api import JetStreamApi


async def read_matching(
    api: JetStreamApi, stream: str, subject_filter: str, *, after: int, until: int
) -> AsyncGenerator[list[StoredMessage], None]:
    """Every message on matching subjects with `after` < position <= `until`, in order, in chunks.

    Raises:
        LogUnavailableError: the broker does not answer.
    """
    end = min(await last_matching(api, stream, subject_filter), until)
    if end <= after:
        return
    async with aclosing(StreamReader(api, stream, after=after, subject_filter=subject_filter).until(end)) as chunks:
        async for chunk in chunks:
            if chunk:
                yield chunk


async def last_matching(api: JetStreamApi, stream: str, subject_filter: str) -> int:
    """The position of the newest message on a matching subject, 0 if there is none. Raises LogUnavailableError."""
    newest = await api.stored_in_log(stream, {"last_by_subj": subject_filter})
    return 0 if newest is None else newest.position
