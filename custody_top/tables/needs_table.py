"""What needs a person, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from custody_top.lines.ages import short
from custody_top.lines.cells import BAD, ODD
from custody_top.lines.columns import Column
from custody_top.tables.table import Row, Table, Target, said
from domain.timestamps import seconds_between
from projections.live.actions import agent_actions, task_actions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cli.watching.watched_pool import WatchedPool
    from projections.live.live_view import Reading
    from projections.live.needs import Need

_ODD = frozenset({"stalled", "flood", "unworkable", "deadline"})


class NeedsTable(Table):
    """Rows of `Attention.needs`."""

    name = "needs you"
    columns: ClassVar[Sequence[Column]] = (
        Column("what", 11),
        Column("for", 6, right=True),
        Column("task or agent", 13, rank=1),
        Column("title", 12, stretch=2),
        Column("why", 20, stretch=3),
    )
    empty = "nothing needs you"

    def __init__(self) -> None:
        super().__init__()
        self._listed: list[Need] = []
        self._more = 0
        self._watch: WatchedPool | None = None

    def refresh(self, watch: WatchedPool, reading: Reading) -> None:  # noqa: ARG002 - the signature of all tables
        """List what the view found at its last tick."""
        needs, words = watch.view.needs, self.q.casefold().split()
        self._watch, self._more = watch, needs.more
        self._listed = [
            need
            for need in needs.items
            if not words or said(words, need.kind, need.task_id, need.agent_id, need.title, need.detail, need.question)
        ]

    def __len__(self) -> int:
        return len(self._listed)

    @property
    def chosen(self) -> str:
        """How many there are beyond those that are listed."""
        return super().chosen + (f"  and {self._more:,} more" if self._more else "")

    def key(self, place: int) -> str:
        """Return the need's key."""
        return self._listed[place].key

    def row(self, place: int, reading: Reading) -> Row:
        """Return a need's row."""
        need = self._listed[place]
        away_s = seconds_between(need.since, reading.now)
        ahead = need.kind == "deadline" and away_s < 0
        age = f"in {short(-away_s)}" if ahead else short(away_s)
        about = need.task_id or need.agent_id or ""
        title = "" if need.title == need.task_id else need.title
        style = ODD if need.kind in _ODD else BAD
        return Row((need.kind.replace("_", " "), age, about, title, need.question or need.detail), style)

    def target(self, place: int, reading: Reading) -> Target | None:
        """Return the need's task, or its agent."""
        need = self._listed[place]
        task_id = need.task_id or (need.task_ids[0] if need.kind == "unworkable" and need.task_ids else None)
        task = None if task_id is None else reading.state.task(task_id)
        if task is not None:
            title, actions = task.definition.title, task_actions(task.status)
            return Target("task", task.task_id, title, actions, task.holder, task.question)
        row = None
        if need.agent_id is not None and self._watch is not None:
            row = self._watch.view.agents.rows().get(need.agent_id)
        return None if row is None else Target("agent", row["agent_id"], "", agent_actions(row))
