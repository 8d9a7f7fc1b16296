"""Checks on arguments that several commands take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from domain.limits import NAME_PATTERN, TASK_ID_PATTERN
from domain.subjects import subject_token
from infra.cli.session.command_error import CommandError

if TYPE_CHECKING:
    from infra.cli.session.open_log import OpenLog
    from infra.cli.session.session import Session

TaskArgument = Annotated[str, typer.Argument(help="The task's id.")]


def check_ids(task: str | None, agent: str | None) -> None:
    """Raise CommandError unless a task and an agent could have these names."""
    if task is not None:
        check_task_id(task)
    if agent is not None:
        check_name(agent)


def check_name(name: str) -> None:
    """Raise CommandError unless an agent could have the name."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise CommandError(f"{name!r} is no name: 1 to 64 letters, digits, _ or -")


def check_task_id(task: str) -> None:
    """Raise CommandError unless a task could have the id."""
    if not re.fullmatch(TASK_ID_PATTERN, task):
        raise CommandError(f"{task!r} is no task's id: 1 to 128 printable ASCII characters without blanks")


def check_order(from_: str | None, to: str | None, first: int, last: int) -> None:
    """Raise CommandError if the end of a range is before its beginning; a range of time without events is allowed."""
    if from_ is None or to is None:
        return
    if first > last + 1 or (first > last and from_.isdigit() and to.isdigit()):
        raise CommandError(f"--from {from_} (position {first}) is after --to {to} (position {last})")


async def check_known(session: Session, log: OpenLog, task: str | None, agent: str | None) -> None:
    """Raise CommandError if the pool never had the task or the agent."""
    from handlers.ports import evt_prefix

    pool = session.settings.pool
    for kind, name, verb in (("task", task, "submitted to"), ("agent", agent, "registered in")):
        if name is None:
            continue
        if not await log.last_matching(f"{evt_prefix(pool)}{kind}.{subject_token(name)}.>"):
            raise CommandError(f"no {kind} {name} was {verb} pool {pool}")
