"""`custody <verb>`: every command of an operator."""

from __future__ import annotations

import inspect
from functools import partial
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
_NO_LABELS = inspect.Parameter(
    "no_labels",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[bool | None, typer.Option("--no-labels", help="Take all its labels away.")],
)
_ASK_POOL_WIDE = frozenset({"drain", "pause"})
"""Without an agent they stop the whole pool, which has to be said."""
_POOL_WIDE_VERBS = _ASK_POOL_WIDE | {"resume"}
"""What stopped the pool is undone in the same words, or without them."""
_EXTRA_OPTIONS = {**dict.fromkeys(_POOL_WIDE_VERBS, (_POOL_WIDE,)), "update": (_NO_LABELS,)}
"""By verb: options that are no fields of the request."""


def ops_command(verb: str) -> Any:
    """Return the command of an operator's verb."""
    model = OPS_COMMANDS[verb]
    asks_pool_wide = verb in _ASK_POOL_WIDE

    async def run(session: Session, **values: Any) -> None:
        actor = values.pop("actor")
        pool_wide = values.pop("pool_wide", None)
        emptied = {"labels": "--no-labels"} if values.pop("no_labels", None) else None
        body = request_body(model, values, emptied)
        names_agent = "agent_id" in body
        if (pool_wide and names_agent) or (asks_pool_wide and not pool_wide and not names_agent):
            message = (
                "excludes an agent"
                if pool_wide
                else f"needed to {verb} the whole pool; or name the agent, as AGENT_ID or as --agent-id"
            )
            raise typer.BadParameter(message, param_hint="--pool-wide")
        show = partial(show_reply, dry_run=body.get("dry_run", False))
        who = (user_name() or "") if actor is None else actor
        await send_request(session, f"ops.{verb}", body, show, model=model, given=values, actor=who)

    return request_command(verb, model, run, last=[*_EXTRA_OPTIONS.get(verb, ()), _ACTOR])
