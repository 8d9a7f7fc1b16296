"""`custody history`: every event of one task."""

from __future__ import annotations

from domain.subjects import subject_token
from handlers.ports import evt_prefix
from infra.cli.commands.arguments import TaskArgument, check_task_id
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_log
from infra.cli.session.session import Session
from infra.cli.terminal.event_lines import show_event


async def history(session: Session, task_id: TaskArgument) -> None:
    """Every event of a task: when, what, who and why, with the numbers it was decided by."""
    check_task_id(task_id)
    pool = session.settings.pool
    async with open_log(session) as log:
        messages = await log.log.history(f"{evt_prefix(pool)}task.{subject_token(task_id)}.>")
    if not messages:
        raise CommandError(f"no task {task_id} was submitted to pool {pool}")
    for message in messages:
        show_event(session.out, log.codec, message, with_subject=False)
