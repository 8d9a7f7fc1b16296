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
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from custody_client.address import Address, without_password
from custody_client.clock import steady_s
from custody_client.errors import (
    AddressError,
    CredentialsError,
    CustodyError,
    NoAnswerError,
    NoBrokerError,
    NotUpError,
)

_log = logging.getLogger("custody_client")

CONNECT_S = 5.0
"""The longest that one attempt to connect takes."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
PING_S, PINGS = 2, 2
"""A broker that answers no ping for some four seconds counts as gone; the library's own default are four minutes."""
CLOSE_S = 2.0
CANCEL_S = 0.1
SAY_AGAIN_S = 60.0
"""What is waited for is said once in so long."""
MAY_NOT_HEAR = "permissions violation for subscription"
"""What the broker says to a user that may not listen there; the subscription itself seems to succeed."""
NOT_TAKEN = re.compile(r"authorization|authentication", re.IGNORECASE)
"""What it says when it does not take the credentials, or not any more."""
MAY_NOT_SEND = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)
"""What it says to one that may not send there; the request itself gets no answer."""


class Link:
    """One connection of one event loop; open it, and `request` over it."""

    def __init__(self, find: Callable[[], Address], name: str, *, may_fail: bool = False) -> None:
        """`find`: says where the broker is, before each connection. `name`: what the broker's monitoring shows.

        `may_fail`: whether an address or credentials that cannot be right end it. Once it was connected, they are
        waited for like anything else.
        """
        self._find = find
        self._name = name
        self._may_fail = may_fail
        self._nc: NatsClient | None = None
        self._up = asyncio.Event()
        self._gone = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._inbox = ""
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = itertools.count()
        self._address: Address | None = None
        self._denied: set[str] = set()
        self.failed: CustodyError | None = None
        """Why there will never be a connection, if so."""
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
        """Return when there is a connection.

        Raises:
            NoBrokerError: there is none for `limit_s`.
            AddressError, CredentialsError: there will never be one, if this link may fail.
        """
        if not self._up.is_set():
            try:
                async with asyncio.timeout(limit_s):
                    await self._up.wait()
            except TimeoutError:
                raise NoBrokerError(f"no broker was reached in {limit_s:g} s: {self.problem or 'no answer'}") from None
        if self.failed is not None:
            raise self.failed

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
        except NoAnswerError:
            if subject in self._denied:
                raise NoAnswerError(f"the broker does not let this user send {subject}") from None
            raise
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
        pause_s, said, said_at = FIRST_PAUSE_S, "", 0.0
        while True:
            self._gone = gone = asyncio.Event()
            try:
                nc = await self._connect(gone)
            except Exception as error:  # noqa: BLE001 - whatever the library raises, the next attempt may succeed
                self.problem = error
                if self._may_fail and not self.connections:
                    self.failed = _never_heals(error, self._address)
                if self.failed is not None:
                    self._up.set()
                    return
                waiting = f"waiting for the broker{_at(self._address)}: {_in_words(error)}"
                if waiting != said or steady_s() - said_at > SAY_AGAIN_S:
                    said, said_at = waiting, steady_s()
                    _log.warning("%s: %s", self._name, waiting)
                await asyncio.sleep(pause_s * random.uniform(0.75, 1.0))  # noqa: S311 - spreads what comes back at once
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            if self.connections:
                _log.info("%s: connected to the broker again", self._name)
            pause_s, said = FIRST_PAUSE_S, ""
            self._denied.clear()
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
        self._address = None
        self._address = address = self._find()
        reasons: list[Exception] = []

        async def lost() -> None:
            gone.set()

        async def told(error: Exception) -> None:
            if MAY_NOT_HEAR in str(error).lower():
                self.may_subscribe = False
            if (denied := MAY_NOT_SEND.search(str(error))) is not None:
                self._denied.add(denied[1])
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
    # One that was never connected fails by an assertion.
    with contextlib.suppress(NatsError, OSError, TimeoutError, AssertionError):
        async with asyncio.timeout(CLOSE_S):
            await nc.close()


def _never_heals(error: Exception, address: Address | None) -> CustodyError | None:
    """Return what has to be put right by a person; None for what may pass by itself, or by a start of the service."""
    if isinstance(error, AddressError):
        return None if isinstance(error, NotUpError) else error
    if address is None or address.found:
        return None
    if isinstance(error, NatsError) and NOT_TAKEN.search(str(error)):
        return CredentialsError(
            f"the broker{_at(address)} does not take the credentials ({_in_words(error)}): look at CUSTODY_NATS and "
            "CUSTODY_CREDENTIALS, or at what the program gives in their place"
        )
    if isinstance(error, ImportError):
        return CredentialsError(f"credentials of this kind need pip install 'custody-client[creds]' ({error})")
    if isinstance(error, OSError | NatsError | TimeoutError) or (address.creds is None and address.nkey is None):
        return None
    return CredentialsError(f"the credentials in {address.creds or address.nkey} cannot be used: {error!r}")


def _at(address: Address | None) -> str:
    return "" if address is None else f" at {', '.join(map(without_password, address.servers))}"


def _in_words(error: Exception) -> str:
    return str(error).removeprefix("nats: ").strip("'") or f"no answer in {CONNECT_S:g} s"
