"""Replies as text for people."""

from __future__ import annotations

from shlex import quote as quoted
from typing import TYPE_CHECKING, Any

from infra.cli.terminal.output import flatten

if TYPE_CHECKING:
    from infra.cli.terminal.output import Output

_SHOWN_EVENTS = 6
_OWN_TABLES = frozenset({"handoff", "payload"})


def show_reply(out: Output, verb: str, reply: dict[str, Any], *, dry_run: bool = False) -> None:
    """Print the result of a command; `dry_run`: it was only asked what it would change."""
    result = reply.get("result") or {}
    events = [f"{_event_name(each['type'])} at {each['position']}" for each in reply.get("events", [])]
    if len(events) > _SHOWN_EVENTS:
        events = [*events[:_SHOWN_EVENTS], f"{len(events) - _SHOWN_EVENTS} more"]
    said = ", ".join(events) or _without_events(verb, result, dry_run=dry_run)
    out.line(f"{verb}: {said}", "green" if events else "")
    leases, directives = result.pop("leases", None), result.pop("directives", None)
    if leases is not None:
        if leases:
            # A column of zeros would say nothing, and the table is wide.
            show_rows(out, [lease | {"failures": lease.get("failures") or None} for lease in leases], "leases")
        else:
            out.line("no work now" if verb == "claim" else "holds nothing")
        for lease in leases:
            _show_documents(out, lease)
    if directives:
        show_rows(out, directives, "asked to")
    if "token" in result:
        _show_documents(out, result)
    rest = {name: value for name, value in result.items() if name not in _OWN_TABLES and value not in (None, [], {})}
    for name in [name for name, value in rest.items() if _is_rows(value)]:
        show_rows(out, rest.pop(name), name)
    out.facts(flatten(rest))
    if result.get("more"):
        out.line(_how_to_go_on(result, dry_run=dry_run), "dim")


def _without_events(verb: str, result: dict[str, Any], *, dry_run: bool) -> str:
    if dry_run:
        return "a dry run, nothing was changed"
    if verb == "claim" and result.get("leases"):
        return "while it waited, the stealer moved to the agent:"
    return "nothing new to record"


def _how_to_go_on(result: dict[str, Any], *, dry_run: bool) -> str:
    """Return how to change what fits beyond what one command changes."""
    if dry_run:
        return f"one command changes {len(result['task_ids'])} of the {result['count']}; give it again while others fit"
    return "others fit too: give the command again, with another --command-id if it had one"


def show_query(out: Output, view: str, reply: dict[str, Any]) -> None:
    """Print a view: lists of objects as tables, everything else as names with values."""
    result = dict(reply["result"])
    cursor = result.pop("next", None)
    all_ended = result.pop("all_ended", True)
    tables = {name: result.pop(name) for name, value in list(result.items()) if _is_rows(value)}
    facts = [(name, value) for name, value in flatten(result) if value not in (None, [], "", {})]
    if facts:
        out.facts(facts)
    for name, rows in tables.items():
        if rows:
            show_rows(out, rows, name if facts or len(tables) > 1 else "")
        elif name == view or not facts:
            out.line(f"no {name.replace('_', ' ')}{' on this page' if cursor is not None else ''}")
    if cursor is not None:
        out.line(f"more with --after {quoted(cursor)}", "dim")
    elif not all_ended:
        out.line("tasks that ended before are not listed", "dim")


def show_rows(out: Output, rows: list[dict[str, Any]], title: str = "") -> None:
    """Print documents as the rows of a table."""
    flat = [dict(flatten({key: row[key] for key in row if key not in _OWN_TABLES})) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    out.table(columns, [[row.get(name) for name in columns] for row in flat], title.replace("_", " "))


def _show_documents(out: Output, lease: dict[str, Any]) -> None:
    """Print a lease's payload and hand-off, which are too long for a table."""
    if lease.get("payload") is not None:
        out.facts([(f"payload of {lease['task_id']}", lease["payload"])])
    if lease.get("handoff"):
        out.facts(flatten(lease["handoff"]), f"hand-off of {lease['task_id']}")


def _event_name(event_type: str) -> str:
    """Return `task.leased` for `custody.task.leased.v1`."""
    return event_type.removeprefix("custody.").rpartition(".")[0]


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)
