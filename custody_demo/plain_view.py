"""The demo as plain lines, for pipes, files and simple terminals."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from custody_demo.activity_log import ActivityLog, Line
    from custody_demo.demo_context import DemoContext
    from custody_demo.followed_tasks import FollowedTasks
    from custody_demo.incidents import Incident
    from handlers.follower.follower import Follower

LINES_A_KIND = 4
"""Most lines printed for each kind of incident; the summary counts the rest."""
PROGRESS_LINES = 8
"""How often the progress is printed during the whole demo."""


class PlainView:
    """Prints one line for each notable event."""

    def __init__(
        self,
        context: DemoContext,
        follower: Follower,
        followed: FollowedTasks,
        activity: ActivityLog,
        say: Callable[[str], None],
    ) -> None:
        self._context = context
        self._follower = follower
        self._followed = followed
        self._say = say
        self._printed: Counter[Incident | None] = Counter()
        activity.listener = self._on_line

    async def run(self) -> None:
        """Print the progress at regular intervals, until cancelled."""
        while True:
            await asyncio.sleep(self._context.plan.timings.seconds / PROGRESS_LINES)
            total = len(self._context.plan.tasks)
            submitted = len(self._followed.tasks)
            self._print(
                self._context.elapsed_s(),
                f"[{self._followed.at_rest} of {total} tasks at rest, {submitted} submitted,"
                f" {self._follower.position} events]",
            )

    def _on_line(self, line: Line) -> None:
        self._printed[line.kind] += 1
        printed = self._printed[line.kind]
        if printed > LINES_A_KIND:
            return
        more = " (more of these are only counted)" if printed == LINES_A_KIND else ""
        self._print(line.at_s, line.text + more)

    def _print(self, at_s: float, text: str) -> None:
        self._say(f"{at_s:6.1f} s  {text}")
