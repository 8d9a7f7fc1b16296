"""Imports an exported log into a new stream, at its old positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from handlers.ports import MAX_BATCH_MESSAGES, AppendRejectedError, NewMessage
from infra.nats import wire_format
from infra.nats.broker_errors import BrokerError
from infra.nats.import_mark import import_metadata, imported_last, unfinished_import
from infra.nats.jetstream_errors import STREAM_NAME_IN_USE, ApiError
from infra.nats.stream import StreamSettings, config_differences, stream_config, stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handlers.ports import EventLog, StoredMessage
    from infra.nats.api import JetStreamApi

BATCH_BYTES = 4 * 1024 * 1024
_BATCH_HEADERS_BYTES = 256
"""Room for the broker's own headers on a message of a batch."""


class TargetError(BrokerError):
    """The broker cannot take the log; nothing was written."""


class ImportedLog(NamedTuple):
    """A log that is to be imported: its positions, and the hash of its last message."""

    first: int
    last: int
    root: str


async def prepare_stream(api: JetStreamApi, pool: str, settings: StreamSettings, log: ImportedLog) -> int:
    """Create the stream for the log of a pool, or find the one that an import of that log left half-way.

    Returns the position up to which it is filled. `ensure_continued` checks that it is filled from this very file.

    Raises:
        TargetError: the pool has a log already, or the broker refuses.
        LogUnavailableError: no answer.
    """
    name = stream_name(pool)
    metadata = import_metadata(log.last, log.root)
    try:
        found = await api.stream_info(name)
        if found is None:
            config = {**stream_config(pool, settings), "metadata": metadata}
            if log.first > 1:
                config["first_seq"] = log.first
            found = await api.call(f"STREAM.CREATE.{name}", config)
    except ApiError as error:
        if error.err_code == STREAM_NAME_IN_USE:
            raise TargetError(f"pool {pool} has a log already; an import needs an empty place") from None
        raise TargetError(f"the broker refuses: {error}") from None
    position = int(found["state"]["last_seq"])
    if position and unfinished_import(found, api.connection.url) is None:
        raise TargetError(f"pool {pool} has a log already, up to position {position}; an import needs an empty place")
    differences = config_differences(found["config"], pool, settings)
    if differences:
        raise TargetError(f"stream {name} is not fit to be the log: {'; '.join(differences)}")
    begun: dict[str, str] = found["config"].get("metadata") or {}
    if not imported_last(found):
        # Part of a log in it could not be told from the whole.
        raise TargetError(f"stream {name} is there already, and was not made by an import: delete it first")
    if any(begun.get(key) != value for key, value in metadata.items()):
        raise TargetError(
            f"stream {name} holds part of another import, of positions up to {imported_last(found)}: import that file, "
            "or delete the stream first"
        )
    return position


async def ensure_continued(log: EventLog, pool: str, message: StoredMessage) -> None:
    """Check that what the log holds at the position of the file's message is that message.

    Raises:
        TargetError: it holds another one.
        LogUnavailableError: no answer.
    """
    if await log.get(message.position) != message:
        raise TargetError(
            f"stream {stream_name(pool)} holds another message at position {message.position} than this file: import "
            "the file that was begun with, or delete the stream first"
        )


async def fill(log: EventLog, messages: Iterable[StoredMessage], *, after: int, limit_bytes: int) -> int:
    """Append the messages in batches, each on the condition that the log ends right before it.

    `limit_bytes`: the broker's limit on a message.

    Returns the last position.

    Raises:
        LogError: an append was refused, or its outcome is unknown.
    """
    position = after
    for batch in _batches(messages, limit_bytes):
        position = await log.append(batch, expected_position=position)
    return position


def why_not_importable(message: StoredMessage, limit_bytes: int) -> str | None:
    """Return why a broker that takes messages of up to `limit_bytes` could not take this one again; None if it can."""
    condition = wire_format.header_lines({wire_format.EXPECTED_LAST_SEQUENCE: str(message.position - 1)})
    try:
        wire_format.publish_frame(_new(message), condition, reply="", limit_bytes=limit_bytes, as_stored=True)
    except AppendRejectedError as error:
        return str(error)
    return None


def _new(message: StoredMessage) -> NewMessage:
    return NewMessage(message.subject, message.body, message.headers)


def _batches(messages: Iterable[StoredMessage], limit_bytes: int) -> Iterator[list[NewMessage]]:
    batch: list[NewMessage] = []
    size = 0
    for message in messages:
        bulky = len(message.body) + len(wire_format.header_lines(message.headers)) + _BATCH_HEADERS_BYTES > limit_bytes
        if batch and (bulky or len(batch) == MAX_BATCH_MESSAGES or size + len(message.body) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        if bulky:
            # Alone it needs no headers of a batch.
            yield [_new(message)]
            continue
        batch.append(_new(message))
        size += len(message.body)
    if batch:
        yield batch
