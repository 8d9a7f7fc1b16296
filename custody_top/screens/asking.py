"""What is asked at the foot of a screen: the words to filter by, which verb, and whether it is meant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from custody_top.forms import KEY_OF, KEYS, form_of
from custody_top.lines.cells import BAD, QUIET, STRONG, Cell, wrapped
from custody_top.person_acts import Came
from custody_top.screens.strips import LinesWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events
    from textual.app import ComposeResult

    from custody_top.forms import Form
    from custody_top.lines.cells import Line
    from custody_top.person_acts import Acting, Outcome
    from custody_top.tables.table import Target

MAX_TYPED_CHARS = 4_000
MAX_QUESTION_LINES = 6


class Asked(Vertical):
    """Something that is asked; Escape leaves it."""

    BINDINGS: ClassVar = [Binding("escape", "leave", "Leave", show=False, priority=True)]

    class Left(Message):
        """It is over. `said`: what came of it, if anything."""

        def __init__(self, said: str = "", *, good: bool = True) -> None:
            super().__init__()
            self.said = said
            self.good = good

    class Grown(Message):
        """It takes another number of lines now."""

    @property
    def rows(self) -> int:
        """How many lines it takes."""
        return 1

    def action_leave(self) -> None:
        """Do nothing."""
        self.post_message(self.Left())


class Typed(Horizontal):
    """One line to type in, behind a label."""

    def __init__(self, label: str, value: str = "", name: str = "") -> None:
        """`value`: what is there at first; the first key replaces it."""
        super().__init__()
        self._label = label
        self.input = Input(value, compact=True, max_length=MAX_TYPED_CHARS, name=name)

    def compose(self) -> ComposeResult:
        """Yield the label and the input."""
        label = LinesWidget()
        label.styles.width = len(self._label) + 3
        label.show_lines([(Cell(f" {self._label}:", QUIET),)])
        yield label
        yield self.input


class FilterLine(Asked):
    """Asks for the words that listed rows have; they are used as they are typed."""

    def __init__(self, value: str, use: Callable[[str], None]) -> None:
        super().__init__()
        self._before = value
        self._use = use
        self._typed = Typed("filter, Enter keeps it, Escape drops it", value)

    def compose(self) -> ComposeResult:
        """Yield the line."""
        yield self._typed

    def on_mount(self) -> None:
        """Begin to type."""
        self._typed.input.focus()

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Use what is typed."""
        self._use(changed.value)

    def on_input_submitted(self) -> None:
        """Keep it."""
        self.post_message(self.Left())

    def action_leave(self) -> None:
        """Drop it."""
        self._use("")
        self.post_message(self.Left())


class VerbMenu(Asked, can_focus=True):
    """Asks which verb of those that are possible."""

    class Chosen(Message):
        """A verb was chosen."""

        def __init__(self, verb: str, target: Target) -> None:
            super().__init__()
            self.verb = verb
            self.target = target

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def compose(self) -> ComposeResult:
        """Yield the verbs with their keys."""
        cells = [Cell(f" {self.target.id or 'the pool'}: ", STRONG)]
        for verb in self.target.actions:
            cells += [Cell(KEY_OF[verb], f"{STRONG} reverse"), Cell(f" {verb}  ")]
        line = LinesWidget()
        line.show_lines([(*cells, Cell("Escape leaves", QUIET))])
        yield line

    def on_mount(self) -> None:
        """Wait for a key."""
        self.focus()

    def on_key(self, event: events.Key) -> None:
        """Take the key of a verb."""
        verb = KEYS.get(event.key)
        if verb is not None and verb in self.target.actions:
            event.stop()
            self.post_message(self.Chosen(verb, self.target))


class ActForm(Asked):
    """Asks whether something is meant, and why; sends it, and says what came of it."""

    def __init__(self, verb: str, target: Target, acting: Acting) -> None:
        super().__init__()
        self.form: Form = form_of(verb, target)
        self._acting = acting
        self._typed = [Typed(field.label, name=field.name) for field in self.form.fields]
        self._command_id: str | None = None
        """Of the command whose outcome is not known: it is sent again under the same id."""
        self._outcome: Outcome | None = None
        self._sending: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """Yield the question, what is typed in, and what came of it."""
        yield LinesWidget(id="question")
        yield from self._typed
        yield LinesWidget(id="outcome")

    @property
    def rows(self) -> int:
        """How many lines it takes."""
        return len(self._question()) + len(self._typed) + len(self._outcome_lines())

    def on_mount(self) -> None:
        """Begin with the first field."""
        self._typed[0].input.focus()

    def on_resize(self) -> None:
        """Show the question."""
        self._draw()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Go to the next field, or do it."""
        submitted.stop()
        inputs = [each.input for each in self._typed]
        place = inputs.index(submitted.input)
        if place + 1 < len(inputs):
            inputs[place + 1].focus()
        elif self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def on_unmount(self) -> None:
        """A command that is under way goes on without its form."""
        self._sending = None

    async def _send(self) -> None:
        typed = {each.input.name or "": each.input.value for each in self._typed}
        fields = self.form.command(typed)
        if self._command_id is not None:
            fields["command_id"] = self._command_id
        self._outcome = None
        self._draw()
        outcome = await self._acting.act(self.form.verb, fields)
        self._sending = None
        if outcome.came is Came.DONE:
            self.post_message(self.Left(outcome.text))
            return
        self._outcome, self._command_id = outcome, outcome.command_id
        self._draw()

    def _question(self) -> list[Line]:
        width = max(self.size.width - 2, 20)
        does = wrapped(self.form.does, width)[: MAX_QUESTION_LINES - 1]
        return [(Cell(f" {self.form.question}", STRONG),), *((Cell(f" {each}"),) for each in does)]

    def _outcome_lines(self) -> list[Line]:
        outcome = self._outcome
        name = self._acting.person
        on_record = f"on record as {name}" if name else "on record without a name"
        if outcome is None:
            return [(Cell(f" Enter does it, {on_record}; Escape leaves it", QUIET),)]
        again = "Enter asks again" if outcome.came is Came.UNKNOWN else "Enter tries again"
        width = max(self.size.width - 2, 20)
        said = wrapped(outcome.text, width)[:MAX_QUESTION_LINES]
        return [*((Cell(f" {each}", BAD),) for each in said), (Cell(f" {again}; Escape leaves it", QUIET),)]

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        question, outcome = self.query_one("#question", LinesWidget), self.query_one("#outcome", LinesWidget)
        asked = self._question()
        said: Sequence[Line] = [(Cell(" sending …", STRONG),)] if self._sending else self._outcome_lines()
        question.styles.height, outcome.styles.height = len(asked), len(said)
        self.styles.height = len(asked) + len(self._typed) + len(said)
        question.show_lines(asked)
        outcome.show_lines(said)
        self.post_message(self.Grown())
