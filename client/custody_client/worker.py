"""A worker: an agent that claims tasks, works on them, and lives through everything short of its own death."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from custody_client.address import Address, agent_name, capability_names, find_address, pool_name
from custody_client.errors import AddressError, CredentialsError, CustodyError, StaleSession
from custody_client.handlers import Handler, handler_of
from custody_client.held import Held
from custody_client.holding import Holding
from custody_client.life import Life
from custody_client.limits import MAX_CLAIM_WAIT_S, MAX_SLOTS
from custody_client.retrying import Retry
from custody_client.running import work_on
from custody_client.shift import Shift

_log = logging.getLogger("custody_client")
F = TypeVar("F", bound=Callable[..., Any])

WAIT_S = 20.0
"""How long one claim waits for work."""
DRAIN_S = 30.0
HAND_OVER_S = 10.0


class Worker:
    """An agent of a pool, with handlers (`task`, `run`) or a loop of your own (`async with`, `tasks`)."""

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        name: str | None = None,
        *,
        url: str | None = None,
        pool: str | None = None,
        slots: int = 1,
        capabilities: Sequence[str] | None = None,
        credentials: str | os.PathLike[str] | None = None,
        priority: float = 1.0,
        labels: Sequence[str] = (),
        drain_s: float = DRAIN_S,
        hand_over_s: float = HAND_OVER_S,
        wait_s: float = WAIT_S,
        load: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """Nothing is connected yet; `run` and `async with` do that.

        Args:
            name: The agent's name, one for each process; else `CUSTODY_AGENT`.
            url: The broker's address; else `CUSTODY_NATS`, else that of `./.custody`.
            pool: Else `CUSTODY_POOL`, else `default`.
            slots: How many tasks are worked on at once, from 1 to 500.
            capabilities: What it can do, beside the kinds of its handlers; else `CUSTODY_CAPABILITIES`.
            credentials: A file of credentials; else `CUSTODY_CREDENTIALS`.
            priority: Preference as the target of steals, from 0 to 100.
            labels: Free labels.
            drain_s: At the end, how long the handlers have to finish.
            hand_over_s: How long they have to stop after that.
            wait_s: How long one claim waits for work, at most 30 seconds.
            load: Returns the machine's load (`cpu`, `memory`, in percent), which is sent with each beat.

        Raises:
            AddressError: there is no name.
            ValueError: there are too few or too many slots.
        """
        if not 1 <= slots <= MAX_SLOTS:
            raise ValueError(f"a worker has 1 to {MAX_SLOTS} slots, not {slots}")
        self.name = agent_name(name)
        self.pool = pool_name(pool)
        self.slots = slots
        self.drain_s = drain_s
        self.hand_over_s = hand_over_s
        self._find: Callable[[], Address] = partial(find_address, url, credentials=credentials)
        self._capabilities = capability_names(None if capabilities is None else list(capabilities))
        self._priority = priority
        self._labels = list(labels)
        self._wait_s = min(wait_s, MAX_CLAIM_WAIT_S)
        self._load = load
        self._handlers: dict[str | None, Handler] = {}
        self._life: Life | None = None
        self._shift: Shift | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._granted: asyncio.Queue[Held[Any]] = asyncio.Queue()
        self._ending = asyncio.Event()
        self._hurrying = asyncio.Event()

    @property
    def ending(self) -> bool:
        """Whether it was asked to stop."""
        return self._ending.is_set()

    # With handlers.

    def task(
        self,
        kind: str | None = None,
        *,
        retry: Retry | None = None,
        progress_within: timedelta | float | None = None,
    ) -> Callable[[F], F]:
        """Return a decorator: the function works on the tasks of a kind, `async def` or `def` (in a thread of its own).

        It takes the payload and a `Held` (`SyncHeld` for `def`), in this order, one of them, or nothing. The payload is
        made what its parameter is annotated with. What it returns is the task's result; an exception fails the task,
        retryable unless it is `NotRetryable`.

        Args:
            kind: The capability that the tasks require. None: tasks that no other handler takes.
            retry: How often this worker tries, and when again; else as the task says.
            progress_within: How long the handler may show no progress (a timedelta, or seconds). Then the worker no
                longer vouches for it, so its lease runs out and the handler is stopped.
        """

        def register(function: F) -> F:
            if kind in self._handlers:
                raise ValueError(f"there are two handlers for {kind!r}")
            self._handlers[kind] = handler_of(function, kind, retry=retry, progress_within=progress_within)
            return function

        return register

    def run(self, *, burst: bool = False) -> None:
        """Work until SIGTERM or SIGINT; then drain, and return. The second signal hurries, the third ends at once.

        A broker or a service that is not there is waited for, as long as it takes. What waiting does not mend ends
        the program, with a line on standard error.

        `burst`: return when nothing is left to do.

        Raises:
            SystemExit: with status 2, what says where the broker is is no address, or it does not take the
                credentials; with status 1, another process of this name has registered, or the agent is refused.
        """
        try:
            asyncio.run(self.serve(burst=burst, signals=True))
        except CustodyError as error:
            sys.stderr.write(f"{self.name}: {error}\n")
            raise SystemExit(2 if isinstance(error, AddressError | CredentialsError) else 1) from None

    async def serve(self, *, burst: bool = False, signals: bool = False) -> None:
        """Work until `stop` is called; then drain, and return. `run`, in an event loop that is there.

        Raises:
            AddressError: what says where the broker is is no address.
            CredentialsError: the broker does not take the credentials.
            StaleSession: another process of this name has registered.
        """
        if not self._handlers:
            raise ValueError("a worker without handlers has nothing to run: decorate functions with `task`")
        self._begin_anew()
        if signals:
            loop = asyncio.get_running_loop()
            for each in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError):  # on Windows
                    loop.add_signal_handler(each, self.stop)
        await self._open(self._work, wait_s=0.0 if burst else self._wait_s)
        try:
            if not self._ending.is_set():
                await self._serve_shift(burst=burst)
        finally:
            await self._close()

    def stop(self) -> None:
        """Begin to drain; a second time: hand over at once; a third time: end at once. In the event loop's thread."""
        if not self._ending.is_set():
            self._ending.set()
        elif not self._hurrying.is_set():
            self._hurrying.set()
        else:
            for task in self._working:
                task.cancel()

    # With a loop of your own.

    async def __aenter__(self) -> Self:
        """Register, and begin to beat. Waits for as long as there is no broker or no service.

        Raises:
            AddressError: what says where the broker is is no address.
            CredentialsError: the broker does not take the credentials.
        """
        self._begin_anew()
        await self._open(self._queue, wait_s=self._wait_s)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def tasks(self) -> AsyncIterator[Held[Any]]:
        """Claim, and yield each task; its slot is free again when it was completed, failed, given back or lost.

        Ends after `stop`. What is still held at the end of `async with` goes back, with its last checkpoint.

        Raises:
            StaleSession: another process of this name has registered.
        """
        shift = self._shift
        if shift is None:
            raise ValueError("`async with worker` comes first")
        claiming = asyncio.create_task(shift.run())
        ending = asyncio.create_task(self._ending.wait())
        try:
            while not self._ending.is_set():
                granted = asyncio.create_task(self._granted.get())
                await asyncio.wait({granted, claiming, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not granted.done():
                    granted.cancel()
                    if claiming.done():
                        claiming.result()
                    return
                yield granted.result()
        finally:
            claiming.cancel()
            ending.cancel()
            with contextlib.suppress(asyncio.CancelledError, StaleSession):
                await claiming

    # For tests.

    def connect_by(self, find: Callable[[], Address], *, pool: str) -> None:
        """Have the address found in another way, and another pool. Before it is at work."""
        self._find = find
        self.pool = pool

    def drop_connections(self) -> None:
        """Close the connections that there are; new ones are made."""
        if self._life is not None:
            self._life.drop_connections()

    async def abandon(self) -> None:
        """Stop where it is, and tell the service nothing, as a process that is killed."""
        life, self._life = self._life, None
        self._ending.set()
        self._hurrying.set()
        for task in self._working:
            task.cancel()
        if life is not None:
            await life.close(leave=False)

    # Inside.

    def _begin_anew(self) -> None:
        """Forget how the work before ended: one worker may be at work several times, in different event loops."""
        self._ending, self._hurrying = asyncio.Event(), asyncio.Event()
        self._granted = asyncio.Queue()

    async def _open(self, begin: Callable[[Held[Any], Holding], bool], *, wait_s: float) -> None:
        kinds = [kind for kind in self._handlers if kind is not None]
        life = Life(
            self._find,
            self.pool,
            self.name,
            capabilities=list(dict.fromkeys([*kinds, *self._capabilities])),
            capacity=self.slots,
            priority=self._priority,
            labels=self._labels,
            load=self._load,
        )
        self._life = life
        self._shift = Shift(life, self.slots, begin, wait_s=wait_s, hand_over_after_s=self.drain_s)
        opening = asyncio.create_task(life.open())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({opening, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            if not opening.done():
                opening.cancel()
        if opening.done() and not opening.cancelled():
            try:
                opening.result()
            except BaseException:
                await life.close(leave=False)
                raise
            _log.info("%s: at work in pool %s, %d slots", self.name, self.pool, self.slots)

    async def _close(self) -> None:
        if self._shift is not None:
            await self._shift.close()
        for task in self._working:
            task.cancel()
        if self._life is not None:
            await self._life.close()
        self._life = self._shift = None

    async def _serve_shift(self, *, burst: bool) -> None:
        shift = self._shift
        assert shift is not None  # noqa: S101 - it is open
        claiming = asyncio.create_task(shift.run())
        ending = asyncio.create_task(self._ending.wait())
        exhausted = asyncio.create_task(self._exhausted(shift) if burst else asyncio.Event().wait())
        try:
            await asyncio.wait({claiming, ending, exhausted}, return_when=asyncio.FIRST_COMPLETED)
            superseded = claiming.done() and claiming.exception() is not None
            await shift.drain(0.0 if superseded else self.drain_s, self.hand_over_s, self._hurrying)
            await claiming
        finally:
            for each in (claiming, ending, exhausted):
                each.cancel()

    async def _exhausted(self, shift: Shift) -> bool:
        """Return when a claim found nothing while nothing is worked on."""
        while True:
            await shift.claims.found_nothing.wait()
            shift.claims.found_nothing.clear()
            if not shift.busy:
                return True

    def _work(self, held: Held[Any], holding: Holding) -> bool:
        """Begin to work on a task with the handler of its kind."""
        handler = self._handler_of(held)
        if handler is None:
            return False
        task = asyncio.create_task(work_on(handler, held, holding, self.name), name=f"custody {held.task_id}")
        self._working.add(task)
        task.add_done_callback(partial(self._worked, holding))
        return True

    def _worked(self, holding: Holding, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: %s", holding.lease.task_id, error, exc_info=error)
        if self._life is not None and not task.cancelled():
            self._life.end(holding)
        if self._shift is not None:
            self._shift.slot_freed(holding)

    def _handler_of(self, held: Held[Any]) -> Handler | None:
        required = held.lease.required_capabilities
        if required is None:
            # A service of an earlier version does not say: with one handler there is no question.
            return next(iter(self._handlers.values())) if len(self._handlers) == 1 else self._handlers.get(None)
        kind = next((each for each in required if each in self._handlers), None)
        return self._handlers.get(kind)

    def _queue(self, held: Held[Any], holding: Holding) -> bool:
        """Hand a task to the loop of `tasks`."""
        shift, life = self._shift, self._life
        if shift is None or life is None:
            return False

        def freed() -> None:
            life.end(holding)
            shift.slot_freed(holding)

        def stopped() -> None:
            if holding.lost is not None:
                life.call_soon(freed)

        held.on_end = freed
        holding.on_stop(stopped)
        self._granted.put_nowait(held)
        return True
