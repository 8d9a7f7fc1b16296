"""A connection to the broker that comes back for ever, by an address that is read again each time.

The library's own reconnecting keeps to the addresses that it was given, and sends what was written without a
connection once there is one again, however old it is by then. Here each connection is a new one, a request that was
under way fails at once, and the caller repeats it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from custody_client.address import Address
from custody_client.errors import AddressError, NoAnswerError, NoBrokerError

_log = logging.getLogger("custody_client")

CONNECT_S = 5.0
"""The longest that one attempt to connect takes."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
PING_S, PINGS = 2, 2
"""A broker that answers no ping for some four seconds counts as gone; the library's own default are four minutes."""
CLOSE_S = 2.0
CANCEL_S = 0.1
DENIED = "permissions violation for subscription"
"""What the broker says to a user that may not listen there; the subscription itself seems to succeed."""


class Link:
    """One connection of one event loop; open it, and `request` over it."""

    def __init__(self, find: Callable[[], Address], name: str) -> None:
        """`find`: says where the broker is, before each connection. `name`: what the broker's monitoring shows."""
        self._find = find
        self._name = name
        self._nc: NatsClient | None = None
        self._up = asyncio.Event()
        self._gone = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._inbox = ""
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = itertools.count()
        self.problem: Exception | None = None
        """Why there is no connection, if there is none."""
        self.connections = 0
        """How many there were."""
        self.may_subscribe = True
        """Whether the broker lets this user have what it subscribed to, as far as is known."""

    async def open(self) -> None:
        """Begin to connect, and return at once; `wait_up` waits for it."""
        self._keeper = asyncio.create_task(self._keep(), name="custody link")

    async def close(self) -> None:
        """Close it for good."""
        keeper, self._keeper = self._keeper, None
        while keeper is not None and not keeper.done():
            # Cancelled as its connection came up, the library may go on as if it had not been.
            keeper.cancel()
            await asyncio.wait({keeper}, timeout=CANCEL_S)

    async def wait_up(self, limit_s: float | None = None) -> None:
        """Return when there is a connection; raises NoBrokerError if there is none for `limit_s`."""
        if self._up.is_set():
            return
        try:
            async with asyncio.timeout(limit_s):
                await self._up.wait()
        except TimeoutError:
            raise NoBrokerError(f"no broker was reached in {limit_s:g} s: {self.problem or 'no answer'}") from None

    async def request(self, subject: str, body: bytes, limit_s: float, headers: Mapping[str, str] | None = None) -> Msg:
        """Send a request and return the reply.

        Raises:
            NoAnswerError: no reply within `limit_s`, no service took it, or the connection went.
        """
        nc = self._nc
        if nc is None:
            raise NoAnswerError(f"there is no connection: {self.problem}")
        number = str(next(self._numbers))
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Msg] = loop.create_future()
        self._waiting[number] = reply
        timer = loop.call_later(limit_s, _fail, reply, f"no reply to {subject} in {limit_s:g} s")
        try:
            await nc.publish(subject, body, self._inbox + number, dict(headers) if headers else None)
            message = await reply
        except (NatsError, OSError) as error:
            raise NoAnswerError(f"{subject} could not be sent: {error!r}") from error
        finally:
            timer.cancel()
            del self._waiting[number]
        if not message.data and message.headers and message.headers.get("Status") == "503":
            raise NoAnswerError(f"no service takes {subject}")
        return message

    @asynccontextmanager
    async def subscribed(self, subject: str, take: Callable[[Msg], Awaitable[None]]) -> AsyncIterator[Subscription]:
        """Subscribe for as long as this connection lasts; the caller looks at `connections` to see whether it did."""
        await self.wait_up()
        assert self._nc is not None  # noqa: S101 - it is up
        subscription = await self._nc.subscribe(subject, cb=take)
        try:
            yield subscription
        finally:
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    def drop(self) -> None:
        """Close the connection that there is; a new one is made."""
        self._gone.set()

    async def until_gone(self) -> None:
        """Return when the connection that there is now is gone."""
        await self._gone.wait()

    async def _keep(self) -> None:
        """Connect, and again whenever the connection is gone."""
        pause_s, said = FIRST_PAUSE_S, ""
        while True:
            self._gone = gone = asyncio.Event()
            try:
                nc = await self._connect(gone)
            except (AddressError, OSError, NatsError, TimeoutError, ValueError) as error:
                self.problem = error
                if said != (said := str(error) or f"no answer in {CONNECT_S:g} s"):
                    _log.warning("%s: no connection to the broker: %s", self._name, said)
                await asyncio.sleep(pause_s * random.uniform(0.75, 1.0))  # noqa: S311 - spreads what comes back at once
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            if self.connections:
                _log.info("%s: connected to the broker again", self._name)
            pause_s, said = FIRST_PAUSE_S, ""
            try:
                self._nc, self.problem = nc, None
                self.connections += 1
                self._up.set()
                await gone.wait()
                _log.warning("%s: the connection to the broker is gone", self._name)
            finally:
                self._nc = None
                self._up.clear()
                for reply in self._waiting.values():
                    _fail(reply, "the connection went while the request was under way")
                await _closed(nc)

    async def _connect(self, gone: asyncio.Event) -> NatsClient:
        """Return a new connection; raises the reason if there is none."""
        address = self._find()
        reasons: list[Exception] = []

        async def lost() -> None:
            gone.set()

        async def told(error: Exception) -> None:
            if DENIED in str(error).lower():
                self.may_subscribe = False
            reasons.append(error)
            del reasons[:-1]
            _log.debug("%s: %r", self._name, error)

        nc = NatsClient()
        try:
            async with asyncio.timeout(CONNECT_S):
                await nc.connect(
                    **address.options(),
                    name=self._name,
                    allow_reconnect=False,
                    # Else it would try the same servers for ever, without a word.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=2,
                    ping_interval=PING_S,
                    max_outstanding_pings=PINGS,
                    closed_cb=lost,
                    disconnected_cb=lost,
                    error_cb=told,
                )
        except BaseException as error:
            # Its socket may be open already.
            await _closed(nc)
            if isinstance(error, NoServersError) and reasons:
                raise reasons[-1] from None
            raise
        self._inbox = f"{address.inbox}.{secrets.token_hex(8)}."
        await nc.subscribe(f"{self._inbox}*", cb=self._hear)
        return nc

    async def _hear(self, message: Msg) -> None:
        reply = self._waiting.get(message.subject[len(self._inbox) :])
        if reply is not None and not reply.done():
            reply.set_result(message)


def _fail(reply: asyncio.Future[Msg], why: str) -> None:
    if not reply.done():
        reply.set_exception(NoAnswerError(why))


async def _closed(nc: NatsClient) -> None:
    """Close a client, without waiting for a broker that does not answer."""
    with contextlib.suppress(NatsError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await nc.close()
