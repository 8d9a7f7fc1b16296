"""What every screen of top has: the head, the banner over what is not live, the foot, and a place to ask at."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.screen import Screen

from custody_top.forms import KEYS, possible
from custody_top.lines.cells import BAD, GOOD, QUIET, STRONG, Cell
from custody_top.lines.head import banner, head_lines
from custody_top.screens.asking import ActForm, Asked, VerbMenu
from custody_top.screens.help_screen import HelpScreen
from custody_top.screens.strips import LinesWidget
from custody_top.tables.table import Target
from projections.live.actions import POOL_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult
    from textual.widget import Widget

    from custody_top.glance import Glance
    from custody_top.lines.cells import Line
    from custody_top.person_acts import Acting

HEAD_LINES = 2
SAID_TICKS = 20
"""For so many redraws the foot shows what was said."""


class WatchingScreen(Screen[None]):
    """A screen over the pool; the app has it redrawn at each tick."""

    BINDINGS: ClassVar = [
        Binding("question_mark,f1", "help", "Help", show=False),
        Binding("q", "app.quit", "Quit", show=False),
        Binding("a", "menu", "Act", show=False),
        Binding("A", "pool_menu", "Act on the pool", show=False),
        *(Binding(key, f"act('{verb}')", verb, show=False) for key, verb in KEYS.items()),
    ]
    KEYS_HINT: ClassVar[tuple[tuple[str, str], ...]] = ()
    """The keys that the foot names, each with what it does."""

    def __init__(self, acting: Acting) -> None:
        super().__init__()
        self._acting = acting
        self._glance: Glance | None = None
        self._asked: Asked | None = None
        self._said: tuple[str, bool] = ("", True)
        self._said_ticks = 0

    def compose(self) -> ComposeResult:
        """Yield the head, the body and the foot."""
        yield LinesWidget(id="head")
        yield LinesWidget(id="banner")
        yield from self.body()
        yield LinesWidget(id="foot")

    def body(self) -> Iterator[Widget]:
        """Yield what is between head and foot."""
        raise NotImplementedError

    @property
    def target(self) -> Target | None:
        """What the keys of verbs are about."""
        raise NotImplementedError

    def draw_body(self, glance: Glance, height: int) -> None:
        """Draw what is between head and foot, in so many lines."""
        raise NotImplementedError

    def redraw(self, glance: Glance) -> None:
        """Show another glance."""
        self._glance = glance
        self._said_ticks = max(self._said_ticks - 1, 0)
        self.draw()

    def draw(self) -> None:
        """Show the present glance in the room that there is now."""
        glance, width = self._glance, self.size.width
        if glance is None or not self.is_mounted or not width:
            return
        head, over = self.query_one("#head", LinesWidget), self.query_one("#banner", LinesWidget)
        pool = glance.watch.settings.pool
        head.show_lines(head_lines(pool, glance.liveness, glance.strip, glance.completed, glance.now, width))
        warning = banner(glance.liveness, width)
        over.display = warning is not None
        over.show_lines([] if warning is None else [warning])
        asked = 0 if self._asked is None else self._asked.rows
        self.draw_body(glance, max(self.size.height - HEAD_LINES - (warning is not None) - asked - 1, 0))
        self.query_one("#foot", LinesWidget).show_lines([self._foot()])

    def _foot(self) -> Line:
        text, good = self._said
        if text and self._said_ticks:
            return (Cell(f" {text}", f"{STRONG} {GOOD if good else BAD}"),)
        cells = [Cell(" ")]
        for key, does in self.KEYS_HINT:
            if key == "a" and self._acting.only_looks:
                continue
            cells += [Cell(key, STRONG), Cell(f" {does}  ", QUIET)]
        return tuple(cells)

    def say(self, text: str, *, good: bool = True) -> None:
        """Say something at the foot for a while."""
        self._said, self._said_ticks = (text, good), SAID_TICKS
        self.draw()

    async def ask(self, asked: Asked) -> None:
        """Ask something at the foot."""
        await self._stop_asking()
        self._asked = asked
        await self.mount(asked, before="#foot")
        self.draw()

    async def _stop_asking(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            await asked.remove()

    async def on_asked_left(self, left: Asked.Left) -> None:
        """Take the room back from what was asked."""
        left.stop()
        await self._stop_asking()
        self.focus_body()
        if left.said:
            self.say(left.said, good=left.good)
        self.draw()

    def on_asked_grown(self, grown: Asked.Grown) -> None:
        """Give what was asked the lines that it takes."""
        grown.stop()
        self.draw()

    def focus_body(self) -> None:
        """Have keys go to the body."""

    async def on_verb_menu_chosen(self, chosen: VerbMenu.Chosen) -> None:
        """Ask whether the verb is meant."""
        chosen.stop()
        await self._begin(chosen.verb, chosen.target)

    async def action_act(self, verb: str) -> None:
        """Ask whether a verb is meant, for the chosen row."""
        target = self.target
        if target is None:
            self.say("choose a task or an agent first", good=False)
        else:
            await self._begin(verb, target)

    async def action_menu(self) -> None:
        """Ask which verb, for the chosen row."""
        target = self.target
        if target is None or not target.actions:
            self.say("nothing to choose here" if target is None else f"nothing is possible for {target.id}", good=False)
        else:
            await self._begin(None, target)

    async def action_pool_menu(self) -> None:
        """Ask which verb, for the whole pool."""
        await self._begin(None, Target("pool", "", actions=POOL_ACTIONS))

    async def _begin(self, verb: str | None, target: Target) -> None:
        """Ask for the verb, or whether it is meant, if anything may be done."""
        why_not = self._acting.why_not or (None if verb is None else possible(verb, target))
        if why_not is not None:
            await self._stop_asking()
            self.focus_body()
            self.say(why_not, good=False)
        else:
            await self.ask(VerbMenu(target) if verb is None else ActForm(verb, target, self._acting))

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(HelpScreen())

    def on_resize(self) -> None:
        """Use the room that there is now."""
        self.draw()
