"""The end of a pool's log, remembered outside the log.

A log cannot show that it lost its tail, nor that it is another one than yesterday's. So the service keeps what it saw
of it last, in every store that it is given: a bucket beside the log, and the data directory. A start holds the log
against that. What was remembered last may be behind the log, never ahead of what was acknowledged; so it also says how
far the log may have come by the time of the next one.
"""

from __future__ import annotations

import json
import logging
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from domain.events.pool import TailLost
from domain.limits import MAX_INT64
from domain.untrusted_json import parse_json_object
from handlers.ports import UnreadableEventError
from handlers.projector.log_identity import log_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handlers.ports import Codec
    from handlers.projector.read_model import FollowableLog

_LOG = logging.getLogger(__name__)
VERSION = 1


class LogEnd(NamedTuple):
    """An acknowledged position of a log. Its stored form is JSON with these names, `version` and `pool`."""

    log_id: str
    """Hash of the log's first message."""
    position: int
    hash: str
    """Hash of the message at the position."""
    may_reach: int
    """The position that the log may have before the next end is remembered; the same one at a stop."""


class LogEndStoreError(Exception):
    """The end cannot be read or stored there now; the message is one line."""


class LogEndStore(Protocol):
    """Keeps the end of one pool's log."""

    @property
    def name(self) -> str:
        """The store's name in messages."""
        ...

    async def read(self) -> bytes | None:
        """Return what was stored last, None if nothing was. Raises LogEndStoreError."""
        ...

    async def write(self, document: bytes) -> None:
        """Replace what is stored. Raises LogEndStoreError."""
        ...


class Standing(Enum):
    """How a log stands to what is remembered of it."""

    SAME = "same"
    """It is the remembered log, and no shorter; or nothing is remembered."""
    SHORTER = "shorter"
    """It is the remembered log, and lacks acknowledged events: it lost its tail, or is an older copy."""
    EMPTY = "empty"
    """It lost everything, or is a new one; also while it is filled up for that."""
    OTHER = "other"
    """It is another log."""


class Compared(NamedTuple):
    """What a comparison found, and the remembered end that says so."""

    standing: Standing
    end: LogEnd | None = None


def encode(end: LogEnd, pool: str) -> bytes:
    """Return the document of an end."""
    return json.dumps({"version": VERSION, "pool": pool, **end._asdict()}).encode() + b"\n"


def decode(document: bytes, pool: str) -> LogEnd:
    """Return the end in a document; raises ValueError if it is none of this pool."""
    found = parse_json_object(document)
    if (found.get("version"), found.get("pool")) != (VERSION, pool):
        msg = f"it is no version {VERSION} of pool {pool}"
        raise ValueError(msg)
    identity, position, tail_hash = found.get("log_id"), found.get("position"), found.get("hash")
    # What earlier versions wrote does not say it.
    may_reach = found.get("may_reach", position)
    if not (isinstance(identity, str) and isinstance(tail_hash, str)):
        msg = "it has no hashes"
        raise ValueError(msg)  # noqa: TRY004 - a damaged document, whatever is wrong with it
    if not (type(position) is int and type(may_reach) is int and 0 < position <= may_reach <= MAX_INT64):
        msg = "it has no positions"
        raise ValueError(msg)
    return LogEnd(identity, position, tail_hash, may_reach)


async def remembered(stores: Iterable[LogEndStore], pool: str) -> list[LogEnd]:
    """Return what the stores remember, of the log or of several; a damaged document is a warning, and not counted.

    Raises LogEndStoreError.
    """
    found = list[LogEnd]()
    for store in stores:
        document = await store.read()
        if document is None:
            continue
        try:
            found.append(decode(document, pool))
        except ValueError as error:
            _LOG.warning("what %s remembers of the log's end is damaged, and not used: %s", store.name, error)
    return found


async def compare(ends: Iterable[LogEnd], log: FollowableLog, codec: Codec) -> Compared:
    """Hold a log against remembered ends, of which those of this log count before those of others.

    Raises LogUnavailableError.
    """
    ends = list(ends)
    if not ends:
        return Compared(Standing.SAME)
    identity = await log_id(log, codec)
    own = [end for end in ends if end.log_id == identity]
    furthest = max(own or ends, key=lambda end: (end.position, end.may_reach))
    if identity is None:
        return Compared(Standing.EMPTY, furthest)
    if not own:
        filling = await _filled_up_for(ends, log, codec)
        return Compared(Standing.OTHER, furthest) if filling is None else Compared(Standing.EMPTY, filling)
    message = await log.get(furthest.position)
    if message is None or codec.hash_of(message) != furthest.hash:
        return Compared(Standing.SHORTER, furthest)
    return Compared(Standing.SAME, furthest)


async def _filled_up_for(ends: Iterable[LogEnd], log: FollowableLog, codec: Codec) -> LogEnd | None:
    """Return the end whose loss is a log's first event; None if that is another event. Raises LogUnavailableError."""
    first = await log.get(await log.first_position())
    try:
        event = None if first is None else codec.decode(first).event
    except UnreadableEventError:
        return None
    if not isinstance(event, TailLost):
        return None
    return next(
        (end for end in ends if (event.acknowledged_to, event.filled_to) == (end.position, end.may_reach)), None
    )
