"""Commands that read the past read it from an export as they do from the broker, and need no broker for that."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.service.serving import PoolServer
from tests.infra.cli.conftest import Run
from tests.support.checkout import ROOT

FILE = "log.gz"
NOWHERE = "nats://127.0.0.1:1"
PAST = [
    ["audit", "--json"],
    ["audit", "--task", "T1", "--json"],
    ["audit", "--agent", "a1", "--event", "progressed", "--json"],
    ["audit", "--from", "3", "--to", "{time5}", "--format", "csv"],
    ["history", "T1", "--json"],
    ["at", "6", "--json"],
    ["at", "{time7}"],
    ["diff", "{time4}", "8", "--json"],
    ["replay", "--json"],
    ["replay", "--until", "{time6}"],
    ["whatif", "--grid", "lease_mode=adaptive,fixed", "--json"],
    ["postmortem", "--agent", "a1", "--output", "a1.html", "--json"],
    ["postmortem", "--task", "T1", "--output", "T1.html", "--json"],
]


def read(name: str) -> bytes:
    return Path(name).read_bytes()


def write(name: str, data: bytes) -> None:
    Path(name).write_bytes(data)


@pytest.fixture
async def exported(ask: Run, service: PoolServer) -> Run:
    """1 opened, 2 led, 3 a1 registered, 4 T1 submitted, 5 leased, 6 started, 7 progressed, 8 T2 submitted."""
    await ask("agent", "register", "a1", "--capability", "git")
    await ask("submit", "T1", "--title", "Grüße")
    await ask("agent", "claim", "a1")
    await ask("agent", "start", "a1", "T1", "--token", "5")
    await ask("agent", "progress", "a1", "T1", "--token", "5", "--percent", "30")
    await ask("submit", "T2")
    await service.stop()
    await ask("export", FILE)
    return ask


@pytest.fixture
async def times(exported: Run) -> dict[str, str]:
    rows = [json.loads(line) for line in (await exported("audit", "--json")).lines]
    return {f"time{row['position']}": row["time"] for row in rows}


async def test_a_file_tells_what_the_broker_tells(
    exported: Run, times: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [[each.format(**times) for each in command] for command in PAST]
    told = [(await exported(*command)).out for command in commands]
    monkeypatch.setenv("CUSTODY_NATS", NOWHERE)
    monkeypatch.setenv("CUSTODY_POOL", "another")
    assert [(await exported(*command, "--file", FILE)).out for command in commands] == told
    assert "Grüße" in read("T1.html").decode()


async def test_what_is_asked_about_now_is_asked_of_a_service(exported: Run, run: Run) -> None:
    for command in (["explain", "T1"], ["tail"], ["query", "tasks"], ["snapshot"]):
        assert (await run(*command, "--file", FILE)).status == 2, command


async def test_a_file_tells_nothing_of_what_came_after_it(exported: Run, run: Run) -> None:
    header = json.loads(gzip.decompress(read(FILE)).splitlines()[0])
    for command in (["at", "2999-01-01T00:00:00Z"], ["diff", "1", "2999-01-01T00:00:00Z"]):
        result = await run(*command, "--file", FILE)
        assert (result.status, result.out) == (1, "")
        assert f"2999-01-01T00:00:00Z is after {FILE} was exported, {header['exported_at']}" in result.err
    assert "position 9 is past the end of the log, 8" in (await run("at", "9", "--file", FILE)).err
    assert (await run("at", header["exported_at"], "--file", FILE, "--json")).json["position"] == 8


async def test_what_the_file_does_not_hold_is_one_line(exported: Run, run: Run, pool: str) -> None:
    for command, said in (
        (["history", "NOPE"], f"no task NOPE was submitted to pool {pool}"),
        (["audit", "--agent", "NOPE"], f"no agent NOPE was registered in pool {pool}"),
        (["audit", "--pool", "other"], f"{FILE} is the log of pool {pool}, not of other"),
    ):
        result = await run(*command, "--file", FILE)
        assert (result.status, result.out, result.err) == (1, "", f"custody: {said}\n")
    assert (await run("audit", "--file", FILE, "--nats", NOWHERE)).status == 2


def edited(lines: list[dict[str, Any]]) -> None:
    lines[7]["body"] = lines[7]["body"].replace('"percent":30', '"percent":90')


def without_one(lines: list[dict[str, Any]]) -> None:
    del lines[4]


def from_elsewhere(lines: list[dict[str, Any]]) -> None:
    lines[8]["subject"] = "custody.elsewhere.evt.task.T2.submitted"


def rewritten(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[bytes], bytes]:
    def rewrite(data: bytes) -> bytes:
        lines = [json.loads(line) for line in gzip.decompress(data).splitlines()]
        change(lines)
        return gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode())

    return rewrite


def without_events(lines: list[dict[str, Any]]) -> None:
    lines[0] |= {
        "first": 0, "last": 0, "events": 0, "root": "0" * 64,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }  # fmt: skip
    del lines[1:]


def in_a_pool_with_a_path(lines: list[dict[str, Any]]) -> None:
    lines[0]["pool"] = "../x"


BAD: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda _: b"hello", "is no export of a log"),
    (lambda data: data[:-30], "is damaged or cut short: "),
    (rewritten(edited), "is not what was exported: its header says sha256 "),
    (rewritten(without_one), "position 4 is expected, and 5 found"),
    (rewritten(from_elsewhere), "position 8 is on custody.elsewhere.evt.task.T2.submitted, not below custody."),
    (rewritten(without_events), "holds no events"),
    (rewritten(in_a_pool_with_a_path), "is no export of a log: its header is incomplete"),
]


async def test_of_a_file_that_is_not_whole_nothing_is_told(exported: Run, run: Run) -> None:
    """Not even what comes before the damage: who asks for a task's history is not told half of it."""
    whole = read(FILE)
    for damage, said in BAD:
        write("copy.gz", damage(whole))
        for command in (["audit"], ["audit", "--output", "a.csv"], ["history", "T1"], ["at", "1"], ["postmortem"]):
            result = await run(*command, "--file", "copy.gz")
            assert (result.status, result.out, result.err.count("\n")) == (1, "", 1), (said, command)
            assert said in result.err
    assert {path.name for path in Path.cwd().iterdir()} == {FILE, "copy.gz"}
    assert (
        await run("at", "1", "--file", "gone.gz")
    ).err == "custody: cannot read gone.gz: No such file or directory\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_an_interrupt_ends_the_reading_at_once(tmp_path: Path) -> None:
    """Reading a file waits for nothing, so there is no moment at which a task could be told that it is cancelled."""
    pipe = tmp_path / "endless.gz"
    os.mkfifo(pipe)
    reading = subprocess.Popen([sys.executable, "-m", "infra.cli.main", "audit", "--file", str(pipe)], cwd=ROOT)
    with pipe.open("wb"):
        reading.send_signal(signal.SIGINT)
        assert reading.wait(timeout=30) == 130
