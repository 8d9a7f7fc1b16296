"""What people do to a watched pool: each is a command of operators, checked as it will be by the service."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from domain.commands.operator_commands import OPS_COMMANDS
from domain.json_values import plain_message

if TYPE_CHECKING:
    from collections.abc import Mapping


class ActError(Exception):
    """What a person asks for cannot be sent. The text says what is wrong with it."""


class _Verb(NamedTuple):
    fields: frozenset[str]
    needs: tuple[str, ...]
    done: str
    """What was done, with the command's fields in braces."""
    pool_wide: str | None = None
    """The same, when no agent is named."""


VERBS = {
    "cancel": _Verb(frozenset({"task_id", "reason"}), ("task_id",), "{task_id} is cancelled"),
    "requeue": _Verb(frozenset({"task_id", "reason"}), ("task_id",), "{task_id} is in the queue again"),
    "revoke": _Verb(frozenset({"task_id", "reason"}), ("task_id",), "{task_id} was taken from its holder"),
    "unblock": _Verb(frozenset({"task_id", "reason", "answer"}), ("task_id",), "{task_id} is in the queue again"),
    "retry": _Verb(frozenset({"task_id", "new_id", "reason"}), ("task_id",), "{task_id} was submitted again"),
    "steal": _Verb(
        frozenset({"from", "to", "task_ids", "count", "reason"}), ("from", "to"), "tasks moved from {from} to {to}"
    ),
    "drain": _Verb(
        frozenset({"agent_id", "deadline_s", "reason"}),
        (),
        "{agent_id} is asked to hand over, and gets no more tasks",
        "the pool grants no more tasks, and every agent is asked to hand over",
    ),
    "pause": _Verb(
        frozenset({"agent_id", "reason"}), (), "{agent_id} gets no more tasks", "the pool grants no more tasks"
    ),
    "resume": _Verb(
        frozenset({"agent_id", "reason"}), (), "{agent_id} gets tasks again", "the pool grants tasks again"
    ),
}
"""What can be done to a pool that is looked at; none is about all tasks that fit a filter."""


def command_of(verb: object, fields: Mapping[str, Any], program: str) -> tuple[str, dict[str, Any]]:
    """Return a verb and the body of the command that it means with these fields.

    `program`: what asks; the ids of its commands begin with it. Raises ActError.
    """
    if not isinstance(verb, str) or verb not in VERBS:
        raise ActError(f"verb should be one of {', '.join(VERBS)}")
    entry = VERBS[verb]
    # Fields that a form leaves empty are not given.
    given = {name: value for name, value in fields.items() if value not in (None, "", [])}
    for name in given:
        if name not in entry.fields and name != "command_id":
            raise ActError(f"{verb} takes no {name[:40]!r}; it takes {', '.join(sorted(entry.fields))}")
    for name in entry.needs:
        if name not in given:
            raise ActError(f"{verb} needs {name}")
    given.setdefault("command_id", f"{program}-{secrets.token_hex(8)}")
    try:
        OPS_COMMANDS[verb].model_validate_json(json.dumps(given))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(each) for each in problem["loc"]) or verb
        raise ActError(f"{place}: {plain_message(problem['msg'])}") from None
    return verb, given


def said(verb: str, body: Mapping[str, Any], reply: Mapping[str, Any]) -> str:
    """Return in words what a command did."""
    events = reply.get("events") or []
    if not events:
        return f"{verb}: nothing to change, so nothing was recorded"
    entry = VERBS[verb]
    result = reply.get("result") or {}
    words = entry.done if entry.pool_wide is None or body.get("agent_id") else entry.pool_wide
    for name in ("task_id", "agent_id", "from", "to"):
        words = words.replace(f"{{{name}}}", str(body.get(name, "")))
    if verb == "retry" and result.get("task_id"):
        words += f", as {result['task_id']}"
    return f"{words}; on record at position {events[-1]['position']}"
