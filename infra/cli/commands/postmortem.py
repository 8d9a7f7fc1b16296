"""`custody postmortem`: what happened to a task, to an agent or in a range of time, as one page that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.subjects import subject_token
from infra.cli.commands.arguments import check_ids, check_known
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_log
from infra.cli.session.open_log import FromOption, ToOption
from infra.cli.session.postmortem_page import make_page
from infra.cli.session.session import Session
from infra.cli.terminal.output import print_error
from infra.host.atomic_file import FileWriteError, atomic_file

if TYPE_CHECKING:
    from infra.cli.session.postmortem_page import MadePage

MOST_EVENTS = 10_000
_EVENTS = 3_000


async def postmortem(
    session: Session,
    *,
    task: Annotated[str | None, typer.Option(help="What happened to this task.")] = None,
    agent: Annotated[str | None, typer.Option(help="What happened to this agent and the tasks that it held.")] = None,
    from_: FromOption = None,
    to: ToOption = None,
    output: Annotated[
        Path | None, typer.Option(help="The file to write. Default: postmortem-<what>.html here.", show_default=False)
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=MOST_EVENTS, help="At most so many events are shown.", show_default=True)
    ] = _EVENTS,
) -> None:
    """Write what happened as one page: a timeline, the causes that can be named, and what the rules said."""
    check_ids(task, agent)
    async with open_log(session) as log:
        span = await log.positions(from_, to)
        await check_known(session, log, task, agent)
        made = await make_page(session, log, task, agent, span, limit)
    file = output or Path(f"postmortem-{subject_token(task or agent or session.settings.pool)}.html")
    try:
        with atomic_file(file) as path:
            path.write_text(made.html, encoding="utf-8")
    except FileWriteError as error:
        raise CommandError(str(error)) from None
    _show_result(session, file, made)


def _show_result(session: Session, file: Path, made: MadePage) -> None:
    size = len(made.html.encode())
    if session.out.as_json:
        session.out.json({"file": str(file), "bytes": size, "events": made.events, "left_out": made.left_out})
        return
    session.out.line(f"{file}: {made.events} events, {size // 1024} KiB")
    if made.left_out:
        print_error(f"{made.left_out} events are left out, repeats first; narrow the range, or raise --limit")
