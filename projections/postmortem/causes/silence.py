"""Holders that were not heard: silent, never heard, over their announced silence, stale; and those who were alive."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from domain.events import task as ev
from domain.lifecycles import LeaseStatus
from domain.timestamps import after, seconds_between
from projections.postmortem.causes.finding import Cause, Finding, count, finding, some
from projections.reports.time_text import clock, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from projections.postmortem.collect import Collected, Seen

_TITLES = {
    Cause.SILENT: "fell silent",
    Cause.NEVER_HEARD: "was granted work and never heard on it",
    Cause.OVERRAN: "stayed silent beyond what it had announced",
    Cause.STALE: "went stale, and kept its work on a stopped clock",
    Cause.HARD_CAP: "held on until the lease's longest life was over",
}


def silences(collected: Collected) -> Iterator[Finding]:
    """Every judgement of a silent holder; those of one unbroken silence of an agent are one finding."""
    announced = {
        (seen.recorded.event.token, seen.recorded.event.until)
        for seen in collected.seen
        if isinstance(seen.recorded.event, ev.Silenced)
    }
    spell: dict[str, int] = {}
    judged: list[tuple[str, int, Cause, Seen]] = []
    for seen in collected.seen:
        event = seen.recorded.event
        if isinstance(event, ev.Expired | ev.Stuck):
            cause = _cause(event, overran=(event.token, event.numbers.last_beat_at) in announced)
            judged.append((event.agent_id, spell.get(event.agent_id, 0), cause, seen))
            continue
        kind, _, agent_id = seen.recorded.actor.partition("/")
        if kind == "agent":
            spell[agent_id] = spell.get(agent_id, 0) + 1
    judged.sort(key=lambda each: each[:3])
    for (agent_id, _, cause), group in groupby(judged, key=lambda each: each[:3]):
        yield _finding(cause, agent_id, [seen for *_, seen in group])


def _cause(event: ev.Expired | ev.Stuck, *, overran: bool) -> Cause:
    if isinstance(event, ev.Stuck) and event.cause == "staleness":
        return Cause.STALE
    if event.numbers.hard_cap:
        return Cause.HARD_CAP
    if event.numbers.last_beat_at is None:
        return Cause.NEVER_HEARD
    return Cause.OVERRAN if overran else Cause.SILENT


def _finding(cause: Cause, agent_id: str, group: Sequence[Seen]) -> Finding:
    tasks = [seen.recorded.entity_id for seen in group]
    holding = f" while it held {count(len(tasks), 'task')}" if len(tasks) > 1 else f" on {tasks[0]}"
    return finding(
        cause,
        group,
        f"{agent_id} {_TITLES[cause]}{'' if cause is Cause.NEVER_HEARD else holding}"
        + (f": {some(tasks)}" if len(tasks) > 1 or cause is Cause.NEVER_HEARD else ""),
        "",
        [_said(seen) for seen in group],
    )


def _said(seen: Seen) -> str:
    """Return why it was judged then, and not earlier."""
    event = seen.recorded.event
    if not isinstance(event, ev.Expired | ev.Stuck):
        return ""
    numbers = event.numbers
    heard = f"last heard at {clock(numbers.last_beat_at)}" if numbers.last_beat_at else "not heard since the grant"
    parts = [f"{seen.recorded.entity_id}: {heard}, silent for {duration(numbers.silence_s)}"]
    if isinstance(event, ev.Stuck) and event.numbers.stuck_threshold_s is not None:
        parts.append(f"the limit is {duration(event.numbers.stuck_threshold_s)}")
        return "; ".join(parts)
    if numbers.median_interval_s is not None:
        rhythm = (
            f"reported about every {duration(numbers.median_interval_s)}; × {numbers.silence_multiplier:g}"
            f" tolerates {duration(numbers.tolerated_silence_s)}"
        )
        parts.append(f"{rhythm}, not asked at the longest life" if numbers.hard_cap else rhythm)
    elif numbers.reports:
        parts.append("one report, so no rhythm is known that would excuse it")
    parts.append(f"lease until {clock(numbers.expires_at)} + grace {duration(numbers.grace_s)}")
    return f"{'; '.join(parts)}; {_waited_for(numbers)}"


def _waited_for(numbers: ev.SilenceNumbers) -> str:
    """Return what the judgement waited for last."""
    if not numbers.hard_cap and numbers.last_beat_at is not None and numbers.median_interval_s is not None:
        excused = after(numbers.last_beat_at, numbers.tolerated_silence_s)
        if excused > numbers.due_at:
            return f"not judged earlier, for its rhythm excused it until {clock(excused)}"
    if numbers.due_at > after(numbers.expires_at, numbers.grace_s):
        return f"not judged earlier, for the pool itself had been deaf: not before {clock(numbers.due_at)}"
    return f"not judged earlier, for its grace lasted until {clock(numbers.due_at)}"


def alive(collected: Collected) -> Iterator[Finding]:
    """Holders who were judged silent, and were at work all the same."""
    judged: dict[int, Seen] = {}
    shown: dict[str, list[tuple[Seen, str]]] = {}
    for seen in collected.seen:
        event = seen.recorded.event
        match event:
            case ev.Expired() | ev.Stuck():
                judged[event.token] = seen
                continue
            case ev.LateProgress() if _expired(seen, event.token):
                said = f"reported {event.kind} after its lease had expired"
            case ev.Completed(late=True):
                said = "completed it after its lease had expired, and nobody had it since"
            case ev.Recovered():
                said = "was heard again"
            case _:
                continue
        agent_id = getattr(event, "agent_id", None) or _holder(seen)
        before = judged.get(event.token)
        gap = f", {duration(seconds_between(before.at, seen.at))} after it was judged" if before is not None else ""
        shown.setdefault(agent_id, []).append((seen, f"{seen.recorded.entity_id}: {agent_id} {said}{gap}"))
    for agent_id, found in shown.items():
        tasks = [seen.recorded.entity_id for seen, _ in found]
        yield finding(
            Cause.ALIVE,
            [seen for seen, _ in found],
            f"{agent_id} was judged silent on {some(tasks)}, but was alive",
            "A longer term, a longer grace or more frequent reports would have spared this.",
            [said for _, said in found],
        )


def _holder(seen: Seen) -> str:
    lease = seen.after.lease if seen.after is not None else None
    return lease.agent_id if lease is not None else ""


def _expired(seen: Seen, token: int) -> bool:
    former = seen.after.former if seen.after is not None else ()
    return any(each.token == token and each.ended is LeaseStatus.EXPIRED for each in former)
