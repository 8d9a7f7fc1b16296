"""The demo on a terminal: a dashboard that follows the feed, on one screen that fits the window.

Colours are the terminal's own green, red and magenta, which are readable on dark and light backgrounds. No information
is in the colour alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from custody_demo.incidents import Incident
from custody_demo.simulated_agents import Condition
from custody_demo.summary import percentile
from domain.lifecycles import AgentStatus, IntakeStatus, TaskStatus
from domain.policies.load_balancing import loads_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from custody_demo.activity_log import ActivityLog, Line
    from custody_demo.demo_context import DemoContext
    from custody_demo.followed_tasks import FollowedTasks
    from custody_demo.simulated_agents import SimulatedAgent
    from handlers.follower.follower import Follower
    from projections.state.pool_state import PoolState

FRAMES_PER_S = 6
LEAST_WIDTH, LEAST_HEIGHT = 80, 22
_HEAD_ROWS, _FOOT_ROWS, _BORDER_ROWS = 2, 2, 2
_TASKS_WIDTH = 24
_AGENT_WIDTH = 26
_RECENT = 200
"""Number of latest commands whose median reply time is shown."""
_STATUSES = (
    (TaskStatus.QUEUED, ""), (TaskStatus.ASSIGNED, ""), (TaskStatus.IN_PROGRESS, ""), (TaskStatus.STUCK, "magenta"),
    (TaskStatus.BLOCKED, "magenta"), (TaskStatus.COMPLETED, "green"), (TaskStatus.FAILED, "red"),
    (TaskStatus.CANCELLED, ""), (TaskStatus.QUARANTINED, "red"),
)  # fmt: skip
_BAD = frozenset({
    Incident.CRASHED, Incident.SILENT, Incident.LOST, Incident.EXPIRED, Incident.FAILED, Incident.DEADLINE,
    Incident.QUARANTINED, Incident.STUCK,
})  # fmt: skip
_GOOD = frozenset({
    Incident.TAKEN_OVER, Incident.LATE_COMPLETION, Incident.STEAL, Incident.RECOVERED, Incident.RESTARTED,
    Incident.UNBLOCKED, Incident.BACK,
})  # fmt: skip
_STATE_STYLES = {"crashed": "red", "lost": "red", "silent": "magenta", "draining": "magenta", "overloaded": "bold"}
_RESCUES = (
    ("expired", Incident.EXPIRED), ("hand-offs", Incident.TAKEN_OVER), ("late refused", Incident.REFUSED),
    ("late accepted", Incident.LATE_COMPLETION), ("stolen", Incident.STOLEN), ("stuck", Incident.STUCK),
)  # fmt: skip
_MISHAPS = (
    ("crashes", Incident.CRASHED), ("silences", Incident.SILENT), ("retries", Incident.RETRIED),
    ("deadlines", Incident.DEADLINE),
)  # fmt: skip


class ScreenView:
    """Redraws the whole screen `FRAMES_PER_S` times a second."""

    def __init__(
        self,
        context: DemoContext,
        follower: Follower,
        followed: FollowedTasks,
        activity: ActivityLog,
        agents: Sequence[SimulatedAgent],
        console: Console,
    ) -> None:
        self._context = context
        self._follower = follower
        self._followed = followed
        self._activity = activity
        self._agents = agents
        self._console = console

    @property
    def _state(self) -> PoolState:
        return self._follower.memory.state

    async def run(self) -> None:
        """Draw until cancelled, then restore the terminal."""
        with Live(self.frame(), console=self._console, screen=True, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(1 / FRAMES_PER_S)
                live.update(self.frame(), refresh=True)

    def frame(self) -> Layout:
        """Return the screen's present content."""
        width, height = self._console.size
        columns = max((width - _TASKS_WIDTH - 4) // _AGENT_WIDTH, 1)
        agent_rows = max(-(-len(self._agents) // columns), len(_STATUSES))
        agent_rows = max(min(agent_rows, (height - _HEAD_ROWS - _FOOT_ROWS) // 2), len(_STATUSES))
        middle = agent_rows + _BORDER_ROWS
        activity_rows = max(height - _HEAD_ROWS - _FOOT_ROWS - middle - _BORDER_ROWS, 1)
        layout = Layout()
        layout.split_column(
            Layout(self._head(width), size=_HEAD_ROWS),
            Layout(name="middle", size=middle),
            Layout(_panel(self._latest(activity_rows), "what happens"), name="activity"),
            Layout(self._counters(), size=_FOOT_ROWS),
        )
        layout["middle"].split_row(
            Layout(_panel(self._tasks(), "tasks"), size=_TASKS_WIDTH),
            Layout(_panel(self._fleet(columns, agent_rows), "agents: tasks held, cpu")),
        )
        return layout

    def _head(self, width: int) -> Group:
        total, at_rest = len(self._context.plan.tasks), self._followed.at_rest
        words = f"{len(self._agents)} agents, {total} tasks, one real broker"
        clock = f"{self._context.elapsed_s():4.1f} s of about {self._context.plan.timings.seconds:g} s "
        first = Table.grid(expand=True)
        first.add_column(ratio=1)
        first.add_column(justify="right")
        first.add_row(Text.assemble((" custody demo  ", "bold"), words), clock)
        done = f" {at_rest} of {total} tasks at rest "
        bar = ProgressBar(
            total=total,
            completed=at_rest,
            width=max(width - len(done) - 2, 10),
            style="dim",
            complete_style="green",
            finished_style="green",
        )
        second = Table.grid()
        second.add_row(" ", bar, done)
        return Group(first, second)

    def _tasks(self) -> Table:
        counts = dict.fromkeys(TaskStatus, 0)
        for task in self._followed.tasks.values():
            counts[task.status] += 1
        table = Table.grid(expand=True)
        table.add_column(ratio=1)
        table.add_column(justify="right")
        for status, style in _STATUSES:
            shown = style if counts[status] else "dim"
            table.add_row(Text(status.value.replace("_", " "), shown), Text(str(counts[status]), shown))
        return table

    def _fleet(self, columns: int, rows: int) -> Table:
        """Return the agents, column by column; agents that do not fit are counted in the last cell."""
        shown = list(self._agents[: columns * rows])
        if len(shown) < len(self._agents):
            shown.pop()
        cells: list[Table | Text] = [self._agent(agent) for agent in shown]
        if len(shown) < len(self._agents):
            cells.append(Text(f"and {len(self._agents) - len(shown)} more", "dim"))
        deep = min(rows, -(-len(cells) // columns))
        table = Table.grid(expand=True, padding=(0, 1))
        for _ in range(columns):
            table.add_column(ratio=1)
        for row in range(deep):
            table.add_row(*(cells[n] if n < len(cells) else "" for n in range(row, columns * deep, deep)))
        return table

    def _agent(self, agent: SimulatedAgent) -> Table:
        known = self._state.agent(agent.name)
        held = self._state.tasks_held(agent.name)
        state = self._condition(agent, held)
        style = _STATE_STYLES.get(state, "dim" if state == "idle" else "")
        cell = Table.grid(expand=True)
        cell.add_column(width=7, no_wrap=True)
        cell.add_column(ratio=1, no_wrap=True)
        cell.add_column(width=3, justify="right", no_wrap=True)
        cell.add_column(width=5, justify="right", no_wrap=True)
        cpu = f"{known.cpu:3.0f}%" if known is not None else ""
        cell.add_row(agent.name, Text(state, style), str(held or "-"), Text(cpu, "dim"))
        return cell

    def _condition(self, agent: SimulatedAgent, held: int) -> str:
        known = self._state.agent(agent.name)
        if known is None:
            return "joining"
        if agent.condition is not Condition.UP:
            return "lost" if known.status is AgentStatus.LOST else agent.condition.value
        if known.intake is IntakeStatus.DRAINING:
            return "draining"
        state = self._state
        cpu = known.cpu_since(loads_since(state.last_time, state.rules.load_valid_s))
        if state.rules.steal.is_overloaded(held, cpu):
            return "overloaded"
        return "working" if held else "idle"

    def _latest(self, rows: int) -> Text:
        lines = list(self._activity.latest)[-rows:]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(_styled(line) for line in lines)

    def _counters(self) -> Text:
        tally = self._activity.tally
        elapsed_s = max(self._context.elapsed_s(), 1.0)
        text = Text(no_wrap=True)
        for counters in (_RESCUES, _MISHAPS):
            for name, kind in counters:
                text.append(f"  {name} ").append(str(tally[kind]), "bold")
            if counters is _RESCUES:
                text.append("\n")
        median_ms = 1000 * percentile(self._context.latencies_s[-_RECENT:], 0.5)
        text.append("  events ").append(f"{self._state.position / elapsed_s:.0f}/s", "bold")
        return text.append("  reply ").append(f"{median_ms:.1f} ms", "bold")


def _styled(line: Line) -> Text:
    style = "red" if line.kind in _BAD else "green" if line.kind in _GOOD else ""
    return Text.assemble((f"{line.at_s:5.1f} ", "dim"), (line.text, style))


def _panel(content: Table | Text, title: str) -> Panel:
    return Panel(content, title=title, title_align="left", box=box.ROUNDED, border_style="dim", padding=(0, 1))
