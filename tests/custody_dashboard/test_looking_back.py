"""Back in time: any moment as it was, what changed between two, how busy it was when, and the morning report."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from custody_dashboard.endpoints import report_endpoints
from custody_dashboard.past import past_states
from custody_dashboard.past.named_moments import moment_at
from custody_dashboard.past.past_states import KEPT_STATES, MAX_WAITING
from custody_dashboard.past.timeline import BUCKETS, MAX_SAMPLES, Sample, Timeline, timeline_document
from domain.timestamps import format_timestamp
from handlers.follower import morning_fold, past
from handlers.follower.histories import Histories
from infra.cli.session.postmortem_page import MadePage
from infra.codec import CloudEventsCodec
from tests.custody_dashboard.conftest import Desk
from tests.support.cases import case
from tests.support.pool_harness import POOL, PoolHarness

FORTUNES = ("position", "strip", "needs", "agents", "lanes", "steals", "recent", "tasks_changed")


async def test_a_moment_is_shown_as_it_was_seen_then(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1", "T2")
    await pool.advance(1)
    desk.watch.tick()
    assert desk.watch.feed is not None
    seen = desk.watch.feed.document()
    position = pool.position
    await pool.given("ops.cancel", task_id="T1")
    await pool.advance(30)
    await pool.submit("T3")
    await pool.advance(1)
    found = await desk.get("/api/at", position=position)
    assert found["past"] is True
    assert found["mode"] == "past"
    assert found["position"] == position
    assert {agent_id: row["held"] for agent_id, row in found["agents"].items()} == {"a1": 2}
    assert found["lanes"]["agents"].keys() == seen["lanes"]["agents"].keys()
    assert [each["position"] for each in found["recent"]] == [each["position"] for each in seen["recent"]]
    window = await desk.get("/api/tasks", position=position)
    assert [(row["task_id"], row["status"]) for row in window["rows"]] == [("T1", "assigned"), ("T2", "assigned")]
    task = await desk.get("/api/task", id="T1", position=position)
    assert (task["past"], task["task"]["status"], task["lifecycle"]["at"]) == (True, "assigned", "assigned")
    assert [each["event"] for each in task["events"]] == ["submitted", "leased"]
    assert (await desk.get("/api/task", id="T1"))["task"]["status"] == "cancelled"
    assert (await desk.refused("/api/task", id="T3", position=position))[0] == 404
    assert (await desk.get("/api/statistics", position=position))["statistics"]["tasks"]["assigned"] == 2
    assert (await desk.get("/api/agent", id="a1", position=position))["row"]["held"] == 2
    assert (await desk.get("/api/steals", position=position))["steals"] == []


async def test_a_moment_may_be_named_by_a_time(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    position, at = pool.position, pool.clock.now()
    await pool.advance(60)
    await pool.submit("T2")
    await pool.advance(1)
    for text in (
        format_timestamp(at),
        format_timestamp(at + timedelta(seconds=59)),
        (at + timedelta(seconds=30)).astimezone().isoformat(),
    ):
        with case(text):
            assert (await desk.get("/api/at", at=text))["position"] == position
    for later_s, wait_s in ((0, 0.0), (59, 59.0), (30, 30.0)):
        found = await desk.get("/api/at", at=format_timestamp(at + timedelta(seconds=later_s)))
        assert found["strip"]["oldest_wait_s"] == wait_s, "ages are those of the moment, not of the last event by then"
    assert (await desk.get("/api/at", at="1969-01-01T00:00:00Z"))["position"] == 0
    assert (await desk.get("/api/at", position=0))["agents"] == {}


async def test_every_page_of_the_past_has_the_ages_of_the_moment_and_not_of_the_last_event(
    desk: Desk, pool: PoolHarness
) -> None:
    await pool.holds("a1", "T1")
    position, granted_at = pool.position, pool.clock.now()
    moment_at = format_timestamp(granted_at + timedelta(seconds=200))
    await pool.advance(600)
    assert pool.names(position), "something happened since"
    for given in ({"at": moment_at}, {"at": moment_at, "position": position}):
        for path, more in (
            ("/api/tasks", {}),
            ("/api/task", {"id": "T1"}),
            ("/api/agent", {"id": "a1"}),
            ("/api/statistics", {}),
        ):
            with case(f"{path} {given}"):
                found = await desk.get(path, **given, **more)
                assert (found["position"], found["now"]) == (position, moment_at)
        agent = await desk.get("/api/agent", id="a1", **given)
        assert agent["row"]["tone"] == "silent", "at its last event it was not"
    steals = await desk.get("/api/steals", at=moment_at)
    assert (steals["position"], steals["past"]) == (position, True)
    assert (await desk.get("/api/agent", id="a1", position=position))["row"]["tone"] == "ok"


async def test_a_past_whose_history_was_cut_says_since_when_it_counts(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await pool.submit(f"T{number}")
        await pool.advance(60)
    begun = format_timestamp(pool.records()[-2].time)
    whole = await desk.get("/api/statistics", at=format_timestamp(pool.clock.now()))
    assert (whole["last_hour_since"], whole["last_hour"]["submitted"]) == (None, 5)
    assert (await desk.get("/api/statistics"))["series_since"] is None
    monkeypatch.setattr(past_states, "HISTORY_EVENTS", 2)
    desk.context._past = None  # noqa: SLF001 - what is kept was not cut
    cut = await desk.get("/api/statistics", at=format_timestamp(pool.clock.now()))
    assert (cut["last_hour_since"], cut["series_since"], cut["last_hour"]["submitted"]) == (begun, begun, 2)
    assert (await desk.get("/api/at", at=format_timestamp(pool.clock.now())))["strip"]["last_hour_since"] == begun


@pytest.mark.parametrize("kind", ["task", "agent"])
async def test_a_page_of_the_past_is_of_its_own_moment_though_another_one_is_asked_for_meanwhile(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    await pool.register("a1", capacity=10)
    await pool.submit("T1", "T2")
    await pool.assign("a1", "T1")
    position = pool.position
    await pool.advance(60)
    await pool.assign("a1", "T2")
    await pool.given("ops.cancel", task_id="T1")
    later = pool.position
    await pool.advance(1)
    path, entity_id = f"/api/{kind}", "T1" if kind == "task" else "a1"
    alone = await desk.get(path, id=entity_id, position=position)
    reads, entered, go_on = Histories.of, asyncio.Event(), asyncio.Event()

    async def slow(self: Any, *given: Any) -> Any:
        entered.set()
        await go_on.wait()
        return await reads(self, *given)

    monkeypatch.setattr(Histories, "of", slow)
    asked = asyncio.create_task(desk.get(path, id=entity_id, position=position))
    await entered.wait()
    await desk.get("/api/at", position=later)
    go_on.set()
    assert await asked == alone


async def test_playing_moves_one_state_on_and_what_is_kept_is_bounded(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt: list[int] = []

    async def counted(follower: Any, position: int) -> Any:
        rebuilt.append(position)
        return await past.memory_at(follower, position)

    monkeypatch.setattr(past_states, "memory_at", counted)
    await pool.register("a1", capacity=100)
    for number in range(30):
        await pool.submit(f"T{number}")
        await pool.assign("a1", f"T{number}")
        await pool.advance(1)
    for position in range(10, 60, 5):
        document = await desk.get("/api/at", position=position)
        assert document["position"] == position
        moment = await moment_at(desk.watch.follower, position, "position")
        fresh = await past_states.PastStates(desk.watch.follower).at(moment)
        for name in FORTUNES:
            assert document[name] == json.loads(fresh.document())[name], (position, name)
    assert len(rebuilt) == 1 + 10, "one for what is played; the others are what it is compared with"
    rebuilt.clear()
    for position in (55, 20, 30, 10, 8, 6, 4):
        await desk.get("/api/at", position=position)
    assert len(desk.context.past._kept) <= KEPT_STATES  # noqa: SLF001 - what is bounded
    assert rebuilt


async def test_states_are_dropped_when_nobody_has_looked_for_a_while(desk: Desk, pool: PoolHarness) -> None:
    await desk.get("/api/at", position=1)
    desk.context.forget_idle()
    assert desk.context._past is not None  # noqa: SLF001 - what is dropped
    await pool.advance(301)
    desk.context.forget_idle()
    assert desk.context._past is None  # noqa: SLF001 - same


async def test_too_many_looks_into_the_past_are_told_to_come_again(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit(*(f"T{number}" for number in range(20)))
    await pool.advance(1)
    answers = await asyncio.gather(
        *(desk.http.get("/api/at", params={"position": number}) for number in range(1, 2 * MAX_WAITING + 1))
    )
    statuses = [each.status_code for each in answers]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= MAX_WAITING
    assert all(each.json()["error"]["code"] == "busy" for each in answers if each.status_code == 503)


async def test_what_changed_between_two_moments(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1", "T2")
    first, at = pool.position, pool.clock.now()
    await pool.advance(10)
    await pool.given("ops.cancel", task_id="T1")
    await pool.submit("T3")
    await pool.register("a2")
    await pool.advance(1)
    for start in (str(first), format_timestamp(at)):
        found = await desk.get("/api/diff", **{"from": start, "to": str(pool.position)})
        assert {each["task_id"]: each["change"] for each in found["tasks"]} == {"T1": "ended", "T3": "new"}
        assert {each["agent_id"]: each["change"] for each in found["agents"]} == {"a1": "changed", "a2": "joined"}
        assert (found["more_tasks"], found["more_agents"]) == (0, 0)
        assert found["counts"]["tasks.queued"] == {"before": 0, "after": 1}


@pytest.mark.parametrize(
    ("path", "parameters", "said"),
    [
        ("/api/at", {}, "name position, at or both"),
        ("/api/at", {"position": "1", "at": "2026-11-21T07:59:59Z"}, "the log did not end at position 1"),
        ("/api/tasks", {"position": "1", "at": "2126-11-21T08:00:00Z"}, "the log did not end at position 1"),
        ("/api/task", {"id": "T1", "position": "1", "at": "now"}, "at should be a time"),
        ("/api/at", {"position": "999"}, "position 999 is past the end of the log"),
        ("/api/at", {"position": "-1"}, "position should be a whole number"),
        ("/api/at", {"at": "yesterday"}, "at should be a time such as"),
        ("/api/at", {"at": "2026-11-21T08:00:00"}, "at should be a time such as"),
        ("/api/at", {"at": "2999-01-01T00:00:00Z"}, "at has not come yet"),
        ("/api/at", {"at": "9" * 30}, "at should be a time such as"),
        ("/api/diff", {"from": "1"}, "name both moments"),
        ("/api/diff", {"from": "3", "to": "1"}, "from is after to"),
        ("/api/diff", {"from": "1", "to": "x"}, "to should be a time such as"),
        ("/api/morning", {"since": "soon"}, "since should be a time such as"),
        ("/api/morning", {"since": "3", "position": "2"}, "since is after the moment up to which"),
        ("/api/morning", {"position": "2", "at": "2026-11-20T08:00:00Z"}, "the log did not end at position 2"),
        ("/api/morning", {"at": "2999-01-01T00:00:00Z"}, "at has not come yet"),
        ("/api/postmortem", {}, "name a task, an agent, or a range"),
        ("/api/postmortem", {"task": "ü"}, "is not a task's id"),
        ("/api/postmortem", {"from": "x"}, "from should be a time such as"),
    ],
)
async def test_moments_that_there_are_not(
    desk: Desk, pool: PoolHarness, path: str, parameters: dict[str, str], said: str
) -> None:
    await pool.submit("T1", "T2")
    await pool.advance(1)
    status, _, message = await desk.refused(path, **parameters)
    assert (status, said in message) == (400, True), message


async def test_a_difference_over_too_many_events_is_refused(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_states, "MAX_DIFF_EVENTS", 3)
    await pool.submit("T1", "T2", "T3", "T4")
    await pool.advance(1)
    _, _, message = await desk.refused("/api/diff", **{"from": "0", "to": "6"})
    assert "choose moments closer together" in message


async def test_the_timeline_has_every_event_in_one_of_its_buckets(desk: Desk, pool: PoolHarness) -> None:
    for number in range(40):
        await pool.submit(f"T{number}")
        await pool.advance(1 if number < 20 else 60)
    found = await desk.get("/api/timeline")
    assert (found["first_position"], found["last_position"]) == (1, pool.position)
    assert len(found["buckets"]) == BUCKETS
    assert sum(each["events"] for each in found["buckets"]) == pytest.approx(pool.position, abs=3)
    assert found["buckets"][0]["events"] > found["buckets"][-1]["events"]
    assert found["points"] == sorted(found["points"])


async def test_a_timeline_reads_a_few_hundred_messages_however_long_the_log_is() -> None:
    class Log:
        reads = 0

        async def get(self, position: int) -> Any:
            self.reads += 1
            return position

    class Codec:
        def decode(self, position: int) -> Any:
            return Sample(position, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=position))

    class Timed(Timeline):
        async def _time(self, position: int, first: int) -> datetime:
            log.reads += 1
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=position)

    log: Any = Log()
    timeline = Timed(log, CloudEventsCodec(POOL))
    last = 10_000_000
    for _ in range(50):
        samples = await timeline.samples(1, last)
        assert len(samples) <= MAX_SAMPLES
        assert (samples[0].position, samples[-1].position) == (1, last)
        last += 997
    assert log.reads < 2 * MAX_SAMPLES
    assert await timeline.samples(1, 0) == []


def test_a_timeline_of_events_at_one_moment_is_no_error() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert timeline_document([])["buckets"] == []
    assert timeline_document([Sample(1, at), Sample(9, at)])["buckets"] == []
    assert timeline_document([Sample(5, at)])["last_position"] == 5


async def test_the_morning_report_links_to_what_happened(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T0")
    at = pool.clock.now()
    await pool.advance(60)
    token = await pool.holds("a1", "T1")
    await pool.given("agent.a1.fail", task_id="T1", token=token, error="broken", retryable=False)
    await pool.advance(1)
    found = await desk.get("/api/morning", since=format_timestamp(at))
    assert 0 < len(found["lines"]) <= 10
    assert found["lines"][0]["link"] == {"kind": "postmortem", "task_id": "T1"}
    assert (found["position"], found["events_left_out"]) == (pool.position, 0)
    by_default = await desk.get("/api/morning")
    assert (by_default["events"], by_default["since"]) == (pool.position, "2026-11-20T20:00:00.000000Z")
    await pool.submit("T9")
    await pool.advance(1)
    again = await desk.get("/api/morning", since=format_timestamp(at))
    assert again["events"] == found["events"] + 1, "what was folded is folded further"
    later = await desk.get("/api/morning", since=format_timestamp(pool.clock.now()))
    assert (later["lines"], later["events"]) == ([], 0)


async def test_a_morning_report_may_end_in_the_past(desk: Desk, pool: PoolHarness) -> None:
    since = pool.clock.now()
    await pool.advance(1)
    token = await pool.holds("a1", "T1")
    await pool.given("agent.a1.block", task_id="T1", token=token, reason="unclear", question="Which?")
    await pool.advance(60)
    position, at = pool.position, pool.clock.now()
    await pool.advance(60)
    await pool.given("ops.unblock", task_id="T1", answer="main")
    await pool.submit("T2")
    await pool.advance(1)
    by_time = await desk.get("/api/morning", since=format_timestamp(since), at=format_timestamp(at))
    assert by_time["until"] == format_timestamp(at)
    for found in (by_time, await desk.get("/api/morning", since=format_timestamp(since), position=position)):
        assert found["lines"][0]["text"] == "1 task blocked, and waiting for an answer: T1"
        assert (found["past"], found["position"]) == (True, position)
        assert found["lines"][0]["first_at"] == format_timestamp(since + timedelta(seconds=1))
    now = await desk.get("/api/morning", since=format_timestamp(since))
    assert not any("blocked" in line["text"] for line in now["lines"])
    assert (now["past"], now["position"]) == (False, pool.position)


async def test_a_morning_report_says_how_far_it_is_until_it_is_whole(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(morning_fold, "SLICE", 3)
    monkeypatch.setattr(report_endpoints, "STEP_S", 0.0)
    since = pool.clock.now()
    await pool.advance(1)
    await pool.submit(*(f"T{number}" for number in range(8)))
    await pool.advance(1)
    said = []
    for _ in range(pool.position // 3):
        status, code, message = await desk.refused("/api/morning", since="0")
        said.append(message)
        assert (status, code) == (503, "reading")
    assert said[0] == f"Reading the log: 3 of {pool.position} events, {300 // pool.position} %"
    found = await desk.get("/api/morning", since="0")
    assert (found["events"], found["events_left_out"]) == (pool.position, 0)
    assert found["from"] > found["since"], "of the log's beginning"
    monkeypatch.setattr(report_endpoints, "STEP_S", 60.0)
    at_once = await desk.get("/api/morning", since=format_timestamp(since))
    assert [each["text"] for each in at_once["lines"]] == [each["text"] for each in found["lines"]]


async def test_a_morning_report_that_leaves_events_out_says_from_when_it_is(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_endpoints, "MAX_MORNING_EVENTS", 2)
    since = pool.clock.now()
    await pool.advance(1)
    await pool.submit("T1", "T2")
    await pool.advance(60)
    first = pool.clock.now()
    await pool.submit("T3")
    await pool.submit("T4")
    await pool.advance(1)
    found = await desk.get("/api/morning", since=format_timestamp(since))
    assert (found["events"], found["events_left_out"]) == (2, 2)
    assert found["since"] == format_timestamp(since)
    assert found["from"] == format_timestamp(first)
    assert found["lines"][1]["text"] == "0 tasks completed, 2 submitted"


async def test_a_morning_report_reaches_back_a_month_at_most(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_endpoints, "LONGEST_MINUTES", 1)
    since = pool.clock.now()
    await pool.advance(1)
    await pool.submit("T1")
    await pool.advance(90)
    await pool.submit("T2")
    await pool.advance(1)
    found = await desk.get("/api/morning", since=format_timestamp(since))
    assert found["from"] > format_timestamp(since)
    assert found["events_left_out"] > 0
    assert any("1 submitted" in line["text"] for line in found["lines"])


async def test_the_post_mortem_of_an_agent_is_of_the_time_around_its_newest_event(
    desk: Desk, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: list[tuple[int, int]] = []

    async def made(_: Any, __: Any, ___: Any, ____: Any, span: tuple[int, int], _____: int) -> MadePage:
        spans.append(span)
        return MadePage("", 0, 0)

    monkeypatch.setattr(report_endpoints, "AGENT_SPAN_S", 60.0)
    monkeypatch.setattr(report_endpoints, "make_page", made)
    await pool.register("a1")
    await pool.advance(120)
    begin = pool.position + 1
    await pool.submit("before")
    await pool.advance(30)
    await pool.register("a1", capacity=7)
    await pool.advance(30)
    await pool.submit("after")
    end = pool.position
    await pool.advance(60)
    await pool.submit("late")
    await pool.advance(1)
    for parameters in ({"agent": "a1"}, {"agent": "a1", "from": "1"}, {"agent": "none"}):
        assert (await desk.http.get("/api/postmortem", params=parameters)).status_code == 200
    assert spans == [(begin, end), (1, pool.position), (1, pool.position)]
    monkeypatch.setattr(report_endpoints, "AGENT_SPAN_EVENTS", 1)
    await desk.http.get("/api/postmortem", params={"agent": "a1"})
    assert spans[-1] == (begin, end), "the newest event, and one on each side"
