"""The client library's client, where some of its habits cost too much here.

What is overridden is private to the library: a version that changes it shows in the tests of frozen brokers and of
readers, and the requirements pin the version that they passed with.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import nats.aio.client
from nats.aio.client import Client as LibraryClient
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.protocol import parser

from infra.nats.auth import read_creds
from infra.nats.broker_errors import CredentialsError
from infra.nats.wire_format import ACTOR_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nats.aio.subscription import Subscription

    from infra.nats.auth import Creds

Frame: TypeAlias = tuple[str, str, bytes, bytes]
"""One message off the wire: subject, reply subject (empty without one), and, not looked at yet, header block (from its
version line to its empty line; empty for a message without headers) and body."""

_END = b"\r\n"
_PLAIN, _WITH_HEADERS = "MSG", "HMSG"
_MOST_TOKENS = 6
"""Of a delivery's control line; without a reply subject it has one less, and without headers, too."""


class _Sizes(dict[str, int]):
    """Numbers by their digits: looking up a small one takes a quarter of the time that reading it takes."""

    def __missing__(self, digits: str) -> int:
        return int(digits)


_SIZES = _Sizes({str(size): size for size in range(4096)})

_UNREADABLE_HEADERS = {ACTOR_HEADER: "\ufffd"}
"""Stands for headers that cannot be read: who asks is not known, and the service says so."""

# What a subject consists of is the broker's to say: for it only blanks end one. The library ends them at vertical
# tabs and form feeds too, and so takes a request for a broken stream and drops the connection.
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
parser.HMSG_RE = re.compile(rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n")


nats.aio.client.DEFAULT_BUFFER_SIZE = 131_072
"""The most bytes that are taken from the socket at once. More messages of a log at once are read, decoded and folded in
a tenth less time each; the library's 32 KiB are some fifty of them."""


class PlaintextError(NatsError):
    """The broker offers no TLS to a client that was to use it."""


class Client(LibraryClient):
    """A client that lets a dead connection go at once, reads headers fast, and deliveries in bulk faster still."""

    def __init__(self) -> None:
        super().__init__()
        self.insists_on_tls = False
        """Whether credentials go over TLS or not at all. The library would send them in the clear if asked to."""
        self.taps: dict[int, Callable[[Sequence[Frame]], None]] = {}
        """By subscription number: who takes its frames."""
        self._ps = _TappedParser(self)

    async def tap(self, subject: str, take: Callable[[Sequence[Frame]], None]) -> Subscription:
        """Subscribe, and have `take` called with what has come in, in order; it must return at once and not raise.

        The library makes a message of each frame and a turn of the event loop for it: 12 µs where this takes 3.
        """
        subscription = await self.subscribe(subject, cb=_unused)
        self.taps[subscription._id] = take  # noqa: SLF001 # there is no public name for what the wire calls it
        return subscription

    def write(self, frames: bytes) -> None:
        """Hand over whole protocol frames; they go out at the next turn of the event loop."""
        self._pending.append(frames)
        self._pending_data_size += len(frames)
        if self._flush_queue is not None and not self._flush_queue.full():
            # Where it is full, a flush is about to come anyway.
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def abort(self) -> None:
        """Drop the connection with all that was still to be sent."""
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:  # noqa: SLF001
            self._transport._io_writer.transport.abort()  # noqa: SLF001

    def _connect_command(self) -> bytes:
        if self.insists_on_tls and not self._server_info.get("tls_required"):
            raise PlaintextError("it offers no TLS")
        return super()._connect_command()

    # The library looks for ever for what a damaged file lacks, and gives up reconnecting for any error but its own.
    def _read_creds_user_jwt(self, creds: Any) -> bytearray:
        return bytearray(_creds(creds).jwt)

    def _read_creds_user_nkey(self, creds: Any) -> bytearray:
        return bytearray(_creds(creds).seed)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self.taps.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_op_err(self, e: Exception) -> None:
        # The library closes politely: a frozen broker would first have to read what is still to be sent to it,
        # and until then there would be no reconnect to another one.
        self.abort()
        await super()._process_op_err(e)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        take = self.taps.get(sid)
        if take is not None:
            take([(_text(subject), _text(reply), headers or b"", data)])
            return
        # Callers choose the bytes of subjects, reply subjects and headers. The library raises where they are not
        # UTF-8 or a header block is cut short, which ends its reader, and with it everybody's requests.
        await super()._process_msg(sid, _text(subject).encode(), _text(reply).encode(), data, headers)  # type: ignore[arg-type] # None for none, there too

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except (ValueError, LookupError):
            return dict(_UNREADABLE_HEADERS)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        # The library looks at every character of every name, which is half the time of reading a log.
        headers: dict[str, str] = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon and name.isascii() and len(words := name.split()) == 1:
                headers[words[0]] = value.strip()
        return headers


def _creds(path: str) -> Creds:
    try:
        return read_creds(Path(path))
    except CredentialsError as error:
        raise NatsError(str(error)) from error


class _TappedParser(parser.Parser):
    """Takes what is tapped off the front of the input, many frames in one go; the rest is the library's."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._client = client
        self._wanted = 0
        """Bytes that the input must have before the frame in front of it is whole."""

    def reset(self) -> None:
        """Forget what was read: the connection is another one."""
        super().reset()
        self._wanted = 0

    async def parse(self, data: bytes = b"") -> None:
        """Take the next bytes off the wire."""
        if data:
            # Who sends is there. Its answers to pings queue up behind a log that is read, and worked on, for seconds.
            self._client._pings_outstanding = 0  # noqa: SLF001 # there is no public name for it
        if self._client.taps and self.state == parser.AWAITING_CONTROL_LINE:
            self.buf += data
            if len(self.buf) < self._wanted:
                return
            self._take_tapped()
            if self._wanted or not self.buf:
                return
            data = b""
        await super().parse(data)

    def _take_tapped(self) -> None:
        """Take whole frames of tapped subscriptions off the front; what is odd is left for the library to judge."""
        taps, data = self._client.taps, bytes(self.buf)
        at = self._wanted = 0
        frames: list[Frame] = []
        tapped: str | None = None
        while (line_end := data.find(_END, at)) > 0:
            tokens = data[at:line_end].decode("utf-8", "replace").split(" ")
            if len(tokens) != _MOST_TOKENS or tokens[0] != _WITH_HEADERS:
                tokens = _completed(tokens)
                if not tokens:
                    break
            _, subject, sid, reply, head_bytes, total_bytes = tokens
            if sid != tapped:
                if not sid.isdecimal() or int(sid) not in taps:
                    break
                self._hand_over(tapped, frames)
                tapped, frames = sid, []
            head = line_end + len(_END)
            try:
                body, end = head + _SIZES[head_bytes], head + _SIZES[total_bytes]
            except ValueError:
                break
            if end + len(_END) > len(data):
                self._wanted = end + len(_END) - at
                break
            frames.append((subject, reply, data[head:body], data[body:end]))
            at = end + len(_END)
        del self.buf[:at]
        self._hand_over(tapped, frames)

    def _hand_over(self, sid: str | None, frames: Sequence[Frame]) -> None:
        take = None if sid is None else self._client.taps.get(int(sid))
        if take is not None:
            take(frames)


def _completed(tokens: list[str]) -> list[str]:
    """A delivery's control line as if it named a reply subject and the size of headers; empty if it is none."""
    plain = tokens[0] == _PLAIN
    most = _MOST_TOKENS - plain
    if not (plain or tokens[0] == _WITH_HEADERS) or not most - 1 <= len(tokens) <= most:
        return []
    if len(tokens) < most:
        tokens.insert(3, "")
    if plain:
        tokens.insert(4, "0")
    return tokens


async def _unused(_: Any) -> None:
    """The library wants a callback; what is tapped never reaches it."""


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")
