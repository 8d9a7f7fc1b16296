"""Appends to a stream, each one message or an atomic batch: their frames, and their acknowledgement."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from domain.untrusted_json import parse_json_object
from handlers.ports import LogUnavailableError, OutcomeUnknownError
from infra.nats import wire_format
from infra.nats.jetstream_errors import ApiError, append_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handlers.ports import LogError, NewMessage
    from infra.nats.exchange import Answer, Exchange

_COMMIT = wire_format.header_lines({wire_format.BATCH_COMMIT: "1"})


async def append(  # noqa: PLR0913 # each is a fact of its own about the append
    exchange: Exchange,
    stream: str,
    messages: Sequence[NewMessage],
    conditions: Sequence[str],
    *,
    batch_id: str,
    timeout_s: float,
    sent: int = 0,
    expected: int | None = None,
    as_stored: bool = False,
) -> int:
    """Append all messages or none; return the position of the last one.

    Args:
        exchange: where it is sent.
        stream: the stream that takes the messages' subjects.
        messages: one without a batch id, or those of a batch.
        conditions: the header lines with each message's expectation; empty for none.
        batch_id: of the batch; empty for a single message.
        timeout_s: how long to wait for the acknowledgement.
        sent: how many of the batch's messages were sent already, by `append_frames`.
        expected: the only position that the last message may get; None: any.
        as_stored: the messages come from a broker; see `wire_format.publish_frame`.

    Raises:
        AppendConflictError: an expectation does not hold.
        AppendRejectedError: the broker will never take this content from this user.
        LogUnavailableError: no connection; nothing was sent.
        OutcomeUnknownError: no answer to this append in time, or none that is certainly about it.
    """

    def encode(reply: str) -> bytes:
        limit_bytes = exchange.connection.client.max_payload
        return append_frames(
            messages[sent:],
            conditions[sent:],
            batch_id=batch_id,
            sent=sent,
            reply=reply,
            limit_bytes=limit_bytes,
            as_stored=as_stored,
        )

    answer = await exchange.one(encode, [message.subject for message in messages], timeout_s)
    if answer.status == wire_format.NO_RESPONDERS:
        # A client that knows the inbox can have a broker say that: a request on any subject without responders does.
        raise OutcomeUnknownError(f"no stream takes {messages[0].subject} at {exchange.connection.url}")
    return acknowledged(answer, stream, batch_id, len(messages), expected)


def append_frames(
    messages: Sequence[NewMessage],
    conditions: Sequence[str],
    *,
    batch_id: str,
    limit_bytes: int,
    sent: int = 0,
    reply: str = "",
    as_stored: bool = False,
) -> bytes:
    """Encode the messages that follow the first `sent` ones of an append; with a reply subject they are its end.

    Raises:
        AppendRejectedError: the broker would not take a message; see `wire_format.publish_frame`.
    """
    last = sent + len(messages)
    batch = f"{wire_format.header_lines({wire_format.BATCH_ID: batch_id})}{wire_format.BATCH_SEQUENCE}: "
    publish = partial(wire_format.publish_frame, limit_bytes=limit_bytes, as_stored=as_stored)
    frames: list[bytes] = []
    for number, (message, condition) in enumerate(zip(messages, conditions, strict=True), start=sent + 1):
        end = reply if number == last else ""
        control = f"{condition}{batch}{number}\r\n{_COMMIT if end else ''}" if batch_id else condition
        frames.append(publish(message, control, reply=end))
    return b"".join(frames)


def acknowledged(answer: Answer, stream: str, batch_id: str, count: int, expected: int | None) -> int:
    """Return the position that the answer names, if it is the acknowledgement of this very append."""
    try:
        ack = parse_json_object(answer.body)
    except ValueError:
        raise OutcomeUnknownError(f"not an acknowledgement: {answer.body[:100]!r}") from None
    if "error" in ack:
        raise _refusal(ack, stream)
    position = ack.get("seq")
    proper = {
        "stream": stream,
        "seq": position if expected is None else expected,
        "batch": batch_id or None,
        "count": count if batch_id else None,
    }
    found = {name: ack.get(name) for name in proper}
    if found != proper or type(position) is not int or ack.get("duplicate"):
        raise OutcomeUnknownError(f"not the acknowledgement of this append: {ack} instead of {proper}")
    return position


def _refusal(answer: Mapping[str, Any], stream: str) -> LogError:
    """Return what an answer with an error means, if it is certainly one to an append to the stream.

    Answers of JetStream's API have a `type`, those to appends have none. That nothing was stored is only believed from
    a missing connection: an error of the broker's own, too, leaves the outcome to be found out.
    """
    error = answer["error"]
    codes = (error.get("code"), error.get("err_code")) if isinstance(error, dict) else (None,)
    if "type" in answer or answer.get("stream", stream) != stream or any(type(each) is not int for each in codes):
        return OutcomeUnknownError(f"not an answer to this append: {answer}")
    meaning = append_error(ApiError("append", error))
    return OutcomeUnknownError(str(meaning)) if isinstance(meaning, LogUnavailableError) else meaning
