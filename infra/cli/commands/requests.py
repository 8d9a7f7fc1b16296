"""A command for every verb and every view of the wire contract, made from its model."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from domain.commands import AGENT_COMMANDS, OPS_COMMANDS
from infra.cli.framework.making import made, takes
from infra.cli.framework.options import OptionSpec, body_of, flag_for, options_of
from infra.cli.session.session import Session, connected
from infra.cli.terminal.reply_text import show_query, show_reply
from projections.queries.questions import QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel

_NAMES = ("task_id", "agent_id")
"""The first of these may also be given without its flag."""
_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_ACTOR = inspect.Parameter(
    "actor",
    _KEYWORD,
    default=None,
    annotation=Annotated[str | None, typer.Option("--actor", help="Who you are; recorded as ops/<actor>.")],
)
_AGENT = inspect.Parameter("agent", _KEYWORD, annotation=Annotated[str, typer.Argument(help="The agent that speaks.")])


def ops_command(verb: str) -> Any:
    """Return the command of an operator's verb."""
    model = OPS_COMMANDS[verb]

    async def run(session: Session, **values: Any) -> None:
        actor = values.pop("actor")
        await _ask(session, f"ops.{verb}", _body(model, values), show_reply, actor=actor)

    return _command(verb, model, run, [_ACTOR])


def agent_command(verb: str) -> Any:
    """Return the command of an agent's verb; its first argument is the agent."""
    model = AGENT_COMMANDS[verb]

    async def run(session: Session, **values: Any) -> None:
        agent = values.pop("agent")
        body = _body(model, values)
        session.timeout_s += body.get("wait_s", 0)
        await _ask(session, f"agent.{agent}.{verb}", body, show_reply, agent=agent)

    return _command(verb, model, run, [_AGENT])


def query_command(view: str) -> Any:
    """Return the command of a view."""
    model = QUERIES[view]

    async def run(session: Session, **values: Any) -> None:
        await _ask(session, f"query.{view}", _body(model, values), show_query)

    return _command(view, model, run, [])


async def _ask(
    session: Session,
    subject_tail: str,
    body: dict[str, Any],
    show: Callable[[Any, str, dict[str, Any]], None],
    *,
    actor: str | None = None,
    agent: str | None = None,
) -> None:
    async with session.client(agent) as client:
        reply = await client.request(subject_tail, body, actor=actor, timeout=session.timeout_s)
    if session.out.as_json:
        session.out.json(reply)
    else:
        show(session.out, subject_tail.rpartition(".")[2], reply)


def _command(name: str, model: type[BaseModel], run: Callable[..., Any], leading: Sequence[inspect.Parameter]) -> Any:
    specs = options_of(model)
    positional = _positional(specs)
    parameters = [each for each in leading if each is _AGENT]
    if positional is not None:
        parameters.append(_argument(positional))
    parameters += [spec.to_parameter() for spec in _loosened(specs, positional)]
    parameters += [each for each in leading if each is not _AGENT]
    takes(run, [inspect.Parameter("session", _KEYWORD), *parameters])
    return made(name, connected(run), inspect.getdoc(model))


def _positional(specs: Sequence[OptionSpec]) -> OptionSpec | None:
    return next((spec for name in _NAMES for spec in specs if spec.parameter == name), None)


def _loosened(specs: Sequence[OptionSpec], positional: OptionSpec | None) -> list[OptionSpec]:
    """Return the options, with none required that may also stand without its flag."""
    from dataclasses import replace

    return [replace(spec, required=False) if spec is positional else spec for spec in specs]


def _argument(spec: OptionSpec) -> inspect.Parameter:
    info = typer.Argument(metavar=spec.parameter.upper(), help=f"The same as {spec.flag}.", show_default=False)
    return inspect.Parameter(f"{spec.parameter}_", _KEYWORD, default=None, annotation=Annotated[str | None, info])


def _body(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Return the request's body, checked as the service will check it; raises typer.BadParameter."""
    specs = options_of(model)
    positional = _positional(specs)
    if positional is not None:
        bare, flagged = values.pop(f"{positional.parameter}_"), values[positional.parameter]
        if bare is not None and flagged is not None and bare != flagged:
            raise typer.BadParameter(f"{flagged!r}, and {bare!r} without the flag", param_hint=positional.flag)
        values[positional.parameter] = bare if bare is not None else flagged
    body = body_of(specs, values)
    try:
        model.model_validate_json(json.dumps(body))
    except ValidationError as error:
        first = error.errors()[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        flag = flag_for(specs, first["loc"]) or None
        if first["type"] == "missing" and positional is not None:
            message = f"needed, as {positional.parameter.upper()} or as {positional.flag}"
        raise typer.BadParameter(message, param_hint=flag) from None
    return body
