"""The bytes that go to the broker and come back: publish frames, header blocks, delivery subjects.

nats-py encodes and flushes one publish at a time, at 8 to 9 µs a message on the event loop; a whole append
encoded here and written at once takes about 3, checks included, and a large batch is done a quarter sooner.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from handlers.ports import AppendRejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handlers.ports import NewMessage

EXPECTED_LAST_SEQUENCE = "Nats-Expected-Last-Sequence"
BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"
ACTOR_HEADER = "Custody-Actor"
"""Names the operator or service that asks. `handlers.service.reply_bodies` has it, too, but imports the domain."""

_BROKER_HEADERS = "Nats-"
_VERSION_LINE = "NATS/1.0\r\n"
VERSION_LINE = _VERSION_LINE.encode()
_STALLED = "Nats-Consumer-Stalled"
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, and the longer form
# with <domain>.<account> after ACK.
_SHORT_ACK_TOKENS = 9
_SHORT_ACK_STREAM_SEQUENCE = 5
_LONG_ACK_STREAM_SEQUENCE = 7


def publish_frame(message: NewMessage, control: str, *, reply: str, limit_bytes: int) -> bytes:
    """One `HPUB` frame: the message with its own headers, then `control`, the broker's as `header_lines` renders them.

    Raises:
        AppendRejectedError: the subject is no literal one, a header would break out of its line or belongs to
            the broker, or headers and body together exceed `limit_bytes`, at which the broker would cut the
            connection.
    """
    subject, body, headers = message
    if not _is_literal(subject):
        raise AppendRejectedError(f"not a literal subject: {subject!r}")
    own = ""
    for name, value in headers.items():
        if not _is_own_name(name):
            raise AppendRejectedError(f"no name for a header of ours: {name!r}")
        if not value.isprintable() or value.strip() != value:
            raise AppendRejectedError(f"not a header of one printable line: {name}: {value!r}")
        own = f"{own}{name}: {value}\r\n"
    head = f"{_VERSION_LINE}{own}{control}\r\n".encode()
    total_bytes = len(head) + len(body)
    if total_bytes > limit_bytes:
        raise AppendRejectedError(
            f"a message of {total_bytes} bytes, headers included, is over the broker's {limit_bytes}: {subject}"
        )
    return b"%b%b%b\r\n" % (f"HPUB {subject} {reply} {len(head)} {total_bytes}\r\n".encode(), head, body)


def header_lines(headers: Mapping[str, str]) -> str:
    """Render headers that need no check: the broker's own, as we send them."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def _is_literal(subject: str) -> bool:
    """Whether the broker takes the subject as it stands: no space, wildcard or empty token."""
    if not subject.isprintable() or " " in subject or "*" in subject or ">" in subject or ".." in subject:
        return False
    return bool(subject) and subject[0] != "." and subject[-1] != "."


@functools.lru_cache(maxsize=64)
def _is_own_name(name: str) -> bool:
    """Whether a header of ours may have the name; the few names in use are looked at once."""
    return _HEADER_NAME.fullmatch(name) is not None and not name.startswith(_BROKER_HEADERS)


def own_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers the writer of a message gave it, without the broker's own."""
    if not headers:
        return {}
    return {name: value for name, value in headers.items() if not name.startswith(_BROKER_HEADERS)}


class StoredHeaders(Mapping[str, str]):
    """The headers in a stored message's raw block, the broker's own left out; read when somebody asks.

    A rebuild asks once in a thousand messages, for the last one's hash.
    """

    __slots__ = ("block",)

    def __init__(self, block: bytes) -> None:
        self.block = block

    def __getitem__(self, name: str) -> str:
        return decode_header_block(self.block)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(decode_header_block(self.block))

    def __len__(self) -> int:
        return len(decode_header_block(self.block))

    def __repr__(self) -> str:
        return repr(decode_header_block(self.block))


def decode_header_block(block: bytes) -> dict[str, str]:
    """The headers in a stored message's raw block, the broker's own left out."""
    headers: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        name = name.strip()
        if colon and not name.startswith(_BROKER_HEADERS):
            headers[name] = value.strip()
    return headers


class Delivered(NamedTuple):
    """What a delivery's reply subject tells."""

    before: str
    """Everything up to the sequences: the same for all first deliveries of a consumer."""
    position: int
    consumer_sequence: int


def delivered(reply: str) -> Delivered:
    """Read a delivery's reply subject; raises ValueError or IndexError when it is none."""
    tokens = reply.split(".")
    at = _SHORT_ACK_STREAM_SEQUENCE if len(tokens) == _SHORT_ACK_TOKENS else _LONG_ACK_STREAM_SEQUENCE
    return Delivered(".".join([*tokens[:at], ""]), int(tokens[at]), int(tokens[at + 1]))


def is_status(head: bytes) -> bool:
    """Whether a header block is the broker's own word, such as a heartbeat, and not a message's."""
    return bool(head) and not head.startswith(VERSION_LINE)


def status_of(head: bytes) -> str | None:
    """The status that the broker's own word carries, such as 503 for no responders; None for a message's headers."""
    if not is_status(head):
        return None
    words = head.split(b"\r\n", maxsplit=1)[0].split()
    return words[1].decode(errors="replace") if len(words) > 1 else None


def stalled_reply(head: bytes) -> str | None:
    """The reply subject with which a heartbeat repeats the broker's question whether it may go on sending."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name == _STALLED:
            return value.strip()
    return None


def violating_subjects(subjects: Iterable[str], reported: str) -> bool:
    """Whether a permission violation, which the client reports in lower case, is about one of the subjects."""
    return any(subject.lower() == reported for subject in subjects)
