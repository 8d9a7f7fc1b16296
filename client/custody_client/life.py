"""One life of an agent: from the registration of a process under a session of its own to its end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from custody_client.address import Address
from custody_client.beats import Beats
from custody_client.calls import Answer, Calls
from custody_client.clock import steady_s
from custody_client.errors import (
    LOST,
    CustodyError,
    HandOver,
    LeaseLost,
    NoAnswerError,
    StaleSession,
    UnknownAgent,
    lease_lost,
)
from custody_client.holding import Holding, Holdings
from custody_client.link import Link
from custody_client.wire import HeldLease, Lease, Terms
from custody_client.wire import Holdings as HoldingsDocument

_log = logging.getLogger("custody_client")

TURN_S = 0.1
"""How often the event loop notes that it ran: what it hears came no earlier than the note before."""
SHORTEST_TRY_S = 0.5
"""For how long a command on a task is sent at least, however little is left of its term."""
LEAVE_S = 5.0
"""For how long a process that ends tries to say so."""


class Life:
    """Registered, beating, and holding leases. `open` it first."""

    def __init__(
        self,
        find: Callable[[], Address],
        pool: str,
        name: str,
        *,
        capabilities: list[str],
        capacity: int,
        priority: float,
        labels: list[str],
        load: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        self.name = name
        self.pool = pool
        self.session = secrets.token_hex(16)
        self.holdings = Holdings()
        self.superseded: StaleSession | None = None
        """Set once another process of the name has registered: this one ends."""
        self.found: Callable[[HeldLease], None] = lambda _: None
        """Called in the event loop for a lease that the service says is held, and that was not claimed."""
        self.on_superseded: Callable[[], None] = lambda: None
        """Called in the event loop when another process of the name has registered."""
        self._registration = {
            "capabilities": capabilities,
            "capacity": capacity,
            "priority": priority,
            "labels": labels,
        }
        self._registering = asyncio.Lock()
        self._registered = 0
        self._leaving = False
        self._link = Link(find, f"custody worker {name}", may_fail=True)
        self._calls = Calls(self._link, pool)
        self._loop = asyncio.get_running_loop()
        self._beats = Beats(find, self, load=load)
        self._turn_at = steady_s()
        self._turns: asyncio.TimerHandle | None = None

    @property
    def problem(self) -> Exception | None:
        """Why there is no connection to the broker, if there is none."""
        return self._link.problem

    async def open(self, *, give_back: bool = True) -> None:
        """Connect, register, give back what an earlier process of the name held, and begin to beat.

        Returns once the beats have their connection: what is claimed from then on is renewed. Waits for as long as
        there is no broker or no service. `give_back`: else what the earlier process held is `found`, to go on with.
        """
        await self._link.open()
        self._take_turn()
        earlier = await self._register()
        self._beats.start()
        for lease in earlier.leases:
            if give_back:
                await self._give_back(lease)
            else:
                self.found(lease)
        await self._beats.connected()

    async def close(self, *, leave: bool = True) -> None:
        """End the beats and the connection. `leave`: deregister, which gives back what is still held."""
        # A beat after the deregistration would find the agent unknown, and register it again.
        self._leaving = True
        await asyncio.to_thread(self._beats.stop)
        try:
            if leave and self.superseded is None and self._registered:
                await self._command("deregister", {}, limit_s=LEAVE_S)
        except CustodyError as error:
            _log.warning("%s could not leave the pool: %s", self.name, error)
        finally:
            if self._turns is not None:
                self._turns.cancel()
            await self._link.close()

    def drop_connections(self) -> None:
        """Close both connections; new ones are made."""
        self._link.drop()
        self._beats.drop_connection()

    async def command(self, verb: str, body: Mapping[str, Any], **options: Any) -> Answer:
        """Send a command of this agent until its outcome is known; registers again if the pool does not know it.

        Raises:
            Refused: it was not carried out; StaleSession ends this life.
            NoAnswerError: no outcome was known within `limit_s`, if that is given.
        """
        while True:
            registered = self._registered
            try:
                return await self._command(verb, body, **options)
            except UnknownAgent:
                await self._register_again(registered)
            except StaleSession as refused:
                self.supersede(refused)
                raise

    async def on_task(self, holding: Holding, verb: str, body: Mapping[str, Any], *, while_held: bool = True) -> Answer:
        """Send a command on a held task until its outcome is known.

        `while_held`: give up when the term is over without an answer; the beats may have renewed it meanwhile.

        Raises:
            LeaseLost: the task is not held any more.
        """
        command = {**holding.fields(), **body}
        command_id = self._calls.new_id()
        lost: LeaseLost | None = None
        while lost is None:
            limit_s = max(holding.term.left_s(), SHORTEST_TRY_S) if while_held else None
            try:
                return await self.command(verb, command, limit_s=limit_s, command_id=command_id)
            except LOST as refused:
                lost = lease_lost(*holding.key, refused)
            except NoAnswerError as error:
                if holding.term.left_s() <= 0:
                    lost = LeaseLost(*holding.key, f"its term ran out without an answer ({error})", certain=False)
        holding.stop(lost)
        raise lost

    def granted_by(self, answer: Answer) -> float:
        """Return a moment, by `steady_s`, no later than the grant in the answer to a claim that may have waited.

        The event loop would have heard an answer at its last turn. If the claim was repeated, the answer may be of the
        first one.
        """
        return answer.sent_at if answer.repeats else max(answer.sent_at, self._turn_at)

    def begin(self, lease: Lease, granted_by: float) -> Holding:
        """Hold a lease: the beats vouch for it from now on."""
        holding = Holding(lease, granted_by)
        self.holdings.add(holding)
        self._beats.watch(holding)
        return holding

    def end(self, holding: Holding) -> None:
        """Forget a lease that has ended, in whatever way."""
        self.holdings.remove(holding)

    def take_terms(self, holding: Holding, terms: Terms, sent_at: float) -> None:
        """Take until when a lease runs, and what its holder is asked to do. Called from both threads."""
        holding.term.renew(terms.expires_at, sent_at, grace_s=terms.grace_s)
        if terms.directive == "stop":
            holding.lose("its deadline has passed")
        else:
            holding.asked = HandOver("the service asks for it") if terms.directive == "hand_over" else None

    def supersede(self, refused: StaleSession) -> None:
        """Another process of the name has registered: stop everything that was held. Called from both threads."""
        if self.superseded is not None:
            return
        self.superseded = refused
        _log.error("%s: another process of this name has registered, so this one ends", self.name)
        for holding in self.holdings.all():
            holding.lose("another process of this agent has registered")
        self.call_soon(self.on_superseded)

    def call_soon(self, what: Callable[[], None]) -> None:
        """Have something called in the event loop of this life, from another thread."""
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            _log.debug("%s has ended", self.name)

    def register_soon(self) -> None:
        """Register again, for the pool does not know the agent. Called from the beats' thread."""
        registered = self._registered
        asyncio.run_coroutine_threadsafe(self._register_again(registered), self._loop)

    async def read_lease(self, held: HeldLease) -> tuple[Lease, float]:
        """Read a lease that was not claimed here; return it with a moment no later than its renewal by that."""
        answer = await self.command("lease", {"task_id": held.task_id, "token": held.token})
        lease = answer.read(Lease)
        # The command renewed it, unless that would have moved its end by less than a tenth of the term.
        return lease, answer.sent_at - 0.1 * lease.lease_s

    async def _command(self, verb: str, body: Mapping[str, Any], **options: Any) -> Answer:
        return await self._calls.command(f"agent.{self.name}.{verb}", {**body, "session": self.session}, **options)

    async def _register(self) -> HoldingsDocument:
        answer = await self._command("register", self._registration)
        self._registered += 1
        return answer.read(HoldingsDocument)

    async def _register_again(self, registered: int) -> None:
        """Register, unless that has happened since the count was `registered`."""
        async with self._registering:
            if registered == self._registered and not self._leaving:
                _log.warning("%s is not known to the pool, and registers again", self.name)
                await self._register()

    async def _give_back(self, lease: HeldLease) -> None:
        """Release what an earlier process of the name held. The next holder gets its last checkpoint."""
        body = {"task_id": lease.task_id, "token": lease.token, "reason": "the process that held it has ended"}
        try:
            await self.command("release", body)
        except LOST as refused:
            _log.info("%s: %s of an earlier process is gone: %s", self.name, lease.task_id, refused)
        else:
            _log.info("%s: gave back %s of an earlier process", self.name, lease.task_id)

    def _take_turn(self) -> None:
        self._turn_at = steady_s()
        self._turns = self._loop.call_later(TURN_S, self._take_turn)
