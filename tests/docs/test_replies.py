"""What docs/commands.md says of replies, held against a real service."""

import json
from collections.abc import AsyncIterator
from typing import Any

import nats
import pytest

from docs.generator.replies.of_agents import AGENT_REPLIES
from docs.generator.replies.of_operators import OPS_REPLIES
from docs.generator.replies.of_queries import QUERY_REPLIES
from docs.generator.replies.refusals import MEANINGS
from docs.generator.verbs import BY_NAME, REPLIES
from domain.errors import RefusalCode
from tests.docs.conftest import Place
from tests.system.caller import Caller

pytestmark = pytest.mark.system


@pytest.fixture
async def ask(place: Place) -> AsyncIterator[Caller]:
    url = json.loads((place.path / ".custody" / "broker.json").read_text())["url"]
    password = json.loads((place.path / ".custody" / "credentials.json").read_text())["operator"]
    nc = await nats.connect(url, user="operator", password=password, inbox_prefix=b"_INBOX.operator")
    yield Caller(nc, "default")
    await nc.close()


def described(tail: str) -> tuple[str, ...]:
    kind, *_, verb = tail.split(".")
    return REPLIES[kind][verb].keys


async def test_each_result_has_the_keys_that_are_described(ask: Caller) -> None:  # noqa: PLR0915 - one day, every verb
    asked: set[str] = set()

    async def done(tail: str, **body: Any) -> Any:
        result = await ask.done(tail, body)
        asked.add(".".join(tail.split(".")[:: len(tail.split(".")) - 1]))
        assert set(result) == set(described(tail)), tail
        return result

    async def held(task_id: str) -> dict[str, Any]:
        await ask.done("ops.submit", task_id=task_id, required_capabilities=["replies"])
        lease = await done("ops.assign", task_id=task_id, agent_id="r1")
        return {"task_id": task_id, "token": lease["token"]}

    await done("agent.r1.register", capabilities=["replies"], capacity=20)
    await done("agent.r2.register", capabilities=["replies"], capacity=20)
    await done("agent.r1.heartbeat")
    # A claim gets whatever waits, and another page's tasks may be older.
    await ask.done("ops.cancel", status="queued")
    await done("ops.submit", task_id="r-claimed", required_capabilities=["replies"])
    claimed = (await done("agent.r1.claim"))["leases"][0]
    assert set(claimed) == set(described("agent.r1.lease"))
    lease = {"task_id": "r-claimed", "token": claimed["token"]}
    await done("agent.r1.lease", **lease)
    await done("agent.r1.start", **lease)
    await done("agent.r1.progress", **lease, percent=10)
    await done("agent.r1.silence", **lease, for_s=5, reason="a build")
    await done("agent.r1.complete", **lease)
    await done("agent.r1.release", **await held("r-released"))
    await done("agent.r1.fail", **await held("r-failed"), error="no luck")
    await done("agent.r1.block", **await held("r-blocked"), reason="no key")
    await done("ops.unblock", task_id="r-blocked")
    await held("r-done")
    await done("ops.block", task_id="r-done", reason="no key")
    await ask.done("ops.fail", task_id="r-done", error="elsewhere")
    await done("ops.complete", task_id="r-done")
    await held("r-lost")
    await done("ops.fail", task_id="r-lost", error="no luck", retryable=False)
    assert set(await done("ops.retry", task_id="r-lost")) == {"task_id", "retry_of", "was"}
    await done("ops.update", task_id="r-lost-r1", priority="low")
    await done("ops.annotate", task_id="r-lost", kind="review", note="it was the disk")
    assert await ask.done("ops.annotate", agent_id="r1", kind="review") == {"agent_id": "r1"}
    assert (await ask.done("query.task", task_id="r-lost"))["retries"] == ["r-lost-r1"]
    assert (await ask.done("query.task", task_id="r-lost-r1"))["retry_of"] == "r-lost"
    await done("ops.cancel", task_id="r-lost-r1")
    await done("ops.submit_many", tasks=[{"task_id": "r-many", "required_capabilities": ["replies"]}])
    await ask.done("ops.cancel", task_id="r-many")
    await ask.done("agent.r3.register")
    await done("ops.deregister", agent_id="r3")
    await done("ops.forget", older_than_s=3600)
    await held("r-revoked")
    await done("ops.revoke", task_id="r-revoked")
    await done("ops.cancel", task_id="r-revoked")
    await ask.done("ops.submit", task_id="r-once", budgets={"releases": 1}, required_capabilities=["replies"])
    once = await ask.done("ops.assign", task_id="r-once", agent_id="r1")
    await ask.done("agent.r1.release", task_id="r-once", token=once["token"])
    await done("ops.requeue", task_id="r-once")
    await held("r-stolen")
    await done("ops.steal", **{"from": "r1", "to": "r2", "task_ids": ["r-stolen"]})
    for verb in ("drain", "pause", "resume"):
        await done(f"ops.{verb}", agent_id="r1")
        assert await ask.done(f"ops.{verb}") == {}
    await ask.done("ops.resume")
    await done("ops.load", agent_id="r1", load={"cpu": 5})
    for view in ("task", "explain"):
        await done(f"query.{view}", task_id="r-stolen")
    for view in QUERY_REPLIES.keys() - {"task", "explain"}:
        await done(f"query.{view}")
    await done("agent.r1.deregister")
    await done("agent.r2.deregister")
    verbs = {f"agent.{verb}" for verb in AGENT_REPLIES} | {f"ops.{verb}" for verb in OPS_REPLIES}
    assert asked == verbs | {f"query.{view}" for view in QUERY_REPLIES}
    for task_id in ("r-released", "r-failed", "r-blocked", "r-once", "r-stolen"):
        await ask.done("ops.cancel", task_id=task_id)


@pytest.mark.parametrize(
    ("tail", "body", "code"),
    [
        ("agent.nobody.heartbeat", {}, "unknown_agent"),
        ("agent.nobody.progress", {"task_id": "t", "token": 1, "percent": 1}, "unknown_agent"),
        ("ops.cancel", {"task_id": "nothing"}, "unknown_task"),
        ("ops.assign", {"task_id": "nothing"}, "unknown_task"),
        ("ops.drain", {"agent_id": "nobody"}, "unknown_agent"),
        ("query.task", {"task_id": "nothing"}, "unknown_task"),
        ("ops.cancel", {}, "invalid_command"),
    ],
)
async def test_a_refusal_is_one_of_those_described(tail: str, body: dict[str, Any], code: str, ask: Caller) -> None:
    await ask.refused(tail, code, body)
    kind, *_, verb = tail.split(".")
    assert RefusalCode(code) in BY_NAME[f"{kind}.{verb}"].errors


def test_every_error_is_explained_and_none_is_listed_out_of_order() -> None:
    assert list(MEANINGS) == list(RefusalCode)
    order = list(RefusalCode)
    for replies in (AGENT_REPLIES, OPS_REPLIES, QUERY_REPLIES):
        for verb, reply in replies.items():
            assert list(reply.errors) == sorted(reply.errors, key=order.index), verb
