"""Requests and replies over core NATS.

This connection may publish to inboxes alone, so no reply subject that a caller chooses can put a reply into a log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from nats.errors import Error as NatsError

from handlers.ports import AppendRejectedError, NewMessage
from handlers.service.command_service import Incoming
from infra.nats.broker_errors import BrokerUnavailableError
from infra.nats.library_client import unsubscribe_frames
from infra.nats.wire_format import StoredHeaders, header_lines, publish_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nats.aio.subscription import Subscription

    from infra.nats.connection import NatsConnection
    from infra.nats.library_client import Frame

_LOG = logging.getLogger(__name__)
KINDS = ("agent", "ops", "query")
DRAIN_TIMEOUT_S = 2.0
"""How long a stop waits for the broker's confirmation that everything was delivered."""
_NO_HEADERS: Mapping[str, str] = {}


class NatsTransport:
    """One pool's requests and replies."""

    def __init__(self, connection: NatsConnection, pool: str) -> None:
        self._connection = connection
        self._pool = pool
        self._subscriptions: list[Subscription] = []
        self._frames: list[bytes] = []
        self._flushing: asyncio.Task[None] | None = None

    async def listen(self, handle: Callable[[Incoming], None]) -> None:
        """Pass every request of the pool to `handle`, which must return at once."""

        # There is no queue here: requests wait in the writer's queue, which has limits and refuses beyond them.
        def take(frames: Sequence[Frame]) -> None:
            for subject, reply, head, body in frames:
                headers = StoredHeaders(head) if head else _NO_HEADERS
                handle(Incoming(subject, body, reply, headers))

        client = self._connection.client
        for kind in KINDS:
            self._subscriptions.append(await client.subscribe_frames(f"custody.{self._pool}.{kind}.>", take))
        await self._round_trip()

    async def stop_listening(self) -> None:
        """Take no further requests; those already delivered are still passed on. A frozen broker is not waited for."""
        subscriptions, self._subscriptions = self._subscriptions, []
        with contextlib.suppress(TimeoutError, BrokerUnavailableError, NatsError, OSError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self._connection.send(unsubscribe_frames(subscriptions))
                await self._round_trip()
                for subscription in subscriptions:
                    await subscription.unsubscribe()

    async def _round_trip(self) -> None:
        """Return when the broker has processed what was sent. The library's ping may overtake it; a second cannot."""
        await self._connection.client.flush()
        await self._connection.client.flush()

    def respond(self, reply: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a reply; replies of one iteration of the event loop go out in one write. Lost without a connection."""
        try:
            self._frames.append(_frame(reply, body, headers, self._connection.client.max_payload))
        except AppendRejectedError as error:
            _LOG.warning("could not answer on %r: %s", reply, error)
            return
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def flushed(self) -> None:
        """Return when the broker has every reply so far: it may be about to end, and loses what it has not read."""
        if self._flushing is not None:
            await self._flushing
        with contextlib.suppress(TimeoutError, NatsError, OSError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                if self._connection.is_connected:
                    await self._round_trip()

    async def _flush(self) -> None:
        try:
            while self._frames:
                frames, self._frames = self._frames, []
                await self._connection.send(b"".join(frames))
        except BrokerUnavailableError:
            # The caller lost the broker, too; it repeats the request with its command_id.
            self._frames.clear()
        finally:
            self._flushing = None


def _frame(reply: str, body: bytes, headers: Mapping[str, str], limit_bytes: int) -> bytes:
    if headers:
        return publish_frame(NewMessage(reply, body), header_lines(headers), reply="", limit_bytes=limit_bytes)
    if not reply.isprintable() or " " in reply:
        msg = "it is not a literal subject"
        raise AppendRejectedError(msg)
    if len(body) > limit_bytes:
        msg = f"the reply of {len(body)} bytes is over the broker's {limit_bytes}"
        raise AppendRejectedError(msg)
    return b"PUB %b %d\r\n%b\r\n" % (reply.encode(), len(body), body)
