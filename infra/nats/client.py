"""The client library's client, where some of its habits cost too much here.

What is overridden is private to the library. Should a later version drop these methods, only the time gained is
lost again, and a test with a frozen broker says so.
"""

from __future__ import annotations

import re

from nats.aio.client import Client as LibraryClient
from nats.aio.transport import TcpTransport
from nats.protocol import parser

from handlers.wire import ACTOR_HEADER

_UNREADABLE_HEADERS = {ACTOR_HEADER: "\ufffd"}
"""Stands for headers that cannot be read: who asks is not known, and the service says so."""

# What a subject consists of is the broker's to say: for it only blanks end one. The library ends them at vertical
# tabs and form feeds too, and so takes a request for a broken stream and drops the connection.
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
parser.HMSG_RE = re.compile(rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n")


class Client(LibraryClient):
    """A client that lets a dead connection go at once and reads headers in a fifth of the time."""

    def abort(self) -> None:
        """Drop the connection with all that was still to be sent."""
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:  # noqa: SLF001
            self._transport._io_writer.transport.abort()  # noqa: SLF001

    async def _process_op_err(self, e: Exception) -> None:
        # The library closes politely: a frozen broker would first have to read what is still to be sent to it,
        # and until then there would be no reconnect to another one.
        self.abort()
        await super()._process_op_err(e)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        # Callers choose the bytes of subjects, reply subjects and headers. The library raises where they are not
        # UTF-8 or a header block is cut short, which ends its reader, and with it everybody's requests.
        await super()._process_msg(sid, _as_utf8(subject), _as_utf8(reply), data, headers)

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


def _as_utf8(text: bytes) -> bytes:
    return text if text.isascii() else text.decode("utf-8", "replace").encode()
