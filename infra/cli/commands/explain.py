"""`custody explain`: where one task is now, why, and what happens next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.events import Entity
from domain.timestamps import format_timestamp, seconds_between
from handlers.memory.lookup import Lookup, fold_task
from handlers.memory.memory import Memory
from infra.cli.commands.arguments import TaskArgument, check_task_id
from infra.cli.session.command_error import CommandError
from infra.cli.session.rebuilding import fold_log
from infra.cli.session.session import Session
from infra.codec import CloudEventsCodec
from projections.reports.explain import Explanation
from projections.reports.explain import explain as explanation_of
from projections.reports.time_text import duration, moment

if TYPE_CHECKING:
    from domain.task import Task
    from infra.cli.terminal.output import Output
    from infra.nats.event_log import NatsEventLog


async def explain(session: Session, task_id: TaskArgument) -> None:
    """Where a task is now, why, and what happens next and when."""
    check_task_id(task_id)
    pool, rules = session.settings.pool, session.settings.rules()
    codec = CloudEventsCodec(pool)
    now = datetime.now(UTC)
    async with session.log() as log:
        task = await _task(log, codec, pool, task_id)
        memory = Memory(pool, rules, codec, outcomes=0)
        if not task.terminal:
            await fold_log(memory, log, session.out)
            task = memory.state.task(task_id) or task
    explanation = explanation_of(task, memory.state.pool, rules, now, state=None if task.terminal else memory.state)
    if session.out.as_json:
        session.out.json(explanation.as_json())
    else:
        _show(session.out, explanation, now)


async def _task(log: NatsEventLog, codec: CloudEventsCodec, pool: str, task_id: str) -> Task:
    task = fold_task(await Lookup(pool, log, codec).records((Entity.TASK, task_id)))
    if task is None:
        raise CommandError(f"no task {task_id} was submitted to pool {pool}")
    return task


def _show(out: Output, explanation: Explanation, now: datetime) -> None:
    out.line(f"{explanation.task_id} is {explanation.headline}", "bold")
    _show_list(out, "why", explanation.why)
    upcoming = []
    for each in explanation.next:
        if each.at is None:
            upcoming.append(each.what)
            continue
        left_s = seconds_between(now, each.at)
        relative = f"in {duration(left_s)}" if left_s >= 0 else f"{duration(-left_s)} ago"
        stamp = moment(each.at) if out.terminal else format_timestamp(each.at)
        upcoming.append(f"{stamp} ({relative}): {each.what}")
    _show_list(out, "next", upcoming)
    _show_list(out, "budgets", explanation.budgets)
    if explanation.candidates:
        rows = [[each.agent_id, each.can, each.why] for each in explanation.candidates]
        out.line()
        out.table(["agent_id", "can_claim_it", "why"], rows, "who could claim it")


def _show_list(out: Output, title: str, lines: tuple[str, ...] | list[str]) -> None:
    if not lines:
        return
    out.line()
    out.heading(title)
    for each in lines:
        out.wrapped(each)
