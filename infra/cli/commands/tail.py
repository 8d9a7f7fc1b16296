"""`custody tail`: events as they happen."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.events import Entity
from domain.subjects import shown_id
from infra.cli.commands.arguments import check_events
from infra.cli.session.command_error import CommandError
from infra.cli.session.session import Session
from infra.cli.terminal.event_lines import show_event
from infra.codec import CloudEventsCodec


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
    check_events(() if event is None else (event,))
    codec = CloudEventsCodec(session.settings.pool)
    async with session.log(live=True) as log:
        last = await log.last_position()
        if after is not None and after > last:
            raise CommandError(f"position {after} is past the end of the log, {last}")
        shown = 0
        async for message in log.follow(after=last if after is None else after):
            kind, about, name = (message.subject.split(".") + [""] * 6)[3:6]
            if (entity is None or kind == entity.value) and event in {None, name} and id_ in {None, shown_id(about)}:
                show_event(session.out, codec, message, one_line=True)
                shown += 1
                if shown == count:
                    return
