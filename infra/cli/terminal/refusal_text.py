"""A refusal of the service, in the words of the command line: options instead of fields, commands instead of events."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPERATOR_VERBS = {
    "blocked": "block",
    "cancelled": "cancel",
    "completed": "complete",
    "failed": "fail",
    "leased": "assign",
    "requeued": "requeue",
    "revoked": "revoke",
    "stolen": "steal",
    "unblocked": "unblock",
    "updated": "update",
    "noted": "annotate",
}
"""Event of a task: the verb by which an operator brings it about."""
AGENT_VERBS = {
    "blocked": "block",
    "completed": "complete",
    "failed": "fail",
    "leased": "claim",
    "progressed": "progress",
    "released": "release",
    "silenced": "silence",
    "started": "start",
}
"""The same for agents."""
_REQUEUED_FROM = ("quarantined", "stuck")
"""The statuses that `requeue` is for; elsewhere the event follows others."""
_NOT_POSSIBLE = re.compile(r"\w+ is not possible from there$")


def refusal_text(
    code: str,
    message: str,
    details: Mapping[str, Any],
    verb: str,
    *,
    of_agent: bool = False,
    options: Callable[[str], str] = str,
) -> str:
    """Return the line for a refusal. `options` puts the options' names for those of fields."""
    rest = dict(details)
    if code == "illegal_transition":
        allowed = rest.pop("allowed", ())
        rest.pop("event", None)  # The verb says it.
        verbs = AGENT_VERBS if of_agent else OPERATOR_VERBS
        message = _NOT_POSSIBLE.sub(f"`{verb}` is not possible then", message)
        if details.get("state") not in _REQUEUED_FROM:
            allowed = [each for each in allowed if each != "requeued"]
        possible = dict.fromkeys(verbs[each] for each in allowed if each in verbs and verbs[each] != verb)
        if possible:
            message += f"; possible: {', '.join(possible)}"
    if code == "invalid_command":
        return f"{code}: {options(message)}"
    return f"{code}: {options(message)}{_details(message, rest)}"


def _details(message: str, details: Mapping[str, Any]) -> str:
    """Return the details that the message does not tell."""
    shown = [
        f"{name.removesuffix('_s').replace('_', ' ')} {text}{' s' if name.endswith('_s') else ''}"
        for name, value in details.items()
        if value not in (None, [], {}) and ((text := _text(value)) not in message or not isinstance(value, str))
    ]
    return f" ({', '.join(shown)})" if shown else ""


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return value if isinstance(value, str) else json.dumps(value)
