"""`POST /api/act`: a person's command to the pool, sent as every operator's is and recorded under their name."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from custody_dashboard.web.api_error import ApiError, bad_request, busy, unavailable
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.request_body import json_body
from domain.commands.operator_commands import OPS_COMMANDS
from domain.json_values import plain_message
from infra.cli.terminal.refusal_text import refusal_text
from infra.nats.contract_client import CustodyRefusedError, NoReplyError, NoServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from starlette.requests import Request

    from custody_dashboard.web.people import Person

    class Sender(Protocol):
        """Sends commands to the pool's service."""

        async def send(self, subject_tail: str, body: Mapping[str, Any], *, actor: str | None) -> dict[str, Any]:
            """Return the reply. Raises CustodyError, BrokerUnavailableError."""
            ...


CSRF_HEADER = "X-CSRF-Token"
MAX_ACTING = 32
"""Commands that are under way at once."""


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
"""What can be done from the page. Each is a command of operators; none is about all tasks that fit a filter."""


class Acting:
    """Handles what people do."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._under_way = 0

    async def act(self, request: Request, person: Person, why_not: str | None) -> JsonReply:
        """Send the command of a request and answer with what came of it. `why_not`: why nothing may be done.

        Raises ApiError.
        """
        offered = request.headers.get(CSRF_HEADER, "")
        if not secrets.compare_digest(offered.encode("latin-1", "replace"), person.csrf.encode()):
            raise ApiError(403, "csrf", f"the header {CSRF_HEADER} is missing or outdated; /api/session tells it")
        if why_not is not None:
            raise ApiError(403, "not_allowed", why_not)
        verb, body = _command(await json_body(request))
        if self._under_way >= MAX_ACTING:
            raise busy("too many commands are under way; try again")
        self._under_way += 1
        try:
            reply = await self._sender.send(f"ops.{verb}", body, actor=person.name or None)
        except CustodyRefusedError as refused:
            words = refusal_text(refused.code, refused.message, refused.details, verb)
            return JsonReply({"ok": False, "error": {"code": refused.code, "message": words}}, 409)
        except NoServiceError as error:
            raise unavailable(str(error)) from None
        except NoReplyError as error:
            command_id = body["command_id"]
            raise ApiError(
                504, "unknown_outcome", f"{error}: send it again with command_id {command_id} to find out"
            ) from None
        finally:
            self._under_way -= 1
        return JsonReply({**reply, "said": said(verb, body, reply), "command_id": body["command_id"]})


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


def _command(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the verb and the body of the command that a request's body means. Raises ApiError."""
    verb = document.pop("verb", None)
    if not isinstance(verb, str) or verb not in VERBS:
        raise bad_request(f"verb should be one of {', '.join(VERBS)}")
    entry = VERBS[verb]
    # Fields that a form leaves empty are not given.
    given = {name: value for name, value in document.items() if value not in (None, "", [])}
    for name in given:
        if name not in entry.fields and name != "command_id":
            raise bad_request(f"{verb} takes no {name[:40]!r}; it takes {', '.join(sorted(entry.fields))}")
    for name in entry.needs:
        if name not in given:
            raise bad_request(f"{verb} needs {name}")
    given.setdefault("command_id", f"dashboard-{secrets.token_hex(8)}")
    try:
        OPS_COMMANDS[verb].model_validate_json(json.dumps(given))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(each) for each in problem["loc"]) or verb
        raise bad_request(f"{place}: {plain_message(problem['msg'])}") from None
    return verb, given
