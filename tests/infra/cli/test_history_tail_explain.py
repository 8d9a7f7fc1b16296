"""History, explanation, tail, replay and verification of a real log."""

import json
import re

import pytest
from rich.cells import cell_len

from handlers.ports import NewMessage
from infra.broker.embedded import EmbeddedBroker
from infra.service.serving import PoolServer
from tests.infra.cli.conftest import Append, Run
from tests.support.broker import Connect


@pytest.fixture
async def busy(ask: Run) -> Run:
    """Two tasks: `T1` at 4, in progress under token 5; `T2` at 8, queued."""
    await ask("agent", "register", "a1", "--capability", "git")
    await ask("submit", "T1", "--title", "First")
    await ask("agent", "claim", "a1")
    await ask("agent", "start", "a1", "T1", "--token", "5")
    await ask("agent", "progress", "a1", "T1", "--token", "5", "--percent", "30", "--message", "so far")
    await ask("submit", "T2", "--required-capability", "gpu")
    return ask


async def test_history_tells_every_event(busy: Run) -> None:
    lines = (await busy("history", "T1")).lines
    assert [line.split("  ")[2] for line in lines] == ["submitted", "leased", "started", "progressed"]
    assert lines[1].split("  ")[3:6] == ["agent/a1", "claim", "token 5"]
    assert '30 % "so far" (report 1)' in lines[3]


async def test_history_as_json_is_a_line_for_each_event(busy: Run) -> None:
    entries = [json.loads(line) for line in (await busy("history", "T1", "--json")).lines]
    assert [each["position"] for each in entries] == [4, 5, 6, 7]
    assert entries[3]["data"]["percent"] == 30
    assert entries[1]["token"] == 5


async def test_tail_fits_a_line_of_the_terminal(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    await ask("submit", "T1", "--title", "a title that is too long for a line " * 5)
    await ask("submit", "T2", "--title", "\u4e2d\u6587" * 60)
    await ask("submit", "T3", "--title", "short")
    count = int((await ask("query", "health", "--json")).json["position"])
    shown = (await ask("tail", "--after", "0", "--count", str(count), terminal=True)).lines
    assert len(shown) == count
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in shown]
    assert max(map(cell_len, plain)) <= 80
    assert [line.split()[3:6] for line in plain[-3:]] == [
        ["submitted", f"T{number}", plain[-1].split()[5]] for number in (1, 2, 3)
    ]
    assert plain[-3].endswith("\u2026")
    assert '"short"' in plain[-1]
    # Whole, where no terminal cuts it.
    assert "a title that is too long for a line " * 4 in (await ask("tail", "--after", "0", "--count", str(count))).out


async def test_history_in_a_terminal(busy: Run) -> None:
    shown = (await busy("history", "T1", terminal=True)).out
    assert "leased" in shown
    assert "token 5" in shown


@pytest.mark.parametrize("command", ["history", "explain"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NOPE", "no task NOPE was submitted to pool "),
        ("a >", "'a >' is no task's id: 1 to 128 printable ASCII"),
        ("T\n", "'T\\n' is no task's id"),
    ],
)
async def test_an_unknown_task_is_one_line(command: str, name: str, said: str, run: Run, service: PoolServer) -> None:
    result = await run(command, name)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"custody: {said}")
    assert result.err.count("\n") == 1


async def test_a_pool_without_a_log_is_one_line(run: Run, pool: str, at_broker: EmbeddedBroker) -> None:
    for arguments in (["history", "T"], ["replay"], ["verify"], ["tail"], ["explain", "T"]):
        result = await run(*arguments)
        assert (result.status, result.err) == (1, f"custody: pool {pool} has no log at {at_broker.url}\n")


async def test_explain_says_what_comes_next(busy: Run) -> None:
    held = (await busy("explain", "T1")).out
    assert held.startswith("T1 is in progress for ")
    assert "with a1 under token 5, attempt 1, at 30 %" in held
    assert "the lease expires, unless the holder is heard" in held
    assert "if still silent: expired and requeued as attempt 2" in held
    queued = (await busy("explain", "T2")).out
    assert "no registered agent can take it now" in queued
    assert "a1        no            lacks gpu; full: holds 1 of 1" in queued
    assert (await busy("explain", "T2", "--json")).json["candidates"][0]["can"] is False
    assert "attempts: 9 left" in (await busy("explain", "T1", terminal=True)).out


async def test_explain_of_an_ended_task(busy: Run) -> None:
    await busy("cancel", "T1", "--reason", "not needed")
    shown = (await busy("explain", "T1")).out
    assert shown.startswith("T1 is cancelled ")
    assert "cancelled at " in shown
    assert ": not needed" in shown
    assert "budgets" not in shown


async def test_tail_filters_and_begins_where_it_is_told(busy: Run) -> None:
    lines = (await busy("tail", "--after", "3", "--entity", "task", "--id", "T1", "--count", "2")).lines
    assert [line.split("  ")[0] for line in lines] == ["4", "5"]
    named = (await busy("tail", "--after", "0", "--event", "leased", "--count", "1", "--json")).lines
    assert json.loads(named[0])["subject"] == "task/T1"


async def test_tail_shows_what_happens(busy: Run) -> None:
    lines = (await busy("tail", "--after", "7", "--count", "1")).lines
    assert lines[0].startswith("8  ")


async def test_tail_past_the_end_is_one_line(run: Run, service: PoolServer) -> None:
    result = await run("tail", "--after", "99")
    assert (result.status, result.err) == (1, "custody: position 99 is past the end of the log, 2\n")
    assert (await run("tail", "--event", "leasd")).status == 2


async def test_replay_shows_the_views_of_a_position(busy: Run) -> None:
    now = (await busy("replay")).out
    assert "at position 8," in now
    assert "tasks     queued 1, in_progress 1" in now
    assert "more with a larger --limit" in (await busy("replay", "--limit", "1")).out
    then = (await busy("replay", "--until", "4", "--json")).json
    assert then["position"] == 4
    assert [task["status"] for task in then["tasks"]["tasks"]] == ["queued"]
    assert then["leases"]["leases"] == []


async def test_replay_shows_the_views_of_a_moment(busy: Run) -> None:
    entries = [json.loads(line) for line in (await busy("history", "T1", "--json")).lines]
    assert (await busy("replay", "--until", entries[1]["time"], "--json")).json["position"] == 5
    assert (await busy("replay", "--until", entries[3]["time"], "--json")).json["position"] == 7
    assert (await busy("replay", "--until", "2001-01-01T00:00:00Z", "--json")).json["position"] == 0
    assert (await busy("replay", "--until", "2999-01-01T00:00:00+02:00", "--json")).json["position"] == 8


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("9", "position 9 is past the end of the log, 2"),
        ("someday", "neither a position nor a time, such as 10:00"),
        ("-5", "neither a position nor a time"),
    ],
)
async def test_a_wrong_moment_is_one_line(until: str, said: str, run: Run, service: PoolServer) -> None:
    result = await run("replay", f"--until={until}")
    assert (result.status, result.out) == (1, "")
    assert said in result.err
    assert result.err.count("\n") == 1


async def test_verify_passes_what_the_service_wrote(busy: Run, pool: str) -> None:
    assert (await busy("verify")).lines[0] == f"CUSTODY_{pool}: in order"
    report = (await busy("verify", "--json")).json
    assert (report["ok"], report["position"], report["tasks"], report["wrong"]) == (True, 8, 2, [])
    assert report["stream_differences"] == []


async def test_verify_names_the_first_wrong_position(busy: Run, run: Run, append: Append, pool: str) -> None:
    position = await append(NewMessage(f"custody.{pool}.evt.task.T1.odd", b"junk\x1b[2J", {}))
    result = await run("verify")
    assert result.status == 1
    assert result.err == f"custody: first wrong position: {position}\n"
    assert f"position {position}: hash: custody.{pool}.evt.task.T1.odd carries no Custody-Hash" in result.out
    assert f"position {position}: readable: " in result.out
    assert (await run("verify", "--json")).json["first_wrong_position"] == position


async def test_what_cannot_be_read_is_shown_by_every_reader(busy: Run, append: Append, pool: str) -> None:
    position = await append(NewMessage(f"custody.{pool}.evt.task.T1.odd", b"junk", {}))
    assert (await busy("history", "T1")).lines[-1].startswith(f"{position}  unreadable  cannot be read")
    assert "unreadable" in (await busy("tail", "--after", str(position - 1), "--count", "1")).out
    replayed = await busy("replay")
    assert "1 events could not be read or applied" in replayed.out
    assert (await busy("replay", "--json")).json["unreadable"][0]["position"] == position
    assert (await busy("replay", "--until", "2999-01-01T00:00:00Z", "--json")).json["position"] == position


async def test_what_a_later_release_wrote_is_named_by_every_reader(
    busy: Run, run: Run, append: Append, pool: str
) -> None:
    body = json.dumps({"type": "custody.task.progressed.v9", "data": {"token": 5, "share": 0.9}}).encode()
    position = await append(NewMessage(f"custody.{pool}.evt.task.T1.progressed", body, {}))
    await busy("submit", "T3")
    said = (
        "its type custody.task.progressed.v9 is newer than this software, which reads versions up to 1: "
        "use the release that wrote it, or a later one"
    )
    unreadable = [{"position": position, "reason": f"the message at position {position} cannot be read: {said}"}]
    assert (await busy("query", "health", "--json")).json["result"]["unreadable"] == unreadable
    assert (await busy("query", "task", "T1", "--json")).json["result"]["lease"]["percent"] == 30
    assert (await busy("at", str(position), "--json")).json["unreadable"] == unreadable
    for command in (
        ("history", "T1"),
        ("audit", "--task", "T1"),
        ("tail", "--after", str(position - 1), "--count", "1"),
    ):
        assert said in (await busy(*command)).out, command
    assert f"position {position}: readable: custody.{pool}.evt.task.T1.progressed: {said}" in (await run("verify")).out


async def test_what_the_broker_answers_into_a_log_is_skipped_and_named(
    busy: Run, run: Run, connect: Connect, pool: str
) -> None:
    """A reader chooses the reply subject, and no permission is asked for it there."""
    operator = await connect("operator")
    await operator.publish(f"$JS.API.STREAM.INFO.CUSTODY_{pool}", b"", reply=f"custody.{pool}.evt.task.T1.completed")
    await operator.flush()
    await busy("submit", "T3")
    health = (await busy("query", "health", "--json")).json["result"]
    assert (health["unreadable_events"], health["unreadable"][0]["position"]) == (1, 9)
    assert (await busy("query", "task", "T1", "--json")).json["result"]["status"] == "in_progress"
    result = await run("verify")
    assert (result.status, result.err) == (1, "custody: first wrong position: 9\n")


async def test_verify_looks_at_the_stream(run: Run, connect: Connect, pool: str) -> None:
    admin = await connect("admin")
    await admin.jetstream().add_stream(name=f"CUSTODY_{pool}", subjects=[f"custody.{pool}.evt.>"])
    result = await run("verify")
    assert result.status == 1
    assert (
        f"stream CUSTODY_{pool} is not configured as a log must be: deny_delete: found false, needed true" in result.out
    )
