"""One event of a log as lines for a person, or as a line of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.ports import UnreadableEventError
from infra.cli.terminal.output import STYLES
from infra.host.printable import printable
from projections.reports.history_entry import history_entry, unreadable_entry
from projections.reports.time_text import moment

if TYPE_CHECKING:
    from handlers.ports import Codec, StoredMessage
    from infra.cli.terminal.output import Output
    from projections.reports.history_entry import HistoryEntry


def show_event(
    out: Output, codec: Codec, message: StoredMessage, *, with_subject: bool = True, one_line: bool = False
) -> None:
    """Print the event of a message: two lines in a terminal, one elsewhere.

    `one_line`: one line in a terminal too, cut to its width.
    """
    try:
        event = history_entry(codec.decode(message))
    except UnreadableEventError as error:
        event = unreadable_entry(message.position, message.subject, error.reason)
    subject = event.subject if with_subject else ""
    token = f"token {event.token}" if event.token is not None else ""
    if out.as_json:
        out.json_line(event.as_json())
    elif out.terminal and one_line:
        _show_in_one_line(out, event)
    elif out.terminal:
        _show_in_terminal(out, event, subject, token)
    else:
        time = event.as_json()["time"] or ""
        parts = (str(event.position), time, subject, event.event, event.actor, event.why, token, event.what)
        out.line("  ".join(part for part in parts if part))


def _show_in_terminal(out: Output, event: HistoryEntry, subject: str, token: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    when = moment(event.time) if event.time is not None else ""
    head = Text.assemble(
        (f"{event.position:>7} ", "dim"),
        (f" {when:<21}"),
        (f" {printable(event.event):<13}", STYLES.get(event.event, "bold")),
        *([(f" {printable(subject):<18}", "")] if subject else []),
        (f" {printable(event.actor)}", "cyan"),
        (f"  {printable(event.why)}", "dim"),
        (f"  {token}", "dim"),
    )
    out.console.print(head, soft_wrap=True)
    if event.what:
        out.console.print(Padding(Text(printable(event.what)), (0, 0, 0, 10)))


def _show_in_one_line(out: Output, event: HistoryEntry) -> None:
    from rich.text import Text

    when = moment(event.time)[len("2026-") :] if event.time is not None else ""
    line = Text.assemble(
        (f"{event.position:>6} ", "dim"),
        (f"{when:<15} "),
        (f"{event.event:<11} ", STYLES.get(event.event, "bold")),
        (f"{printable(event.subject.removeprefix('task/'))}  "),
        (f"{printable(event.actor.removeprefix('agent/'))}  ", "cyan"),
        (printable(event.what)),
    )
    line.rstrip()
    line.truncate(out.console.width, overflow="ellipsis")
    out.console.print(line, no_wrap=True, crop=True)
