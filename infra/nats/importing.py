"""Imports an exported log into a new stream, at its old positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlers.ports import MAX_BATCH_MESSAGES, NewMessage
from infra.nats.broker_errors import BrokerError
from infra.nats.jetstream_errors import STREAM_NAME_IN_USE, ApiError
from infra.nats.stream import StreamSettings, config_differences, stream_config, stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handlers.ports import EventLog, StoredMessage
    from infra.nats.api import JetStreamApi

BATCH_BYTES = 4 * 1024 * 1024


class TargetError(BrokerError):
    """The broker cannot take the log; nothing was written."""


async def ensure_empty_stream(api: JetStreamApi, pool: str, settings: StreamSettings, *, first: int) -> None:
    """Create the pool's stream so that its first message gets position `first`; accept an empty one that fits.

    Raises:
        TargetError: the pool has a log already, or the broker refuses.
        LogUnavailableError: no answer.
    """
    name = stream_name(pool)
    try:
        found = await api.stream_info(name)
        if found is None:
            config = {**stream_config(pool, settings), **({"first_seq": first} if first > 1 else {})}
            found = await api.call(f"STREAM.CREATE.{name}", config)
    except ApiError as error:
        if error.err_code == STREAM_NAME_IN_USE:
            raise TargetError(f"pool {pool} has a log already; an import needs an empty place") from None
        raise TargetError(f"the broker refuses: {error}") from None
    state: dict[str, Any] = found["state"]
    if int(state["messages"]) or int(state["last_seq"]) != first - 1:
        raise TargetError(
            f"pool {pool} has a log already, up to position {state['last_seq']}; an import needs an empty place"
        )
    differences = config_differences(found["config"], pool, settings)
    if differences:
        raise TargetError(f"stream {name} is not fit to be the log: {'; '.join(differences)}")


async def fill(log: EventLog, messages: Iterable[StoredMessage], *, first: int) -> int:
    """Append the messages in batches, each on the condition that the log ends right before it.

    Returns the last position.

    Raises:
        LogError: an append was refused, or its outcome is unknown.
    """
    position = first - 1
    for batch in _batches(messages):
        position = await log.append(batch, expected_position=position)
    return position


def _batches(messages: Iterable[StoredMessage]) -> Iterator[list[NewMessage]]:
    batch: list[NewMessage] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == MAX_BATCH_MESSAGES or size + len(message.body) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(NewMessage(message.subject, message.body, message.headers))
        size += len(message.body)
    if batch:
        yield batch
