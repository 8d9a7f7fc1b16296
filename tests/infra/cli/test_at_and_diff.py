"""The pool at other times: every view as it was, and what changed in between."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.timestamps import format_timestamp, parse_timestamp
from infra.service.serving import PoolServer
from tests.infra.cli.conftest import Run


@pytest.fixture
async def busy(ask: Run) -> Run:
    """1 opened, 2 led, 3 a1 registered, 4 T1 submitted, 5 leased, 6 started, 7 progressed, 8 T2 submitted,
    9 a2 registered, 10 leased T2 by a2, 11 T1 completed, 12 T3 submitted."""
    await ask("agent", "register", "a1", "--capability", "git")
    await ask("submit", "T1")
    await ask("agent", "claim", "a1")
    await ask("agent", "start", "a1", "T1", "--token", "5")
    await ask("agent", "progress", "a1", "T1", "--token", "5", "--percent", "30")
    await ask("submit", "T2")
    await ask("agent", "register", "a2")
    await ask("agent", "claim", "a2")
    await ask("agent", "complete", "a1", "T1", "--token", "5")
    await ask("submit", "T3")
    return ask


async def time_of(run: Run, position: int) -> datetime:
    (found,) = (await run("audit", "--from", str(position), "--to", str(position), "--format", "csv")).lines[1:]
    return parse_timestamp(found.split(",")[1])


def shift(at: datetime, seconds: float) -> str:
    return format_timestamp(at + timedelta(seconds=seconds))


async def test_every_view_as_it_was(busy: Run) -> None:
    then = (await busy("at", "7", "--json")).json
    assert (then["position"], then["now"]) == (7, format_timestamp(await time_of(busy, 7)))
    assert [(each["task_id"], each["status"], each["percent"]) for each in then["tasks"]["tasks"]] == [
        ("T1", "in_progress", 30)
    ]
    assert [(each["agent_id"], each["tasks"]) for each in then["workloads"]["workloads"]] == [("a1", 1)]
    assert [each["token"] for each in then["leases"]["leases"]] == [5]
    assert then["backlog"]["queued"] == 0
    assert (await busy("at", "8", "--json")).json["backlog"]["queued"] == 1


async def test_a_lease_is_told_from_that_moment(busy: Run) -> None:
    granted = await time_of(busy, 5)
    (lease,) = (await busy("at", "5", "--json")).json["leases"]["leases"]
    assert (lease["left_s"], lease["status"]) == (180.0, "active")
    between = (await busy("at", shift(granted, 0.000001), "--json")).json
    assert (between["position"], between["leases"]["leases"][0]["left_s"]) == (5, 180.0)
    assert (await busy("at", shift(granted, -0.000001), "--json")).json["position"] == 4


async def test_before_the_log_there_was_nothing(busy: Run) -> None:
    assert (await busy("at", "2001-01-01T00:00:00Z", "--json")).json["tasks"]["tasks"] == []
    assert "had no events yet" in (await busy("at", "0")).out


async def test_it_is_shown_to_people(busy: Run) -> None:
    shown = (await busy("at", "7", terminal=True)).out
    assert "as it was at " in shown
    assert all(view in shown for view in ("STATISTICS", "BACKLOG", "LEASES", "WORKLOADS", "AGENTS", "TASKS"))
    assert "in 4m" in shown
    assert "more with a larger --limit" in (await busy("at", "12", "--limit", "1")).out


async def test_what_changed(busy: Run) -> None:
    found = (await busy("diff", "5", "12", "--json")).json
    assert (found["from"]["position"], found["to"]["position"], found["events"]) == (5, 12, 7)
    assert found["by_event"]["task.progressed"] == 1
    assert [(each["task_id"], each["change"]) for each in found["tasks"]] == [
        ("T1", "ended"), ("T2", "new"), ("T3", "new"),
    ]  # fmt: skip
    assert found["tasks"][0]["before"] == {"status": "assigned", "attempt": 1, "agent_id": "a1", "percent": 0}
    assert found["tasks"][0]["after"] == {"status": "completed", "attempt": 1, "agent_id": None, "percent": None}
    assert [(each["agent_id"], each["change"]) for each in found["agents"]] == [("a1", "changed"), ("a2", "joined")]
    assert found["agents"][0]["after"]["tasks"] == 0
    assert found["counts"]["tasks.queued"] == {"before": 0, "after": 1}
    assert found["counts"]["tasks.completed"] == {"before": 0, "after": 1}


async def test_a_task_that_came_and_went_is_told_once(busy: Run) -> None:
    assert [(each["task_id"], each["change"]) for each in (await busy("diff", "0", "11", "--json")).json["tasks"]] == [
        ("T1", "new and ended"),
        ("T2", "new"),
    ]


async def test_changes_are_shown_to_people(busy: Run) -> None:
    shown = (await busy("diff", "5", "7")).out
    assert "2 events: task.progressed 1, task.started 1" in shown
    assert "assigned → in_progress" in shown
    assert "0 % → 30 %" in shown
    assert "nothing changed" in shown
    assert "and 1 more, with a larger --limit or --json" in (await busy("diff", "7", "12", "--limit", "1")).out


async def test_two_moments_without_an_event_between(busy: Run) -> None:
    at = await time_of(busy, 5)
    found = (await busy("diff", format_timestamp(at), shift(at, 0.000001), "--json")).json
    assert (found["events"], found["tasks"], found["agents"]) == (0, [], [])


async def test_who_had_a_task_then_is_one_line(busy: Run) -> None:
    async def said(when: str) -> str:
        (line,) = (await busy("at", when, "--task", "T1")).lines
        return line

    at = (await time_of(busy, 7)).strftime("%Y-%m-%d %H:%M:%SZ")
    granted = (await time_of(busy, 5)).strftime("%H:%M:%SZ")
    assert await said("7") == f"T1 at {at}: a1 had it since {granted}, token 5, 30 %"
    assert (await said("3")).endswith(": not submitted yet")
    assert (await said("2001-01-01")).endswith(": not submitted yet")
    assert ": no agent had it, queued since " in await said("4")
    assert (await said("5")).endswith(", token 5, assigned")
    assert ": no agent had it, completed since " in await said("now")
    assert (await said("now")).endswith("; a1 had it last, token 5")
    then = (await busy("at", "7", "--task", "T1", "--json")).json
    assert (then["agent_id"], then["token"], then["percent"], then["position"]) == ("a1", 5, 30, 7)


async def test_moments_as_people_write_them(busy: Run) -> None:
    last = (await busy("at", "now", "--json")).json["position"]
    assert (await busy("at", "-1h", "--json")).json["position"] == 0
    assert (await busy("at", "10m ago", "--json")).json["position"] == 0
    assert (await busy("at", "yesterday 10:00", "--json")).json["position"] == 0
    found = (await busy("diff", "-1h", "now", "--json")).json
    assert (found["from"]["position"], found["to"]["position"]) == (0, last)
    assert (await busy("replay", "--until", "-1h", "--json")).json["position"] == 0
    assert (await busy("replay", "--until", "tomorrow", "--json")).json["position"] == last
    # A date ends with its last moment, whatever the time of day is now.
    day = (await time_of(busy, 5)).astimezone().strftime("%Y-%m-%d")
    assert len((await busy("audit", "--from", day, "--to", day, "--format", "csv")).lines) > 5
    assert (await busy("audit", "--from", "-1h", "--task", "T1", "--format", "csv")).lines[1:] != []
    assert (await busy("audit", "--to", "1h ago", "--format", "csv")).lines[1:] == []


BAD_INPUT: list[tuple[list[str], str]] = [
    (["at", "99"], "at: position 99 is past the end of the log, 2"),
    (["at", "someday"], "at 'someday' is neither a position nor a time, such as 10:00"),
    (["at", "2999-01-01T00:00:00Z"], "at 2999-01-01T00:00:00Z has not come yet"),
    (["at", "now", "--task", "NOPE"], "no task NOPE was submitted to pool"),
    (["diff", "2", "1"], "2 is after 1: name the earlier moment first"),
    (["diff", "1", "99"], "diff: position 99 is past the end of the log, 2"),
]


async def test_bad_input_is_one_line(run: Run, service: PoolServer) -> None:
    for arguments, said in BAD_INPUT:
        result = await run(*arguments)
        assert (result.status, result.out) == (1, ""), arguments
        assert said in result.err
        assert result.err.count("\n") == 1


async def test_a_pool_without_a_log_is_one_line(run: Run, pool: str, at_broker: Any) -> None:
    for arguments in (["at", "1"], ["diff", "1", "2"], ["audit"]):
        result = await run(*arguments)
        assert (result.status, result.err) == (1, f"custody: pool {pool} has no log at {at_broker.url}\n")
