"""Old events are read as if today's software had written them; those of tomorrow's are named and left alone.

Every event is still at its first version, so the later versions here are made up: a second and a third `progressed`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from domain.events import CATALOGUE, EVENT_TYPES, Catalogue
from domain.events.catalogue import Data, Upcaster
from domain.events.task import HeldEvent, Progressed
from domain.rules import Rules
from domain.task import evolve
from domain.timestamps import Timestamp
from handlers.ports import StoredMessage, UnreadableEventError
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState
from tests.golden.snapshot import snapshot
from tests.golden.test_golden import differences, read

V1 = Path(__file__).parent / "v1"


class Term(HeldEvent):
    """What the made-up third version of `progressed` holds: its terms together, and its share in thousandths."""

    name: ClassVar[str] = "progressed"
    version: ClassVar[int] = 3

    permille: int
    notes: tuple[str, ...]
    checkpoint: Any = None
    reports: int
    terms: tuple[float, float]
    expires_at: Timestamp
    directive: str

    @property
    def percent(self) -> int:
        return self.permille // 10

    @property
    def message(self) -> str | None:
        return self.notes[-1] if self.notes else None

    @property
    def lease_s(self) -> float:
        return self.terms[0]

    @property
    def grace_s(self) -> float:
        return self.terms[1]


def thousandths(data: Data) -> Data:
    """Version 1 said percent, version 2 says permille."""
    rest = {name: value for name, value in data.items() if name != "percent"}
    return {**rest, "permille": data["percent"] * 10}


def together(data: Data) -> Data:
    """Version 2 had one message and two terms, version 3 has notes and a pair."""
    gone = ("message", "lease_s", "grace_s")
    rest = {name: value for name, value in data.items() if name not in gone}
    notes = [] if data["message"] is None else [data["message"]]
    return {**rest, "notes": notes, "terms": [data["lease_s"], data["grace_s"]]}


STEPS: dict[tuple[str, int], Upcaster] = {("task.progressed", 1): thousandths, ("task.progressed", 2): together}
LATER = Catalogue([Term if kind is Progressed else kind for kind in EVENT_TYPES.values()], STEPS)
CODEC = CloudEventsCodec("default", LATER)


@pytest.fixture
def _folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fold of the made-up version: it holds the same facts."""
    folds = evolve._FOLDS  # noqa: SLF001 - a made-up event has to be folded, too
    monkeypatch.setitem(folds, Term, folds[Progressed])


def reports() -> list[StoredMessage]:
    return [message for message in read(V1 / "tasks.jsonl") if message.subject.endswith(".progressed")]


def changed(message: StoredMessage, **changes: Any) -> StoredMessage:
    return message._replace(body=json.dumps({**json.loads(message.body), **changes}).encode())


@pytest.mark.usefixtures("_folded")
@pytest.mark.parametrize("name", ["tasks", "agents", "pool"])
def test_a_history_of_the_first_version_comes_to_the_same_after_two_more(name: str) -> None:
    state = PoolState("default", Rules())
    for message in read(V1 / f"{name}.jsonl"):
        state.fold(CODEC.decode(message))
    then = json.loads((V1 / f"{name}.entities.json").read_text(encoding="utf-8"))
    assert differences(then, snapshot(state)) == []


def test_each_version_is_read_by_the_steps_from_it_on() -> None:
    first = reports()[0]
    data = json.loads(first.body)["data"]
    for version, body in ((1, data), (2, thousandths(data)), (3, together(thousandths(data)))):
        message = changed(first, type=f"custody.task.progressed.v{version}", data=body)
        event = CODEC.decode(message).event
        assert isinstance(event, Term)
        assert (event.type_name, event.permille, event.percent) == ("custody.task.progressed.v3", 100, 10)
        assert event.terms == (data["lease_s"], data["grace_s"])


def test_upcasters_leave_what_they_are_given() -> None:
    data = json.loads(reports()[0].body)["data"]
    before = json.dumps(data)
    LATER.readings["custody.task.progressed.v1"].upcast(data)
    assert json.dumps(data) == before


def test_what_is_written_is_of_the_newest_version() -> None:
    recorded = CODEC.decode(reports()[0])
    assert json.loads(CODEC.body(recorded))["type"] == "custody.task.progressed.v3"
    assert CODEC.encode([recorded], None)[0][0].subject == reports()[0].subject


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, r"data: cannot be read as version 3: KeyError 'percent'"),
        (None, r"data: cannot be read as version 3: AttributeError .*"),
        ([], r"data: cannot be read as version 3: AttributeError .*"),
        ({"percent": "5", "message": None, "lease_s": 1.0, "grace_s": 1.0}, r"data\..*"),
        ({"percent": 5, "message": None, "lease_s": "soon", "grace_s": 1.0}, r"data\..*"),
    ],
    ids=["empty", "null", "a list", "a text for a number", "words for a number"],
)
def test_ill_formed_data_of_an_old_version_is_unreadable(data: Any, said: str) -> None:
    with pytest.raises(UnreadableEventError) as caught:
        CODEC.decode(changed(reports()[0], data=data))
    assert re.fullmatch(said, caught.value.reason), caught.value.reason


UNKNOWN = "this software does not know its type {}: if a later release wrote it, use that one"
NEWER = (
    "its type {} is newer than this software, which reads versions up to 3: "
    "use the release that wrote it, or a later one"
)


@pytest.mark.parametrize(
    ("type_name", "said"),
    [
        ("custody.task.progressed.v4", NEWER),
        ("custody.task.invented.v1", UNKNOWN),
        ("custody.task.progressed.v0", UNKNOWN),
        ("custody.task.progressed.v03", UNKNOWN),
        ("another.software", UNKNOWN),
    ],
)
def test_what_a_later_release_wrote_is_named_and_never_half_read(type_name: str, said: str) -> None:
    with pytest.raises(UnreadableEventError) as caught:
        CODEC.decode(changed(reports()[0], type=type_name))
    assert caught.value.reason == said.format(type_name)


def test_a_missing_step_is_found_when_the_catalogue_is_made() -> None:
    with pytest.raises(ValueError, match=r"task\.progressed is at version 3 and has no upcaster from 1"):
        Catalogue([Term], {("task.progressed", 2): together})


@pytest.mark.parametrize("key", [("task.progressed", 3), ("task.invented", 1)])
def test_a_step_that_leads_nowhere_is_found_when_the_catalogue_is_made(key: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="upcasters lead nowhere"):
        Catalogue([Term], {**STEPS, key: together})


def test_every_type_that_was_released_can_be_read() -> None:
    released = {json.loads(message.body)["type"] for path in V1.parent.glob("v*/*.jsonl") for message in read(path)}
    assert released <= CATALOGUE.readings.keys()
