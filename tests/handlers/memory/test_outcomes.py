"""The memory of outcomes holds the last commands that had an id, in the order in which they first appended."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.events import Entity
from domain.events.task import Started
from domain.recorded import Recorded
from domain.timestamps import EPOCH
from handlers.memory.outcomes import OutcomeKey, Outcomes


def recorded(position: int, command_id: str, *, keyed: bool = True) -> Recorded:
    return Recorded(position, Entity.TASK, "T", 1, EPOCH, "agent/A", command_id, Started(token=1), "start", keyed)


def key(command_id: str) -> OutcomeKey:
    return ("agent/A", "start", command_id)


def test_a_command_is_remembered_with_all_positions_of_its_events() -> None:
    outcomes = Outcomes(10)
    outcomes.observe([recorded(1, "a"), recorded(2, "b"), recorded(3, "a")])
    outcomes.observe([recorded(4, "a")])

    assert outcomes.get(key("a")) == (1, 3, 4)
    assert outcomes.get(key("b")) == (2,)
    assert len(outcomes) == 2


def test_an_event_whose_caller_chose_no_id_is_not_remembered() -> None:
    outcomes = Outcomes(10)
    outcomes.observe([recorded(1, "made up for it", keyed=False)])

    assert outcomes.get(key("made up for it")) is None


def test_the_oldest_goes_first_however_lately_it_was_added_to() -> None:
    outcomes = Outcomes(2)
    outcomes.observe([recorded(1, "a"), recorded(2, "b"), recorded(3, "a"), recorded(4, "c")])

    assert outcomes.get(key("a")) is None
    assert list(outcomes.dump().items()) == [(key("b"), (2,)), (key("c"), (4,))]


@given(
    commands=st.lists(st.sampled_from("abcdef"), max_size=30),
    cut=st.integers(0, 30),
    capacity=st.integers(0, 4),
    size=st.integers(1, 7),
)
def test_a_dump_goes_on_as_what_it_was_made_of(commands: list[str], cut: int, capacity: int, size: int) -> None:
    records = [recorded(position, command_id) for position, command_id in enumerate(commands, start=1)]
    whole, before, after = Outcomes(capacity), Outcomes(capacity), Outcomes(capacity)
    for start in range(0, len(records), size):
        whole.observe(records[start : start + size])
    before.observe(records[:cut])
    after.load(before.dump())
    after.observe(records[cut:])

    assert after.dump() == whole.dump()
    assert len(whole) <= capacity


def test_of_more_than_there_is_room_for_the_latest_are_loaded() -> None:
    outcomes = Outcomes(2)
    outcomes.load({key("a"): (1,), key("b"): (2, 3), key("c"): (4,)})
    outcomes.observe([recorded(5, "d")])

    assert list(outcomes.dump().items()) == [(key("c"), (4,)), (key("d"), (5,))]
