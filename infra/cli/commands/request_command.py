"""A command that sends one request of the wire contract and prints the reply; its options are its model's fields."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from infra.cli.framework.options import (
    OptionSpec,
    as_given,
    body_from_options,
    fields_as_options,
    flag_for,
    in_option_words,
    options_from_model,
    place_inside,
    refusal_of,
)
from infra.cli.framework.typer_command import ALSO, set_parameters, typer_command
from infra.cli.session.client_command import client_command
from infra.cli.session.command_error import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel

    from infra.cli.session.session import Session
    from infra.nats.contract_client import CustodyRefusedError

_NAMES = ("task_id", "agent_id")
"""The first of these fields may also be given as an argument, without its flag."""
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def request_command(
    name: str,
    model: type[BaseModel],
    run: Callable[..., Any],
    *,
    first: Sequence[inspect.Parameter] = (),
    last: Sequence[inspect.Parameter] = (),
) -> Any:
    """Return a command with the options of a model; `first` and `last` stand before and after them."""
    specs = options_from_model(model)
    named = _also_argument(specs)
    parameters = [inspect.Parameter("session", _KEYWORD), *first]
    if named is not None:
        parameters.append(_argument(named))
        specs = [replace(spec, required=False, panel=ALSO) if spec is named else spec for spec in specs]
    set_parameters(run, [*parameters, *(spec.to_parameter() for spec in specs), *last])
    return typer_command(name, client_command(run), inspect.getdoc(model))


def request_body(
    model: type[BaseModel], values: dict[str, Any], emptied: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the request's body, checked as the service will check it; raises typer.BadParameter.

    `emptied`: the lists that are sent empty, with the flag that says so; an option that is not given sends no list.
    """
    specs = options_from_model(model)
    named, argument = _also_argument(specs), None
    if named is not None:
        argument, option = values.pop(f"{named.parameter}_"), values[named.parameter]
        if argument is not None and option is not None and argument != option:
            raise typer.BadParameter(f"{option!r}, and {argument!r} without the flag", param_hint=named.flag)
        values[named.parameter] = argument if argument is not None else option
    body = body_from_options(specs, values)
    specs = as_given(specs, values)
    for name, flag in (emptied or {}).items():
        if name in body:
            raise typer.BadParameter(f"excludes {flag_for(specs, (name,))}", param_hint=flag)
        body[name] = []
    try:
        model.model_validate_json(json.dumps(body))
    except ValidationError as error:
        problem = error.errors()[0]
        hint = flag_for(specs, problem["loc"])
        if named is not None and hint == named.flag and argument is not None:
            hint = named.parameter.upper()
        if problem["type"] == "missing" and named is not None:
            message = f"needed, as {named.parameter.upper()} or as {named.flag}"
        elif inside := place_inside(specs, problem["loc"]):
            message = f"{inside}: {refusal_of(problem)}"
        else:
            message = in_option_words(specs, problem)
        raise typer.BadParameter(message, param_hint=hint or None) from None
    return body


async def send_request(
    session: Session,
    subject_tail: str,
    body: dict[str, Any],
    show: Callable[[Any, str, dict[str, Any]], None],
    *,
    model: type[BaseModel],
    given: Mapping[str, Any],
    actor: str | None = None,
    agent: str | None = None,
    wait_s: float = 0.0,
) -> None:
    """Send a request on `custody.<pool>.<subject_tail>` and print the reply with `show`, or as JSON.

    `given`: the options' values. `wait_s`: how long the service itself may let the request wait.

    Raises:
        RefusedError: the service refused it.
    """
    from infra.nats.contract_client import CustodyRefusedError

    verb, timeout_s = subject_tail.rpartition(".")[2], session.timeout_s + wait_s
    async with session.client(agent) as client:
        try:
            reply = await client.request(subject_tail, body, actor=actor, timeout=timeout_s)
        except CustodyRefusedError as refused:
            specs = as_given(options_from_model(model), given)
            raise _refused(refused, verb, specs, of_agent=agent is not None) from None
    if session.out.as_json:
        session.out.json(reply)
    else:
        show(session.out, verb, reply)


def _refused(refused: CustodyRefusedError, verb: str, specs: Sequence[OptionSpec], *, of_agent: bool) -> RefusedError:
    from infra.cli.terminal.refusal_text import refusal_text

    words = partial(fields_as_options, specs, plain=refused.code == "invalid_command")
    text = refusal_text(refused.code, refused.message, refused.details, verb, of_agent=of_agent, options=words)
    return RefusedError(text, refused.reply)


def _also_argument(specs: Sequence[OptionSpec]) -> OptionSpec | None:
    """Return the option whose value may also be given as an argument."""
    return next((spec for name in _NAMES for spec in specs if spec.parameter == name), None)


def _argument(spec: OptionSpec) -> inspect.Parameter:
    info = typer.Argument(metavar=spec.parameter.upper(), help=spec.help, show_default=False)
    return inspect.Parameter(f"{spec.parameter}_", _KEYWORD, default=None, annotation=Annotated[str | None, info])
