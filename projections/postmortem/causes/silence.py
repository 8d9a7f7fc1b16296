"""Silent holders: silent, never heard, longer than announced, stale; and those that turned out to be alive."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from domain.actors import acting_agent
from domain.events import task as ev
from domain.events.agent import LoadReported
from domain.lifecycles import LeaseStatus
from domain.timestamps import after, seconds_between
from projections.postmortem.causes.finding import Cause, Finding, finding, first_few
from projections.reports.time_text import clock, duration
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from projections.postmortem.observed_events import CollectedEvents, ObservedEvent

_TITLES = {
    Cause.SILENT: "fell silent",
    Cause.NEVER_HEARD: "was granted work and never heard on it",
    Cause.OVERRAN: "stayed silent beyond what it had announced",
    Cause.STALE: "went stale",
    Cause.HARD_CAP: "held on until the lease's longest life was over",
}


def silences(collected: CollectedEvents) -> Iterator[Finding]:
    """Find every judgement of a silent holder. Those of one unbroken silence of an agent are one finding."""
    announced = {
        (observed.recorded.event.token, observed.recorded.event.until)
        for observed in collected.events
        if isinstance(observed.recorded.event, ev.Silenced)
    }
    silence_number: dict[str, int] = {}
    judged: list[tuple[str, int, Cause, ObservedEvent]] = []
    for observed in collected.events:
        event = observed.recorded.event
        if isinstance(event, ev.Expired | ev.Stuck):
            cause = _cause(event, overran=(event.token, event.numbers.last_beat_at) in announced)
            judged.append((event.agent_id, silence_number.get(event.agent_id, 0), cause, observed))
            continue
        agent_id = acting_agent(observed.recorded.actor)
        if agent_id is not None and not isinstance(event, LoadReported):
            silence_number[agent_id] = silence_number.get(agent_id, 0) + 1
    judged.sort(key=lambda each: each[:3])
    for (agent_id, _, cause), group in groupby(judged, key=lambda each: each[:3]):
        yield _finding(cause, agent_id, [observed for *_, observed in group])


def _cause(event: ev.Expired | ev.Stuck, *, overran: bool) -> Cause:
    if isinstance(event, ev.Stuck) and event.cause == "staleness":
        return Cause.STALE
    if event.numbers.hard_cap:
        return Cause.HARD_CAP
    if event.numbers.last_beat_at is None:
        return Cause.NEVER_HEARD
    return Cause.OVERRAN if overran else Cause.SILENT


def _finding(cause: Cause, agent_id: str, group: Sequence[ObservedEvent]) -> Finding:
    tasks = [observed.recorded.entity_id for observed in group]
    holding = f" while it held {count(len(tasks), 'task')}" if len(tasks) > 1 else f" on {tasks[0]}"
    return finding(
        cause,
        group,
        f"{agent_id} {_TITLES[cause]}{'' if cause is Cause.NEVER_HEARD else holding}"
        + (f": {first_few(tasks)}" if len(tasks) > 1 or cause is Cause.NEVER_HEARD else ""),
        [_said(observed) for observed in group],
    )


def _said(observed: ObservedEvent) -> str:
    """Return the numbers of a judgement, and why it was not judged earlier."""
    event = observed.recorded.event
    if not isinstance(event, ev.Expired | ev.Stuck):
        return ""
    numbers = event.numbers
    heard = f"last heard at {clock(numbers.last_beat_at)}" if numbers.last_beat_at else "not heard since the grant"
    parts = [f"{observed.recorded.entity_id}: {heard}, silent for {duration(numbers.silence_s)}"]
    if isinstance(event, ev.Stuck) and event.numbers.stuck_threshold_s is not None:
        parts.append(f"the limit is {duration(event.numbers.stuck_threshold_s)}")
        return "; ".join(parts)
    if numbers.median_interval_s is not None:
        interval = (
            f"reported about every {duration(numbers.median_interval_s)}; × {numbers.silence_multiplier:g}"
            f" tolerates {duration(numbers.tolerated_silence_s)}"
        )
        parts.append(f"{interval}, which does not count at the longest life" if numbers.hard_cap else interval)
    elif numbers.reports:
        parts.append("one report, so no report interval is known that would excuse it")
    parts.append(f"lease until {clock(numbers.expires_at)} + grace {duration(numbers.grace_s)}")
    return f"{'; '.join(parts)}; {_waited_for(numbers)}"


def _waited_for(numbers: ev.SilenceNumbers) -> str:
    """Return what the judgement waited for last."""
    if not numbers.hard_cap and numbers.last_beat_at is not None and numbers.median_interval_s is not None:
        excused = after(numbers.last_beat_at, numbers.tolerated_silence_s)
        if excused > numbers.due_at:
            return f"not judged earlier, because its report interval excused it until {clock(excused)}"
    if numbers.due_at > after(numbers.expires_at, numbers.grace_s):
        return f"not judged earlier, because the pool could not hear its agents: not before {clock(numbers.due_at)}"
    return f"not judged earlier, because its grace lasted until {clock(numbers.due_at)}"


def false_alarms(collected: CollectedEvents) -> Iterator[Finding]:
    """Find holders that were judged silent although they were at work."""
    judged: dict[int, ObservedEvent] = {}
    shown: dict[str, list[tuple[ObservedEvent, str]]] = {}
    for observed in collected.events:
        event = observed.recorded.event
        match event:
            case ev.Expired() | ev.Stuck():
                judged[event.token] = observed
                continue
            case ev.LateProgress() if _expired(observed, event.token):
                said = f"reported {event.kind} after its lease had expired"
            case ev.Completed(late=True):
                said = "completed it after its lease had expired, and no other agent held it since"
            case ev.Recovered():
                said = "was heard again"
            case _:
                continue
        agent_id = getattr(event, "agent_id", None) or _holder(observed)
        before = judged.get(event.token or 0)
        gap = f", {duration(seconds_between(before.at, observed.at))} after it was judged" if before is not None else ""
        shown.setdefault(agent_id, []).append((observed, f"{observed.recorded.entity_id}: {agent_id} {said}{gap}"))
    for agent_id, found in shown.items():
        tasks = [observed.recorded.entity_id for observed, _ in found]
        yield finding(
            Cause.ALIVE,
            [observed for observed, _ in found],
            f"{agent_id} was judged silent on {first_few(tasks)}, but was alive",
            [said for _, said in found],
            "A longer term, a longer grace or more frequent reports would have avoided this.",
        )


def _holder(observed: ObservedEvent) -> str:
    return (observed.after.holder if observed.after is not None else None) or ""


def _expired(observed: ObservedEvent, token: int) -> bool:
    former = observed.after.former if observed.after is not None else ()
    return any(each.token == token and each.ended is LeaseStatus.EXPIRED for each in former)
