"""Post-mortems of a scenario's log."""

from __future__ import annotations

from typing import Any

from projections.postmortem.causes import Cause, Finding, findings
from projections.postmortem.event_collector import EventCollector
from projections.postmortem.observed_events import CollectedEvents
from projections.postmortem.report import Postmortem, postmortem
from projections.postmortem.scope import Scope
from projections.state.pool_state import PoolState
from tests.support.scenario import Scenario


def collected(
    s: Scenario,
    *,
    task: str | None = None,
    agent: str | None = None,
    also: tuple[str, ...] = (),
    first: int = 1,
    last: int | None = None,
    limit: int = 10_000,
) -> CollectedEvents:
    """Fold the log, and return what a post-mortem of the range is made of."""
    state = PoolState("default", s.rules)
    collector = EventCollector(Scope(task, agent, frozenset(also)), limit)
    for recorded in s.log:
        if recorded.position == first:
            collector.start_from(state)
        if last is not None and recorded.position > last:
            break
        state.fold(recorded)
        if recorded.position >= first:
            collector.observe(recorded, state)
    return collector.collected(state, s.rules)


def found(s: Scenario, **options: Any) -> Postmortem:
    """Return the whole post-mortem."""
    return postmortem(collected(s, **options))


def named(s: Scenario, cause: Cause, **options: Any) -> list[Finding]:
    """Return the findings of one cause."""
    return [each for each in findings(collected(s, **options)) if each.cause is cause]


def causes(s: Scenario, **options: Any) -> set[Cause]:
    """Return every cause that is named."""
    return {each.cause for each in findings(collected(s, **options))}


def working(s: Scenario, task_id: str = "T", *, reports: tuple[float, ...] = (10, 20, 30), **definition: Any) -> int:
    """Given: A holds the task and reported at these times. Returns the token."""
    token = s.holds("A", task_id, **definition)
    for at in reports:
        s.at(at).given("A", "progress", task_id=task_id, token=token, percent=5)
    return token


def done(s: Scenario) -> None:
    """Given: A completed T."""
    s.given("A", "complete", task_id="T", token=s.token("T"))
