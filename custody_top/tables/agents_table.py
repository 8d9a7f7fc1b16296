"""The agents: what each holds, how far it is, and whether it was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from custody_top.lines.ages import since
from custody_top.lines.cells import BAD, ODD, QUIET
from custody_top.lines.columns import Column
from custody_top.tables.table import Row, Table, Target
from projections.live.actions import agent_actions
from projections.live.agent_choice import AGENT_SORTS, AgentFilter, chosen_agents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.cli.watching.watched_pool import WatchedPool
    from projections.live.live_view import Reading

_STYLES = {"lost": BAD, "silent": BAD, "stalled": ODD}


class AgentsTable(Table):
    """Rows of `AgentRows`."""

    name = "agents"
    columns: ClassVar[Sequence[Column]] = (
        Column("agent", 12, stretch=1),
        Column("state", 8),
        Column("slots", 5, right=True),
        Column("heard", 5, right=True),
        Column("cpu", 4, rank=2, right=True),
        Column("%", 3, right=True),
        Column("task", 12, stretch=2),
        Column("last words", 14, rank=1, stretch=3),
        Column("session", 12, rank=3),
    )
    sorts = AGENT_SORTS
    empty = "no agents"

    def __init__(self) -> None:
        super().__init__()
        self._listed: list[Mapping[str, Any]] = []

    def refresh(self, watch: WatchedPool, reading: Reading) -> None:  # noqa: ARG002 - the signature of all tables
        """List the rows as of the view's last tick."""
        wanted = AgentFilter(self.q, self.sort, self.desc)
        self._listed = chosen_agents(watch.view.agents.rows().values(), wanted)

    def __len__(self) -> int:
        return len(self._listed)

    def key(self, place: int) -> str:
        """Return the agent's name."""
        name: str = self._listed[place]["agent_id"]
        return name

    def row(self, place: int, reading: Reading) -> Row:
        """Return an agent's row."""
        row = self._listed[place]
        state, cpu = state_of(row), row["load"]["cpu"]
        cells = (
            row["agent_id"],
            state,
            f"{row['held']}/{row['slots']}",
            since(row["heard_at"], reading.now),
            "" if cpu is None or row["load_at"] is None else f"{cpu:.0f}%",
            row["percent"],
            row["task"] or row["task_id"],
            row["words"],
            row["session"],
        )
        return Row(cells, _STYLES.get(row["tone"], QUIET if state == "idle" else ""))

    def target(self, place: int, reading: Reading) -> Target | None:  # noqa: ARG002 - the signature of all tables
        """Return the agent."""
        row = self._listed[place]
        return Target("agent", row["agent_id"], "", agent_actions(row))


def state_of(row: Mapping[str, Any]) -> str:
    """Return an agent's state in a word: what is wrong with it, else whether it takes work, else what it does."""
    if row["tone"] != "ok":
        return str(row["tone"])
    if row["intake"] != "open":
        return str(row["intake"])
    if row["load_status"] == "overloaded":
        return "overload"
    return "working" if row["held"] else "idle"
