"""docs/commands.md: every verb and query with its fields, result and errors."""

from __future__ import annotations

from typing import Final, NamedTuple

from pydantic import BaseModel

from docs.generator.fields import FieldDoc, cell, doc_of, fields_of, models_in
from domain import limits
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.command import Command
from domain.commands.operator_commands import OPS_COMMANDS
from domain.errors import RefusalCode
from domain.policies.load_balancing import DURATION_WINDOW
from projections.queries.questions import QUERIES, Query
from projections.state.pool_state import MOST_STEALS, RECENT_ENTITIES, RECENT_STEALS
from projections.state.statistics import AGENTS_WITH_DURATIONS

E = RefusalCode
EVERYWHERE: Final = (E.INVALID_COMMAND, E.COMMAND_CONFLICT, E.OVERLOADED, E.UNAVAILABLE)
"""Errors that any command can get."""
_OF_AGENT: Final = (E.UNKNOWN_AGENT, E.STALE_SESSION)
_ON_TASK: Final = (*_OF_AGENT, E.UNKNOWN_TASK, E.TASK_FINISHED, E.STALE_TOKEN, E.NOT_HOLDER)
_OPS_ON_LIVE_TASK: Final = (E.UNKNOWN_TASK, E.TASK_FINISHED)
_OPS_ON_TASK: Final = (E.UNKNOWN_TASK, E.TASK_FINISHED, E.ILLEGAL_TRANSITION)


class Reply(NamedTuple):
    """What a verb answers."""

    keys: tuple[str, ...]
    """The keys of `result`."""
    errors: tuple[RefusalCode, ...] = ()
    """Besides those that any command can get, in the order in which they are looked for."""
    note: str = ""


_BY_FILTER: Final = (
    "Instead of `task_id` it takes a filter; the result then is `task_ids`, their `count`, and `more`: whether others "
    "fit. With `dry_run` nothing changes, and `count` is of all that fit."
)

LEASE_KEYS: Final = (
    "task_id", "token", "attempt", "expires_at", "grace_s", "deadline", "title", "payload", "labels", "handoff",
    "lease_s", "priority", "status", "traceparent", "required_capabilities", "failures",
    "reported",
)  # fmt: skip
_HOLDINGS: Final = ("leases", "directives")
_TERMS: Final = ("expires_at", "grace_s", "directive")
_STATUS_KEYS: Final = ("task_id", "status", "attempt")

AGENT_REPLIES: Final = {
    "register": Reply(
        _HOLDINGS,
        (),
        "An identical repeat appends nothing, but for clearing a load that was reported. "
        "Another `session` than the current one begins a new session of the agent: "
        "`leases` are what the earlier one held, to go on with or to give back, and its waiting claims end empty. "
        "Without a `session` they end too.",
    ),
    "heartbeat": Reply(
        _HOLDINGS,
        _OF_AGENT,
        "Recorded when it changes the agent's load status or whether it vouches, else at most "
        "every `heartbeat_record_s`; it renews what the agent holds either way. "
        "With `tasks`, only these are renewed, and one whose token is not the agent's current one is named in "
        "`directives` as `stop`, with the `token`; from then on the agent's other commands renew only the task that "
        "they name, until a heartbeat without `tasks`.",
    ),
    "claim": Reply(
        ("leases",),
        (*_OF_AGENT, E.PAUSED, E.AT_CAPACITY),
        "The most urgent queued tasks that the "
        "agent can do, oldest first. Each of `leases` is a [lease](#a-lease). Empty if there is no work; with `wait_s` "
        "the reply waits for some, and for a pool or agent that is paused or draining to be resumed. The client's own "
        "timeout must be longer.",
    ),
    "lease": Reply(LEASE_KEYS, _ON_TASK),
    "start": Reply(_TERMS, _ON_TASK, "A repeat appends nothing."),
    "progress": Reply(
        _TERMS,
        _ON_TASK,
        "The first report starts the task. A report under a lease that "
        f"was lost is kept as `late_progress`, at most {limits.MAX_LATE_REPORTS} a token, and refused all the same.",
    ),
    "silence": Reply(
        _TERMS,
        _ON_TASK,
        "The lease is renewed as if the agent reported at the end of the spell, and the agent counts as heard until "
        "then. A report in between takes nothing back.",
    ),
    "release": Reply(
        _STATUS_KEYS,
        _ON_TASK,
        "`status` is what followed: `queued`, or `quarantined` after the last release. "
        "With `delay_s` it is granted to no agent before that time has passed.",
    ),
    "block": Reply(_STATUS_KEYS, _ON_TASK),
    "complete": Reply(
        _STATUS_KEYS,
        _ON_TASK,
        "After the lease expired it is still accepted until the task is granted again; from then on it is kept as "
        "`late_progress` and refused.",
    ),
    "fail": Reply(
        _STATUS_KEYS,
        _ON_TASK,
        "`status` is what followed: `queued` while the budgets last, else `failed` or `quarantined`.",
    ),
    "deregister": Reply(
        ("released",),
        _OF_AGENT,
        "`released`: how many tasks it held. With a `session`, only that one is ended: once another began, this is "
        "refused.",
    ),
}
OPS_REPLIES: Final = {
    "submit": Reply(
        ("task_id", "was"),
        (E.TASK_EXISTS,),
        "The same definition for the same `task_id` changes nothing and succeeds, also long after the task finished. "
        "It is the same in another order of keys or capabilities, and with defaults spelled out. `was` is `new`, "
        "`known`, or `ended` for a known task that has ended.",
    ),
    "submit_many": Reply(
        ("tasks",),
        (E.TASK_EXISTS,),
        "`tasks` has the `task_id` and `was` of each, in their order. If one is refused, none is submitted.",
    ),
    "assign": Reply(
        LEASE_KEYS,
        (E.UNKNOWN_AGENT, *_OPS_ON_TASK, E.PAUSED, E.AT_CAPACITY),
        "A named agent that lacks a required capability is `invalid_command`. `at_capacity` "
        "without a named agent: no live one with room can do it that was heard within a lease's first term. The one "
        "that failed the task last is chosen only if no other can. A task that waits for its time is "
        "`illegal_transition`; `details.not_before` says until when.",
    ),
    "cancel": Reply(
        ("task_id", "status"),
        (E.UNKNOWN_TASK, E.TASK_FINISHED),
        f"{_BY_FILTER} At most {limits.MAX_FILTERED_CANCEL} at once.",
    ),
    "requeue": Reply(
        _STATUS_KEYS,
        _OPS_ON_TASK,
        f"No budget stands in its way; after quarantine every budget begins anew. {_BY_FILTER} Only stuck and "
        "quarantined tasks fit, at most "
        f"{limits.MAX_FILTERED_REQUEUE} at once.",
    ),
    "unblock": Reply(
        _STATUS_KEYS,
        _OPS_ON_TASK,
        "No budget stands in its way. The next hand-off carries the question and the `answer`.",
    ),
    "revoke": Reply(_STATUS_KEYS, _OPS_ON_TASK, "The holder gets the directive `stop`."),
    "complete": Reply(_STATUS_KEYS, _OPS_ON_LIVE_TASK, "A holder gets the directive `stop`."),
    "fail": Reply(
        _STATUS_KEYS,
        _OPS_ON_LIVE_TASK,
        "`status` is what followed: `queued` while the budget of failures lasts, else `failed`; `quarantined` if the "
        "attempt that it ended was the last. A holder gets the directive `stop`.",
    ),
    "block": Reply(
        _STATUS_KEYS,
        _OPS_ON_LIVE_TASK,
        "A holder gets the directive `stop`. The same reason and question again append nothing.",
    ),
    "update": Reply(
        _STATUS_KEYS,
        _OPS_ON_LIVE_TASK,
        "What stays the same appends nothing; `no_deadline` takes the deadline away. A deadline that has passed is "
        "`invalid_command`, and so is a time to "
        "wait for that does not leave some before the deadline. Only a queued task is given one; another is "
        "`illegal_transition`.",
    ),
    "retry": Reply(
        ("task_id", "retry_of", "was"),
        (E.UNKNOWN_TASK, E.TASK_EXISTS, E.ILLEGAL_TRANSITION),
        "What has ended stays ended. `query.task` of each names the other (`retry_of`, `retries`). A deadline that has "
        "passed is set anew, as long from now as it was from the first submission. `task_exists` without `new_id`: "
        f"{limits.MAX_RETRIES_NAMED} such names are taken.",
    ),
    "annotate": Reply(
        ("task_id",),
        (E.UNKNOWN_AGENT, E.UNKNOWN_TASK),
        "Recorded as `noted`, which changes no status; also of what has ended or left. `agent_id` instead of `task_id` "
        "for an agent. The note is shown in the history, audits and post-mortems.",
    ),
    "steal": Reply(
        ("operation_id", "task_ids"),
        (E.UNKNOWN_AGENT, *_OPS_ON_TASK, E.PAUSED, E.AT_CAPACITY),
        "`task_ids` are those that moved. Only tasks that are assigned and not started move, within their steal budget "
        "and cooldown, from a live agent, also a paused or draining one, to one that takes grants, can do them and has "
        "room.",
    ),
    "drain": Reply(
        ("agent_id",),
        (E.UNKNOWN_AGENT,),
        "`result` is empty for the pool. An agent that drains gets the directive `hand_over` for all it holds. What it "
        "has not started may be moved with `steal`. "
        "With `deadline_s`, what it still holds then is revoked and queued again.",
    ),
    "pause": Reply(("agent_id",), (E.UNKNOWN_AGENT,), "`result` is empty for the pool."),
    "resume": Reply(("agent_id",), (E.UNKNOWN_AGENT,), "`result` is empty for the pool."),
    "load": Reply(
        ("agent_id",),
        (E.UNKNOWN_AGENT,),
        "Recorded when it changes the agent's load status, else at most every `heartbeat_record_s`.",
    ),
    "deregister": Reply(
        ("released",),
        (E.UNKNOWN_AGENT,),
        "`released`: how many tasks it held; each is revoked and queued again. The agent may register again.",
    ),
    "forget": Reply(
        ("agent_ids", "more"),
        (),
        f"At most {limits.MAX_AGENTS_FORGOTTEN} at once; with `more` there may be others. A lost agent that holds a "
        "task stays. One that comes back registers again.",
    ),
}
QUERY_REPLIES: Final = {
    "task": Reply(
        (
            "task_id", "status", "attempt", "title", "priority", "labels", "required_capabilities", "deadline",
            "not_before", "submitted_at", "status_since", "agent_id", "token", "percent", "stalled", "payload",
            "estimated_hours", "lease_policy", "on_silence", "budgets", "stall_s", "on_stall", "retry",
            "failures", "expiries", "steals", "releases", "attempts_used", "retry_of", "retries", "question", "answer",
            "traceparent",
            "handoff", "lease",
            "former_leases", "outcome", "version", "position",
        ),
        (E.UNKNOWN_TASK,),
        "Also of a task that finished long ago: it is then read from the log.",
    ),
    "explain": Reply(
        ("task_id", "status", "headline", "why", "next", "budgets", "candidates"),
        (E.UNKNOWN_TASK,),
        "Sentences for people, as `custody explain` has them. `next` has `at` and `what`; `candidates` are the agents "
        "that could claim a queued task, and why the others cannot, unless the pool has more than 5,000 live tasks.",
    ),
    "tasks": Reply(
        ("tasks", "next", "all_ended"),
        (),
        f"First the live tasks and the latest of those that ended (the last {RECENT_ENTITIES:,} ended tasks and "
        "agents), in the order of ids; then `next` leads through all that ended before, the latest first, read from "
        "the log. "
        "`all_ended` is false until the page with the last of them. A page of these has at most 100 rows; it may "
        "have fewer, also none, and yet a `next`. One that ends while the pages are asked for may come twice.",
    ),
    "leases": Reply(("leases", "next")),
    "agents": Reply(
        ("agents", "next"),
        (),
        "`session` is the agent's current one, or null. `holds` names what each holds, with the percent reported. "
        "`heard_at` is when this service heard it last, or the last sign of life on record. With `lost: false` lost "
        "agents are left out.",
    ),
    "workloads": Reply(
        ("workloads", "next"),
        (),
        "`load_status` follows the tasks held and the cpu. A load that was reported (`load_at`) longer ago than "
        "`load_valid_s` counts as 0.",
    ),
    "backlog": Reply(
        ("tasks", "next", "queued", "delayed", "by_priority", "oldest_s"),
        (),
        "Tasks whose `not_before` lies ahead come last, in the order of that time; `delayed` counts them.",
    ),
    "statistics": Reply(
        (
            "tasks", "delayed", "leases", "agents", "loads", "totals", "average_duration_by_agent_s", "failures",
            "steals", "sweeper",
        ),
        (),
        "`tasks`: live tasks by status, and how many ever ended, by how. "
        "`delayed`: how many of the queued tasks wait for their time. "
        "`leases`: those held, by phase, and their "
        "renewals. `loads`: agents that are not lost, by load status. `totals`: counts since the log began, and "
        f"`average_duration_s` of the last {DURATION_WINDOW} completions; `average_duration_by_agent_s`: of the last "
        f"{DURATION_WINDOW} of each of the {AGENTS_WITH_DURATIONS:,} agents that completed something last. "
        "`failures` since the log began, by cause: `deadline`, `budget` "
        "(the last failure that it allows), `gave_up` (not retryable). `steals` by outcome, and how many tasks moved. "
        "`sweeper`: its findings since this service's start; `already_finished` counts recoveries "
        "that were skipped because the task had ended.",
    ),
    "steals": Reply(
        ("steals", "next"),
        (),
        f"Open ones, and of those that ended the last {RECENT_STEALS:,} and all of the last day, at most "
        f"{MOST_STEALS:,}.",
    ),
    "health": Reply(
        (
            "leader", "leading", "position", "lag", "live_tasks", "agents", "queued", "waiting_claims",
            "queued_commands", "intake", "not_before", "unreadable_events", "unreadable", "tail_losses",
            "last_event_at", "clock_behind_s", "guarantees", "software",
        ),
    ),
}  # fmt: skip
ERROR_MEANINGS: Final = {
    E.INVALID_COMMAND: "Not JSON, an unknown verb or field, a missing or ill-typed one, out of range, or too large. "
    "`details.fields` lists each.",
    E.COMMAND_CONFLICT: "The `command_id` came before with another body, and that command stands. Choose a new id.",
    E.UNKNOWN_AGENT: "The agent never registered, or has deregistered. Register first.",
    E.STALE_SESSION: "Another process of the agent has registered since, or this one never did. Stop working on what "
    "it held, or register.",
    E.UNKNOWN_TASK: "No such task was ever submitted to this pool.",
    E.TASK_EXISTS: "The id is taken by another definition. Choose another id.",
    E.TASK_FINISHED: "The task ended for good; `details` says how, when and by whom.",
    E.STALE_TOKEN: "The lease is not the task's current one. Stop working on it; `details` names state and holder.",
    E.NOT_HOLDER: "The token is current, but another agent's.",
    E.ILLEGAL_TRANSITION: "The lifecycle does not allow it from here; `details` has the state and what it allows.",
    E.PAUSED: "The pool or the agent gets no new grants. Everything else goes on.",
    E.AT_CAPACITY: "The agent holds as many leases as it may.",
    E.OVERLOADED: "The queue is full, or the service is stopping. Try again.",
    E.NOT_WRITER: "This replica does not lead the pool. Try again with the same `command_id`. No release so far "
    "answers this: a pool has one service.",
    E.UNAVAILABLE: "The broker did not confirm in time: the outcome is unknown. Try again with the same `command_id`.",
}

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


def commands_page() -> str:
    """Return the page."""
    lines = [_HEAD, "## Errors", "", *_errors(), ""]
    lines += ["## Agents", "", "On `custody.<pool>.agent.<agent>.<verb>`.", ""]
    for verb, model in AGENT_COMMANDS.items():
        lines += _section(f"agent.{verb}", model, AGENT_REPLIES[verb])
    lines += ["## Operators", "", "On `custody.<pool>.ops.<verb>`.", ""]
    for verb, command in OPS_COMMANDS.items():
        lines += _section(f"ops.{verb}", command, OPS_REPLIES[verb])
    lines += ["## Queries", "", _QUERIES_HEAD, ""]
    for view, query in QUERIES.items():
        lines += _section(f"query.{view}", query, QUERY_REPLIES[view])
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
    return [*lines, *(f"| `{code.value}` | {code.number} | {cell(ERROR_MEANINGS[code])} |" for code in RefusalCode)]


def _section(name: str, model: type[Command | Query], reply: Reply) -> list[str]:
    lines = [f"### {name}", "", doc_of(model), ""]
    lines += _table([field for field in fields_of(model) if field.name != "command_id"])
    lines += ["", f"Result: {_keys(reply.keys)}. {reply.note}".rstrip(), ""]
    if reply.errors:
        lines += [f"Errors: {', '.join(f'`{code.value}`' for code in reply.errors)}.", ""]
    return lines


def _keys(keys: tuple[str, ...]) -> str:
    if keys == LEASE_KEYS:
        return "a [lease](#a-lease)"
    return ", ".join(f"`{key}`" for key in keys)


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
    words = {
        "task_id": "The task.",
        "token": "The fencing token: the position of the event that granted it. Name it in every command on the task.",
        "attempt": "Which attempt at the task this is.",
        "expires_at": "When it runs out unless it is renewed.",
        "grace_s": "Seconds after that in which the holder is still heard.",
        "deadline": "When the task must be done, or null.",
        "title": "What people call the task.",
        "payload": "What is to be done.",
        "labels": "Its labels.",
        "handoff": "What the attempts before leave behind, or null; see [Handoff](events.md#handoff).",
        "lease_s": "Length of the current term, in seconds.",
        "priority": "How urgent the task is.",
        "status": "The task's status.",
        "traceparent": "The [trace context](contract.md#traces) in which the task was submitted, or null.",
        "required_capabilities": "What its holder must be able to do.",
        "failures": "How many attempts failed before.",
        "reported": "What was reported under this lease (`percent`, `note`, `checkpoint`); null if nothing was.",
    }
    rows = [f"| `{key}` | {words[key]} |" for key in LEASE_KEYS]
    return ["### A lease", "", "| key | meaning |", "|---|---|", *rows, ""]
