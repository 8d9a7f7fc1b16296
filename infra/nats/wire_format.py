"""The bytes that go to the broker and come back: publish frames, header blocks, delivery subjects.

nats-py encodes and flushes one publish at a time, which takes 8 to 9 µs a message on the event loop. A whole append
that is encoded here and written at once takes about 3 µs a message, checks included, and a large batch takes a quarter
less time in all.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from handlers.ports import AppendRejectedError, StoredMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handlers.ports import NewMessage

EXPECTED_LAST_SEQUENCE = "Nats-Expected-Last-Sequence"
EXPECTED_LAST_MESSAGE_ID = "Nats-Expected-Last-Msg-Id"
EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID = "Nats-Msg-Id"
BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"
SEQUENCE = "Nats-Sequence"
SUBJECT = "Nats-Subject"
NS_PER_S = 1_000_000_000
"""Lengths of time are in nanoseconds, in whole numbers."""
NO_RESPONDERS = "503"
"""The status of an answer that the broker gives itself, because nothing subscribes to the request's subject."""

_BROKER_HEADERS = "Nats-"
_VERSION_LINE = "NATS/1.0\r\n"
VERSION_LINE = _VERSION_LINE.encode()
_STALLED = "Nats-Consumer-Stalled"
_BREAKS_SUBJECT = re.compile(r"[ \t\r\n]")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

ACK_PREFIX = "$JS.ACK."
"""Begins the reply subject of every delivery of a consumer."""
# $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, and the longer form
# with <domain>.<account> after ACK.
_SHORT_ACK_TOKENS = 9
_SHORT_ACK_STREAM_SEQUENCE = 5
_LONG_ACK_STREAM_SEQUENCE = 7


def publish_frame(message: NewMessage, control: str, *, reply: str, limit_bytes: int, as_stored: bool = False) -> bytes:
    """One `HPUB` frame: the message with its own headers, then `control`, the broker's as `header_lines` renders them.

    `as_stored`: it is a message that a broker had stored; whatever subject and headers that took are sent again.

    Raises:
        AppendRejectedError: the subject is not literal, a header would break out of its line or belongs to the
            broker, or headers and body together exceed `limit_bytes`, for which the broker would cut the connection.
    """
    subject, body, headers = message
    if as_stored:
        _check_stored(message)
        own = header_lines(headers)
    else:
        own = _checked_header_lines(subject, headers)
    head = f"{_VERSION_LINE}{own}{control}\r\n".encode()
    total_bytes = len(head) + len(body)
    if total_bytes > limit_bytes:
        raise AppendRejectedError(
            f"a message of {total_bytes} bytes, headers included, is over the broker's {limit_bytes}: {subject}"
        )
    return b"%b%b%b\r\n" % (f"HPUB {subject} {reply} {len(head)} {total_bytes}\r\n".encode(), head, body)


def _checked_header_lines(subject: str, headers: Mapping[str, str]) -> str:
    if not _is_literal(subject):
        raise AppendRejectedError(f"not a literal subject: {subject!r}")
    own = ""
    for name, value in headers.items():
        if not _is_own_name(name):
            raise AppendRejectedError(f"not a valid name of a header: {name!r}")
        if not value.isprintable() or value.strip() != value:
            raise AppendRejectedError(f"not one printable line: header {name}: {value!r}")
        own = f"{own}{name}: {value}\r\n"
    return own


def _check_stored(message: NewMessage) -> None:
    """Raise AppendRejectedError for what no broker stores: it would break out of its line."""
    subject, _, headers = message
    if _BREAKS_SUBJECT.search(subject) or not all(subject.split(".")):
        raise AppendRejectedError(f"not a subject: {subject!r}")
    for name, value in headers.items():
        if ":" in name or "\r\n" in name + value or name.startswith(_BROKER_HEADERS):
            raise AppendRejectedError(f"not a header: {name!r}: {value!r}")


def header_lines(headers: Mapping[str, str]) -> str:
    """Render headers without a check, such as the broker's own."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def _is_literal(subject: str) -> bool:
    """Whether the broker takes the subject literally: it has no space, wildcard or empty token."""
    if not subject.isprintable() or " " in subject or "*" in subject or ">" in subject or ".." in subject:
        return False
    return bool(subject) and subject[0] != "." and subject[-1] != "."


@functools.lru_cache(maxsize=64)
def _is_own_name(name: str) -> bool:
    """Whether a header of ours may have the name; cached, because few names are in use."""
    return _HEADER_NAME.fullmatch(name) is not None and not name.startswith(_BROKER_HEADERS)


@functools.lru_cache(maxsize=64)
def _in_a_block(name: str) -> tuple[bytes, bytes]:
    """Return a header's name in bytes, and what its line begins with, the end of the line before included."""
    key = name.encode()
    return key, b"\r\n%b:" % key


class StoredHeaders(Mapping[str, str]):
    """The headers in a message's raw block, without the broker's own; decoded at each access.

    A rebuild accesses those of one message in a thousand, for its hash. A single one is cut out of the block: a tenth
    of the time that decoding all of them takes.
    """

    __slots__ = ("block",)

    def __init__(self, block: bytes) -> None:
        self.block = block

    def __getitem__(self, name: str) -> str:
        block = self.block
        key, begin = _in_a_block(name)
        start = block.find(begin)
        if start < 0 or block.count(key) != 1 or name.startswith(_BROKER_HEADERS):
            # Not there, or there in other forms too: which one counts is decided in one place.
            return own_headers(block)[name]
        return _line_from(block, start + len(begin))

    def __iter__(self) -> Iterator[str]:
        return iter(own_headers(self.block))

    def __len__(self) -> int:
        return len(own_headers(self.block))

    def __repr__(self) -> str:
        return repr(own_headers(self.block))


def all_headers(block: bytes) -> dict[str, str]:
    """Decode a message's raw header block, the broker's own headers included."""
    headers: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return headers


def own_headers(block: bytes) -> dict[str, str]:
    """Decode a message's raw header block, without the broker's own headers."""
    return {name: value for name, value in all_headers(block).items() if not name.startswith(_BROKER_HEADERS)}


def republished(head: bytes, body: bytes) -> StoredMessage:
    """Decode a message that the broker delivers outside its stream, with position and subject in headers."""
    return StoredMessage(int(_last_line(head, SEQUENCE)), _last_line(head, SUBJECT), body, StoredHeaders(head))


def _last_line(head: bytes, name: str) -> str:
    """Return the value of the last header of a name: the broker's, which come after those of the message.

    Raises KeyError if there is none.
    """
    _, begin = _in_a_block(name)
    start = head.rfind(begin)
    if start < 0:
        raise KeyError(name)
    return _line_from(head, start + len(begin))


def _line_from(block: bytes, start: int) -> str:
    end = block.find(b"\r\n", start)
    return block[start : None if end < 0 else end].decode("utf-8", "replace").strip()


class Delivered(NamedTuple):
    """The content of a delivery's reply subject."""

    before: str
    """Everything before the sequences: the same for all first deliveries of a consumer."""
    position: int
    consumer_sequence: int


def delivered(reply: str) -> Delivered:
    """Parse a delivery's reply subject; raises ValueError or IndexError for any other."""
    tokens = reply.split(".")
    at = _SHORT_ACK_STREAM_SEQUENCE if len(tokens) == _SHORT_ACK_TOKENS else _LONG_ACK_STREAM_SEQUENCE
    return Delivered(".".join([*tokens[:at], ""]), int(tokens[at]), int(tokens[at + 1]))


def is_status(head: bytes) -> bool:
    """Whether a header block is that of a status, such as a heartbeat, and not of a message."""
    return bool(head) and not head.startswith(VERSION_LINE)


def status_of(head: bytes) -> str | None:
    """Return the code of a status, such as 503 for no responders; None for a message's headers."""
    if not is_status(head):
        return None
    words = head.split(b"\r\n", maxsplit=1)[0].split()
    return words[1].decode(errors="replace") if len(words) > 1 else None


def stalled_reply(head: bytes) -> str | None:
    """Return the reply subject of an unanswered flow control request, which heartbeats repeat, or None."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name == _STALLED:
            return value.strip()
    return None


def violating_subjects(subjects: Iterable[str], reported: str) -> bool:
    """Whether a permission violation, which the client reports in lower case, is about one of the subjects."""
    return any(subject.lower() == reported for subject in subjects)
