"""`query.tasks` leads through every task that ever ended, also through those that have left memory."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import task as ev
from domain.hash_chain import chain_hash
from domain.policies.lease import LeasePolicy
from handlers.answering import ended_tasks
from handlers.ports import NewMessage
from tests.support.pool_harness import PoolHarness


@pytest.fixture(autouse=True)
def few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.state.ended_entities.RECENT_ENTITIES", 3)


async def end(pool: PoolHarness, *task_ids: str, **definition: Any) -> None:
    """Have tasks submitted and ended: completed by an agent, failed, cancelled, in turns."""
    if "a" not in pool.state.agents:
        await pool.register("a", capacity=100)
    for number, task_id in enumerate(task_ids):
        await pool.submit(task_id, **definition)
        if number % 3 == 0:
            token = await pool.assign("a", task_id)
            await pool.given("agent.a.progress", task_id=task_id, token=token, percent=50)
            await pool.given("agent.a.complete", task_id=task_id, token=token)
        elif number % 3 == 1:
            await pool.given("ops.fail", task_id=task_id, error="x", retryable=False)
        else:
            await pool.given("ops.cancel", task_id=task_id)


async def pages(pool: PoolHarness, **query: Any) -> list[dict[str, Any]]:
    """Return all pages, from the first one to that without a `next`."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["next"] is not None:
        after = {"after": found[-1]["next"]} if found else {}
        found.append(await pool.given("query.tasks", **query, **after))
        assert len(found) < 1_000
    return found


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [row["task_id"] for page in found for row in page["tasks"]]


async def test_pages_lead_through_all_that_ended_the_latest_first(pool: PoolHarness) -> None:
    ended = [f"T{number:02}" for number in range(20)]
    await end(pool, *ended)
    await pool.submit("live1", "live2")
    assert sorted(ids(await pages(pool, limit=4))) == [*ended, "live1", "live2"]
    found = await pages(pool, limit=4)
    assert ids(found) == ["T17", "T18", "T19", "live1", "live2", *reversed(ended[:17])]
    assert [page["all_ended"] for page in found] == [False] * (len(found) - 1) + [True]
    assert found[2]["next"].startswith("ended: ")


async def test_rows_from_the_log_are_as_they_were_in_memory(pool: PoolHarness) -> None:
    await end(pool, "T1", "T2", "T3", priority="high", labels=["x"], title="t", required_capabilities=[])
    shown = {row["task_id"]: row for page in await pages(pool) for row in page["tasks"]}
    await end(pool, "U1", "U2", "U3")
    assert not {"T1", "T2", "T3"} & {key[1] for key in pool.state.ended.recent}
    again = {row["task_id"]: row for page in await pages(pool) for row in page["tasks"]}
    assert {each: again[each] for each in shown} == shown


async def test_a_page_without_tasks_in_memory_goes_straight_on_to_the_log(pool: PoolHarness) -> None:
    await end(pool, "old")
    await end(pool, "c", "f", "x")
    for number in range(3):
        await pool.submit(f"later{number}")
        await pool.given("ops.cancel", task_id=f"later{number}")
    page = await pool.given("query.tasks", status="completed")
    assert (ids([page]), page["next"], page["all_ended"]) == (["c", "old"], None, True)


async def test_filters_hold_for_what_is_read_from_the_log(pool: PoolHarness) -> None:
    await end(pool, *(f"A{number}" for number in range(6)), priority="high", labels=["x"])
    await end(pool, *(f"B{number}" for number in range(6)), labels=["y", "x"])
    wanted: list[tuple[dict[str, str], set[str]]] = [
        ({"status": "completed"}, {"A0", "A3", "B0", "B3"}),
        ({"status": "failed", "label": "x"}, {"A1", "A4", "B1", "B4"}),
        ({"status": "cancelled", "priority": "high"}, {"A2", "A5"}),
        ({"label": "y"}, {f"B{number}" for number in range(6)}),
        ({"label": "z"}, set()),
        ({"status": "queued"}, set()),
    ]
    for query, fitting in wanted:
        found = ids(await pages(pool, limit=2, **query))
        assert (set(found), len(found)) == (fitting, len(fitting)), query


async def test_what_is_changed_between_pages_is_on_one_of_them(pool: PoolHarness) -> None:
    ended = [f"T{number:02}" for number in range(12)]
    await end(pool, *ended)
    first = await pool.given("query.tasks", limit=2)
    found = ids([first])
    await pool.submit("T00")  # a look-up brings it back into memory, in the place of another one
    await pool.given("ops.annotate", task_id="T01", kind="n")
    await pool.given("ops.annotate", task_id="T11", kind="n")
    await end(pool, "new")
    await pool.restart()
    cursor = first["next"]
    while cursor is not None:
        page = await pool.given("query.tasks", limit=2, after=cursor)
        found += ids([page])
        cursor = page["next"]
    assert set(found) >= set(ended)


async def test_a_task_that_was_looked_up_or_noted_is_listed_once(pool: PoolHarness) -> None:
    ended = [f"T{number:02}" for number in range(12)]
    await end(pool, *ended)
    await pool.given("ops.annotate", task_id="T01", kind="n")
    await pool.submit("T00")
    assert "T01" in {key[1] for key in pool.state.ended.recent}
    assert sorted(ids(await pages(pool, limit=5))) == ended
    await pool.restart()
    assert sorted(ids(await pages(pool, limit=5))) == ended


async def test_an_update_and_a_retry_are_shown(pool: PoolHarness) -> None:
    await pool.submit("T", title="before")
    await pool.given("ops.update", task_id="T", title="after", labels=["l"])
    await pool.given("ops.fail", task_id="T", error="x", retryable=False)
    await end(pool, "U1", "U2", "U3")
    (row,) = [row for page in await pages(pool, label="l") for row in page["tasks"]]
    assert (row["task_id"], row["title"], row["status"]) == ("T", "after", "failed")


async def test_a_page_looks_at_so_much_of_the_log_and_no_more(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended_tasks, "WINDOW", 8)
    monkeypatch.setattr(ended_tasks, "MAX_SCANNED", 16)
    await end(pool, "old")
    token = await pool.holds("a", "long")
    for number in range(60):
        await pool.given("agent.a.progress", task_id="long", token=token, percent=number)
    await end(pool, "x", "y", "z", "u")
    found = await pages(pool, status="completed")
    assert ids(found) == ["u", "x", "old"]
    assert len(found) > 3, "pages without a row lead on all the same"
    cursor = found[0]["next"]
    before = pool.log.messages_read
    await pool.given("query.tasks", status="completed", after=cursor)
    assert pool.log.messages_read - before <= 16


async def test_a_page_looks_up_so_many_tasks_and_no_more(pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_tasks, "MAX_LOOKED_UP", 2)
    await end(pool, *(f"T{number}" for number in range(6)))
    await end(pool, "y1", "y2", "y3")
    found = await pages(pool, label="none")
    assert ids(found) == []
    assert len(found) == 3
    assert sorted(ids(await pages(pool, limit=1000))) == [*(f"T{number}" for number in range(6)), "y1", "y2", "y3"]


@pytest.mark.parametrize(
    "after",
    [
        "ended: ",
        "ended: x",
        "ended: -1",
        "ended: 1.5",
        "ended: \u0663",
        "ended: 1,2",
        "ended: 1\n",
        "ended:  1",
        "ended:1",
        "ended: " + 60 * "9",
    ],
)
async def test_what_is_no_place_among_the_ended_is_refused(pool: PoolHarness, after: str) -> None:
    reply = await pool.request("query.tasks", {"after": after})
    assert (reply.code, reply["error"]["details"]["fields"][0]["field"]) == ("invalid_command", "after")


async def test_a_place_beyond_the_logs_end_is_its_end(pool: PoolHarness) -> None:
    await end(pool, *(f"T{number}" for number in range(6)))
    for after in ("ended: 999999999999999999", f"ended: {pool.position + 1}"):
        page = await pool.given("query.tasks", after=after)
        assert ids([page]) == [f"T{number}" for number in reversed(range(6))]
    for after in ("ended: 0", "ended: 1"):
        page = await pool.given("query.tasks", after=after)
        assert (page["tasks"], page["next"], page["all_ended"]) == ([], None, True)
    page = await pool.given("query.tasks", status="queued", after="ended: 9")
    assert (page["tasks"], page["next"]) == ([], None)


async def test_of_a_status_that_is_no_end_no_task_is_left_out(pool: PoolHarness) -> None:
    await end(pool, *(f"T{number}" for number in range(6)))
    await pool.submit("live")
    for status, listed in (("queued", ["live"]), ("quarantined", [])):
        page = await pool.given("query.tasks", status=status)
        assert (ids([page]), page["next"], page["all_ended"]) == (listed, None, True)


async def test_an_end_that_every_fold_skips_is_no_row(pool: PoolHarness) -> None:
    await end(pool, "T1", "T2", "T3", "T4")
    pool.log.append_foreign(*pool.by_another(("task/T5", ev.Submitted(request_digest="d", lease=LeasePolicy()))))
    # Its version does not follow, so every fold skips it.
    (wrong,) = pool.by_another(("task/T5", ev.Cancelled()))
    body = wrong.body.replace(b'"aggregateversion":2', b'"aggregateversion":7')
    assert body != wrong.body
    unreadable = [("T1.cancelled", b"no event"), ("never.completed", b"no event")]
    for subject, written in [("T5.cancelled", body), *unreadable]:
        name = f"custody.p.evt.task.{subject}"
        hashed = chain_hash(pool.log.messages[-1].headers["Custody-Hash"], pool.position + 1, name, written)
        pool.log.append_foreign(NewMessage(name, written, {**wrong.headers, "Custody-Hash": hashed}))
    await pool.restart()
    await end(pool, "U1", "U2", "U3")
    assert sorted(ids(await pages(pool, limit=2))) == ["T1", "T2", "T3", "T4", "T5", "U1", "U2", "U3"]
    assert pool.task("T5").status == "queued"
