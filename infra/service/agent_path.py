"""Whether agents can reach the pool: the service sends itself a request, the way that theirs take, every second.

A connection whose node lost its peers still answers pings. What passes from one connection to the other through the
broker shows that requests arrive; where both are on one node, which would pass it on without its peers, a write that
the cluster confirms shows that the node reaches those. While either does not come back, no silence is judged; if it
stays away, or an append stays unconfirmed, the connection concerned is moved to another node.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from handlers.ports import LogUnavailableError
from infra.nats.api import JetStreamApi
from infra.nats.reach_bucket import ReachBucket, ReachUnknownError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.ports import ReadableLog
    from infra.nats.connection import NatsConnection, PermissionViolation
    from infra.nats.library_client import Frame
    from infra.nats.node_choice import NodeChoice

_LOG = logging.getLogger(__name__)
INTERVAL_S = 1.0
"""How often the service sends itself a request."""
LOOK_S = 0.25
"""How often it looks what came back, so that a connection is moved within `MOVE_S` and half a second."""
OUT_OF_REACH_S = 1.5
"""Without a request that came back, or a write that was confirmed, for so long, agents count as out of reach."""
MOVE_S = 2.5
"""Out of reach, or an append unconfirmed, for so long: the connection is moved."""
CONFIRM_INTERVAL_S = 0.5
"""Pause between two writes that the cluster has to confirm."""
ASK_AGAIN_S = 10.0
"""Pause before it is looked again whether the cluster can be asked."""
LOG_TIMEOUT_S = 1.0
"""How long the log may take to show that the writer's node reaches it."""
MOVE_PAUSE_S = 8.0
"""No connection is moved for so long after one of them connected anew: it has to show first what it is worth.

The cluster may need up to 7.2 s to elect leaders in place of those on a node that it lost, and confirms nothing until
then.
"""
APART_S = 5.0
"""On two nodes for so long, the connections are brought together again."""


class ReachObserver(Protocol):
    """Notified when agents can no longer reach the pool, and when they can again; the methods return at once."""

    def lost(self, purpose: str, since_s: float) -> None:
        """They cannot; they were heard last at `since_s` of the steady clock."""
        ...

    def back(self, purpose: str) -> None:
        """They can be heard again."""
        ...

    def another_serves(self) -> None:
        """Another service of the pool runs; one of the two leads it."""
        ...


class AgentPath:
    """Watches the way from the connection `writer` through the broker to the connection `responder`."""

    def __init__(
        self,
        pool: str,
        writer: NatsConnection,
        responder: NatsConnection,
        nodes: NodeChoice,
        observer: ReachObserver,
        log: ReadableLog,
        unanswered_s: Callable[[], float],
    ) -> None:
        """`unanswered_s` returns for how many seconds the broker has owed the writer an answer."""
        self._subject = echo_subject(pool)
        self._writer = writer
        self._responder = responder
        self._nodes = nodes
        self._observer = observer
        self._log = log
        self._unanswered_s = unanswered_s
        self._mine = f"{id(self):x}.{time.time_ns():x}".encode()
        self._wake = asyncio.Event()
        self._bucket = ReachBucket(JetStreamApi(writer), pool)
        self._confirmed_s: float | None = None
        """When the last write was sent that the cluster confirmed; None: it is not asked."""
        self._heard_s = time.monotonic()
        self._connected_s = 0.0
        """When one of them last connected anew."""
        self._newest = responder
        """Which one did; at first the one that connected last."""
        self._following: NatsConnection | None = None
        """Which one was sent to the other one's node, until it is there."""
        self._together_s = self._heard_s
        """When both were last seen on one node, or one of them on none."""
        self._out_of_reach = False
        self._tasks: list[asyncio.Task[None]] = []
        self._forbidden = False

    async def start(self) -> None:
        """Begin to watch."""
        for connection in (self._writer, self._responder):
            connection.reconnected.add(partial(self._reconnected, connection))
            connection.violated.add(self._violated)
        await self._responder.client.subscribe_frames(self._subject, self._heard)
        await self._responder.client.flush()
        self._heard_s = self._together_s = time.monotonic()
        self._tasks = [
            asyncio.create_task(self._run(), name="agent path"),
            asyncio.create_task(self._confirm(), name="reach of the cluster"),
        ]

    async def stop(self) -> None:
        """End the watch; stopping twice is harmless."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while not self._forbidden:
            try:
                await self._watch()
            except Exception:  # noqa: BLE001 - the watch must go on: without it a deaf connection is not noticed
                _LOG.exception("the watch over the agents' way to the pool failed; it goes on")
                await asyncio.sleep(INTERVAL_S)

    async def _watch(self) -> None:
        request = b"PUB %b %d\r\n%b\r\n" % (self._subject.encode(), len(self._mine), self._mine)
        next_s = 0.0
        while not self._forbidden:
            if self._wake.is_set() or time.monotonic() >= next_s:
                next_s = time.monotonic() + INTERVAL_S
                self._writer.send_soon(request)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            await self._look()

    async def _confirm(self) -> None:
        while True:
            try:
                pause_s = await self._ask_cluster()
            except ReachUnknownError as error:
                self._ask_no_more(str(error))
                return
            except Exception:  # noqa: BLE001 - what could not be asked shows nothing, and is asked again
                _LOG.exception("the cluster could not be asked to confirm a write; asking again in %g s", ASK_AGAIN_S)
                self._confirmed_s, pause_s = None, ASK_AGAIN_S
            await asyncio.sleep(pause_s)

    async def _ask_cluster(self) -> float:
        """Have the cluster confirm a write, unless there is one node only; return the seconds until the next one."""
        sent_s, confirmed = time.monotonic(), None
        if len(self._writer.known_nodes) > 1:
            confirmed = await self._bucket.confirms()
        if confirmed is None:
            self._confirmed_s = None
        elif confirmed or self._confirmed_s is None:
            # The first one counts from the question on.
            self._confirmed_s = sent_s
        self._end_outage()
        return ASK_AGAIN_S if confirmed is None else CONFIRM_INTERVAL_S

    def _stop_confirming(self) -> None:
        for task in self._tasks[1:]:
            task.cancel()

    def _ask_no_more(self, why: str) -> None:
        self._confirmed_s = None
        self._end_outage()
        _LOG.warning(
            "whether the broker's node reaches the other nodes is not known (%s): a node that lost them is noticed at "
            "the next append only; see the users in docs/operations.md",
            why,
        )

    @property
    def _unconfirmed_s(self) -> float:
        return 0.0 if self._confirmed_s is None else time.monotonic() - self._confirmed_s

    async def _look(self) -> None:
        now_s = time.monotonic()
        silent_s, unconfirmed_s = now_s - self._heard_s, self._unconfirmed_s
        if None in self._used or len(self._used) == 1:
            self._together_s = now_s
        if max(silent_s, unconfirmed_s) > OUT_OF_REACH_S and not self._out_of_reach and not self._forbidden:
            self._out_of_reach = True
            if silent_s > OUT_OF_REACH_S:
                what = "nothing that the service sent itself came back"
            else:
                what = "the cluster confirmed nothing that the service wrote"
            _LOG.warning("agents are out of reach: %s for %.1f s", what, max(silent_s, unconfirmed_s))
            self._observer.lost("echo", now_s - max(silent_s, unconfirmed_s))
        if now_s - self._connected_s < MOVE_PAUSE_S:
            return
        if self._unanswered_s() > MOVE_S:
            self._move(self._writer, f"an append is not confirmed for {self._unanswered_s():.1f} s")
        elif self._out_of_reach and unconfirmed_s > MOVE_S:
            self._move(self._writer, f"a write is not confirmed for {unconfirmed_s:.1f} s")
        elif self._out_of_reach and silent_s > MOVE_S:
            # Of two nodes that do not reach each other, the one that reaches the log is the better one.
            alone = self._responder if await self._log_answers() else self._writer
            if time.monotonic() - self._heard_s > MOVE_S and self._connected_s < now_s:
                self._move(alone, f"no request came in for {silent_s:.1f} s")
        elif now_s - self._together_s > APART_S:
            self._together_s = now_s
            self._bring_together()

    @property
    def _used(self) -> set[str | None]:
        return {self._writer.node, self._responder.node}

    async def _log_answers(self) -> bool:
        try:
            async with asyncio.timeout(LOG_TIMEOUT_S):
                await self._log.last_position()
        except (TimeoutError, LogUnavailableError):
            return False
        return True

    def _move(self, connection: NatsConnection, why: str) -> None:
        """Leave the connection's node, and have all connections that are on it leave it, if there is another."""
        node = connection.node
        if node is None or all(other == node or self._nodes.is_suspect(other) for other in connection.known_nodes):
            return
        _LOG.warning("leaving the broker at %s for another node: %s", node, why)
        self._nodes.suspect(node)
        for each in (self._writer, self._responder):
            if each.node == node:
                each.drop()

    def _bring_together(self) -> None:
        """Have the connection that connected first follow the other one, whose node took a connection last."""
        follower = self._responder if self._newest is self._writer else self._writer
        if self._newest.node in follower.known_nodes:
            self._following = follower
            _LOG.info("leaving the broker at %s for the other connection's node, %s", follower.node, self._newest.node)
            follower.drop()

    def _reconnected(self, connection: NatsConnection) -> None:
        if connection is not self._following:
            self._connected_s = time.monotonic()
        self._following = None
        self._newest = connection
        self._wake.set()

    def _heard(self, frames: Sequence[Frame]) -> None:
        bodies = {body for *_, body in frames}
        if bodies - {self._mine}:
            self._observer.another_serves()
        if self._mine not in bodies:
            return
        self._heard_s = time.monotonic()
        self._end_outage()

    def _end_outage(self) -> None:
        """Note that agents can be heard, if both the request came back and a write was confirmed lately."""
        silent_s = time.monotonic() - self._heard_s
        if self._out_of_reach and max(silent_s, self._unconfirmed_s) <= OUT_OF_REACH_S:
            self._out_of_reach = False
            _LOG.info("agents are in reach again")
            self._observer.back("echo")

    def _violated(self, violation: PermissionViolation) -> None:
        if self._bucket.is_at(violation.subject) and not self._forbidden:
            self._stop_confirming()
            self._ask_no_more(f"{violation.operation} to {violation.subject} is not allowed")
        if violation.subject != self._subject.lower() or self._forbidden:
            return
        self._forbidden = True
        self._stop_confirming()  # Nothing reads any more whether the cluster confirms.
        self._wake.set()
        _LOG.warning(
            "the broker does not let the service send itself a request on %s (%s): a connection that hears no "
            "agents is not noticed; see the users in docs/operations.md",
            self._subject,
            violation.operation,
        )
        if self._out_of_reach:
            self._out_of_reach = False
            self._observer.back("echo")


def echo_subject(pool: str) -> str:
    """Return the subject on which a pool's service sends itself requests."""
    return f"custody.{pool}.echo"
