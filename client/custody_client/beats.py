"""Heartbeats from a thread with an event loop and a connection of its own.

A handler that blocks the worker's event loop, or a long call, so loses no lease. What a beat vouches for is decided
lease by lease: a handler that shows no progress within its time is left out, and its lease runs out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from custody_client.address import Address
from custody_client.beating import Beating
from custody_client.calls import Calls
from custody_client.clock import steady_s
from custody_client.errors import (
    LOST,
    CustodyError,
    InvalidCommand,
    NoAnswerError,
    StaleSession,
    UnknownAgent,
    lease_lost,
)
from custody_client.holding import Holding
from custody_client.link import Link
from custody_client.pace import RETRY_S, SHORTEST_S, beat_due_at, interval_s
from custody_client.taken_tasks import TakenTasks
from custody_client.wire import Holdings as HoldingsDocument
from custody_client.wire import Terms

_log = logging.getLogger("custody_client")

LOOK_S = 0.25
"""The longest time between two looks at the terms."""
START_AFTER_S = 0.5
"""A task of which the service has heard nothing for so long is said to be started: then nobody steals it."""
START_S = 3.0
"""For how long one start is repeated; then it is begun again."""
LONGEST_S = 5.0
"""For how long one beat is repeated; then the next one is due, which says more."""
JOIN_S = 5.0
HEED_S = 1.0
"""Between beats while something is held, for users of the broker that may not listen to the feed: else an operator's
cancel would reach the handler a third of a term later. Such a beat is not recorded, and costs one request."""


class Beats:
    """Beats for one life of an agent; `start` and `stop` are called from its event loop's thread."""

    def __init__(
        self,
        find: Callable[[], Address],
        life: Beating,
        *,
        load: Callable[[], Mapping[str, float]] | None,
        heed_s: float = HEED_S,
    ) -> None:
        """`load`: returns the machine's load, to be sent along. `heed_s`: see `HEED_S`."""
        self._find = find
        self._life = life
        self._load = load
        self._thread = threading.Thread(target=self._run, name=f"custody beats {life.name}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Link | None = None
        self._woken = asyncio.Event()
        self._connected = asyncio.Event()
        """Set in the event loop of the life, not in that of the beats."""
        self._ending = False
        self._background: set[asyncio.Task[None]] = set()
        self._heed_s = heed_s
        self._urgent = False
        self._sent_at = float("-inf")
        self._answered = True

    def start(self) -> None:
        """Begin to beat. The first beat says that tasks are vouched for one by one."""
        self._thread.start()

    async def connected(self) -> None:
        """Return once the thread has its connection, or has ended: before, no lease would be renewed."""
        await self._connected.wait()

    def stop(self) -> None:
        """End the beats, and wait for the thread."""
        self._ending = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def drop_connection(self) -> None:
        """Close the connection; a new one is made."""
        if self._loop is not None and self._link is not None:
            self._loop.call_soon_threadsafe(self._link.drop)

    def watch(self, holding: Holding) -> None:
        """Look at the terms anew if this lease is shorter than the looks are apart."""
        if interval_s(holding) < LOOK_S:
            self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._woken.set)
            except RuntimeError:
                return  # it has ended

    def _run(self) -> None:
        try:
            asyncio.run(self._beat_until_stopped())
        except Exception:  # noqa: BLE001 - the last place where it can be said
            # Without beats every lease runs out here, and each handler is told.
            _log.critical("%s: the beats have ended", self._life.name, exc_info=True)
            for holding in self._life.holdings.all():
                holding.lose("the beats have ended", certain=False)
        finally:
            self._life.call_soon(self._connected.set)

    async def _beat_until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link = Link(self._find, f"custody beats {self._life.name}")
        calls = Calls(link, self._life.pool)
        await link.open()
        self._spawn(self._note_connected(link))
        taken = TakenTasks(self._life, calls, spawn=self._spawn, beat_now=self._beat_now)
        self._spawn(taken.listen())
        beating: asyncio.Task[None] | None = None
        try:
            while not self._ending:
                held = self._life.holdings.all()
                self._stop_those_past_their_term(held)
                self._start_those_that_work(calls, held)
                if beating is not None and beating.done():
                    beating.result()
                    beating = None
                now = steady_s()
                due_at = now if self._urgent else self._due_at(held, link, now)
                if beating is None and due_at <= now:
                    self._sent_at, self._urgent = now, False
                    beating = asyncio.create_task(self._beat(calls, taken, held, now))
                await self._pause(self._pause_s(held, LOOK_S if beating is not None else due_at - now))
        finally:
            for task in (beating, *self._background):
                if task is not None:
                    task.cancel()
            await link.close()

    async def _note_connected(self, link: Link) -> None:
        await link.wait_up()
        self._life.call_soon(self._connected.set)

    def _due_at(self, held: list[Holding], link: Link, now: float) -> float:
        every_s = float("inf") if link.may_subscribe else self._heed_s
        return beat_due_at(held, sent_at=self._sent_at, answered=self._answered, now=now, at_least_every_s=every_s)

    def _pause_s(self, held: list[Holding], wanted_s: float) -> float:
        """Return how long to wait until something is due: a beat, or the end of a term."""
        shortest_s = min((each.term.left_s() for each in held if each.lost is None), default=LOOK_S)
        return min(max(min(wanted_s, shortest_s), SHORTEST_S / 5), LOOK_S)

    async def _pause(self, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    def _stop_those_past_their_term(self, held: list[Holding]) -> None:
        for holding in held:
            if holding.lost is None and holding.term.left_s() <= 0 and holding.lose(_RAN_OUT, certain=False):
                _log.warning("%s: %s is lost: %s", self._life.name, holding.lease.task_id, _RAN_OUT)

    def _start_those_that_work(self, calls: Calls, held: list[Holding]) -> None:
        now = steady_s()
        for holding in held:
            if not holding.started and now - holding.began_at > min(START_AFTER_S, interval_s(holding)):
                holding.started = True
                self._spawn(self._start(calls, holding))

    def _beat_now(self) -> None:
        self._urgent = True
        self._woken.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._say_failure)

    def _say_failure(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: part of the beats failed: %s", self._life.name, error, exc_info=error)

    async def _beat(self, calls: Calls, taken: TakenTasks, held: list[Holding], now: float) -> None:
        """Send one beat. Without an answer nothing is known, and the next one is due soon."""
        vouched = [each for each in held if each.vouched(now)]
        body: dict[str, Any] = {"session": self._life.session, "tasks": [each.fields() for each in vouched]}
        if (load := self._read_load()) is not None:
            body["load"] = load
        limit_s = max(min((interval_s(each) for each in vouched), default=RETRY_S), 2 * SHORTEST_S)
        self._answered = False
        try:
            answer = await calls.command(f"agent.{self._life.name}.heartbeat", body, limit_s=min(limit_s, LONGEST_S))
            document = answer.read(HoldingsDocument)
        except NoAnswerError as error:
            _log.debug("%s: a beat got no answer: %s", self._life.name, error)
        except UnknownAgent:
            self._life.register_soon()
        except StaleSession as refused:
            self._life.supersede(refused)
        except CustodyError as error:
            _log.warning("%s: a beat was refused, or its answer is of no use: %s", self._life.name, error)
            if isinstance(error, InvalidCommand):
                self._load = None  # it is the only part that comes from elsewhere; the next beat goes without it
        else:
            self._answered = True
            self._take(document, vouched, answer.sent_at)
            taken.obey(document.directives, vouched)
        self._woken.set()

    def _read_load(self) -> dict[str, float] | None:
        """Return the machine's load; a fault in the application's function costs no lease."""
        if self._load is None:
            return None
        try:
            return dict(self._load())
        except Exception:  # noqa: BLE001 - it is the application's
            _log.warning("%s: its load cannot be read, and is not sent any more", self._life.name, exc_info=True)
            self._load = None
            return None

    def _take(self, document: HoldingsDocument, vouched: list[Holding], sent_at: float) -> None:
        """Take until when the leases run that were vouched for, and those that are not known here."""
        expiries = {(each.task_id, each.token): each.expires_at for each in document.leases}
        for holding in vouched:
            if holding.key in expiries:
                holding.term.renew(expiries[holding.key], sent_at)
        for lease in document.leases:
            if not self._life.holdings.is_known((lease.task_id, lease.token)):
                self._life.call_soon(partial(self._life.found, lease))

    async def _start(self, calls: Calls, holding: Holding) -> None:
        """Say that work on the task has begun, unless a report has said it by now."""
        try:
            answer = await self._on_task(calls, holding, "start")
            self._life.take_terms(holding, answer.read(Terms), answer.sent_at)
        except LOST as refused:
            holding.stop(lease_lost(*holding.key, refused))
        except CustodyError as error:
            holding.started = False
            _log.debug("%s: the start of %s got no answer: %s", self._life.name, holding.lease.task_id, error)

    async def _on_task(self, calls: Calls, holding: Holding, verb: str) -> Any:
        body = {**holding.fields(), "session": self._life.session}
        return await calls.command(f"agent.{self._life.name}.{verb}", body, limit_s=START_S)


_RAN_OUT = "its term ran out here without a confirmed renewal"
