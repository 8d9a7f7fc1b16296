"""Events on the wire: CloudEvents JSON on their subjects, chained by hashes, and what cannot be read."""

from __future__ import annotations

import contextlib
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.events import EVENT_TYPES, Entity, Event
from domain.events.task import Progressed
from domain.recorded import Recorded
from handlers.ports import StoredMessage, UnreadableEventError
from infra.codec import CloudEventsCodec
from tests.support.events import events, integers, moments, texts

CODEC = CloudEventsCodec("default")
AT = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)
REPORT = Progressed(token=1234, percent=40, reports=1, lease_s=240.0, grace_s=60.0, expires_at=AT)
RECORDED = Recorded(1240, Entity.TASK, "T1", 7, AT, "agent/a1", "c-1", REPORT, "progress", keyed=True)

BODY = (
    b'{"specversion":"1.0","id":"1240","source":"custody/default","type":"custody.task.progressed.v1",'
    b'"subject":"task/T1","time":"2026-11-21T08:00:00.123456Z","datacontenttype":"application/json",'
    b'"aggregateversion":7,"causationid":"c-1","actor":"agent/a1","commandverb":"progress","commandkeyed":true,"data":'
    b'{"token":1234,"percent":40,"message":null,"checkpoint":null,"reports":1,"lease_s":240.0,"grace_s":60.0,'
    b'"expires_at":"2026-11-21T08:00:00.123456Z","directive":"continue"}}'
)
SUBJECT = "custody.default.evt.task.T1.progressed"


def stored(records: list[Recorded], previous: str | None = None) -> list[StoredMessage]:
    messages, _ = CODEC.encode(records, previous)
    return [
        StoredMessage(recorded.position, message.subject, message.body, message.headers)
        for recorded, message in zip(records, messages, strict=True)
    ]


def altered(**changes: Any) -> StoredMessage:
    """The example with fields of its envelope replaced; `...` takes one out."""
    envelope = json.loads(BODY) | changes
    body = json.dumps({name: value for name, value in envelope.items() if value is not ...})
    return StoredMessage(1240, SUBJECT, body.encode())


def test_an_event_is_these_very_bytes() -> None:
    (message,) = stored([RECORDED])
    assert message.subject == SUBJECT
    assert message.body == BODY
    assert message.headers["Content-Type"] == "application/cloudevents+json"
    assert CODEC.decode(message) == RECORDED


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=EVENT_TYPES.keys())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_event_survives_the_wire(kind: type[Event], data: st.DataObject) -> None:
    recorded = Recorded(
        data.draw(integers),
        kind.entity,
        data.draw(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)),
        data.draw(integers),
        data.draw(moments),
        data.draw(texts),
        data.draw(texts),
        data.draw(events(kind)),
        "verb",
        data.draw(st.booleans()),
    )
    (message,) = stored([recorded])

    assert CODEC.decode(message) == recorded
    envelope = json.loads(message.body)
    assert envelope["type"] == kind.type_name
    assert message.subject == f"custody.default.evt.{kind.entity}.{recorded.entity_id}.{kind.name}"


def test_the_time_has_six_decimals_and_a_z_always() -> None:
    recorded = replace(RECORDED, time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert json.loads(CODEC.body(recorded))["time"] == "2026-01-02T03:04:05.000000Z"


def test_the_hash_chains_the_log() -> None:
    records = [replace(RECORDED, position=position, version=position) for position in (1, 2, 3)]
    previous = "0" * 64
    for recorded, message in zip(records, stored(records), strict=True):
        lines = [previous.encode(), str(recorded.position).encode(), message.subject.encode(), message.body]
        previous = hashlib.sha256(b"\n".join(lines)).hexdigest()
        assert message.headers["Custody-Hash"] == previous
        assert CODEC.hash_of(message) == previous


def test_a_later_append_goes_on_from_the_last_hash() -> None:
    first, second = (replace(RECORDED, position=position) for position in (1, 2))
    messages, last = CODEC.encode([first, second], None)
    _, after_first = CODEC.encode([first], None)
    assert CODEC.encode([second], after_first) == (messages[1:], last)


def test_a_field_that_a_later_version_added_is_passed_over() -> None:
    data = json.loads(BODY)["data"] | {"mood": "good"}
    assert CODEC.decode(altered(data=data, mood="good")) == RECORDED


def test_what_a_log_without_the_extensions_lacks_has_a_default() -> None:
    decoded = CODEC.decode(altered(commandverb=..., commandkeyed=...))
    assert decoded == replace(RECORDED, verb="", keyed=False)


def test_the_digest_of_a_commands_body_is_written_where_there_is_one() -> None:
    (message,) = stored([replace(RECORDED, digest="0123456789abcdef")])
    assert message.body == BODY.replace(b',"data":', b',"commanddigest":"0123456789abcdef","data":', 1)
    assert CODEC.decode(message).digest == "0123456789abcdef"


def test_the_trace_context_of_a_command_is_written_where_there_is_one() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    (message,) = stored([replace(RECORDED, traceparent=trace)])
    assert message.body == BODY.replace(b',"data":', f',"traceparent":"{trace}","data":'.encode(), 1)
    assert CODEC.decode(message).traceparent == trace


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b"\xff\xfe",
        BODY[:-1],
        BODY + b"}",
        b"[" * 100_000,
        BODY[:-1] + b',"mood":"\xff"}',
        BODY[:-1] + b',"\xff":1}',
        BODY[:-1] + b',"mood":"\\ud800"}',
        BODY[:-1] + b',"mood":NaN}',
    ],
    ids=lambda body: repr(body[:12] + b".." + body[-20:]),
)
def test_what_is_no_json_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableEventError) as caught:
        CODEC.decode(StoredMessage(1240, SUBJECT, body))
    assert caught.value.position == 1240


@pytest.mark.parametrize(
    "subject",
    [
        "custody.other.evt.task.T1.progressed",
        "custody.default.evt.task.T2.progressed",
        "custody.default.evt.task.T1.renewed",
        "custody.default.evt.agent.T1.progressed",
        "custody.default.feed.task.T1.progressed",
        "",
    ],
)
def test_an_event_on_another_subject_is_unreadable(subject: str) -> None:
    with pytest.raises(UnreadableEventError, match="belongs on"):
        CODEC.decode(StoredMessage(1240, subject, BODY))


def test_an_event_at_another_position_is_unreadable() -> None:
    with pytest.raises(UnreadableEventError, match="names position 1240"):
        CODEC.decode(StoredMessage(1241, SUBJECT, BODY))


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "custody.task.progressed.v2"},
        {"type": "custody.task.invented.v1"},
        {"type": ["custody.task.progressed.v1"]},
        {"type": ...},
        {"source": "custody/other"},
        {"source": 5},
        {"source": ...},
        {"id": 1240},
        {"id": ...},
        {"subject": "task"},
        {"subject": None},
        {"subject": "agent/T1"},
        {"time": "yesterday"},
        {"time": "2026-11-21T08:00:00"},
        {"time": "0001-01-01T00:00:00+01:00"},
        {"time": 5},
        {"time": ...},
        {"aggregateversion": "7"},
        {"aggregateversion": 7.0},
        {"aggregateversion": True},
        {"aggregateversion": ...},
        {"actor": None},
        {"causationid": 1},
        {"commandverb": 1},
        {"data": None},
        {"data": ...},
        {"data": {}},
        {"data": {"token": 1234, "percent": "much"}},
        {"data": json.loads(BODY)["data"] | {"lease_s": float("nan")}},
        {"data": json.loads(BODY)["data"] | {"checkpoint": float("inf")}},
        {"data": json.loads(BODY)["data"] | {"expires_at": "2026-11-21T08:00:00"}},
    ],
    ids=repr,
)
def test_an_envelope_that_is_not_as_the_contract_says_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEventError):
        CODEC.decode(altered(**changes))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(BODY) - 1), byte=st.binary(min_size=0, max_size=2))
def test_no_damage_raises_anything_else(at: int, byte: bytes) -> None:
    damaged = BODY[:at] + byte + BODY[at + 1 :]
    with contextlib.suppress(UnreadableEventError):
        CODEC.decode(StoredMessage(1240, SUBJECT, damaged))


def test_a_message_without_a_hash_counts_as_the_beginning() -> None:
    assert CODEC.hash_of(StoredMessage(1, SUBJECT, BODY)) == "0" * 64
