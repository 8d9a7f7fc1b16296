"""A view that follows is the same as one that begins later; and a copy that takes every change is the document."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.rules import Rules
from domain.timestamps import format_timestamp
from projections.live.history import History
from projections.live.live_view import LiveView
from tests.simulation.intents import Internally, Wish, cast, seconds, wishes
from tests.support.scenario import OPS
from tests.support.watched import Watched

RULES = Rules(stall_s=120.0)
steps = st.lists(st.tuples(wishes, seconds, st.booleans()), max_size=30)
"""Each: what is asked, how long before, and whether someone looks then."""
_KEPT_FROM_THE_LOG = ("lanes", "recent")
"""Parts of a document that hold what was before the present state."""


def lived(s: Watched, wish: Wish | Internally, wait_s: float) -> None:
    s.wait(wait_s)
    s.send(cast(wish, s))


def began(s: Watched) -> Watched:
    for agent_id in "AB":
        s.given(agent_id, "register", capacity=4, capabilities=["gpu"])
    return s


class Page:
    """What a page keeps: a document, with every change taken in."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.kept = document
        self.bars = {
            segment["token"]: (agent_id, segment)
            for agent_id, lane in document["lanes"]["agents"].items()
            for segment in lane
        }

    def take(self, change: dict[str, Any]) -> None:
        rows, lanes = change.pop("agents", {"set": {}, "gone": []}), change.pop("lanes", {"agents": {}})
        self.kept["agents"].update(rows["set"])
        for agent_id in rows["gone"]:
            del self.kept["agents"][agent_id]
        for agent_id, lane in lanes["agents"].items():
            self.bars |= {segment["token"]: (agent_id, segment) for segment in lane}
        self.kept |= change

    def lanes(self, since: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for _, (agent_id, segment) in sorted(self.bars.items()):
            if segment["until"] is None or segment["until"] >= since:
                found.setdefault(agent_id, []).append(segment)
        return found


def lanes_since(document: dict[str, Any], since: str) -> dict[str, list[dict[str, Any]]]:
    lanes = {
        agent_id: sorted(
            (segment for segment in lane if segment["until"] is None or segment["until"] >= since),
            key=lambda segment: int(segment["token"]),
        )
        for agent_id, lane in document["lanes"]["agents"].items()
    }
    return {agent_id: lane for agent_id, lane in lanes.items() if lane}


@settings(max_examples=60)
@given(steps)
def test_a_page_that_takes_every_change_shows_the_document(lives: list[tuple[Wish | Internally, float, bool]]) -> None:
    s = began(Watched(RULES))
    page = Page(s.shown())
    for wish, wait_s, looks in lives:
        lived(s, wish, wait_s)
        if looks:
            page.take(s.look())
    page.take(s.look())
    document = s.shown()
    since = document["lanes"]["from"]
    assert page.lanes(since) == lanes_since(document, since)
    without = ("lanes",)
    assert {name: each for name, each in page.kept.items() if name not in without} == {
        name: each for name, each in document.items() if name not in without
    }


@settings(max_examples=60)
@given(steps)
def test_a_view_that_begins_now_shows_the_same_as_one_that_followed(
    lives: list[tuple[Wish | Internally, float, bool]],
) -> None:
    s = began(Watched(RULES))
    for wish, wait_s, looks in lives:
        lived(s, wish, wait_s)
        if looks:
            s.look()
    followed = s.shown()
    history = History()
    history.observe(s.log)
    late = LiveView()
    late.reset(s.state, history)
    late.tick(s.reading())
    began_now = late.document(s.reading())
    since = followed["lanes"]["from"]
    assert lanes_since(began_now, since) == lanes_since(followed, since)
    # A flood is of what came lately, and a view that begins now has not seen it come.
    for document in (began_now, followed):
        del document["lanes"]
        document["tasks_changed"] = 0
        document["needs"]["items"] = [each for each in document["needs"]["items"] if each["kind"] != "flood"]
    assert began_now == followed


@settings(max_examples=60)
@given(steps, st.data())
def test_a_stretch_folded_in_pieces_comes_to_the_same_as_folded_at_once(
    lives: list[tuple[Wish | Internally, float, bool]], data: st.DataObject
) -> None:
    s = began(Watched(RULES))
    for wish, wait_s, _ in lives:
        lived(s, wish, wait_s)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(s.log)), max_size=5)))
    pieces, whole = History(), History()
    for begin, end in zip([0, *cuts], [*cuts, len(s.log)], strict=True):
        pieces.observe(s.log[begin:end])
    whole.observe(s.log)
    for history in (pieces, whole):
        history.adopt(s.state)
    assert pieces.activity.series(s.now, 3) == whole.activity.series(s.now, 3)
    assert pieces.activity.sums(s.now) == whole.activity.sums(s.now)
    assert pieces.lanes.document(s.now) == whole.lanes.document(s.now)
    assert pieces.recent.lines() == whole.recent.lines()


@settings(max_examples=60)
@given(steps, st.integers(0, 20))
def test_a_history_that_begins_in_the_middle_knows_what_is_held_and_queued(
    lives: list[tuple[Wish | Internally, float, bool]], begin: int
) -> None:
    s = began(Watched(RULES))
    for wish, wait_s, _ in lives:
        lived(s, wish, wait_s)
    middle = History()
    middle.observe(s.log[begin:])
    middle.adopt(s.state)
    held = {
        segment["token"]: agent_id
        for agent_id, lane in middle.lanes.document(s.now)["agents"].items()
        for segment in lane
        if segment["until"] is None
    }
    assert held == {task.token: task.holder for task in s.state.tasks.values() if task.lease is not None}
    assert middle.activity.series(s.now, len(s.state.indexes.backlog))["queued"][-1] == len(s.state.indexes.backlog)


def test_a_look_without_news_tells_the_position_and_the_time() -> None:
    s = Watched()
    s.look()
    assert s.look() == {"position": 0, "now": format_timestamp(s.now)}


def test_steals_are_told_the_latest_first() -> None:
    s = Watched()
    s.holds("A", "T1", "T2", "T3")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T2"])
    s.wait(100).given(OPS, "steal", from_="A", to="B", task_ids=["T3"])
    steals = s.look()["steals"]
    assert [steal["plan"]["task_ids"] for steal in steals] == [["T3"], ["T2"]]
    assert "steals" not in s.look()


def test_a_reset_tells_all_of_the_new_state_and_what_is_gone() -> None:
    s = Watched()
    s.holds("A", "T")
    s.look()
    other = Watched()
    other.given("B", "register")
    other.view = s.view
    other.view.reset(other.state)
    change = other.look()
    assert set(change["agents"]["set"]) == {"B"}
    assert change["agents"]["gone"] == ["A"]
    assert other.shown()["lanes"]["agents"] == {}
