"""The page of keys on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.screen import Screen

from custody_top.screens.key_help import help_lines
from custody_top.screens.strips import LinesWidget

if TYPE_CHECKING:
    from textual.app import ComposeResult


class HelpScreen(Screen[None]):
    """Shows the keys until one is pressed."""

    BINDINGS: ClassVar = [
        Binding("escape,q,question_mark,f1,enter", "app.pop_screen", "Back", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Yield the page."""
        page = LinesWidget(id="whole")
        page.show_lines(help_lines())
        yield page
