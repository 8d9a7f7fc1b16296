"""How commands and queries are repeated, against a service that a test plays."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from nats.aio.msg import Msg

from custody_client import IllegalTransition, NoAnswerError, Refused
from custody_client import calls as calls_module
from custody_client.address import Address
from custody_client.calls import Calls
from custody_client.link import Link
from custody_client.positions import HELD_S, Positions
from infra.broker.embedded import EmbeddedBroker
from tests.client.conftest import eventually
from tests.support.broker import Connect, settled

LATER_CODES = [
    ("overloaded", {}),
    ("not_writer", {}),
    ("unavailable", {}),
    ("rate_limited", {"retry_after_s": 0.05}),
]


@pytest.fixture
async def link(broker: EmbeddedBroker) -> AsyncIterator[Link]:
    user = broker.credentials("admin")
    opened = Link(lambda: Address((broker.url,), user["user"], user["password"]), "test")
    await opened.open()
    yield opened
    await opened.close()


class Played:
    """Answers a pool's requests with what the test says, one after the other; the last answer goes on."""

    def __init__(self, *answers: dict[str, Any] | Callable[[], Any] | None) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    async def take(self, message: Msg) -> None:
        self.bodies.append(json.loads(message.data))
        self.headers.append(dict(message.headers or {}))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            await message.respond(json.dumps(answer).encode())


def ok(position: int = 1, **result: Any) -> dict[str, Any]:
    return {"ok": True, "position": position, "events": [], "result": result}


def refused(code: str, **details: Any) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": "why", "details": details}}


async def play(connect: Connect, pool: str, *answers: Any) -> Played:
    played = Played(*answers)
    nc = await connect("admin")
    await nc.subscribe(f"custody.{pool}.>", cb=played.take)
    await settled(nc)
    return played


@pytest.mark.parametrize(("code", "details"), LATER_CODES, ids=[code for code, _ in LATER_CODES])
async def test_a_command_without_an_outcome_is_sent_again_under_its_id(
    link: Link, connect: Connect, pool: str, code: str, details: dict[str, Any]
) -> None:
    played = await play(connect, pool, refused(code, **details), ok(done=True))
    calls = Calls(link, pool, actor="ann")
    answer = await calls.command("ops.pause", {"reason": "lunch"})
    assert answer.read(dict[str, bool]) == {"done": True}
    assert answer.repeats == 1
    assert len(played.bodies) == 2
    assert played.bodies[0] == played.bodies[1]
    assert played.bodies[0]["command_id"]
    assert played.headers[0]["Custody-Actor"] == "ann"


async def test_what_is_no_answer_is_asked_again(link: Link, connect: Connect, pool: str) -> None:
    played = await play(connect, pool, {"neither": "nor"}, {"ok": True}, ok())
    assert (await Calls(link, pool).command("ops.pause", {})).position in {0, 1}
    assert len(played.bodies) >= 2


async def test_a_refusal_is_raised_by_its_code_and_not_repeated(link: Link, connect: Connect, pool: str) -> None:
    played = await play(connect, pool, refused("illegal_transition", state="queued"))
    with pytest.raises(IllegalTransition, match="illegal_transition: why") as error:
        await Calls(link, pool).command("ops.unblock", {})
    assert error.value.details == {"state": "queued"}
    played.answers = [refused("from_the_future")]
    with pytest.raises(Refused, match="from_the_future"):
        await Calls(link, pool).command("ops.unblock", {})
    assert len(played.bodies) == 2


async def test_a_service_that_comes_later_is_waited_for(link: Link, connect: Connect, pool: str) -> None:
    asked = asyncio.create_task(Calls(link, pool).command("ops.pause", {}))
    await asyncio.sleep(0.1)
    await play(connect, pool, ok())
    assert (await asyncio.wait_for(asked, 60)).position == 1


async def test_giving_up_says_why(link: Link, pool: str) -> None:
    # The last attempt has what is left of the time, which may be too little to hear that nobody listens.
    why = r"no outcome of custody\..*ops\.pause in 0\.2 s: no (service takes|reply to) custody\."
    with pytest.raises(NoAnswerError, match=why):
        await Calls(link, pool).command("ops.pause", {}, limit_s=0.2)


async def test_a_command_under_way_is_sent_again_on_a_new_connection(
    link: Link, connect: Connect, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "ANSWER_S", 600.0)
    played = await play(connect, pool, None, ok())
    asked = asyncio.create_task(Calls(link, pool).command("ops.pause", {}))
    await eventually(lambda: bool(played.bodies))
    link.drop()
    # Long before its time-out.
    assert (await asyncio.wait_for(asked, 60)).repeats == 1
    assert link.connections == 2


async def test_an_answer_that_is_older_than_one_before_is_dropped(link: Link, connect: Connect, pool: str) -> None:
    played = await play(connect, pool, ok(10), ok(9), ok(5), ok(11))
    calls = Calls(link, pool)
    assert [(await calls.query("health", {})).position for _ in range(2)] == [10, 11]
    assert len(played.bodies) == 4


def test_a_log_that_was_restored_is_believed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("custody_client.positions.steady_s", lambda: now)
    positions = Positions()
    assert positions.is_new(100)
    assert not positions.is_new(60)
    now += HELD_S
    assert positions.is_new(60)
    assert positions.is_new(61)


async def test_the_address_is_read_again_for_each_connection(broker: EmbeddedBroker) -> None:
    user = broker.credentials("admin")
    reads = 0

    def find() -> Address:
        nonlocal reads
        reads += 1
        wrong = reads == 1
        return Address(("nats://127.0.0.1:1",) if wrong else (broker.url,), user["user"], user["password"])

    link = Link(find, "test")
    await link.open()
    await link.wait_up(60)
    assert (reads, link.problem) == (2, None)
    await link.close()
