"""A pool in memory, endpoints that answer as the test says, and the notifier between them, on a clock of the test's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.notifier.endpoint_sender import Limits
from handlers.notifier.message import Message
from handlers.notifier.notifier import Endpoint, Notifier
from handlers.notifier.retry_rules import Outcome, Verdict
from handlers.notifier.subscription import Subscription
from handlers.ports import NewMessage
from handlers.projector.read_model import Source
from infra.codec import CloudEventsCodec
from infra.notify.outbox_desk import OutboxDesk
from infra.notify.sqlite_outbox import SqliteOutbox
from infra.notify.state_file import StateFile
from projections.live.service_health import ServiceHealth
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import Scenario, Step
from tests.support.virtual_clock import VirtualClock

POOL = "default"
DELIVERED = Outcome(Verdict.DELIVERED)
DOWN = Outcome(Verdict.FAILED, "connection refused")
REFUSED = Outcome(Verdict.REFUSED, "HTTP 400 Bad Request")
GONE = Outcome(Verdict.GONE, "HTTP 410 Gone")

Answer = Callable[[Message], Outcome]


class Receiver:
    """An endpoint."""

    def __init__(self, clock: VirtualClock, subscription: Subscription, limits: Limits) -> None:
        self._clock = clock
        self.subscription = subscription
        self.limits = limits
        self.address = "one"
        self.answer: Answer = lambda _: DELIVERED
        self.open = asyncio.Event()
        """While it is not set, no answer comes."""
        self.open.set()
        self.posts: list[tuple[float, Message]] = []
        """Every attempt: the seconds since the start, and the message."""
        self.got: list[Message] = []
        """What it took."""

    async def __call__(self, message: Message) -> Outcome:
        self.posts.append((self._clock.elapsed_s, message))
        await asyncio.sleep(0)
        await self.open.wait()
        outcome = self.answer(message)
        if outcome.verdict is Verdict.DELIVERED:
            self.got.append(message)
        return outcome

    @property
    def kinds(self) -> list[str]:
        """What it took, by kind."""
        return [each.data["kind"] for each in self.got]

    @property
    def texts(self) -> list[str]:
        return [each.data["text"] for each in self.got]

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.subscription, self, self.limits, self.address)


class NotifiedPool:
    """One pool with its notifier, which may be started again and again."""

    def __init__(self, state_file: Path) -> None:
        self.clock = VirtualClock()
        self.scenario = Scenario(pool_id=POOL)
        self.log = MemoryEventLog(POOL)
        self.codec = CloudEventsCodec(POOL)
        self.receivers: dict[str, Receiver] = {}
        self.health = ServiceHealth()
        self.told: list[str] = []
        self._state_file = state_file
        self._appended = 0
        self._limits: dict[str, int] = {}
        self._open()

    def _open(self) -> None:
        self.file = StateFile(self._state_file, POOL)
        self.outbox = SqliteOutbox(self.file, self.clock, **self._limits)
        self.desk = OutboxDesk(self.file)

    def endpoint(self, name: str, *, limits: Limits | None = None, **wants: Any) -> Receiver:
        """Configure an endpoint."""
        receiver = Receiver(self.clock, Subscription(name, **wants), limits or Limits(rate_per_s=1_000))
        self.receivers[name] = receiver
        return receiver

    def given(self, who: str, verb: str, **body: Any) -> Step:
        """Have a command carried out at the clock's time, and its events appended."""
        self.scenario.at(self.clock.elapsed_s)
        step = self.scenario.given(who, verb, **body)
        self.append()
        return step

    def sweep(self) -> Step:
        """Let the service judge whatever is due."""
        self.scenario.at(self.clock.elapsed_s)
        step = self.scenario.sweep()
        self.append()
        return step

    def append(self) -> None:
        """Append what the scenario has decided since."""
        messages = self.scenario.messages[self._appended :]
        self._appended += len(messages)
        self.log.append_foreign(*(NewMessage(each.subject, each.body, dict(each.headers)) for each in messages))

    def replace_log(self) -> None:
        """Put another log in the place of the one that there is."""
        self.scenario = Scenario(pool_id=POOL)
        self.scenario.at(self.clock.elapsed_s)
        self._appended = 0
        self.log.replace(())

    @asynccontextmanager
    async def notifying(self, *, killed: bool = False) -> AsyncIterator[Notifier]:
        """Run the notifier. `killed`: nothing is done at its end; otherwise it is asked to stop."""
        notifier = Notifier(
            POOL,
            Source(self.log, self.codec, self._memory_at),
            self.outbox,
            [each.endpoint for each in self.receivers.values()],
            lambda: self.health,
            self.clock,
            random.Random(1),
            self.told.append,
        )
        work = asyncio.ensure_future(notifier.run())
        await self.clock.rest()
        try:
            yield notifier
            if not killed:
                notifier.stop()
                await self.clock.rest()
                await self.clock.advance(10)
                assert work.done(), "it does not end"
                work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            self.file.close()
            self._open()

    async def _memory_at(self, position: int) -> Memory:
        memory = Memory(POOL, Rules(), self.codec, outcomes=0)
        await catch_up(memory, self.log, until=position)
        return memory

    def reopen(self, **limits: int) -> None:
        """Open the queue with other limits."""
        self._limits = limits
        self.file.close()
        self._open()
