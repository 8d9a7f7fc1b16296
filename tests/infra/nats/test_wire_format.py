"""Frames, header blocks and delivery subjects, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ports import AppendRejectedError, NewMessage, StoredMessage
from infra.nats.wire_format import (
    SEQUENCE,
    SUBJECT,
    StoredHeaders,
    delivered,
    header_lines,
    is_status,
    own_headers,
    publish_frame,
    republished,
    stalled_reply,
)


def test_a_frame_is_what_the_protocol_says() -> None:
    message = NewMessage("a.b", b"\r\nbody", {"Custody-Hash": "ü"})

    frame = publish_frame(message, header_lines({"Nats-Batch-Id": "7"}), reply="r.1", limit_bytes=100)

    head = "NATS/1.0\r\nCustody-Hash: ü\r\nNats-Batch-Id: 7\r\n\r\n".encode()
    assert frame == b"HPUB a.b r.1 %d %d\r\n" % (len(head), len(head) + 6) + head + b"\r\nbody\r\n"


@pytest.mark.parametrize("size_bytes", [87, 88])
def test_the_limit_counts_headers_and_body(size_bytes: int) -> None:
    message = NewMessage("a.b", bytes(size_bytes))

    if size_bytes == 87:
        assert publish_frame(message, header_lines({"A": "b"}), reply="", limit_bytes=105)
    else:
        with pytest.raises(AppendRejectedError, match="a message of 106 bytes, headers included, is over"):
            publish_frame(message, header_lines({"A": "b"}), reply="", limit_bytes=105)


def test_a_header_block_is_read_without_the_brokers_own() -> None:
    block = "NATS/1.0\r\nNats-Expected-Last-Sequence: 3\r\nCustody-Note: a: ü\r\nEmpty:\r\n\r\n".encode()

    assert own_headers(block) == {"Custody-Note": "a: ü", "Empty": ""}
    assert own_headers(b"") == {}
    assert StoredHeaders(block) == {"Custody-Note": "a: ü", "Empty": ""}
    assert StoredHeaders(block).get("Nats-Expected-Last-Sequence") is None
    assert dict(StoredHeaders(b"")) == {}


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.CUSTODY_p.c1.1.41.7.1795256951329977399.0",
        "$JS.ACK.hub.acc1234.CUSTODY_p.c1.1.41.7.1795256951329977399.0.x7Ab",
    ],
    ids=["short", "with domain and account"],
)
def test_a_delivery_names_its_positions(reply: str) -> None:
    before, position, consumer_sequence = delivered(reply)
    assert (position, consumer_sequence) == (41, 7)
    assert reply.startswith(f"{before}41.7.")


def test_what_the_broker_says_of_itself_is_told_from_a_message() -> None:
    heartbeat = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Stream: 7\r\nNats-Consumer-Stalled: $JS.FC.s.c.x\r\n\r\n"

    assert is_status(heartbeat)
    assert stalled_reply(heartbeat) == "$JS.FC.s.c.x"
    assert is_status(b"NATS/1.0 100 FlowControl Request\r\n\r\n")
    assert not is_status(b"NATS/1.0\r\nNats-Consumer-Stalled: x\r\n\r\n")
    assert not is_status(b"")
    assert stalled_reply(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n") is None


LINES = st.lists(
    st.sampled_from(
        [
            b"Es-Version: 7", b"Es-Version:8", b" Es-Version: 9", b"Es-Version : 3", b"Es-Version", b"Es-Version: a:b ",
            b"X-Es-Version: 1", b"Es-Topic: Es-Version: 5", b"Es-Topic: \xff\xc3", b"Nats-Sequence: 4",
            b"Nats-Sequence: 12", b"Nats-Subject: a.b", b"", b":",
        ]
    ),
    max_size=6,
)  # fmt: skip


@given(lines=LINES, end=st.sampled_from([b"\r\n\r\n", b"\r\n", b""]))
def test_one_header_is_what_decoding_all_of_them_gives(lines: list[bytes], end: bytes) -> None:
    block = b"\r\n".join([b"NATS/1.0", *lines]) + end
    headers = own_headers(block)
    for name in ("Es-Version", "Es-Topic", "Nats-Sequence", "NATS/1.0", "Other", ""):
        assert StoredHeaders(block).get(name) == headers.get(name)
        assert (name in StoredHeaders(block)) == (name in headers)


def test_what_the_broker_says_of_a_message_outside_its_stream_comes_last_and_counts() -> None:
    head = b"NATS/1.0\r\nNats-Sequence: 1\r\nNats-Subject: odd\r\nA: b\r\nNats-Subject: a.b\r\nNats-Sequence: 7\r\n\r\n"
    assert republished(head, b"body") == StoredMessage(7, "a.b", b"body", {"A": "b"})
    for missing in (SEQUENCE, SUBJECT):
        with pytest.raises(KeyError):
            republished(head.replace(missing.encode(), b"X"), b"")
