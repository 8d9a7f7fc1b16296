"""An acknowledgement that never comes is unknown, not failed: the writer finds out before anything else happens."""

from __future__ import annotations

import pytest

from domain.events.task import Submitted
from tests.handlers.conftest import EITHER_WAY
from tests.support.log_faults import (
    DroppedLater,
    FalselyRefused,
    Fault,
    LoseAck,
    LoseRequest,
    Reject,
    StoredLater,
    Unavailable,
)
from tests.support.pool_harness import PoolHarness

pytestmark = EITHER_WAY

MISHAPS: dict[str, list[Fault]] = {
    "the acknowledgement is lost": [LoseAck()],
    "the request is lost": [LoseRequest()],
    "the request is lost twice": [LoseRequest(), LoseRequest()],
    "the request is lost, then the acknowledgement": [LoseRequest(), LoseAck()],
    "it is stored later, before the resend": [StoredLater(after_calls=0)],
    "it is stored later, after the resend": [StoredLater(after_calls=3)],
    "a leader without a quorum counts it, and it is stored": [StoredLater(after_calls=6, counted=True)],
    "a leader without a quorum counts it, and it is dropped": [DroppedLater(after_calls=6)],
    "the acknowledgement is lost, and the resend is rejected": [LoseAck(), Reject()],
    "it is stored later, and the resend is rejected": [StoredLater(after_calls=3), Reject(), Reject()],
    "there is no broker for a moment": [Unavailable(), Unavailable(), Unavailable()],
    "there is no broker after the acknowledgement was lost": [LoseAck(), Unavailable(), Unavailable()],
    "there is no broker after the request was lost": [LoseRequest(), Unavailable()],
    "a refusal of it is forged": [FalselyRefused()],
    "a refusal of it is forged before it is stored": [FalselyRefused(later=True)],
    "everything at once": [Unavailable(), LoseRequest(), Unavailable(), DroppedLater(2), LoseAck()],
}


@pytest.mark.parametrize("faults", MISHAPS.values(), ids=MISHAPS.keys())
@pytest.mark.parametrize("several", [False, True], ids=["one event", "a batch"])
async def test_it_is_stored_once_and_answered_once(pool: PoolHarness, faults: list[Fault], *, several: bool) -> None:
    await pool.register("a")
    with pool.log.held():
        titles = [str(number) for number in range(3 if several else 1)]
        pool.log.fail_next(*faults)
        asked = [pool.post("ops.submit", {"title": title, "command_id": title}) for title in titles]
        await pool.rest()
    await pool.advance(4.5)

    assert [each.answer.code for each in asked] == [None] * len(titles)
    stored = pool.events(Submitted)
    assert [r.event.title for r in stored if isinstance(r.event, Submitted)] == titles
    assert [each.answer["position"] for each in asked] == [r.position for r in stored]


async def test_a_lost_acknowledgement_is_found_by_a_resend_and_a_look(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseAck())
    arrived = pool.log.arrived

    reply = await pool.request("ops.submit", {"task_id": "T"}, within_s=1)

    assert pool.log.arrived == arrived + 2
    assert reply["position"] == pool.position == 3
    assert pool.clock.elapsed_s < 1


async def test_what_is_tentative_meanwhile_is_not_seen(pool: PoolHarness) -> None:
    await pool.register("a")
    pool.log.fail_next(*[LoseRequest()] * 4)
    submit = pool.post("ops.submit", {"task_id": "T"})
    await pool.advance(0.6)
    claim = pool.post("agent.a.claim")
    await pool.rest()
    query = pool.post("query.task", {"task_id": "T"})
    await pool.advance(0.1)
    assert not any(each.replies for each in (submit, query, claim))

    await pool.advance(2)

    assert submit.answer.ok
    assert claim.answer.result["leases"][0]["task_id"] == "T"
    assert query.answer.result["status"] in {"queued", "assigned"}


async def test_reads_that_fail_are_asked_again(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseAck())
    asked = pool.post("ops.submit", {"title": "x"})
    await pool.rest()
    pool.log.fail_reads(3)

    await pool.advance(2)

    assert asked.answer.ok
    assert len(pool.events(Submitted)) == 1


async def test_certainly_not_stored_is_decided_again_with_whatever_came_meanwhile(pool: PoolHarness) -> None:
    pool.log.fail_next(Unavailable())
    first = pool.post("ops.submit", {"title": "first"})
    await pool.advance(0.1)
    second = pool.post("ops.submit", {"title": "second"})
    await pool.advance(1)

    assert first.answer.ok
    assert second.answer.ok
    assert (pool.log.chain_sizes or pool.log.append_sizes)[-1] == 2


async def test_a_lost_request_that_is_then_rejected_for_good_is_refused_in_the_end(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseRequest(), *[Reject("too ugly")] * 1000)
    asked = pool.post("ops.submit", {"task_id": "T", "command_id": "same"})
    await pool.advance(29)
    assert asked.answer.code == "unavailable"
    joined = pool.post("ops.submit", {"task_id": "T", "command_id": "same"})
    await pool.advance(2)
    assert joined.answer.code == "invalid_command"
    pool.log.recover()
    assert (await pool.request("ops.submit", {"task_id": "T"})).ok


async def test_it_is_logged_while_it_is_unknown(pool: PoolHarness, caplog: pytest.LogCaptureFixture) -> None:
    pool.log.fail_next(LoseRequest(), LoseRequest(), LoseRequest())
    position = pool.position

    assert (await pool.request("ops.submit", {"task_id": "T"}, within_s=4)).ok

    assert caplog.text.count(f"an append behind position {position} is not confirmed") == 3
