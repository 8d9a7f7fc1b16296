"""The bytes that go to the broker and come back: publish frames, header blocks, delivery subjects.

nats-py encodes and flushes one publish at a time, at 8 to 9 µs a message on the event loop; a whole append
encoded here and written at once takes about 1 µs a message, which is a third off the time of a large batch.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handlers.ports import AppendRejectedError, StoredMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nats.aio.msg import Msg

    from handlers.ports import NewMessage

EXPECTED_LAST_SEQUENCE = "Nats-Expected-Last-Sequence"
BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"

_BROKER_HEADERS = "Nats-"
_VERSION_LINE = "NATS/1.0"
_NOT_A_LITERAL_SUBJECT = re.compile(r"[\s*>\x00]|^\.|\.\.|\.$|^$")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, and the longer form
# with <domain>.<account> after ACK.
_SHORT_ACK_TOKENS = 9
_SHORT_ACK_STREAM_SEQUENCE = 5
_LONG_ACK_STREAM_SEQUENCE = 7


def publish_frame(message: NewMessage, control: Mapping[str, str], *, reply: str, limit_bytes: int) -> bytes:
    """One `HPUB` frame: the message with its own headers, then the broker's `control` headers.

    Raises:
        AppendRejectedError: the subject is no literal one, a header would break out of its line or belongs to
            the broker, or headers and body together exceed `limit_bytes`, at which the broker would cut the
            connection.
    """
    if _NOT_A_LITERAL_SUBJECT.search(message.subject):
        raise AppendRejectedError(f"not a literal subject: {message.subject!r}")
    lines = [_VERSION_LINE]
    for name, value in message.headers.items():
        if not _HEADER_NAME.fullmatch(name) or value != value.strip() or not value.isprintable():
            raise AppendRejectedError(f"not a header of one printable line: {name!r}: {value!r}")
        if name.startswith(_BROKER_HEADERS):
            raise AppendRejectedError(f"a header with a meaning to the broker: {name!r}")
        lines.append(f"{name}: {value}")
    lines.extend(f"{name}: {value}" for name, value in control.items())
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    total_bytes = len(head) + len(message.body)
    if total_bytes > limit_bytes:
        raise AppendRejectedError(
            f"a message of {total_bytes} bytes, headers included, is over the broker's {limit_bytes}: {message.subject}"
        )
    return b"".join(
        (f"HPUB {message.subject} {reply} {len(head)} {total_bytes}\r\n".encode(), head, message.body, b"\r\n")
    )


def own_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers the writer of a message gave it, without the broker's own."""
    if not headers:
        return {}
    return {name: value for name, value in headers.items() if not name.startswith(_BROKER_HEADERS)}


def decode_header_block(block: bytes) -> dict[str, str]:
    """The headers in a stored message's raw block, the broker's own left out."""
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    return own_headers(dict(_name_and_value(line) for line in lines if line))


def _name_and_value(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def delivered_sequences(reply: str) -> tuple[int, int]:
    """The stream sequence and the consumer sequence that a delivery's reply subject carries."""
    tokens = reply.split(".")
    at = _SHORT_ACK_STREAM_SEQUENCE if len(tokens) == _SHORT_ACK_TOKENS else _LONG_ACK_STREAM_SEQUENCE
    return int(tokens[at]), int(tokens[at + 1])


def delivered_message(message: Msg, position: int) -> StoredMessage:
    """A consumer's delivery as the log's message."""
    return StoredMessage(position, message.subject, message.data, own_headers(message.headers))


def violating_subjects(subjects: Iterable[str], reported: str) -> bool:
    """Whether a permission violation, which the client reports in lower case, is about one of the subjects."""
    return any(subject.lower() == reported for subject in subjects)
