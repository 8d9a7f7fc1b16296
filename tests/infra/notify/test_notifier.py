"""What endpoints are told, with the queue on disk: events once each, and what fails, is slow, or is another log."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from pathlib import Path

import pytest

from handlers.notifier.endpoint_sender import Limits
from handlers.notifier.retry_rules import Outcome, Verdict
from tests.support.notified_pool import DELIVERED, DOWN, GONE, REFUSED, NotifiedPool
from tests.support.scenario import OPS

HOUR_S = 3_600.0


def submit(pool: NotifiedPool, *task_ids: str, **definition: object) -> None:
    for task_id in task_ids:
        pool.given(OPS, "submit", task_id=task_id, **definition)


async def test_each_endpoint_is_told_what_it_wants(pool: NotifiedPool) -> None:
    everything = pool.endpoint("everything", events=("*",))
    failures = pool.endpoint("failures", events=("task.failed", "task.quarantined"))
    ops = pool.endpoint("ops", events=("task.*",), labels=("ops-*",))
    alice = pool.endpoint("alice", events=("task.*",), agents=("alice",))
    async with pool.notifying() as notifier:
        submit(pool, "T1", labels=["ops-db"], title="Vacuum")
        pool.given("alice", "register")
        token = pool.given("alice", "claim").result["leases"][0]["token"]
        pool.given("alice", "complete", task_id="T1", token=token)
        submit(pool, "T2")
        await pool.clock.advance(1)
        assert notifier.position == len(pool.log.messages)
    assert everything.kinds == [
        "task.submitted", "agent.registered", "task.leased", "task.completed", "task.submitted",
    ]  # fmt: skip
    assert failures.kinds == []
    assert ops.kinds == ["task.submitted", "task.leased", "task.completed"]
    assert alice.kinds == ["task.leased", "task.completed"]
    completed = alice.got[-1].data
    assert (completed["task_id"], completed["title"], completed["agent_id"]) == ("T1", "Vacuum", "alice")
    assert completed["text"].startswith('task T1 "Vacuum": completed by agent/alice: held by alice for ')
    assert alice.got[-1].type == "custody.task.completed.v1"


async def test_what_happened_before_the_first_start_is_not_told_and_what_happens_between_starts_is(
    pool: NotifiedPool,
) -> None:
    told = pool.endpoint("e", events=("task.submitted",))
    submit(pool, "before")
    async with pool.notifying():
        submit(pool, "T1")
        await pool.clock.advance(1)
    submit(pool, "T2", "T3")
    later = pool.endpoint("later", events=("task.submitted",))
    async with pool.notifying():
        submit(pool, "T4")
        await pool.clock.advance(1)
    assert [each.data["task_id"] for each in told.got] == ["T1", "T2", "T3", "T4"]
    assert [each.data["task_id"] for each in later.got] == ["T4"]


async def test_what_was_posted_and_not_recorded_is_posted_again_with_the_same_id(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",))
    async with pool.notifying(killed=True):
        submit(pool, "T0")
        await pool.clock.advance(1)
        told.open.clear()
        submit(pool, "T1", "T2")
        await pool.clock.advance(1)
    told.open.set()
    async with pool.notifying():
        await pool.clock.advance(1)
    ids = [message.message_id for _, message in told.posts]
    assert [message.data["task_id"] for _, message in told.posts] == ["T0", "T1", "T1", "T2"]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


async def test_the_same_event_has_another_id_at_another_endpoint(pool: NotifiedPool) -> None:
    one, other = pool.endpoint("one", events=("*",)), pool.endpoint("other", events=("*",))
    async with pool.notifying():
        submit(pool, "T1")
        await pool.clock.advance(1)
    assert one.got[0].message_id != other.got[0].message_id


async def test_a_slow_endpoint_holds_up_no_other(pool: NotifiedPool) -> None:
    slow, quick = pool.endpoint("slow", events=("*",)), pool.endpoint("quick", events=("*",))
    slow.open.clear()
    async with pool.notifying():
        submit(pool, *(f"T{number}" for number in range(20)))
        await pool.clock.advance(1)
        assert len(quick.got) == 20
        assert (len(slow.posts), len(slow.got)) == (1, 0)
        statuses = {each.name: each for each in pool.desk.statuses()}
        assert (statuses["quick"].position, statuses["quick"].pending) == (21, 0)
        assert (statuses["slow"].position, statuses["slow"].pending) == (1, 20)
        slow.open.set()
        await pool.clock.advance(1)
        assert slow.got == [message._replace(endpoint="slow", message_id=message_.message_id)
                            for message, message_ in zip(quick.got, slow.got, strict=True)]  # fmt: skip


async def test_an_endpoint_that_is_down_for_hours_is_told_everything_afterwards(pool: NotifiedPool) -> None:
    down = pool.endpoint("down", events=("task.submitted",))
    down.answer = lambda _: DOWN
    async with pool.notifying():
        submit(pool, *(f"T{number}" for number in range(30)))
        await pool.clock.advance(6 * HOUR_S)
        attempts = [at for at, _ in down.posts]
        assert 72 <= len(attempts) <= 200
        pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
        assert pauses[0] < 2
        assert max(pauses) <= 300 + 5
        assert not down.got
        down.answer = lambda _: DELIVERED
        await pool.clock.advance(HOUR_S)
        assert {each.data["task_id"] for each in down.got} == {f"T{number}" for number in range(30)}
        assert len(down.got) == 30
    assert pool.told == [
        "endpoint down: connection refused; trying again",
        "endpoint down: it works again",
    ]


async def test_a_restart_during_the_outage_loses_nothing(pool: NotifiedPool) -> None:
    down = pool.endpoint("down", events=("task.submitted",))
    down.answer = lambda _: DOWN
    for number in range(5):
        async with pool.notifying(killed=number % 2 == 0):
            submit(pool, f"T{number}")
            await pool.clock.advance(HOUR_S)
    down.answer = lambda _: DELIVERED
    async with pool.notifying():
        await pool.clock.advance(HOUR_S)
    assert sorted(each.data["task_id"] for each in down.got) == ["T0", "T1", "T2", "T3", "T4"]


async def test_what_is_too_old_becomes_a_dead_letter_and_can_be_sent_again(pool: NotifiedPool) -> None:
    down = pool.endpoint("down", events=("task.submitted",), limits=Limits(max_age_s=2 * HOUR_S))
    down.answer = lambda _: DOWN
    async with pool.notifying():
        submit(pool, "T1")
        await pool.clock.advance(HOUR_S)
        submit(pool, "T2")
        await pool.clock.advance(1.5 * HOUR_S)
        (letter,) = pool.desk.dead_letters()
        assert letter.message.data["task_id"] == "T1"
        assert letter.attempts > 1
        assert letter.reason == "not delivered within 2 h; last: connection refused"
        down.answer = lambda _: DELIVERED
        await pool.clock.advance(900)
        assert [each.data["task_id"] for each in down.got] == ["T2"]
        assert pool.desk.retry_dead(pool.clock.now()) == 1
        await pool.clock.advance(10)
        assert [each.data["task_id"] for each in down.got] == ["T2", "T1"]
        assert down.got[-1] == letter.message, "its id, its time and what it says are the same"
        assert not pool.desk.dead_letters()


async def test_the_age_of_what_was_put_back_counts_from_then(pool: NotifiedPool) -> None:
    down = pool.endpoint("down", events=("task.submitted",), limits=Limits(max_age_s=HOUR_S))
    down.answer = lambda _: DOWN
    async with pool.notifying():
        submit(pool, "T1")
        await pool.clock.advance(3 * HOUR_S)
        assert pool.desk.retry_dead(pool.clock.now()) == 1
        await pool.clock.advance(0.9 * HOUR_S)
        assert not pool.desk.dead_letters()
        await pool.clock.advance(0.2 * HOUR_S)
        assert [each.message.data["task_id"] for each in pool.desk.dead_letters()] == ["T1"]


async def test_what_was_put_back_takes_no_place_of_what_is_new(pool: NotifiedPool) -> None:
    pool.reopen(max_pending=3)
    down = pool.endpoint("down", events=("task.submitted",), limits=Limits(max_age_s=HOUR_S))
    down.answer = lambda _: DOWN
    async with pool.notifying():
        submit(pool, "T1", "T2", "T3")
        await pool.clock.advance(1.1 * HOUR_S)
        assert pool.desk.retry_dead(pool.clock.now()) == 3
        submit(pool, "new")
        await pool.clock.advance(1)
        (status,) = pool.desk.statuses()
        assert (status.pending, status.dead) == (4, 0)


async def test_a_state_file_of_the_form_before_is_brought_up_to_date(pool: NotifiedPool, tmp_path: Path) -> None:
    down = pool.endpoint("down", events=("task.submitted",))
    down.answer = lambda _: DOWN
    async with pool.notifying():
        submit(pool, "T1")
        await pool.clock.advance(1)
    pool.file.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.executescript(
            "DROP VIEW waiting; DROP VIEW given_up; DROP INDEX messages_age;"
            "ALTER TABLE messages DROP COLUMN aged_from; UPDATE notify_state SET form = 1;"
            "CREATE INDEX messages_time ON messages (endpoint, time) WHERE dead IS NULL;"
        )
    pool.reopen()
    down.answer = lambda _: DELIVERED
    async with pool.notifying():
        submit(pool, "T2")
        await pool.clock.advance(60)
    assert [each.data["task_id"] for each in down.got] == ["T1", "T2"]


async def test_what_the_receiver_refuses_is_tried_three_times_and_holds_up_nothing(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",))
    told.answer = lambda message: REFUSED if message.data["task_id"] == "bad" else DELIVERED
    async with pool.notifying():
        submit(pool, "T1", "bad", "T2")
        await pool.clock.advance(1)
        assert [each.data["task_id"] for each in told.got] == ["T1", "T2"]
        await pool.clock.advance(HOUR_S)
        assert [message.data["task_id"] for _, message in told.posts].count("bad") == 3
        (letter,) = pool.desk.dead_letters()
        assert (letter.message.data["task_id"], letter.attempts, letter.reason) == ("bad", 3, REFUSED.reason)
    assert pool.told == ["endpoint e: gave up a message: HTTP 400 Bad Request; see --dead-letters"]


async def test_one_message_that_the_receiver_fails_at_does_not_hold_up_the_others(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",))
    told.answer = lambda message: DOWN if message.data["task_id"] == "bad" else DELIVERED
    async with pool.notifying():
        submit(pool, "bad", *(f"T{number}" for number in range(10)))
        await pool.clock.advance(60)
        assert len(told.got) == 10


async def test_retry_after_is_obeyed(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",))
    answers = iter([Outcome(Verdict.FAILED, "HTTP 429 Too Many Requests", 1_000.0)])
    told.answer = lambda _: next(answers, DELIVERED)
    async with pool.notifying():
        submit(pool, "T1", "T2")
        await pool.clock.advance(999)
        assert len(told.posts) == 1
        await pool.clock.advance(10)
        assert len(told.got) == 2


async def test_gone_disables_the_endpoint_until_it_is_enabled_or_has_another_address(pool: NotifiedPool) -> None:
    gone = pool.endpoint("gone", events=("task.submitted",))
    gone.answer = lambda _: GONE
    async with pool.notifying():
        submit(pool, "T1", "T2")
        await pool.clock.advance(1)
        submit(pool, "T3")
        await pool.clock.advance(HOUR_S)
        assert len(gone.posts) == 1
    assert pool.told == ["endpoint gone: disabled: HTTP 410 Gone; --enable uses it again"]
    assert pool.outbox.disabled("gone") == "HTTP 410 Gone"
    assert [each.message.data["task_id"] for each in pool.desk.dead_letters()] == ["T1", "T2"]
    assert pool.desk.retry_dead(pool.clock.now()) == 0
    gone.answer = lambda _: DELIVERED
    pool.desk.enable("gone")
    async with pool.notifying():
        submit(pool, "T4")
        await pool.clock.advance(10)
    assert [each.data["task_id"] for each in gone.got] == ["T4"]
    gone.answer = lambda _: GONE
    async with pool.notifying():
        submit(pool, "T5")
        await pool.clock.advance(10)
    gone.answer, gone.address = lambda _: DELIVERED, "another"
    async with pool.notifying():
        submit(pool, "T6")
        await pool.clock.advance(10)
    assert [each.data["task_id"] for each in gone.got] == ["T4", "T6"]


async def test_the_rate_is_kept(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",), limits=Limits(rate_per_s=2.0))
    async with pool.notifying():
        submit(pool, *(f"T{number}" for number in range(10)))
        await pool.clock.advance(4.9)
        begun = [at for at, _ in told.posts]
        assert begun == [number / 2 for number in range(10)]


async def test_several_posts_go_at_a_time_where_that_is_allowed(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",), limits=Limits(parallel=3, rate_per_s=1_000))
    told.open.clear()
    async with pool.notifying():
        submit(pool, *(f"T{number}" for number in range(10)))
        await pool.clock.advance(1)
        assert len(told.posts) == 3
        told.open.set()
        await pool.clock.advance(1)
        assert sorted(each.data["task_id"] for each in told.got) == [f"T{number}" for number in range(10)]


async def test_too_many_waiting_messages_become_dead_letters_and_the_oldest_of_too_many_are_dropped(
    pool: NotifiedPool,
) -> None:
    pool.reopen(max_pending=3, max_dead=4)
    down = pool.endpoint("down", events=("task.submitted",))
    down.answer = lambda _: DOWN
    async with pool.notifying():
        submit(pool, *(f"T{number}" for number in range(10)))
        await pool.clock.advance(1)
        (status,) = pool.desk.statuses()
        assert (status.pending, status.dead, status.dropped) == (3, 4, 3)
        letters = pool.desk.dead_letters()
        assert [each.message.data["task_id"] for each in letters] == ["T6", "T7", "T8", "T9"]
        assert {each.reason for each in letters} == {"too many messages wait"}


@pytest.mark.parametrize("running", [True, False], ids=["while-it-runs", "between-runs"])
async def test_another_log_is_said_and_begun_at_its_end(pool: NotifiedPool, *, running: bool) -> None:
    told = pool.endpoint("e", events=("task.submitted",), needs=("*",))

    async def replaced() -> None:
        pool.replace_log()
        submit(pool, *(f"N{number}" for number in range(5)))

    async with pool.notifying() as notifier:
        submit(pool, "T1", "T2", "T3")
        await pool.clock.advance(5)
        if running:
            await replaced()
            notifier.request_log_check()
            await pool.clock.advance(5)
            submit(pool, "N5")
            await pool.clock.advance(5)
    if not running:
        await replaced()
        async with pool.notifying():
            await pool.clock.advance(5)
            submit(pool, "N5")
            await pool.clock.advance(5)
    kinds = [kind for kind in told.kinds if kind != "unworkable"]
    assert kinds == [*3 * ["task.submitted"], "log_replaced", "task.submitted"]
    submitted = [each.data["task_id"] for each in told.got if each.data["kind"] == "task.submitted"]
    assert submitted == ["T1", "T2", "T3", "N5"]
    assert any("is another one than before" in each for each in pool.told)


async def test_a_log_that_lost_its_tail_is_said(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",))
    async with pool.notifying():
        submit(pool, "T1", "T2", "T3")
        await pool.clock.advance(1)
    pool.log.truncate_to(2)
    async with pool.notifying():
        await pool.clock.advance(5)
    assert told.kinds[-1] == "log_replaced"


async def test_the_broker_may_be_away_and_messages_are_sent_all_the_same(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", events=("task.submitted",))
    told.answer = lambda _: DOWN
    async with pool.notifying():
        submit(pool, "T1")
        await pool.clock.advance(1)
    told.answer = lambda _: DELIVERED
    async with pool.notifying() as notifier:
        pool.log.fail_reads(1_000)
        notifier.request_log_check()
        submit(pool, "T2")
        await pool.clock.advance(10)
        assert [each.data["task_id"] for each in told.got] == ["T1"]
        pool.log.recover()
        await pool.clock.advance(10)
        assert [each.data["task_id"] for each in told.got] == ["T1", "T2"]
