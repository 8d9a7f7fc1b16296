"""What a person is asked before something is done: what it does, and what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from custody_top.tables.table import Target

KEYS = {
    "c": "cancel",
    "e": "requeue",
    "x": "revoke",
    "u": "unblock",
    "t": "retry",
    "m": "steal",
    "d": "drain",
    "p": "pause",
    "r": "resume",
}
"""The key of each verb."""
KEY_OF = {verb: key for key, verb in KEYS.items()}
VERBS_OF = {
    "task": frozenset({"cancel", "requeue", "revoke", "unblock", "retry", "steal"}),
    "agent": frozenset({"drain", "pause", "resume", "steal"}),
    "pool": frozenset({"drain", "pause", "resume"}),
}
"""The verbs for each kind of target."""


class Field(NamedTuple):
    """Something that is typed in."""

    name: str
    label: str
    whole_number: bool = False
    number: bool = False


class Form(NamedTuple):
    """A question, and the command that follows from the answer."""

    verb: str
    question: str
    does: str
    fields: tuple[Field, ...]
    given: Mapping[str, Any]
    """Fields of the command that are not asked for."""

    def command(self, typed: Mapping[str, str]) -> dict[str, Any]:
        """Return the command's fields. What is left empty is not given; what is no number stays text."""
        fields = dict(self.given)
        for field in self.fields:
            text = typed.get(field.name, "").strip()
            if text:
                fields[field.name] = _number(text, field)
        return fields


_REASON = Field("reason", "Reason")
_DOES = {
    "cancel": "It ends for good; who holds it is asked to stop.",
    "requeue": "It goes back to the queue, for any agent that can do it.",
    "revoke": "It is taken from {holder}, and goes back to the queue; a late report of it is refused.",
    "unblock": "It goes back to the queue; the next holder is told the answer.",
    "retry": "It is submitted again, as a new task with the same definition.",
    "steal": "It is moved to another agent, under a new token, if it was not started.",
}
_DOES_AGENT = {
    "drain": "It gets no new tasks, and is asked to hand over what it holds.",
    "pause": "It gets no new tasks; what it holds stays with it.",
    "resume": "It gets new tasks again.",
    "steal": "Tasks that it has not started are moved to another agent.",
}
_DOES_POOL = {
    "drain": "No agent gets new tasks, and every agent is asked to hand over what it holds.",
    "pause": "No agent gets new tasks; what they hold stays with them.",
    "resume": "Agents get new tasks again.",
}


def possible(verb: str, target: Target) -> str | None:
    """Return why a verb cannot be asked for; None if it can."""
    if verb not in VERBS_OF[target.kind]:
        article = "an" if target.kind == "agent" else "a"
        return f"{verb} is not for {article} {target.kind}"
    if verb not in target.actions:
        can = f"; possible: {', '.join(target.actions)}" if target.actions else ""
        return f"{verb} is not possible for {target.id or 'the pool'} now{can}"
    return None


def form_of(verb: str, target: Target) -> Form:
    """Return what is asked before a verb."""
    named = f"{target.id} ({target.title})" if target.title and target.title != target.id else target.id
    question = f"{verb.capitalize()} {named or 'the whole pool'}?"
    if target.kind == "pool":
        return Form(verb, question, _DOES_POOL[verb], (_REASON,), {})
    if target.kind == "agent":
        return _of_agent(verb, target, question)
    does = _DOES[verb].format(holder=target.holder or "its holder")
    if verb == "steal":
        given = {"from": target.holder or "", "task_ids": [target.id]}
        return Form(verb, question, does, (Field("to", "To agent"), _REASON), given)
    if verb == "unblock":
        asked = f"It asks: {target.question}" if target.question else does
        return Form(verb, question, asked, (Field("answer", "Answer"), _REASON), {"task_id": target.id})
    return Form(verb, question, does, (_REASON,), {"task_id": target.id})


def _of_agent(verb: str, target: Target, question: str) -> Form:
    does = _DOES_AGENT[verb]
    if verb == "steal":
        fields = (Field("to", "To agent"), Field("count", "How many", whole_number=True), _REASON)
        return Form(verb, f"Steal from {target.id}?", does, fields, {"from": target.id})
    if verb == "drain":
        deadline = Field("deadline_s", "Taken from it after seconds", number=True)
        return Form(verb, question, does, (deadline, _REASON), {"agent_id": target.id})
    return Form(verb, question, does, (_REASON,), {"agent_id": target.id})


def _number(text: str, field: Field) -> Any:
    try:
        return int(text) if field.whole_number else float(text) if field.number else text
    except ValueError:
        return text
