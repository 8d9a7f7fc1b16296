"""A copy that is made while the state goes on is the state as it was when it began."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.state import task_capture
from tests.simulation.intents import Internally, Wish, cast, wishes
from tests.simulation.test_pool_model import RULES
from tests.support.scenario import OPS, Scenario


@settings(max_examples=80)
@given(
    before=st.lists(wishes, max_size=15),
    after=st.lists(st.one_of(wishes, st.just(None)), max_size=20),
    piece=st.integers(1, 3),
)
def test_whatever_happens_meanwhile(
    before: list[Wish | Internally], after: list[Wish | Internally | None], piece: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_capture, "PIECE", piece)
        s = Scenario(RULES)
        s.given("A", "register", capacity=3, capabilities=["gpu"])
        for number in range(3):
            s.given(OPS, "submit", task_id=f"T{number}")
        for wish in before:
            s.wait(40.0)
            s.send(cast(wish, s))
            s.sweep()
        tasks = dict(s.state.tasks)
        capture = s.state.begin_capture()
        for each in after:
            if each is None:
                capture.step()
                continue
            s.wait(40.0)
            request = cast(each, s)
            s.state.apply(s.decide(request))
            capture.step()
            s.state.undo()
            s.send(request)
            s.sweep()
        while capture.step():
            pass
        copied = capture.tasks()
        s.state.end_capture()
        assert {task.task_id: task for task in copied} == tasks
        assert len(copied) == len(tasks)


def test_what_a_fold_changes_is_kept_as_it_was_and_a_rebuild_breaks_the_copy() -> None:
    s = Scenario()
    for number in range(4):
        s.given(OPS, "submit", task_id=f"T{number}")
    shadow, tasks = s.shadow, dict(s.shadow.tasks)
    capture = shadow.begin_capture()
    s.given(OPS, "cancel", task_id="T1")
    s.given(OPS, "submit", task_id="T0a")
    s.given(OPS, "update", task_id="T3", priority="high")
    while capture.step():
        pass
    assert {task.task_id: task for task in capture.tasks()} == tasks
    assert not capture.broken
    shadow.begin_rebuild()
    assert capture.broken
