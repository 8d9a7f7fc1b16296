"""Which agents' rows are listed, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from projections.live.agent_rows import TONES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Row = Mapping[str, Any]

AGENT_SORTS = ("tone", "agent_id", "held", "percent", "heard_at", "load")
"""What agents can be sorted by; `tone`: those that need a look come first. Rows without a value come last."""


class AgentFilter(NamedTuple):
    """Which agents are listed."""

    q: str = ""
    """Words that each occur in the name, a capability, a label, a held task's id or its title; in any case."""
    sort: str = "tone"
    """One of `AGENT_SORTS`."""
    desc: bool = False


def chosen_agents(rows: Iterable[Row], wanted: AgentFilter) -> list[Row]:
    """Return the rows of `AgentRows` that fit, sorted; of equal ones by name."""
    words = wanted.q.casefold().split()
    found = [row for row in rows if _says(row, words)] if words else list(rows)
    found.sort(key=lambda row: row["agent_id"])
    key_of = _KEYS[wanted.sort]
    with_key = [row for row in found if key_of(row) is not None]
    without = [row for row in found if key_of(row) is None]
    with_key.sort(key=key_of, reverse=wanted.desc)
    return with_key + without


def _says(row: Row, words: list[str]) -> bool:
    held = (text for task in row["holds"] for text in (task["task_id"], task["title"]))
    text = "\n".join((row["agent_id"], *row["capabilities"], *row["labels"], *held)).casefold()
    return all(word in text for word in words)


_BY_TONE = {tone: place for place, tone in enumerate(reversed(TONES))}
_KEYS: dict[str, Callable[[Row], Any]] = {
    "tone": lambda row: (_BY_TONE[row["tone"]], not row["held"]),
    "agent_id": lambda row: row["agent_id"],
    "held": lambda row: row["held"],
    "percent": lambda row: row["percent"],
    "heard_at": lambda row: row["heard_at"],
    "load": lambda row: row["load"]["cpu"],
}
