"""`custody agent <verb>`: every command of an agent."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.commands.agent_commands import AGENT_COMMANDS
from infra.cli.commands.arguments import check_name
from infra.cli.commands.request_command import request_body, request_command, send_request
from infra.cli.session.command_error import CommandError
from infra.cli.terminal.reply_text import show_reply

if TYPE_CHECKING:
    from infra.cli.session.session import Session

_AGENT = inspect.Parameter(
    "agent",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[str, typer.Argument(help="The agent that speaks.")],
)


def agent_command(verb: str) -> Any:
    """Return the command of an agent's verb; its first argument is the agent."""
    model = AGENT_COMMANDS[verb]

    async def run(session: Session, **values: Any) -> None:
        agent = values.pop("agent")
        try:
            check_name(agent)
        except CommandError as error:
            raise typer.BadParameter(str(error), param_hint="AGENT") from None
        body = request_body(model, values)
        wait_s = body.get("wait_s", 0.0)
        await send_request(
            session, f"agent.{agent}.{verb}", body, show_reply, model=model, given=values, agent=agent, wait_s=wait_s
        )

    return request_command(verb, model, run, first=[_AGENT])
