"""What tests do with an event log of either kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from handlers.ports import MAX_BATCH_MESSAGES, NewMessage, StoredMessage
from tests.support.memory_log import MemoryEventLog

if TYPE_CHECKING:
    from infra.nats.event_log import NatsEventLog

Log: TypeAlias = "MemoryEventLog | NatsEventLog"
OpenLog: TypeAlias = "Callable[[], Awaitable[Log]]"


def event(pool: str, entity: str, number: int = 0, **headers: str) -> NewMessage:
    return NewMessage(f"custody.{pool}.evt.{entity}", b'{"n": %d}' % number, headers)


def stored(position: int, message: NewMessage) -> StoredMessage:
    return StoredMessage(position, message.subject, message.body, dict(message.headers))


async def fill(log: Log, pool: str, count: int) -> list[NewMessage]:
    messages = [event(pool, f"task.T{number % 7}.noted", number) for number in range(count)]
    for start in range(0, count, MAX_BATCH_MESSAGES):
        await log.append(messages[start : start + MAX_BATCH_MESSAGES], expected_position=start)
    return messages


async def read(log: Log, after: int, until: int) -> list[StoredMessage]:
    return [message async for chunk in log.read(after=after, until=until) for message in chunk]
