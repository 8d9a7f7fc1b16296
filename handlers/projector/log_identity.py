"""The identity of a log: whether it is still the one that a read model was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handlers.ports import Codec
    from handlers.projector.read_model import FollowableLog, Watermark


async def log_id(log: FollowableLog, codec: Codec) -> str | None:
    """Return the hash of the log's first message, which identifies the log; None if the log is empty.

    Raises:
        LogUnavailableError: no answer.
    """
    first = await log.get(await log.first_position())
    return None if first is None else codec.hash_of(first)


async def difference(log: FollowableLog, codec: Codec, watermark: Watermark) -> str | None:
    """Return in words why the log is not the one that the watermark was taken from; None if it is the same.

    Raises:
        LogUnavailableError: no answer.
    """
    position = watermark.position
    if not position:
        return None
    last = await log.last_position()
    same_log = await log_id(log, codec) == watermark.log_id
    message = await log.get(position)
    if not same_log:
        return "it was made from another log than the one that the pool has now"
    if last < position or message is None:
        return f"it stands at position {position}, and the log ends at {last}"
    if codec.hash_of(message) != watermark.hash:
        return f"the log was rewritten: at position {position} it holds another event than was read"
    return None
