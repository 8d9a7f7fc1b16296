"""The summary at the end: outcomes, incidents, and whether the log passed the check."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from custody_demo.incidents import Incident
from custody_demo.log_check import RULES
from domain.lifecycles import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from custody_demo.incidents import Tally
    from custody_demo.log_check import Verdict
    from custody_demo.plan import Plan

_SHOWN = 5
_LABEL_CHARS = 9


class DemoResult(NamedTuple):
    """What a demo run came to."""

    plan: Plan
    verdict: Verdict
    reported: Tally
    """Incidents counted during the run; those that no event records are only here."""
    refusals: Mapping[str, int]
    latencies_s: Sequence[float]
    took_s: float
    durable: bool
    """Whether the broker writes an event to disk before it acknowledges it."""


def summary(result: DemoResult) -> list[str]:
    """Return the summary's lines, none longer than 80 characters as a rule."""
    return [
        *_entry("tasks", _outcomes(result.verdict)),
        *_entry("agents", _agents(result)),
        *_entry("rescue", _rescue(result)),
        *_entry("else", _everyday(result.verdict.tally)),
        *_entry("commands", _commands(result)),
        *_entry("log", _log(result)),
        *_entry("check", _check(result)),
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else 0.0


def _entry(label: str, lines: Sequence[str]) -> list[str]:
    return [f"{label if n == 0 else '':<{_LABEL_CHARS}} {line}" for n, line in enumerate(lines)]


def _outcomes(verdict: Verdict) -> list[str]:
    tally = verdict.tally
    counts = [
        f"{verdict.count(TaskStatus.COMPLETED)} completed",
        f"{verdict.count(TaskStatus.FAILED)} failed",
        f"{verdict.count(TaskStatus.CANCELLED)} cancelled",
        f"{verdict.count(TaskStatus.QUARANTINED)} quarantined",
    ]
    lines = [f"{len(verdict.statuses)} submitted: {', '.join(counts)}"]
    lines.append(
        f"of the failed, {tally[Incident.DEADLINE]} missed their deadline and"
        f" {tally[Incident.FAILED]} used up their failures"
    )
    still_open = verdict.still_open()
    if still_open:
        named = ", ".join(f"{task_id} ({verdict.statuses[task_id]})" for task_id in still_open[:_SHOWN])
        more = f" and {len(still_open) - _SHOWN} more" if len(still_open) > _SHOWN else ""
        lines.append(f"still open when time was up: {named}{more}")
    return lines


def _agents(result: DemoResult) -> list[str]:
    reported, tally = result.reported, result.verdict.tally
    mishaps = f"{reported[Incident.CRASHED]} crashes, {reported[Incident.SILENT]} silences"
    return [
        f"{len(result.plan.agents)} took part: {mishaps}, {tally[Incident.DRAINED]} drained;",
        f"{tally[Incident.LOST]} times one of them counted as lost",
    ]


def _rescue(result: DemoResult) -> list[str]:
    reported, tally = result.reported, result.verdict.tally
    taken_over = reported[Incident.TAKEN_OVER]
    freed = f"{tally[Incident.RECOVERED]} recovered, {tally[Incident.FREED]} freed by the operator"
    return [
        f"{tally[Incident.EXPIRED]} leases expired; {taken_over} hand-offs taken up by a next holder",
        f"{reported[Incident.REFUSED]} late commands refused ({_codes(result.refusals)})",
        f"{tally[Incident.EVIDENCE]} late reports kept as evidence",
        f"{tally[Incident.LATE_COMPLETION]} late completions accepted: the task was not leased again",
        f"{tally[Incident.STOLEN]} tasks stolen for idle agents, in {tally[Incident.STEAL]} moves",
        f"{tally[Incident.STUCK]} found stuck: {freed}",
    ]


def _codes(refusals: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(refusals.items())) or "none"


def _everyday(tally: Tally) -> list[str]:
    blocked = f"{tally[Incident.BLOCKED]} blocked and {tally[Incident.UNBLOCKED]} of them unblocked"
    return [
        f"{tally[Incident.RETRIED]} failures retried, {tally[Incident.RELEASED]} tasks given back half-done",
        f"{blocked}, {tally[Incident.ANNOUNCED]} quiet spells announced",
    ]


def _commands(result: DemoResult) -> list[str]:
    times = result.latencies_s
    median_ms = 1000 * statistics.median(times) if times else 0.0
    return [
        f"{len(times)} answered; median {median_ms:.1f} ms, p99 {1000 * percentile(times, 0.99):.1f} ms",
        "as their senders saw it; all agents and the service share one process",
    ]


def _log(result: DemoResult) -> list[str]:
    events = result.verdict.events
    lines = [f"{events} events in {result.took_s:.0f} s, {events / max(result.took_s, 1e-9):.0f} a second"]
    return [*lines, "each on disk before it was acknowledged"] if result.durable else lines


def _check(result: DemoResult) -> list[str]:
    verdict = result.verdict
    if not verdict.ok:
        return [
            f"FAILED: {verdict.findings[0]}",
            *([f"and {len(verdict.findings) - 1} more findings"] if len(verdict.findings) > 1 else []),
        ]
    return [
        f"passed: all {verdict.events} events read back from the broker;",
        f"every one of the {len(verdict.statuses)} tasks is accounted for, nothing is lost;",
        f"{RULES[0]}; {RULES[1]};",
        f"{RULES[2]}; {RULES[3]};",
        f"{RULES[4]};",
        "the service's memory equals the fold of the log",
    ]
