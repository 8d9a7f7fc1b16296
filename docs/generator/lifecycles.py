"""docs/lifecycles.md: the state machines as diagrams and tables."""

from __future__ import annotations

from typing import Any

from docs.generator.fields import cell, doc_of, enum_member_docs
from domain.lifecycles import AGENT, INTAKE, LEASE, RANK, STEAL, TASK, TaskStatus, TransitionTable

TABLES: dict[str, TransitionTable[Any]] = {
    "Task": TASK,
    "Lease": LEASE,
    "Agent": AGENT,
    "Intake": INTAKE,
    "Steal": STEAL,
}
"""Heading -> table. The heading is the anchor, too."""

_HEAD = """\
# Lifecycles

<!-- Made by `python -m docs.generate` from domain/lifecycles.py; edit that. -->

Each machine is declared once, in `domain/lifecycles.py`. Deciding and folding look transitions up in a table that is
derived from it at import. What is not in a table does not happen: the command is refused with `illegal_transition`, and
an event in the log that breaks the rule is skipped by every fold and named by `custody verify`.

A status that an event does not change is left out of the diagrams and is in the tables.
"""


def lifecycles_page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(_section(name, table) for name, table in TABLES.items())])


def transitions(table: TransitionTable[Any]) -> dict[str, list[tuple[str, str]]]:
    """Return event -> its (from, to), in the order of declaration."""
    found: dict[str, list[tuple[str, str]]] = {}
    for source, event, target in table.items():
        found.setdefault(event, []).append((source.value, target.value))
    # The class's own order: the events are attributes of it.
    return {name: found[name] for name in vars(table.machine) if name in found}


def in_words(pairs: list[tuple[str, str]]) -> str:
    """Return an event's transitions in words, those with the same end together."""
    by_target: dict[str, list[str]] = {}
    unchanged = [source for source, target in pairs if source == target]
    for source, target in pairs:
        if source != target:
            by_target.setdefault(target, []).append(source)
    parts = [f"{', '.join(sources)} → {target}" for target, sources in by_target.items()]
    if unchanged:
        parts.append(f"{', '.join(unchanged)} (no change)")
    return "; ".join(parts)


def _section(name: str, table: TransitionTable[Any]) -> str:
    lines = [f"## {name}", "", doc_of(table.machine), "", "```mermaid", _diagram(table), "```", ""]
    lines += ["| event | from → to |", "|---|---|"]
    lines += [f"| `{event}` | {cell(in_words(pairs))} |" for event, pairs in transitions(table).items()]
    notes = enum_member_docs(table.statuses)
    if notes:
        lines += ["", *(f"- `{status}`: {note}" for status, note in notes.items())]
    if table is TASK:
        lines += ["", _ranks(TaskStatus)]
    return "\n".join([*lines, ""])


def _diagram(table: TransitionTable[Any]) -> str:
    """Return the machine's own rendering, less the arrows that lead back to where they began."""
    lines = f"{table.machine:mermaid}".rstrip().splitlines()
    return "\n".join(line for line in lines if not _is_loop(line))


def _is_loop(line: str) -> bool:
    source, arrow, rest = line.strip().partition(" --> ")
    return bool(arrow) and source == rest.partition(" : ")[0]


def _ranks(statuses: type[TaskStatus]) -> str:
    ranks = ", ".join(f"{status.value} {RANK[status]}" for status in statuses if status in RANK)
    return f"Along the log a task's (attempt, rank) never falls. Ranks: {ranks}."
