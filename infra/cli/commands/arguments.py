"""Checks on arguments that several commands take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from domain.limits import NAME_PATTERN, TASK_ID_PATTERN
from domain.subjects import subject_token
from infra.cli.framework.options import why_no_id
from infra.cli.session.command_error import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        raise CommandError(why_no_id(name, NAME_PATTERN))


def check_events(names: Iterable[str]) -> None:
    """Raise BadParameter unless all of these are names of events."""
    from domain.events import EVENT_TYPES

    known = {event.name for event in EVENT_TYPES.values()}
    if not known.issuperset(names):
        raise typer.BadParameter(f"not one of {', '.join(sorted(known))}", param_hint="--event")


def check_task_id(task: str) -> None:
    """Raise CommandError unless a task could have the id."""
    if not re.fullmatch(TASK_ID_PATTERN, task):
        raise CommandError(why_no_id(task, TASK_ID_PATTERN))


async def check_known(session: Session, log: OpenLog, task: str | None, agent: str | None) -> None:
    """Raise CommandError if the pool never had the task or the agent."""
    from handlers.ports import evt_prefix

    pool = session.settings.pool
    for kind, name, verb in (("task", task, "submitted to"), ("agent", agent, "registered in")):
        if name is None:
            continue
        if not await log.last_matching(f"{evt_prefix(pool)}{kind}.{subject_token(name)}.>"):
            raise CommandError(f"no {kind} {name} was {verb} pool {pool}")
