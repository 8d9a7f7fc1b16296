"""The client library's client, with overrides where its behaviour is wrong or too slow here.

Every use of a name that is private to the library is in this file. tests/infra/nats/test_library_client.py shows for
each override what goes wrong without it, and the requirements pin the library's version.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nats.aio.client import Client as LibraryClient
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from handlers.ports import ACTOR_HEADER
from infra.nats.auth import read_creds
from infra.nats.broker_errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nats.aio.client import Srv
    from nats.aio.subscription import Subscription

    from infra.nats.auth import Creds

Frame: TypeAlias = tuple[str, str, bytes, bytes]
"""One message off the wire: subject, reply subject (empty without one), header block (from its version line to its
empty line, not decoded; empty for a message without headers) and body."""

_END = b"\r\n"
_PLAIN, _WITH_HEADERS = "MSG", "HMSG"
_MOST_TOKENS = 6
"""Tokens of a delivery's control line with headers and a reply subject. Without a reply subject it has one less,
without headers as well."""

_READ_BYTES = 131_072
"""The most bytes that are read from the socket at once. With more messages of a log in a read, each is read, decoded
and folded in a tenth less time; the library's 32 KiB hold some fifty of them."""


class _Sizes(dict[str, int]):
    """Numbers by their digits: looking up a small one takes a quarter of the time that parsing it takes."""

    def __missing__(self, digits: str) -> int:
        return int(digits)


_SIZES = _Sizes({str(size): size for size in range(4096)})

_UNREADABLE_HEADERS = {ACTOR_HEADER: "\ufffd"}
"""Replaces headers that cannot be decoded: the service then refuses the request, for its actor is not known."""


class PlaintextError(NatsError):
    """The broker offers no TLS to a client that has to use it."""


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine for certain; names other than `localhost` are not looked up."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def unsubscribe_frames(subscriptions: Iterable[Subscription]) -> bytes:
    """Return the frames that end subscriptions at the broker; messages that it has delivered are still handed over."""
    return b"".join(b"UNSUB %d\r\n" % each._id for each in subscriptions)  # noqa: SLF001 # see the module's docstring


class Client(LibraryClient):
    """A client that drops a dead connection at once, accepts any bytes, and can hand over frames without decoding."""

    def __init__(self, *, requires_tls: bool = False, plaintext: bool = True) -> None:
        """The library would send credentials in the clear if asked to.

        `requires_tls`: send credentials over TLS alone. `plaintext`: whether to send a password or a token in the
        clear to a broker on another machine; each one of a cluster's is looked at.
        """
        super().__init__()
        self._requires_tls = requires_tls
        self._plaintext = plaintext
        self.frame_handlers: dict[int, Callable[[Sequence[Frame]], None]] = {}
        """The handlers of frames, by subscription number."""
        self._ps: _FrameParser = _FrameParser(self)

    # Additions that need private names of the library.

    async def subscribe_frames(self, subject: str, handle: Callable[[Sequence[Frame]], None]) -> Subscription:
        """Subscribe, and have `handle` called with the frames that came in, in order; it must not block or raise.

        The library makes a message of each frame and needs a turn of the event loop for it: 12 µs instead of 3.
        """
        subscription = await self.subscribe(subject, cb=_never_called)
        self.frame_handlers[subscription._id] = handle  # noqa: SLF001 # see the module's docstring
        return subscription

    async def send_frames(self, frames: bytes) -> None:
        """Write whole protocol frames in one piece, when there is room for them.

        The public `publish` encodes and flushes message by message, which takes nine times as long; see `wire_format`.
        """
        await self._send_command(frames)
        await self._flush_pending()

    def send_frames_soon(self, frames: bytes) -> None:
        """Write whole protocol frames at the next turn of the event loop, whether there is room or not."""
        self._pending.append(frames)
        self._pending_data_size += len(frames)
        if self._flush_queue is not None and not self._flush_queue.full():
            # If the queue is full, a flush is due anyway.
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def discard_unsent(self) -> None:
        """Forget what waits to be sent. Without a connection, `close` would raise on it and end half-way."""
        self._pending = []
        self._pending_data_size = 0

    def abort(self) -> None:
        """Drop the connection, and with it everything that was still to be sent."""
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:  # noqa: SLF001 # same
            self._transport._io_writer.transport.abort()  # noqa: SLF001 # same

    async def abandon(self) -> None:
        """Close a client that never connected. The public `close` would report a disconnect."""
        await self._close(self.CLOSED, do_cbs=False)

    # Overrides.

    async def _connect_to_server(self, s: Srv) -> None:
        """Connect with a transport that reads more at once."""
        if s.uri.scheme in {"ws", "wss"}:
            await super()._connect_to_server(s)
            return
        s.last_attempt = time.monotonic()
        self._transport = self._transport or LargeReadTransport()  # type: ignore[no-untyped-call] # the library's
        await self._transport.connect(s.uri, buffer_size=_READ_BYTES, connect_timeout=self.options["connect_timeout"])

    def _connect_command(self) -> bytes:
        """Refuse to send credentials in the clear where they require TLS."""
        if not self._server_info.get("tls_required"):
            if self._requires_tls:
                raise PlaintextError("it offers no TLS")
            if not self._plaintext and self._would_show_a_secret():
                raise PlaintextError(
                    "it offers no TLS, and a password would be sent to another machine for all to read;"
                    " nats_plaintext allows that"
                )
        return super()._connect_command()

    def _would_show_a_secret(self) -> bool:
        server = self._current_server
        if server is None or server.uri.scheme == "wss" or is_loopback(server.uri.hostname):
            return False
        return bool(self.options.get("password") or self.options.get("token") or server.uri.username)

    def _read_creds_user_jwt(self, creds: Any) -> bytearray:
        """Read a user's JWT; the library would read a file without one for ever."""
        return bytearray(_creds(creds).jwt)

    def _read_creds_user_nkey(self, creds: Any) -> bytearray:
        """Read a user's seed; the library would stop reconnecting after any error but its own."""
        return bytearray(_creds(creds).seed)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        """Remove the handler together with the subscription."""
        self.frame_handlers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_op_err(self, e: Exception) -> None:
        """Drop a dead connection at once.

        The library flushes before it closes. A frozen broker would first have to read everything that is still to be
        sent, and until then the client would not reconnect to another one.
        """
        self.abort()
        await super()._process_op_err(e)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        """Accept subjects that are not UTF-8.

        Callers choose the bytes of subjects and reply subjects. The library raises for subjects that are not
        UTF-8, which ends its reader, and with it all requests on this connection.
        """
        handle = self.frame_handlers.get(sid)
        if handle is not None:
            handle([(_text(subject), _text(reply), headers or b"", data)])
            return
        await super()._process_msg(sid, _text(subject).encode(), _text(reply).encode(), data, headers)  # type: ignore[arg-type] # None for none, there too

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        """Accept a header block that is cut short or not UTF-8; here, too, the library raises, and its reader ends."""
        try:
            return await super()._process_headers(headers)
        except (ValueError, LookupError):
            return dict(_UNREADABLE_HEADERS)


class LargeReadTransport(TcpTransport):
    """A TCP connection that reads up to `_READ_BYTES` at once, whatever the library requests."""

    async def read(self, buffer_size: int) -> bytes:
        """Return the bytes that have arrived."""
        data: bytes = await super().read(max(buffer_size, _READ_BYTES))
        return data


class _FrameParser(Parser):
    """Parses messages itself, those with a frame handler in bulk; the library parses all other lines."""

    _plain = re.compile(rb"MSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(?:([^ \t\r\n]+)[ \t]+)?()(\d+)\r\n")
    _with_headers = re.compile(rb"HMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(?:([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n")
    """For the broker, only spaces and tabs end a subject. For the library, vertical tabs and form feeds do, too: it
    takes a request with one in its subject for a protocol error, and drops the connection."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._client = client

    def reset(self) -> None:
        """Discard the input: it belongs to an earlier connection."""
        super().reset()
        self.unparsed = bytearray()
        """Input that is not parsed yet."""
        self._needed = 0
        """How long the input must be for its first frame to be complete, in bytes."""

    async def parse(self, data: bytes = b"") -> None:
        """Parse the next bytes off the wire."""
        if data:
            # A broker that sends is alive, even if its answers to pings wait behind a log that takes seconds to read.
            self._client._pings_outstanding = 0  # noqa: SLF001 # there is no public name for it
        unparsed = self.unparsed
        unparsed += data
        if len(unparsed) < self._needed:
            return
        self._needed = 0
        data, at = bytes(unparsed), 0
        while at < len(data) and not self._needed:
            at = self._take_frames(data, at)
            if at < len(data) and not self._needed:
                at = await self._take_one(data, at)
            if self.unparsed is not unparsed:  # reset meanwhile
                return
        del unparsed[:at]

    def _take_frames(self, data: bytes, start: int) -> int:
        """Hand over the complete frames that have a handler; return where other input begins."""
        handlers, at = self._client.frame_handlers, start
        if not handlers:
            return at
        frames: list[Frame] = []
        taken: str | None = None
        while (line_end := data.find(_END, at)) > 0:
            tokens = data[at:line_end].decode("utf-8", "replace").split(" ")
            if len(tokens) != _MOST_TOKENS or tokens[0] != _WITH_HEADERS:
                tokens = _completed(tokens)
                if not tokens:
                    break
            _, subject, sid, reply, head_bytes, total_bytes = tokens
            if sid != taken:
                if not sid.isdecimal() or int(sid) not in handlers:
                    break
                self._hand_over(taken, frames)
                taken, frames = sid, []
            head = line_end + len(_END)
            try:
                body, end = head + _SIZES[head_bytes], head + _SIZES[total_bytes]
            except ValueError:
                break
            if end + len(_END) > len(data):
                self._needed = end + len(_END) - at
                break
            frames.append((subject, reply, data[head:body], data[body:end]))
            at = end + len(_END)
        self._hand_over(taken, frames)
        return at

    def _hand_over(self, sid: str | None, frames: Sequence[Frame]) -> None:
        handle = None if sid is None else self._client.frame_handlers.get(int(sid))
        if handle is not None:
            handle(frames)

    async def _take_one(self, data: bytes, at: int) -> int:
        """Pass the message or the line at `at` to the library; return where it ends. Raises ProtocolError."""
        found = (self._with_headers if data.startswith(b"H", at) else self._plain).match(data, at)
        if found is None:
            return await self._take_line(data, at)
        subject, sid, reply, head_bytes, total_bytes = found.groups()
        head = found.end()
        body, end = head + int(head_bytes or 0), head + int(total_bytes)
        if end + len(_END) > len(data):
            self._needed = end + len(_END) - at
            return at
        await self._client._process_msg(int(sid), subject, reply or b"", data[body:end], data[head:body] or None)  # noqa: SLF001 # there is no public name for it
        return end + len(_END)

    async def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(_END, at) + len(_END)
        if end < len(_END):
            self._needed = len(data) - at + 1
            return at
        await super().parse(data[at:end])
        if self.buf:  # the library waits for more of a line that is as long as this
            raise ProtocolError
        return end


def _completed(tokens: list[str]) -> list[str]:
    """Return a delivery's control line with a reply subject and a header size added; empty for any other line."""
    plain = tokens[0] == _PLAIN
    most = _MOST_TOKENS - plain
    if not (plain or tokens[0] == _WITH_HEADERS) or not most - 1 <= len(tokens) <= most:
        return []
    if len(tokens) < most:
        tokens.insert(3, "")
    if plain:
        tokens.insert(4, "0")
    return tokens


async def _never_called(_: Any) -> None:
    """A placeholder: the library requires a callback."""


def _creds(path: str) -> Creds:
    try:
        return read_creds(Path(path))
    except CredentialsError as error:
        raise NatsError(str(error)) from error


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")
