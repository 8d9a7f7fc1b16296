"""A connection to the broker that reports its state to listeners.

Losing the broker is an ordinary event: the connection tries for ever to reconnect, and notifies its listeners.
Nothing is buffered meanwhile, because a buffered publish would reach the log much later: a publish without a
connection fails at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, ParamSpec
from urllib.parse import urlsplit, urlunsplit

from nats.errors import Error as NatsError

from infra.nats.auth import Auth, read_seed
from infra.nats.broker_errors import BrokerUnavailableError, CredentialsRefusedError
from infra.nats.library_client import Client, PlaintextError
from infra.nats.node_choice import NodeChoice, node_name

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = logging.getLogger(__name__)
_P = ParamSpec("_P")

CONNECT_DEADLINE_S = 5.0
_RECONNECT_WAIT_S = 0.25
_DIAL_TIMEOUT_S = 2
_CLOSE_TIMEOUT_S = 1.0
_PING_INTERVAL_S = 1
_MAX_OUTSTANDING_PINGS = 2
"""A frozen broker is disconnected after 2 to 3 s; by the library's defaults it would take four minutes."""

ANY_INBOX = "_INBOX"
"""The prefix of inboxes where users have none of their own."""
_TOKEN = re.compile(r"[^\s.*>]+")
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.IGNORECASE)
_REFUSED_CREDENTIALS = ("authorization violation", "authentication expired", "authentication revoked")


@dataclass(frozen=True, slots=True)
class PermissionViolation:
    """The broker refused a publish or a subscription; the refused request gets no answer."""

    operation: str
    """`publish` or `subscription`."""
    subject: str
    """In lower case: the client library converts it."""


class Listeners(Generic[_P]):
    """Listeners for one kind of event, called synchronously and in order; they must not block."""

    def __init__(self) -> None:
        self._listeners: list[Callable[_P, None]] = []

    def add(self, listener: Callable[_P, None]) -> Callable[[], None]:
        """Call `listener` from now on; the returned function ends that, and may be called twice."""
        self._listeners.append(listener)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return remove

    def notify(self, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Call every listener."""
        for listener in tuple(self._listeners):
            listener(*args, **kwargs)


class NatsConnection:
    """One connection, created by `connect`.

    `client` is the library's client, for subscriptions, requests and plain publishes.
    """

    def __init__(
        self, url: str, *, nodes: NodeChoice | None = None, requires_tls: bool = False, plaintext: bool = True
    ) -> None:
        self.url = without_password(url)
        self._nodes = nodes
        self._node: str | None = None
        if nodes is not None:
            nodes.join(self)
        self.client = Client(requires_tls=requires_tls, plaintext=plaintext)
        self.disconnected: Listeners[[]] = Listeners()
        self.reconnected: Listeners[[]] = Listeners()
        self.closed: Listeners[[]] = Listeners()
        """Permanently: by `close`, or because the broker expelled this client."""
        self.violated: Listeners[[PermissionViolation]] = Listeners()
        self._last_error: Exception | None = None
        self._refused = asyncio.Event()
        self._refusal: Exception | None = None
        self._closing = False

    @property
    def is_connected(self) -> bool:
        """Whether a publish would be sent now."""
        return self.client.is_connected and not self.client.is_draining

    @property
    def last_error(self) -> str:
        """The last error of the connection, in words; of a closed one, why the broker closed it."""
        error = self.client.last_error or self._last_error
        return "no reason given" if error is None else _reason(error, CONNECT_DEADLINE_S)

    @property
    def node(self) -> str | None:
        """`host:port` of the node that it is connected to; None while it is connected to none."""
        return self._node if self.is_connected else None

    @property
    def known_nodes(self) -> list[str]:
        """The nodes that it may connect to: those given, and those that the cluster named."""
        return [node_name(url) for url in self.client.servers]

    def drop(self) -> None:
        """Leave the node at once, with all that was still to be sent, and connect anew."""
        self.client.abort()

    async def wait_connected(self, timeout_s: float | None = None) -> bool:
        """Wait until there is a connection, at most `timeout_s`; return whether there is one."""
        back = asyncio.Event()
        forget = self.reconnected.add(back.set), self.closed.add(back.set)
        try:
            if not self.is_connected and not self.client.is_closed:
                async with asyncio.timeout(timeout_s):
                    await back.wait()
        except TimeoutError:
            pass
        finally:
            for end in forget:
                end()
        return self.is_connected

    async def send(self, frames: bytes) -> None:
        """Write whole protocol frames in one piece.

        Raises:
            BrokerUnavailableError: there is no connection; nothing was written or kept for later.
        """
        if not self.is_connected:
            raise BrokerUnavailableError(f"no connection to {self.url}")
        await self.client.send_frames(frames)

    def send_soon(self, frames: bytes) -> bool:
        """`send` without waiting for buffer space, for senders with limits of their own; return whether connected."""
        if self.is_connected:
            self.client.send_frames_soon(frames)
        return self.is_connected

    async def close(self) -> None:
        """Close the connection, even if the broker is frozen or gone; closing twice is harmless."""
        if self.client.is_closed:
            return
        self._closing = True
        if not self.client.is_connected:
            self.client.discard_unsent()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.client.close()
        except OSError as error:
            # Timed out, or lost at this moment.
            _LOG.debug("the connection to %s: %r", self.url, error)
            self.client.abort()

    async def open(self, urls: list[str], options: dict[str, Any], deadline_s: float) -> None:
        """Connect within the deadline or raise BrokerUnavailableError; `connect` calls this."""
        dial = asyncio.create_task(self._dial(urls, options))
        refused = asyncio.create_task(self._refused.wait())
        connected = False
        try:
            await asyncio.wait({dial, refused}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            connected = dial.done() and dial.exception() is None
        finally:
            refused.cancel()
            if not connected:
                dial.cancel()
                await asyncio.gather(dial, return_exceptions=True)
                await self._abandon()
        if not connected:
            error = self._refusal or (None if dial.cancelled() else dial.exception()) or self._last_error
            kind = BrokerUnavailableError if self._refusal is None else CredentialsRefusedError
            raise kind(f"cannot use the broker at {self.url}: {_reason(error, deadline_s)}")
        self._note_node()

    def _note_node(self) -> None:
        url = self.client.connected_url
        self._node = None if url is None else node_name(url)

    async def _dial(self, urls: list[str], options: dict[str, Any]) -> None:
        await self.client.connect(
            urls,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type] # fractions of a second work
            connect_timeout=_DIAL_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            max_outstanding_pings=_MAX_OUTSTANDING_PINGS,
            pending_size=0,
            **options,
        )

    async def _abandon(self) -> None:
        with contextlib.suppress(NatsError, OSError, AssertionError):
            await self.client.abandon()

    async def _on_error(self, error: Exception) -> None:
        self._last_error = error
        text = str(error)
        violation = _VIOLATION.search(text)
        if violation:
            _LOG.warning("the broker at %s: %s", self.url, text)
            self.violated.notify(PermissionViolation(violation[1].lower(), violation[2]))
        else:
            _LOG.debug("the connection to %s: %r", self.url, error)
            if _is_permanent(error):
                self._refusal = error
                self._refused.set()

    async def _on_disconnected(self) -> None:
        if not self._closing:
            _LOG.warning("lost the broker at %s", self.url)
            if self._nodes is not None and self._node is not None:
                self._nodes.suspect(self._node)
        self.disconnected.notify()

    async def _on_reconnected(self) -> None:
        self._note_node()
        _LOG.info("reconnected to the broker at %s", self.node)
        self.reconnected.notify()

    async def _on_closed(self) -> None:
        self.closed.notify()


async def connect(
    url: str,
    *,
    name: str,
    auth: Auth | None = None,
    unnamed_inbox: str = ANY_INBOX,
    nodes: NodeChoice | None = None,
    deadline_s: float = CONNECT_DEADLINE_S,
) -> NatsConnection:
    """Connect to the broker at `url` (several, of one cluster, are separated by commas).

    Answers are heard where `auth` says, else in the user's own inboxes, `_INBOX.<user>`; of a user whose name is not
    known here, in those that begin with `unnamed_inbox`.

    Connections that share `nodes` begin with the first address that answers, and choose together where to go next.

    Raises:
        CredentialsError: a file that `auth` names cannot be used.
        BrokerUnavailableError: nothing usable answered within `deadline_s`, or the credentials were refused.
    """
    auth = auth or Auth()
    auth.check()
    options: dict[str, Any] = {
        "name": name,
        "inbox_prefix": auth.inbox_prefix or _own_inbox(auth.user or _user_in(url)) or unnamed_inbox,
        "user": auth.user,
        "password": auth.password,
        "token": auth.token,
        "user_credentials": str(auth.creds) if auth.creds is not None else None,
        "nkeys_seed_str": read_seed(auth.nkey).decode() if auth.nkey is not None else None,
        "tls": auth.tls.context() if auth.tls is not None else None,
    }
    if nodes is not None:
        options |= {"dont_randomize": True, "reconnect_to_server_handler": nodes.select}
    requires_tls = auth.tls is not None or "tls://" in url
    connection = NatsConnection(url, nodes=nodes, requires_tls=requires_tls, plaintext=auth.plaintext)
    logging.getLogger("asyncio").addFilter(_is_not_eof_warning)
    await connection.open([part.strip() for part in url.split(",")], options, deadline_s)
    return connection


def _own_inbox(user: str | None) -> str | None:
    """Return the prefix of a user's inboxes; None if its name cannot be part of a subject."""
    return f"{ANY_INBOX}.{user}" if user is not None and _TOKEN.fullmatch(user) else None


def _user_in(url: str) -> str | None:
    """Return the user that an address names."""
    userinfo, named, _ = url.partition("://")[2].partition("@")
    return userinfo.partition(":")[0] if named and "," not in userinfo else None


def _is_not_eof_warning(record: logging.LogRecord) -> bool:
    """Drop the warning that asyncio logs whenever one of its own streams ends over TLS: it has no remedy."""
    return "eof_received() has no effect" not in record.getMessage()


def without_password(url: str) -> str:
    """Return the address without credentials, for logs and messages."""
    return ",".join(_without_userinfo(part.strip()) for part in url.split(","))


def _without_userinfo(url: str) -> str:
    if "://" not in url:
        return url.rpartition("@")[2]
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _is_permanent(error: Exception) -> bool:
    """Whether a retry cannot help."""
    if isinstance(error, ssl.SSLError | PlaintextError):
        return True
    return any(refusal in str(error).lower() for refusal in _REFUSED_CREDENTIALS)


def _reason(error: BaseException | None, deadline_s: float) -> str:
    if error is None or isinstance(error, TimeoutError):
        return f"no answer within {deadline_s:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    text = str(error)
    if any(refusal in text.lower() for refusal in _REFUSED_CREDENTIALS):
        return "it refuses the credentials"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {(error.reason or text).replace('_', ' ').lower()}"
    if isinstance(error, OSError):
        text = error.strerror or text
    return (text.removeprefix("nats: ").strip("'\"") or type(error).__name__).splitlines()[0]
