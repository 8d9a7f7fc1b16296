"""Nothing that an agent, or another writer of the log, chose controls a terminal: not as a value, not as a name."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest

from handlers.ports import NewMessage
from infra.host.printable import PrintableFormatter, printable_lines
from infra.host.shell import complain, say
from tests.infra.cli.conftest import Append, Run

OSC_52 = "\x1b]52;c;cm0gLXJmIH4=\x07"
"""Puts text into the clipboard of who looks at it."""
BAD = f"{OSC_52}\u202e\x9b2J\x07\r"
KEYED = json.dumps({BAD: {"\u202egnp.exe": BAD, "\x9b2J": {OSC_52: 1}}})
STYLE = re.compile(r"\x1b\[[\d;]*m")
READINGS = (
    *("query task T1", "query tasks", "query leases", "query agents", "history T1", "tail --after 0 --count 12"),
    *("explain T1", "replay", "verify", "at 12", "diff 2 12", "audit", "audit --format csv", "audit --format jsonl"),
)


def steering(shown: str) -> set[str]:
    """Return the characters that control a terminal, but for the program's own colours and line ends."""
    return {each for each in STYLE.sub("", shown) if not (each.isprintable() or each in "\n\r")}


@pytest.mark.parametrize("terminal", [False, True], ids=["plain", "terminal"])
async def test_keys_and_names_are_printed_as_safely_as_values(
    ask: Run, run: Run, append: Append, pool: str, *, terminal: bool
) -> None:
    shown = []

    async def held() -> tuple[str, ...]:
        shown.append((await ask("agent", "claim", "a", terminal=terminal)).out)
        leases = (await ask("query", "leases", "--json")).json["result"]["leases"]
        return "a", "T1", "--token", str(leases[0]["token"])

    await ask("agent", "register", "a", "--label", BAD)
    await ask("submit", "T1", "--title", BAD, "--payload", KEYED, "--label", BAD)
    lease = await held()
    await ask("agent", "progress", *lease, "--message", BAD, "--checkpoint", KEYED, "--percent", "5")
    await ask("agent", "release", *lease, "--reason", BAD)
    shown.append((await ask("query", "task", "T1", terminal=terminal)).out)
    lease = await held()
    await ask("agent", "complete", *lease, "--result", KEYED)
    await ask("annotate", "T1", "--kind", "review", "--note", BAD, "--data", KEYED)
    for event_type in (f"custody.task.{BAD}.v1", BAD, f"custody.task.completed.{BAD}"):
        body = {"specversion": "1.0", "type": event_type, "subject": BAD, "actor": BAD, BAD: BAD, "data": {BAD: BAD}}
        await append(NewMessage(f"custody.{pool}.evt.task.T1.odd", json.dumps(body).encode(), {}))
    for arguments in READINGS:
        result = await run(*arguments.split(), terminal=terminal)
        shown.append(result.err)
        if terminal or "csv" not in arguments:
            shown.append(result.out)
        assert steering("".join(shown)) == set(), arguments


def test_the_lines_of_a_service_and_of_its_log_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"broker {BAD}")
    complain(f"two\nlines {BAD}")
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "task %s\nfaked line", (BAD,), None)
    try:
        int(BAD)
    except ValueError:
        record.exc_info = sys.exc_info()
    text = PrintableFormatter("%(message)s").format(record)
    out, err = capsys.readouterr()
    assert steering(out + err + text) == set()
    assert (len(out.splitlines()), len(err.splitlines())) == (1, 2)
    assert text.splitlines()[0].endswith(r"\nfaked line")
    assert "Traceback" in text.splitlines()[1]
    assert printable_lines("a\nb\tc") == "a\nb\\tc"
