"""A golden audit: every event of every released version, and messages that are hard to write down.

`python -m tests.golden.audited` writes the files anew, when there is an event more.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlers.ports import StoredMessage
from infra.cli.commands.audit import Selection
from infra.codec import CloudEventsCodec
from infra.reports.audit_formats import Csv, JsonLines, Table
from projections.reports.audit_rows import Rows
from tests.golden.test_golden import HISTORIES, read

if TYPE_CHECKING:
    from infra.reports.audit_formats import Sink

AUDIT = Path(__file__).parent / "audit"
_HARD = 'a "quote", a \\ and a /, a \ttab\r\nand a line; ümläut, \u2028, \U0001f600, \x00 and \x7f'

_RESULTS: tuple[Any, ...] = (0, 1.0, -0.0, True, "", "=1", [], {}, None, 10**20)


def messages() -> list[StoredMessage]:
    """Return that log; positions begin anew with each history."""
    submitted, reported, completed = first("submitted"), first("progressed"), first("completed")
    return [
        *(message for path in HISTORIES for message in read(path)),
        changed(submitted, {"actor": "=cmd", "causationid": "+1", "commandverb": "@x", "commandkeyed": True}),
        changed(submitted, {}, title=_HARD, labels=["a", _HARD], payload={_HARD: [1, 2.5, None, True, {"x": _HARD}]}),
        changed(submitted, {}, deadline="2026-11-21T09:00:00.5+01:00", estimated_hours=1e-7, new="field of tomorrow"),
        changed(reported, {"causationid": _HARD}, message=_HARD, checkpoint=2**70, percent=-1, lease_s=1e300),
        changed(reported, {"time": "2026-11-21T08:00:00Z"}, expires_at="2026-11-21T08:00:00Z", checkpoint=""),
        *(changed(completed, {}, result=result) for result in _RESULTS),
        _without(reported, "message", "checkpoint", "directive"),
        StoredMessage(900, "custody.default.evt.=task.+id.-name", b"no JSON", {}),
        StoredMessage(901, "custody.default", b"{}", {}),
        changed(submitted, {"type": "custody.task.submitted.v9"}),
        changed(reported, {}, token="x"),
    ]


def first(name: str) -> StoredMessage:
    """Return the histories' first task event of a name."""
    stored = (message for path in HISTORIES for message in read(path))
    return next(each for each in stored if each.subject.endswith(f".{name}") and ".task." in each.subject)


def changed(stored: StoredMessage, envelope: dict[str, Any], **data: Any) -> StoredMessage:
    """Return a message with other fields in its envelope and its data."""
    body = json.loads(stored.body)
    return stored._replace(body=json.dumps({**body, **envelope, "data": {**body["data"], **data}}).encode())


def _without(message: StoredMessage, *names: str) -> StoredMessage:
    body = json.loads(message.body)
    body["data"] = {name: value for name, value in body["data"].items() if name not in names}
    return message._replace(body=json.dumps(body).encode())


def write(sink: Sink) -> None:
    """Write the audit of that log."""
    rows = Rows(ascii_only=sink.ascii_only)
    sink.write(Selection(CloudEventsCodec("default"), rows, None, None, frozenset()).of(messages()))
    sink.close()


def written(ending: str) -> str:
    """Return the audit of that log as the text of a file with an ending."""
    file = io.StringIO(newline="")
    match ending:
        case "csv":
            write(Csv(file))
        case "jsonl":
            write(JsonLines(file))
        case _:
            write(Table(lambda line: print(line, file=file)))
    return file.getvalue()


if __name__ == "__main__":
    for ending in ("csv", "jsonl", "txt"):
        (AUDIT / f"audit.{ending}").write_bytes(written(ending).encode())
