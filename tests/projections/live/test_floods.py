"""One actor that buries the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from domain.events import Entity, Event
from domain.events import agent as ag
from domain.recorded import Recorded
from projections.live.floods import SHOWN_S, Floods
from projections.postmortem.observed_events import BURST_S, FLOOD_BURST
from tests.support.scenario import START


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def events(number: int, begin_s: float, over_s: float, actor: str = "agent/A") -> Iterator[Recorded]:
    event: Event = ag.Heartbeat()
    for each in range(number):
        yield Recorded(each + 1, Entity.AGENT, "A", each + 1, at(begin_s + over_s * each / number), actor, "c", event)


@pytest.mark.parametrize(
    ("number", "over_s", "is_flood"),
    [
        (FLOOD_BURST, BURST_S - 1, True),
        (FLOOD_BURST - 1, 1, False),
        (FLOOD_BURST, 3 * BURST_S, False),
        (10 * FLOOD_BURST, 5 * BURST_S, True),
    ],
)
def test_so_many_so_quickly(number: int, over_s: float, *, is_flood: bool) -> None:
    floods = Floods()
    floods.observe(list(events(number, 0, over_s)))
    assert bool(floods.now(at(over_s))) is is_flood


def test_many_actors_together_are_no_flood() -> None:
    floods = Floods()
    for each in range(FLOOD_BURST):
        floods.observe(list(events(1, 0, 1, actor=f"agent/{each}")))
    assert floods.now(at(1)) == []


def test_a_flood_counts_what_came_and_is_over_a_while_later() -> None:
    floods = Floods()
    floods.observe(list(events(300, 0, 5)))
    (flood,) = floods.now(at(5))
    assert (flood.actor, flood.event, flood.events, flood.since) == ("agent/A", "heartbeat", 300, START)
    assert floods.now(at(5 + SHOWN_S + 1)) == []


def test_what_follows_is_the_same_flood_and_a_later_one_another() -> None:
    floods = Floods()
    floods.observe(list(events(300, 0, 5)))
    floods.observe(list(events(300, 20, 5)))
    assert [(flood.since, flood.events) for flood in floods.now(at(25))] == [(START, 600)]
    floods.observe(list(events(300, 200, 5)))
    assert [(flood.since, flood.events) for flood in floods.now(at(205))] == [(at(200), 300)]
