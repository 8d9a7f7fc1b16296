"""The first screen: what needs a person, the agents and the tasks, one under the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from custody_top.screens.asking import FilterLine
from custody_top.screens.close_up_screen import CloseUpScreen
from custody_top.screens.table_view import TableView
from custody_top.screens.watching_screen import WatchingScreen
from custody_top.tables.agents_table import AgentsTable
from custody_top.tables.needs_table import NeedsTable
from custody_top.tables.tasks_table import TasksTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.widget import Widget

    from custody_top.glance import Glance
    from custody_top.person_acts import Acting
    from custody_top.tables.table import Target
    from infra.cli.watching.watched_pool import WatchedPool

NEEDS_SHARE = 4
"""What needs a person takes at most a quarter of the lines; the others share the rest."""


class PoolScreen(WatchingScreen):
    """Three tables."""

    BINDINGS: ClassVar = [
        Binding("tab", "next_table", show=False, priority=True),
        Binding("shift+tab", "next_table(-1)", show=False, priority=True),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "end(0)", show=False),
        Binding("end,G", "end(1)", show=False),
        Binding("enter", "open", show=False),
        Binding("slash", "filter", show=False),
        Binding("s", "sort", show=False),
        Binding("S", "turn_round", show=False),
        Binding("f", "status", show=False),
        Binding("w", "of_agent", show=False),
        Binding("z", "zoom", show=False),
    ]
    KEYS_HINT = (
        ("Tab", "table"), ("Enter", "open"), ("/", "filter"), ("s", "sort"), ("f", "status"),
        ("a", "act"), ("?", "help"), ("q", "quit"),
    )  # fmt: skip

    def __init__(self, acting: Acting, watch: WatchedPool) -> None:
        super().__init__(acting)
        self._watch = watch
        self._tasks_table = TasksTable(watch.clock)
        self.needs = TableView(NeedsTable(), with_columns=False)
        self.agents = TableView(AgentsTable())
        self.tasks = TableView(self._tasks_table)
        self._views = (self.needs, self.agents, self.tasks)
        self._chosen_view = self.agents
        self._zoomed = False

    def body(self) -> Iterator[Widget]:
        """Yield the tables."""
        yield from self._views

    def on_mount(self) -> None:
        """Begin with the agents."""
        self._chosen_view.focus()

    def focus_body(self) -> None:
        """Have keys go to the table that had them last."""
        self._chosen_view.focus()

    @property
    def target(self) -> Target | None:
        """What the chosen row is about."""
        return self._chosen_view.target

    def draw_body(self, glance: Glance, height: int) -> None:
        """Share the lines among the tables, and draw them."""
        for view in self._views:
            view.take(glance)
        for view, lines in zip(self._views, self._shares(height), strict=True):
            if view.styles.height is None or view.styles.height.value != lines:
                view.styles.height = lines
                view.display = lines > 0
            view.draw()

    def _shares(self, height: int) -> list[int]:
        if self._zoomed:
            return [height if view is self._chosen_view else 0 for view in self._views]
        most = [view.chrome + max(len(view.table), 1) for view in self._views]
        needs = min(most[0] if len(self.needs.table) else 1, max(height // NEEDS_SHARE, 1))
        rest = height - needs
        agents = min(most[1], max(rest // 2, rest - most[2]))
        return [needs, agents, rest - agents]

    def action_next_table(self, step: int = 1) -> None:
        """Have keys go to the next table."""
        if self._asked is not None:
            (self.focus_next if step > 0 else self.focus_previous)()
            return
        place = (self._views.index(self._chosen_view) + step) % len(self._views)
        self._chosen_view = self._views[place]
        self._chosen_view.focus()
        self.draw()

    def action_move(self, rows: int) -> None:
        """Choose another row."""
        self._chosen_view.move(rows)

    def action_page(self, pages: int) -> None:
        """Choose a row a screen further."""
        self._chosen_view.move(pages * max(self._chosen_view.room - 1, 1))

    def action_end(self, last: int) -> None:
        """Choose the first or the last row."""
        self._chosen_view.choose(len(self._chosen_view.table) if last else 0)

    def action_open(self) -> None:
        """Open what the chosen row is about."""
        target = self.target
        if target is not None:
            self.app.push_screen(CloseUpScreen(self._acting, self._watch, target))

    async def action_filter(self) -> None:
        """Ask for the words that rows have."""
        table = self._chosen_view.table

        def use(words: str) -> None:
            table.q = words
            self.draw()

        await self.ask(FilterLine(table.q, use))

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._chosen_view.table.next_sort()
        self.draw()

    def action_turn_round(self) -> None:
        """Sort the other way round."""
        table = self._chosen_view.table
        table.desc = not table.desc and bool(table.sorts)
        self.draw()

    def action_status(self) -> None:
        """Choose tasks by the next status."""
        self._tasks_table.next_status()
        self.draw()

    def action_of_agent(self) -> None:
        """List only the chosen agent's tasks, or all again."""
        target, table = self.target, self._tasks_table
        agent_id = None if target is None else target.id if target.kind == "agent" else target.holder
        table.agent_id = agent_id if table.agent_id is None else None
        self.draw()

    def action_zoom(self) -> None:
        """Give all lines to one table, or to all again."""
        self._zoomed = not self._zoomed
        self.draw()
