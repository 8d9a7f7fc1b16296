"""docs/commands.md: every verb and query with its fields, result and errors."""

from __future__ import annotations

from pydantic import BaseModel

from docs.generator.fields import FieldDoc, cell, doc_of, fields_of, meaning_of, models_in
from docs.generator.replies import refusals
from docs.generator.replies.leases import Lease
from docs.generator.replies.reply import EVERYWHERE, Reply
from docs.generator.verbs import VERBS, Verb
from domain import limits
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.errors import RefusalCode

_HEAD = f"""\
# Commands and queries

<!-- Made by `python -m docs.generate` from domain/commands/ and projections/queries/questions.py; edit those. -->

A request is a NATS request with a JSON object of at most {limits.MAX_REQUEST_BYTES // 1024} KiB; an empty body counts
as `{{}}`. An unknown field is refused. The reply goes to an inbox (a subject that begins with `_INBOX.`; the
[contract](contract.md#requests-and-replies) says which) and is at most {limits.MAX_REPLY_BYTES // 1024} KiB.

    {{"ok": true, "position": 7, "events": [{{"type": "custody.task.leased.v1", "position": 7}}], "result": {{...}}}}
    {{"ok": false, "error": {{"code": "stale_token", "message": "...", "details": {{...}}}}}}

`position` is the log position at which the answer is true. A refusal carries the headers `Nats-Service-Error` and
`Nats-Service-Error-Code`, too, and has appended nothing, but for a late report.

Every command takes `command_id`, at most {limits.MAX_COMMAND_ID_CHARS} characters: the same actor, verb and id
again get the first outcome, and with another body `command_conflict`. It is left out of the tables. Operators and
services name themselves in the header `Custody-Actor`.

A name is `[A-Za-z0-9_-]{{1,64}}`; a task id is 1 to 128 printable ASCII characters without blanks, plain in bodies and
[escaped in subjects](contract.md#names).
"""
_QUERIES_HEAD = (
    "On `custody.<pool>.query.<view>`. A page is in the order of ids (the backlog: in the order of granting); `next` "
    "is the `after` of the following page, null at the end; it stays good when the last row has gone meanwhile. A name "
    "that the pool never had is `invalid_command`."
)

_KINDS = {
    "agent": ("## Agents", "", "On `custody.<pool>.agent.<agent>.<verb>`."),
    "ops": ("## Operators", "", "On `custody.<pool>.ops.<verb>`."),
    "query": ("## Queries", "", _QUERIES_HEAD),
}


def commands_page() -> str:
    """Return the page."""
    lines = [_HEAD, "## Errors", "", *_errors(), ""]
    for kind, head in _KINDS.items():
        lines += [*head, ""]
        for verb in VERBS:
            if verb.kind == kind:
                lines += _section(verb)
    lines += ["## Values", "", *_lease_section()]
    for part in parts():
        lines += [f"### {part.__name__}", "", doc_of(part), "", *_table(fields_of(part)), ""]
    return "\n".join(lines)


def parts() -> list[type[BaseModel]]:
    """Return the models inside commands, each once."""
    found: list[type[BaseModel]] = []
    for model in (*AGENT_COMMANDS.values(), *OPS_COMMANDS.values()):
        for info in model.model_fields.values():
            found += [each for each in models_in(info.annotation) if each not in found]
    return found


def _errors() -> list[str]:
    everywhere = ", ".join(f"`{code.value}`" for code in EVERYWHERE)
    lines = [
        f"In the order in which they are looked for. Any command can get {everywhere}; the others are listed with the"
    ]
    lines += ["commands that can get them.", "", "| code | number | meaning |", "|---|---|---|"]
    return [*lines, *(f"| `{code.value}` | {code.number} | {cell(refusals.MEANINGS[code])} |" for code in RefusalCode)]


def _section(verb: Verb) -> list[str]:
    lines = [f"### {verb.full_name}", "", doc_of(verb.model), ""]
    lines += _table([field for field in fields_of(verb.model) if field.name != "command_id"])
    lines += ["", f"Result: {_keys(verb.reply)}. {verb.reply.note}".rstrip(), ""]
    if verb.reply.errors:
        lines += [f"Errors: {', '.join(f'`{code.value}`' for code in verb.reply.errors)}.", ""]
    return lines


def _keys(reply: Reply) -> str:
    if reply.result is Lease:
        return "a [lease](#a-lease)"
    return ", ".join(f"`{key}`" for key in reply.keys)


def _table(fields: list[FieldDoc]) -> list[str]:
    if not fields:
        return ["No fields."]
    lines = ["| field | type | limits | default | meaning |", "|---|---|---|---|---|"]
    for field in fields:
        name = f"**`{field.name}`**" if field.default == "required" else f"`{field.name}`"
        default = "" if field.default == "required" else field.default
        lines.append(f"| {name} | {cell(field.kind)} | {field.limits} | {cell(default)} | {cell(field.meaning)} |")
    return lines


def _lease_section() -> list[str]:
    rows = [f"| `{name}` | {meaning_of(Lease, name)} |" for name in Lease.model_fields]
    return ["### A lease", "", "| key | meaning |", "|---|---|", *rows, ""]
