"""`custody <verb>`: every command of an operator."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.commands.operator_commands import OPS_COMMANDS
from infra.cli.commands.request_command import request_body, request_command, send_request
from infra.cli.terminal.reply_text import show_reply
from infra.host.user import user_name

if TYPE_CHECKING:
    from infra.cli.session.session import Session

_ACTOR = inspect.Parameter(
    "actor",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        str | None, typer.Option("--actor", help="Who you are; recorded as ops/<actor>. Default: your user's name.")
    ],
)
_POOL_WIDE = inspect.Parameter(
    "pool_wide",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[bool | None, typer.Option("--pool-wide", help="Mean the whole pool.")],
)
_ASK_POOL_WIDE = frozenset({"drain", "pause"})
"""Without an agent they stop the whole pool, which has to be said."""


def ops_command(verb: str) -> Any:
    """Return the command of an operator's verb."""
    model = OPS_COMMANDS[verb]
    asks_pool_wide = verb in _ASK_POOL_WIDE

    async def run(session: Session, **values: Any) -> None:
        actor = values.pop("actor")
        pool_wide = values.pop("pool_wide", None)
        body = request_body(model, values)
        if asks_pool_wide and bool(pool_wide) is ("agent_id" in body):
            message = (
                "excludes an agent"
                if pool_wide
                else f"needed to {verb} the whole pool; or name the agent, as AGENT_ID or as --agent-id"
            )
            raise typer.BadParameter(message, param_hint="--pool-wide")
        await send_request(
            session, f"ops.{verb}", body, show_reply, actor=(user_name() or "") if actor is None else actor
        )

    return request_command(verb, model, run, last=[_POOL_WIDE, _ACTOR] if asks_pool_wide else [_ACTOR])
