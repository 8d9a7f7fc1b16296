"""A worker at work: which tasks it holds in its slots, how it claims, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from custody_client.calls import Answer
from custody_client.claims import Claims
from custody_client.clock import steady_s
from custody_client.errors import LOST, CustodyError, HandOver
from custody_client.held import Held
from custody_client.holding import Holding
from custody_client.life import Life
from custody_client.wire import HeldLease, Lease

_log = logging.getLogger("custody_client")

LOOK_S = 0.25
"""How often it is looked at which tasks should have been handed over."""
DECLINED_S = 30.0
"""Seconds for which no agent is granted a task that came to a worker without a handler for it."""

Begin = Callable[[Held[Any], Holding], bool]
"""Begins to work on a task; returns whether there is a handler for it."""


class Shift:
    """The slots of one worker for one life; `run` claims for them."""

    def __init__(self, life: Life, slots: int, begin: Begin, *, wait_s: float, hand_over_after_s: float) -> None:
        """`wait_s`: how long a claim waits; 0: not at all. `hand_over_after_s`: how long one who is asked has time."""
        self._life = life
        self._slots = slots
        self._begin = begin
        self._hand_over_after_s = hand_over_after_s
        self._busy: set[tuple[str, int]] = set()
        self._asked_at: dict[tuple[str, int], float] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._claiming: asyncio.Task[None] | None = None
        self.draining = False
        self.claims = Claims(life, self.free, self.take, wait_s=wait_s)
        life.found = self._adopt

    def free(self) -> int:
        """Return how many slots are free."""
        return 0 if self.draining else self._slots - len(self._busy)

    @property
    def busy(self) -> int:
        """How many slots are taken."""
        return len(self._busy)

    async def run(self) -> None:
        """Claim and work until `drain`; raises Refused (StaleSession, for one) if the agent may not claim."""
        self._claiming = asyncio.create_task(self.claims.run(), name="custody claims")
        watching = asyncio.create_task(self._watch(), name="custody hand-overs")
        try:
            await self._claiming
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        except asyncio.CancelledError:
            if not self.draining:
                raise
        finally:
            watching.cancel()

    def take(self, lease: Lease, answer: Answer) -> None:
        """Take what a claim granted."""
        self._take(lease, self._life.granted_by(answer))

    def slot_freed(self, holding: Holding) -> None:
        """Free the slot of a task that is not worked on any more."""
        self._busy.discard(holding.key)
        self._asked_at.pop(holding.key, None)
        self._changed.set()
        self.claims.slot_freed()

    async def drain(self, wait_s: float, hand_over_s: float, hurry: asyncio.Event) -> None:
        """Stop claiming; wait for what is worked on; then have it handed over.

        `wait_s`: how long to wait, `hurry` set: no longer. `hand_over_s`: how long the handlers have to stop then.
        """
        self.draining = True
        if self._claiming is not None:
            self._claiming.cancel()
        for holding in self._life.holdings.all():
            holding.drains = HandOver("the worker drains")
        if not await self._idle(wait_s, hurry):
            _log.info("%s: handing over what is not done: %d tasks", self._life.name, self.busy)
            for holding in self._life.holdings.all():
                holding.stop(HandOver("the worker drained"))
            if not await self._idle(hand_over_s, None):
                _log.warning("%s: %d handlers did not stop", self._life.name, self.busy)

    async def _idle(self, limit_s: float, hurry: asyncio.Event | None) -> bool:
        """Return whether all slots became free in time."""
        try:
            async with asyncio.timeout(limit_s):
                while self._busy and (hurry is None or not hurry.is_set()):
                    self._changed.clear()
                    waits = [asyncio.ensure_future(self._changed.wait())]
                    if hurry is not None:
                        waits.append(asyncio.ensure_future(hurry.wait()))
                    try:
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for each in waits:
                            each.cancel()
        except TimeoutError:
            return not self._busy
        return not self._busy

    def _take(self, lease: Lease, granted_by: float) -> None:
        if self._life.holdings.is_known(lease.key) or self._life.superseded is not None:
            return
        if self.free() <= 0:
            self._spawn(self._decline(lease, "the worker has no free slot, or ends", 0.0))
            return
        if steady_s() > granted_by + lease.lease_s + lease.grace_s:
            # The process stood still since it asked, or the answer was late: the lease may be another's by now.
            _log.info("%s: %s was granted long ago: looking at it again", self._life.name, lease.task_id)
            self._adopt(HeldLease(lease.task_id, lease.token, lease.expires_at))
            return
        holding = self._life.begin(lease, granted_by)
        self._busy.add(holding.key)
        held: Held[Any] = Held(self._life, holding)
        if not self._begin(held, holding):
            self._life.end(holding)
            self.slot_freed(holding)
            _log.warning("%s: no handler takes %s: giving it back", self._life.name, lease.task_id)
            self._spawn(self._decline(lease, f"{self._life.name} has no handler for it", DECLINED_S))

    def _adopt(self, lease: HeldLease) -> None:
        """Take a lease that was not claimed: assigned by an operator, stolen for this agent, or a lost answer."""
        if not self._life.holdings.is_known((lease.task_id, lease.token)):
            self._spawn(self._read(lease))

    async def _read(self, lease: HeldLease) -> None:
        try:
            self._take(*await self._life.read_lease(lease))
        except LOST as refused:
            _log.info("%s: %s is gone already: %s", self._life.name, lease.task_id, refused)

    async def _decline(self, lease: Lease, reason: str, delay_s: float) -> None:
        body = {"task_id": lease.task_id, "token": lease.token, "reason": reason, "delay_s": delay_s}
        try:
            await self._life.command("release", body)
        except LOST:
            return

    async def _watch(self) -> None:
        """Stop the handlers that were asked by the service to hand over and have had their time."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = steady_s()
            for holding in self._life.holdings.all():
                if self.draining:
                    continue
                if holding.handing_over is None:
                    self._asked_at.pop(holding.key, None)
                    continue
                if now - self._asked_at.setdefault(holding.key, now) >= self._hand_over_after_s:
                    holding.stop(holding.handing_over)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(partial(_say_failure, self._background))

    async def close(self) -> None:
        """End what still runs in the background."""
        self.draining = True
        for task in (self._claiming, *self._background):
            if task is not None:
                task.cancel()


def _say_failure(background: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    background.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        level = logging.WARNING if isinstance(error, CustodyError) else logging.ERROR
        _log.log(level, "a task in the background failed: %s", error, exc_info=error)
