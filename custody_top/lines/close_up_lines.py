"""One task or one agent, whole, as lines of a page that is scrolled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from custody_top.lines.ages import since, until
from custody_top.lines.cells import BAD, ODD, QUIET, STRONG, Cell, cut, wrapped
from domain.timestamps import parse_timestamp, seconds_between
from projections.reports.time_text import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from custody_top.lines.cells import Line

MAX_EVENTS = 200
MAX_DOCUMENT_CHARS = 4_000
"""Of a JSON document no more is shown; `custody query task` prints all of it."""
MAX_CANDIDATES = 10


def task_lines(page: Mapping[str, Any], now: datetime, width: int) -> list[Line]:
    """Return a task's page, by `task_page`."""
    task, explained = page["task"], page["explain"]
    lines = _text(f"{task['task_id']}  {task['title']}", width, STRONG)
    lines += _text(f"is {explained['headline']}", width)
    if task["question"]:
        lines += _section("question", [task["question"]], width, ODD)
    lines += _section("why", explained["why"], width)
    lines += _section("next", [_step(each, now) for each in explained["next"]], width)
    lines += _section("budgets", explained["budgets"], width)
    candidates = explained["candidates"]
    could = [f"{each['agent_id']}: {'can' if each['can'] else 'cannot'}, {each['why']}" for each in candidates]
    more = [f"and {len(could) - MAX_CANDIDATES:,} more"] if len(could) > MAX_CANDIDATES else []
    lines += _section("who could claim it", could[:MAX_CANDIDATES] + more, width)
    lines += _section("attempts", [_attempt(each, now) for each in reversed(page["attempts"])], width)
    lines += _handoffs(page["handoffs"], now, width)
    lease, handoff = task["lease"], task["handoff"]
    checkpoint = (lease or {}).get("checkpoint")
    if checkpoint is None:
        checkpoint = (handoff or {}).get("last_checkpoint")
    for title, document in (
        ("checkpoint", checkpoint),
        ("result", (task["outcome"] or {}).get("result")),
        ("payload", task["payload"]),
    ):
        if document is not None:
            lines += _document(title, document, width)
    return lines + _events(page, width)


def agent_lines(
    row: Mapping[str, Any] | None,
    story: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    now: datetime,
    width: int,
) -> list[Line]:
    """Return an agent's page. `row`: of `AgentRows`, None if it is gone; `tasks`: rows of what it holds."""
    if row is None:
        return [*_text("is not registered any more", width, BAD), *_events(story, width)]
    lines = _text(f"{row['agent_id']}", width, STRONG)
    facts = [
        f"is {row['status']}, takes {'work' if row['intake'] == 'open' else 'no work: ' + row['intake']}",
        f"holds {row['held']} of {row['slots']}",
        f"was heard {since(row['heard_at'], now)} ago" if row["heard_at"] else "was not heard yet",
        *([f"counts as silent in {until(row['silent_from'], now)}"] if row["silent_from"] else []),
        *([f"session {row['session']}"] if row["session"] else []),
        f"cpu {row['load']['cpu']:.0f}%, {row['load_status']}" if row["load_at"] else "its load is not known",
        *([f"can {', '.join(row['capabilities'])}"] if row["capabilities"] else []),
        *([f"labels {', '.join(row['labels'])}"] if row["labels"] else []),
    ]
    lines += _section("now", facts, width, BAD if row["tone"] in {"lost", "silent"} else "")
    held = [_held(each, now) for each in tasks]
    return lines + _section("holds", held, width) + _events(story, width)


def _held(task: Mapping[str, Any], now: datetime) -> str:
    heard, ends = since(task["heard_at"], now), until(task["expires_at"], now)
    status = task["status"].replace("_", " ")
    return f"{task['task_id']}  {status} {task['percent']} %, heard {heard} ago, ends in {ends}: {task['title']}"


def _step(step: Mapping[str, Any], now: datetime) -> str:
    if step["at"] is None:
        return str(step["what"])
    left_s = seconds_between(now, parse_timestamp(step["at"]))
    relative = f"in {duration(round(left_s))}" if left_s >= 0 else f"{duration(round(-left_s))} ago"
    return f"{_clock(step['at'])} ({relative}): {step['what']}"


def _attempt(attempt: Mapping[str, Any], now: datetime) -> str:
    percent = "" if attempt["percent"] is None else f" at {attempt['percent']} %"
    until_ = attempt["until"]
    ended = "" if until_ is None else f", ended {_clock(until_)} ({since(until_, now)} ago) by {attempt['end']}"
    why = f": {attempt['why']}" if attempt["why"] else ""
    began = f"{_clock(attempt['from'])} ({since(attempt['from'], now)} ago)"
    return f"{attempt['attempt']}  {attempt['agent_id']}, token {attempt['token']}, from {began}{percent}{ended}{why}"


def _handoffs(handoffs: Sequence[Mapping[str, Any]], now: datetime, width: int) -> list[Line]:
    said = []
    for each in reversed(handoffs):
        note = f": {each['last_note']}" if each["last_note"] else ""
        said.append(
            f"{_clock(each['at'])} ({since(each['at'], now)} ago), after {each['after']}: from {each['from_agent']} at"
            f" {each['progress']} %{note}"
        )
        if each["instructions"]:
            said.append(f"  {each['instructions']}")
    return _section("hand-offs", said, width)


def _document(title: str, document: Any, width: int) -> list[Line]:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    if len(text) > MAX_DOCUMENT_CHARS:
        text = f"{text[:MAX_DOCUMENT_CHARS]}\n… {len(text):,} characters; `custody query task` prints all"
    return _section(title, text.split("\n"), width)


def _events(page: Mapping[str, Any], width: int) -> list[Line]:
    events = list(reversed(page["events"]))[:MAX_EVENTS]
    left_out = page["events_left_out"] + len(page["events"]) - len(events)
    lines: list[Line] = _heading("events")
    for each in events:
        name = each.get("event") or each["kind"]
        what = each.get("what") or each.get("text") or ""
        head = (Cell(f"{each['position']:>8} ", QUIET), Cell(f"{_clock(each['at'])} "), Cell(name, STRONG))
        lines.append(cut((*head, Cell(f" {each['actor'] or ''}", QUIET)), width))
        lines += _text(what, width, indent=9) if what else []
    if left_out:
        lines += _text(f"and {left_out:,} before", width, QUIET)
    return lines


def _section(title: str, said: Iterable[str], width: int, style: str = "") -> list[Line]:
    texts = list(said)
    lines = _heading(title) if texts else []
    for text in texts:
        lines += _text(text, width, style, indent=2)
    return lines


def _heading(title: str) -> list[Line]:
    return [(), (Cell(title.upper(), f"{STRONG}"),)]


def _text(text: str, width: int, style: str = "", indent: int = 0) -> list[Line]:
    blanks = " " * min(indent, width // 2)
    lines = wrapped(text, max(width - len(blanks), 1))
    return [(Cell(blanks + line, style),) for line in lines]


def _clock(text: str) -> str:
    """Return a document's time to the second, without the year."""
    return f"{text[5:10]} {text[11:19]}Z"
