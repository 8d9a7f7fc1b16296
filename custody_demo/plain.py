"""The demonstration as plain lines, for pipes, files and terminals that can do no more."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from custody_demo.happenings import Happening
    from custody_demo.mirror import Mirror
    from custody_demo.story import Line, Story
    from custody_demo.world import World

LINES_A_KIND = 4
"""Lines printed of each kind of happening; the rest is counted in the summary."""
PROGRESS_LINES = 8
"""How often the progress is printed, in all."""


class PlainView:
    """Prints one line for each notable event."""

    def __init__(self, world: World, mirror: Mirror, story: Story, say: Callable[[str], None]) -> None:
        self._world = world
        self._mirror = mirror
        self._say = say
        self._printed: Counter[Happening | None] = Counter()
        story.listener = self._tell

    async def run(self) -> None:
        """Print the progress now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._world.plan.pace.seconds / PROGRESS_LINES)
            total = len(self._world.plan.tasks)
            submitted = len(self._mirror.status_of)
            self._print(
                self._world.elapsed_s(),
                f"[{self._mirror.at_rest} of {total} tasks at rest, {submitted} submitted,"
                f" {self._mirror.state.position} events]",
            )

    def _tell(self, line: Line) -> None:
        self._printed[line.kind] += 1
        printed = self._printed[line.kind]
        if printed > LINES_A_KIND:
            return
        more = " (more of these are only counted)" if printed == LINES_A_KIND else ""
        self._print(line.at_s, line.text + more)

    def _print(self, at_s: float, text: str) -> None:
        self._say(f"{at_s:6.1f} s  {text}")
