"""A pool's stream and its feed, read with a bare client and held against the contract's words on events."""

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tests.support.broker import settled
from tests.support.until import until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ENVELOPE = {
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "aggregateversion",
    "causationid",
    "actor",
    "data",
}
ACTOR = re.compile(r"agent/[A-Za-z0-9_-]{1,64}|ops(/.{1,128})?|sweeper|stealer|writer")
HELD = {
    *("leased", "started", "progressed", "renewed", "silenced", "extended", "escalated", "stolen", "released"),
    *("revoked", "expired", "stuck", "recovered", "blocked"),
}
"""Events that only happen to a task while it is held."""


class Stored(NamedTuple):
    """An event as the stream holds it, or as the feed brought it."""

    position: int
    subject: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.raw)
        return body

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.body["data"]
        return data

    @property
    def name(self) -> str:
        """Such as `task.leased`."""
        entity, _, event = self.subject.split(".")[3:]
        return f"{entity}.{event}"

    @property
    def entity_id(self) -> str:
        return self.subject.split(".")[4]


async def last_position(nc: Client, pool: str) -> int:
    """Where the stream ends, as the broker says."""
    return (await nc.jetstream().stream_info(f"CUSTODY_{pool}")).state.last_seq


async def read_log(nc: Client, pool: str, *, after: int = 0) -> list[Stored]:
    """Every event behind a position, through a JetStream consumer."""
    end = await last_position(nc, pool)
    if end <= after:
        return []
    subscription = await nc.jetstream().subscribe(
        f"custody.{pool}.evt.>",
        stream=f"CUSTODY_{pool}",
        ordered_consumer=True,
        config=ConsumerConfig(
            ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1
        ),
    )
    found: list[Stored] = []
    while not found or found[-1].position < end:
        message = await subscription.next_msg(timeout=20)
        found.append(Stored(message.metadata.sequence.stream, message.subject, message.headers or {}, message.data))
    await subscription.unsubscribe()
    return found


async def happened(nc: Client, pool: str, *, after: int) -> list[str]:
    """The names of the events behind a position, but for outages.

    To a service whose machine stood still for a second, agents were out of reach. It may note that at any time.
    """
    return [event.name for event in await read_log(nc, pool, after=after) if event.name != "pool.rearmed"]


async def in_log(nc: Client, pool: str, name: str, *, after: int = 0) -> Stored:
    """Wait until the log has an event of this name behind a position; return the first.

    For what may happen before the client has found the broker again: the feed does not repeat it.
    """
    found: list[Stored] = []

    async def there() -> bool:
        # Just started, a broker does not answer yet.
        with contextlib.suppress(NatsError):
            found.extend(event for event in await read_log(nc, pool, after=after) if event.name == name)
        return bool(found)

    await until(f"{name} in the log", there, lambda: found)
    return found[0]


def check_log(events: Iterable[Stored], pool: str) -> None:
    """A log from its first event on: contiguous, chained, each envelope to the letter, tokens rising."""
    events = list(events)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    check_chain(events)
    versions: dict[str, int] = {}
    tokens: dict[str, int] = {}
    time = ""
    for event in events:
        body = check_envelope(event, pool)
        assert body["time"] >= time, "time never goes backwards along the log"
        time = body["time"]
        versions[body["subject"]] = versions.get(body["subject"], 0) + 1
        assert body["aggregateversion"] == versions[body["subject"]]
        if event.name in {"task.leased", "task.stolen"}:
            assert event.data["token"] == event.position
            assert event.position > tokens.get(event.entity_id, 0)
            tokens[event.entity_id] = event.position
        elif event.name.removeprefix("task.") in HELD:
            assert event.data["token"] == tokens[event.entity_id], f"{event.name} names the current token"


def check_chain(events: Iterable[Stored], previous: str = "0" * 64) -> None:
    """`Custody-Hash`, computed again from what the stream holds."""
    for event in events:
        line = b"\n".join((previous.encode(), str(event.position).encode(), event.subject.encode(), event.raw))
        previous = hashlib.sha256(line).hexdigest()
        assert event.headers["Custody-Hash"] == previous, f"the chain breaks at {event.position}"


def check_envelope(event: Stored, pool: str) -> dict[str, Any]:
    """One event's CloudEvents envelope, against its subject and position."""
    body = event.body
    parsed = JSONFormat().read(CloudEvent, event.raw)
    assert (parsed.get_id(), parsed.get_type()) == (body["id"], body["type"]), "the official SDK reads it alike"
    prefix, of_pool, kind, entity, entity_id, name = event.subject.split(".")
    assert (prefix, of_pool) == ("custody", pool)
    assert kind in {"evt", "feed"}
    assert body.keys() >= ENVELOPE
    assert event.headers["Content-Type"] == "application/cloudevents+json"
    assert body["specversion"] == "1.0"
    assert body["id"] == str(event.position)
    assert body["source"] == f"custody/{pool}"
    assert body["type"] == f"custody.{entity}.{name}.v1"
    assert body["subject"] == f"{entity}/{entity_id}"
    assert body["datacontenttype"] == "application/json"
    assert TIME.fullmatch(body["time"])
    assert type(body["aggregateversion"]) is int
    assert isinstance(body["causationid"], str)
    assert 1 <= len(body["causationid"]) <= 128
    assert ACTOR.fullmatch(body["actor"])
    assert isinstance(body["data"], dict)
    assert entity != "pool" or entity_id == pool
    return body


def moment(text: str) -> datetime:
    """A time on the wire."""
    assert TIME.fullmatch(text)
    return datetime.fromisoformat(text)


class Feed:
    """What the stream republishes, as it comes; `async with`, then `until`."""

    def __init__(self, nc: Client, pool: str) -> None:
        self.nc = nc
        self._pool = pool
        self._subscription: Subscription | None = None
        self._changed = asyncio.Event()
        self.seen: list[Stored] = []

    async def __aenter__(self) -> Self:
        self._subscription = await self.nc.subscribe(f"custody.{self._pool}.feed.>", cb=self._on_message)
        await settled(self.nc)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._subscription is not None and self.nc.is_connected:
            await self._subscription.unsubscribe()

    async def _on_message(self, message: Msg) -> None:
        headers = message.headers or {}
        self.seen.append(Stored(int(headers["Nats-Sequence"]), message.subject, headers, message.data))
        self._changed.set()

    async def until(
        self, name: str, entity_id: str | None = None, *, fits: Callable[[Stored], bool] = bool, patience_s: float = 20
    ) -> Stored:
        """Wait for the first event of this name (`task.expired`), about this entity."""
        async with asyncio.timeout(patience_s):
            while True:
                for event in self.seen:
                    if event.name == name and entity_id in {None, event.entity_id} and fits(event):
                        return event
                self._changed.clear()
                await self._changed.wait()
