"""`custody <verb>`: every command of an operator."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.commands import OPS_COMMANDS
from infra.cli.commands.request_command import request_body, request_command, send_request
from infra.cli.terminal.reply_text import show_reply

if TYPE_CHECKING:
    from infra.cli.session.session import Session

_ACTOR = inspect.Parameter(
    "actor",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[str | None, typer.Option("--actor", help="Who you are; recorded as ops/<actor>.")],
)


def ops_command(verb: str) -> Any:
    """Return the command of an operator's verb."""
    model = OPS_COMMANDS[verb]

    async def run(session: Session, **values: Any) -> None:
        actor = values.pop("actor")
        await send_request(session, f"ops.{verb}", request_body(model, values), show_reply, actor=actor)

    return request_command(verb, model, run, last=[_ACTOR])
