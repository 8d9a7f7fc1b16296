"""What one agent works on through its MCP client: it claims when it is asked, and its tasks are kept alive meanwhile.

An earlier process of the agent may have left tasks: they are taken up again, and `my_work` shows them. A task that
comes unasked (assigned by an operator, stolen for the agent, or granted to a claim whose answer was lost) waits for
the next `claim_work`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from custody_client import AtCapacity, CustodyError, Held, Lease, LeaseLost
from custody_client.address import Address
from custody_client.clock import steady_s
from custody_client.errors import LOST, NoAnswerError
from custody_client.life import Life
from custody_client.wire import HeldLease, Holdings, Leases
from custody_mcp.at_hand import AtHand
from custody_mcp.held_tasks import HeldTasks
from custody_mcp.words import NotHeld

_log = logging.getLogger("custody_mcp")

MAX_WAIT_S = 20.0
"""The longest that one call waits for work."""
ANSWER_S = 3.0
"""How much longer than that the answer may take."""
OPEN_S = 10.0
"""How long a call waits for the agent to be registered at first."""
LEAVE_S = 1.5
"""How long the end of the process waits for tasks to be given back: clients kill a server after 2 s."""
UNTAKEN_S = 300.0
"""For how long a task that came unasked waits for `claim_work`. After it the task is given back."""


class Desk:
    """One agent: `async with Desk(...) as desk`."""

    def __init__(
        self,
        find: Callable[[], Address],
        pool: str,
        name: str,
        *,
        capabilities: list[str],
        labels: list[str],
        slots: int = 1,
        idle_s: float | None = None,
    ) -> None:
        """`slots`: how many tasks it may hold. `idle_s`: for how long its client may call nothing and still hold them.

        None: for as long as the process lives.
        """
        self.name = name
        self._find = find
        self._pool = pool
        self._capabilities = capabilities
        self._labels = labels
        self._slots = slots
        self._idle_s = idle_s
        self._opened: Life | None = None
        self._opening: asyncio.Task[None] | None = None
        self.tasks = HeldTasks()
        self._claiming: asyncio.Task[None] | None = None
        self._wanting = 0
        self._closed = False
        self._background: set[asyncio.Task[None]] = set()
        self._taking_up: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin to register, and return at once: an MCP client waits for its server's first answer."""
        self._opened = life = Life(
            self._find,
            self._pool,
            self.name,
            capabilities=self._capabilities,
            capacity=self._slots,
            priority=1.0,
            labels=self._labels,
            load=None,
        )
        life.found = self._found
        self._opening = asyncio.create_task(life.open(give_back=False))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back what is held, with its last checkpoint, and leave the pool."""
        if self._closed:
            return
        self._closed = True
        for task in (self._claiming, *self._taking_up, *self._background):
            if task is not None:
                task.cancel()
        assert self._opening is not None  # noqa: S101 - entered
        opened = self._opening.done() and not self._opening.cancelled() and self._opening.exception() is None
        self._opening.cancel()
        if opened and self._life.superseded is None:
            with contextlib.suppress(TimeoutError, CustodyError):
                async with asyncio.timeout(LEAVE_S):
                    await asyncio.gather(
                        *(self._give_back(each, "its agent's session has ended") for each in self.held)
                    )
        await self._life.close(leave=opened)

    @property
    def _life(self) -> Life:
        assert self._opened is not None  # noqa: S101 - entered
        return self._opened

    async def ready(self) -> None:
        """Return once the agent is registered; each tool calls it first. The client is there, so its tasks are kept.

        Raises:
            NoAnswerError: there is no broker, or no service, for so long.
            StaleSession: another process of the agent has registered.
        """
        assert self._opening is not None  # noqa: S101 - entered
        if self._life.superseded is not None:
            raise self._life.superseded
        try:
            async with asyncio.timeout(OPEN_S):
                await asyncio.shield(self._opening)
                if self._taking_up:
                    await asyncio.wait(self._taking_up)
        except TimeoutError:
            problem = self._life.problem
            raise NoAnswerError(
                f"agent {self.name} is not registered yet" + (f": {problem}" if problem else "")
            ) from None
        for each in self.held:
            if each.shown:
                each.touch()

    async def all(self) -> list[AtHand]:
        """Return what is held, by what the service says now.

        Raises:
            NoAnswerError: it says nothing; `held` is what is held as far as is known.
        """
        vouched = [each.fields() for each in self._life.holdings.all() if each.vouched(steady_s())]
        answer = await self._life.command("heartbeat", {"tasks": vouched}, limit_s=ANSWER_S)
        for lease in answer.read(Holdings).leases:
            self._found(lease)
        if self._taking_up:
            await asyncio.wait(self._taking_up, timeout=ANSWER_S)
        return self.held

    @property
    def held(self) -> list[AtHand]:
        """What is held, as far as is known."""
        return self.tasks.held()

    @asynccontextmanager
    async def using(self, task_id: str | None) -> AsyncIterator[AtHand]:
        """Let a tool work on a task: the named one, else the only one that the client was given.

        A task that is lost counts until the client was told: what is meant for it must not reach another.

        Raises:
            LeaseLost: the task is not held any more.
            NotHeld: there is no such one, or there are several.
        """
        await self.ready()
        at_hand = self.tasks.meant(task_id)
        if at_hand.held.lost is not None and not at_hand.held.lost.certain:
            at_hand = await self._recovered(at_hand)
        try:
            if at_hand.held.lost is None:
                at_hand.check()
            yield at_hand
        finally:
            if not at_hand.at_work:
                self.tasks.forget(at_hand)

    async def claim(self, wait_s: float) -> AtHand | None:
        """Return a task that the client was not given yet: one that came unasked, else one that is claimed now.

        Raises:
            NotHeld: the agent holds as many tasks as it may.
            Refused: nothing is granted.
            NoAnswerError: no answer came.
        """
        if (waiting := self.tasks.waiting()) is not None:
            return waiting
        if len(self.held) >= self._slots:
            held = ", ".join(each.task_id for each in self.held)
            raise NotHeld(f"You hold {held} already, and may hold no more. my_work shows it: finish or hand it over.")
        wait_s = max(0.0, min(wait_s, MAX_WAIT_S))
        self._wanting += 1
        try:
            if self._claiming is None or self._claiming.done():
                self._claiming = asyncio.create_task(self._claim(wait_s))
                self._claiming.add_done_callback(_seen)
            await asyncio.shield(self._claiming)
        except AtCapacity:
            # It holds a task that came unasked, and of which nothing was heard here yet.
            await self.all()
            if self.tasks.waiting() is None:
                raise
        finally:
            self._wanting -= 1
        return self.tasks.waiting()

    async def _recovered(self, lost: AtHand) -> AtHand:
        """Go on with a lease whose term ran out here alone, after a machine's sleep for one, if it is still held.

        The service may have excused the silence, by the holder's usual time between reports.
        """
        lease = lost.held.lease
        try:
            async with asyncio.timeout(ANSWER_S):
                read, granted_by = await self._life.read_lease(HeldLease(*lease.key, lease.expires_at))
        except (*LOST, TimeoutError):
            return lost
        self.tasks.forget(lost)
        taken = self._take(read, granted_by)
        taken.shown = lost.shown
        return taken

    async def _claim(self, wait_s: float) -> None:
        answer = await self._life.command(
            "claim", {"max": 1, "wait_s": wait_s}, wait_s=wait_s, limit_s=wait_s + ANSWER_S
        )
        for lease in answer.read(Leases).leases:
            granted_by = self._life.granted_by(answer)
            if self._life.holdings.is_known(lease.key):
                continue
            if steady_s() > granted_by + lease.lease_s + lease.grace_s:
                # The process stood still since it asked: the lease may be another's by now.
                self._found(HeldLease(lease.task_id, lease.token, lease.expires_at))
                continue
            taken = self._take(lease, granted_by)
            if not self._wanting:
                # The client has given up waiting.
                await self._give_back(taken, "the agent did not wait for it")

    def _take(self, lease: Lease, granted_by: float) -> AtHand:
        holding = self._life.begin(lease, granted_by)
        holding.progress_within_s = self._idle_s
        held: Held[Any] = Held(self._life, holding)
        taken = AtHand(self._life, held, holding)
        self.tasks.add(taken)

        def stopped() -> None:
            if holding.lost is not None:
                # It is held no more, and the client is told by its next call.
                self._life.call_soon(lambda: self._life.end(holding))

        holding.on_stop(stopped)
        return taken

    def _found(self, lease: HeldLease) -> None:
        """Take up a lease that was not claimed here, unless it is known."""
        if self._life.holdings.is_known((lease.task_id, lease.token)):
            return
        self._spawn(self._taking_up, self._take_up(lease))

    async def _take_up(self, found: HeldLease) -> None:
        try:
            lease, granted_by = await self._life.read_lease(found)
        except LOST as refused:
            _log.info("%s: %s is gone already: %s", self.name, found.task_id, refused)
            return
        if not self._life.holdings.is_known(lease.key):
            self._spawn(self._background, self._await_taker(self._take(lease, granted_by)))

    async def _await_taker(self, taken: AtHand) -> None:
        """Give a task back that the client does not take."""
        await asyncio.sleep(UNTAKEN_S)
        if taken.at_work and not taken.shown:
            await self._give_back(taken, "the agent did not take it up")

    async def _give_back(self, at_hand: AtHand, reason: str) -> None:
        with contextlib.suppress(LeaseLost):
            await at_hand.hand_over(reason)
        self.tasks.forget(at_hand)

    def _spawn(self, among: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(lambda done: _ended(among, done))


def _seen(claiming: asyncio.Task[None]) -> None:
    """Have asked for an error that no call waits for any more."""
    if not claiming.cancelled():
        claiming.exception()


def _ended(among: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    among.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("a task in the background failed: %s", error, exc_info=error)
