"""What the log says of a task, and of everything as it happens."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from domain.events import EVENT_TYPES, Entity
from domain.limits import NAME_PATTERN
from handlers.memory.lookup import Lookup, fold_task
from handlers.memory.memory import Memory
from handlers.ports import UnreadableEventError
from infra.cli.session.opening import opened
from infra.cli.session.session import CommandError, Session
from infra.cli.terminal.progress import caught_up
from infra.codec import CloudEventsCodec
from infra.nats import evt_prefix
from projections.reports.explain import Explanation, explain
from projections.reports.history_entry import HistoryEntry, history_entry, unreadable_entry
from projections.reports.wording import moment

if TYPE_CHECKING:
    from domain.task import Task
    from handlers.ports import StoredMessage
    from infra.cli.terminal.output import Output
    from infra.nats import NatsEventLog

TaskArgument = Annotated[str, typer.Argument(help="The task's id.")]
_EVENT_NAMES = sorted({event.name for event in EVENT_TYPES.values()})


async def history(session: Session, task_id: TaskArgument) -> None:
    """Every event of a task: when, what, who and why, with the numbers it was decided by."""
    check_name(task_id)
    pool = session.settings.pool
    async with opened(session) as log:
        messages = await log.log.history(f"{evt_prefix(pool)}task.{task_id}.>")
    if not messages:
        raise CommandError(f"no task {task_id} was submitted to pool {pool}")
    codec = CloudEventsCodec(pool)
    for message in messages:
        show_entry(session.out, _told(codec, message), with_subject=False)


async def tail(
    session: Session,
    entity: Annotated[Entity | None, typer.Option(help="Only events about one kind of thing.")] = None,
    event: Annotated[str | None, typer.Option(help="Only events of this name, such as leased.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Only events about this task, agent or operation.")] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Begin behind this position; 0: from the beginning. Default: now")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
) -> None:
    """Show events as they happen, without missing one, until interrupted."""
    if event is not None and event not in _EVENT_NAMES:
        raise typer.BadParameter(f"not one of {', '.join(_EVENT_NAMES)}", param_hint="--event")
    codec = CloudEventsCodec(session.settings.pool)
    async with session.log(live=True) as log:
        last = await log.last_position()
        if after is not None and after > last:
            raise CommandError(f"position {after} is past the end of the log, {last}")
        shown = 0
        async for message in log.follow(after=last if after is None else after):
            kind, about, name = (message.subject.split(".") + [""] * 6)[3:6]
            if (entity is None or kind == entity.value) and event in {None, name} and id_ in {None, about}:
                show_entry(session.out, _told(codec, message))
                shown += 1
                if shown == count:
                    return


async def explain_task(session: Session, task_id: TaskArgument) -> None:
    """Where a task is now, why, and what happens next and when."""
    check_name(task_id)
    pool, rules = session.settings.pool, session.settings.rules()
    codec = CloudEventsCodec(pool)
    now = datetime.now(UTC)
    async with session.log() as log:
        task = await _task(log, codec, pool, task_id)
        memory = Memory(pool, rules, codec, outcomes=0)
        if not task.terminal:
            await caught_up(memory, log, session.out)
            task = memory.state.task(task_id) or task
    told = explain(task, memory.state.pool, rules, now, state=None if task.terminal else memory.state)
    if session.out.as_json:
        session.out.json(told.as_json())
    else:
        _show_explanation(session.out, told, now)


async def _task(log: NatsEventLog, codec: CloudEventsCodec, pool: str, task_id: str) -> Task:
    task = fold_task(await Lookup(pool, log, codec).records((Entity.TASK, task_id)))
    if task is None:
        raise CommandError(f"no task {task_id} was submitted to pool {pool}")
    return task


def check_name(name: str) -> None:
    """Raise CommandError unless a task or an agent could have the name."""
    if not re.match(NAME_PATTERN, name):
        raise CommandError(f"{name!r} is no name: 1 to 64 letters, digits, _ or -")


def _told(codec: CloudEventsCodec, message: StoredMessage) -> HistoryEntry:
    try:
        return history_entry(codec.decode(message))
    except UnreadableEventError as error:
        return unreadable_entry(message.position, message.subject, error.reason)


def show_entry(out: Output, told: HistoryEntry, *, with_subject: bool = True) -> None:
    """Print one event: two lines in a terminal, one elsewhere."""
    if out.as_json:
        out.json_line(told.as_json())
        return
    subject = told.subject if with_subject else ""
    token = f"token {told.token}" if told.token is not None else ""
    if not out.terminal:
        time = told.as_json()["time"] or ""
        parts = (str(told.position), time, subject, told.event, told.actor, told.why, token, told.what)
        out.line("  ".join(part for part in parts if part))
        return
    from rich.text import Text

    from infra.cli.terminal.output import STYLES, printable

    when = moment(told.time) if told.time is not None else ""
    head = Text.assemble(
        (f"{told.position:>7} ", "dim"),
        (f" {when:<21}"),
        (f" {told.event:<13}", STYLES.get(told.event, "bold")),
        *([(f" {printable(subject):<18}", "")] if subject else []),
        (f" {printable(told.actor)}", "cyan"),
        (f"  {printable(told.why)}", "dim"),
        (f"  {token}", "dim"),
    )
    out.console.print(head, soft_wrap=True)
    if told.what:
        from rich.padding import Padding

        out.console.print(Padding(Text(printable(told.what)), (0, 0, 0, 10)))


def _show_explanation(out: Output, told: Explanation, now: datetime) -> None:
    from domain.timestamps import format_timestamp, seconds_between
    from projections.reports.wording import duration

    out.line(f"{told.task_id} is {told.headline}", "bold")
    _list(out, "why", told.why)
    comes = []
    for each in told.next:
        if each.at is None:
            comes.append(each.what)
            continue
        left_s = seconds_between(now, each.at)
        relative = f"in {duration(left_s)}" if left_s >= 0 else f"{duration(-left_s)} ago"
        stamp = moment(each.at) if out.terminal else format_timestamp(each.at)
        comes.append(f"{stamp} ({relative}): {each.what}")
    _list(out, "next", comes)
    _list(out, "budgets", told.budgets)
    if told.candidates:
        rows = [[each.agent_id, each.can, each.why] for each in told.candidates]
        out.line()
        out.table(["agent_id", "can_claim_it", "why"], rows, "who could claim it")


def _list(out: Output, title: str, lines: tuple[str, ...] | list[str]) -> None:
    if not lines:
        return
    out.line()
    out.heading(title)
    for each in lines:
        out.wrapped(each)
