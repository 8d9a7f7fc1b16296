"""The textual application: the screens, and the tick that redraws the one that is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding

from custody_top.glance import Glances
from custody_top.screens.pool_screen import PoolScreen
from custody_top.screens.watching_screen import WatchingScreen

if TYPE_CHECKING:
    from custody_top.person_acts import Acting
    from infra.cli.watching.watched_pool import WatchedPool

REDRAWN_EVERY_S = 0.5
IDLE_TICKS = 2
"""Without an event, it is redrawn every so-many-th time: what time alone changes."""


class TopApp(App[None]):
    """Top on a terminal: its own 16 colours, no mouse, no animation."""

    CSS = """
    Screen { layout: vertical; overflow: hidden hidden; background: ansi_default; color: ansi_default; }
    LinesWidget { height: 1; width: 1fr; background: ansi_default; }
    #head { height: 2; }
    #page { height: 1fr; }
    #whole { height: 1fr; }
    #question, #outcome { height: 1; }
    Asked { height: auto; background: ansi_default; }
    FilterLine, VerbMenu { height: 1; }
    Typed { height: 1; }
    Typed Input { width: 1fr; background: ansi_default; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(self, watch: WatchedPool, acting: Acting, *, redrawn_every_s: float | None = REDRAWN_EVERY_S) -> None:
        """`redrawn_every_s`: None: only by `redraw`."""
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self._watch = watch
        self._ticks = 0
        self._glances = Glances(watch)
        self._redrawn_every_s = redrawn_every_s
        self.pool_screen = PoolScreen(acting, watch)

    def on_mount(self) -> None:
        """Show the pool, and begin to redraw."""
        self.push_screen(self.pool_screen)
        if self._redrawn_every_s is not None:
            self.set_interval(self._redrawn_every_s, self._tick)
        self.call_after_refresh(self.redraw)

    def _tick(self) -> None:
        self._ticks += 1
        if self._watch.changed or self._ticks % IDLE_TICKS == 0:
            self.redraw()

    def redraw(self) -> None:
        """Look at the pool again, and show it on the screen that is seen."""
        glance = self._glances.take()
        if isinstance(self.screen, WatchingScreen):
            self.screen.redraw(glance)
