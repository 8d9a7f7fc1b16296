"""One task or one agent on the screen, whole; it follows what happens to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding

from custody_top.lines.cells import BAD, QUIET, Cell
from custody_top.lines.close_up_lines import agent_lines, task_lines
from custody_top.screens.strips import LinesWidget
from custody_top.screens.watching_screen import WatchingScreen
from custody_top.tables.table import Target
from domain.task import Task
from handlers.ports import LogError
from infra.cli.watching.watched_pool import UnwatchedError
from infra.nats.broker_errors import BrokerError
from projections.live.actions import agent_actions, task_actions
from projections.live.task_rows import task_row
from projections.live.task_story import task_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from textual.widget import Widget

    from custody_top.glance import Glance
    from custody_top.lines.cells import Line
    from custody_top.person_acts import Acting
    from infra.cli.watching.watched_pool import WatchedPool

MAX_HELD = 50


class CloseUpScreen(WatchingScreen):
    """The page of one task or one agent."""

    BINDINGS: ClassVar = [
        Binding("escape,backspace,left", "app.pop_screen", show=False),
        Binding("up,k", "scroll_by(-1)", show=False),
        Binding("down,j", "scroll_by(1)", show=False),
        Binding("pageup", "scroll_pages(-1)", show=False),
        Binding("pagedown,space", "scroll_pages(1)", show=False),
        Binding("home,g", "scroll_by(-1000000)", show=False),
        Binding("end,G", "scroll_by(1000000)", show=False),
    ]
    KEYS_HINT = (("Escape", "back"), ("↑↓ PgUp PgDn", "scroll"), ("a", "act"), ("?", "help"), ("q", "quit"))

    def __init__(self, acting: Acting, watch: WatchedPool, target: Target) -> None:
        super().__init__(acting)
        self._watch = watch
        self._about = target
        self._first = 0
        self._page: Mapping[str, Any] | None = None
        self._trouble = ""
        self._reading: asyncio.Task[None] | None = None
        self._read_at = -1
        """The position of which the page is."""

    def body(self) -> Iterator[Widget]:
        """Yield the page."""
        yield LinesWidget(id="page")

    @property
    def target(self) -> Target:
        """What the page is about, as it is now."""
        about, watch = self._about, self._watch
        if watch.feed is None:
            return about
        if about.kind == "agent":
            row = watch.view.agents.rows().get(about.id)
            return about._replace(actions=() if row is None else agent_actions(row))
        task = watch.follower.memory.state.task(about.id)
        if task is None:
            return about
        return about._replace(actions=task_actions(task.status), holder=task.holder, question=task.question)

    def redraw(self, glance: Glance) -> None:
        """Show another glance, and read the page anew if something happened."""
        changed = glance.reading is not None and glance.reading.state.position != self._read_at
        if changed and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read())
        super().redraw(glance)

    def on_unmount(self) -> None:
        """Read no further."""
        if self._reading is not None:
            self._reading.cancel()

    def draw_body(self, glance: Glance, height: int) -> None:
        """Draw the lines that are seen."""
        view = self.query_one("#page", LinesWidget)
        view.styles.height = height
        lines = self._lines(glance, self.size.width - 2)
        self._first = max(min(self._first, len(lines) - height), 0)
        seen = lines[self._first : self._first + height]
        view.show_lines([(Cell(" "), *line) for line in seen], "" if glance.liveness.live else QUIET)

    def action_scroll_by(self, lines: int) -> None:
        """Scroll so many lines down."""
        self._first = max(self._first + lines, 0)
        self.draw()

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll so many screens down."""
        self.action_scroll_by(pages * max(self.query_one("#page").size.height - 1, 1))

    def _lines(self, glance: Glance, width: int) -> list[Line]:
        page = self._page
        trouble: list[Line] = [(Cell(self._trouble, BAD),)] if self._trouble else []
        if page is None:
            return trouble or [(Cell(f"reading {self._about.id} …", QUIET),)]
        if self._about.kind == "task":
            return trouble + task_lines(page, glance.now, width)
        return trouble + agent_lines(page["row"], page["story"], page["tasks"], glance.now, width)

    async def _read(self) -> None:
        """Read the page from memory and the log."""
        try:
            position = self._watch.follower.position
            page = await (self._task_page() if self._about.kind == "task" else self._agent_page())
        except (LogError, BrokerError, UnwatchedError) as error:
            self._trouble = f"cannot be read now: {error}"
        else:
            self._trouble = "" if page is not None else f"{self._about.id} is not known"
            self._page, self._read_at = page, position
        self.draw()

    async def _task_page(self) -> Mapping[str, Any] | None:
        reading = self._watch.reading()
        found = await self._watch.close_ups.task(self._about.id, reading.state)
        if found is None:
            return None
        return task_page(found.task, found.story, reading.state, reading.now)

    async def _agent_page(self) -> Mapping[str, Any] | None:
        reading = self._watch.reading()
        state, agent_id = reading.state, self._about.id
        found = await self._watch.close_ups.agent(agent_id, state)
        if found is None:
            return None
        held = [state.task(task_id) for task_id in state.held_by(agent_id)][:MAX_HELD]
        return {
            "row": self._watch.view.agents.rows().get(agent_id),
            "story": found.story.document(),
            "tasks": [task_row(task, state, reading.now) for task in held if isinstance(task, Task)],
        }
