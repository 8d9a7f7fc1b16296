"""A day in a pool on the pure core in which every event that the service ever writes is written."""

from typing import Any

from domain.commands.service_commands import Extend, FillTail, Lead, MarkLost, Open, Rearm
from domain.policies.lease import LeasePolicy
from domain.rules import Rules
from handlers.ports import StoredMessage
from tests.support.scenario import Scenario

FIXED = {"mode": "fixed", "lease_s": 60, "grace_s": 5}


def messages() -> list[StoredMessage]:
    """Return the log of that day."""
    pool = Scenario(Rules(lease=LeasePolicy(max_renewals=1), branch_template="work/{task_id}"))
    pool.asks(Open("custody"), actor="writer")
    pool.asks(Lead("host:1:2"), actor="writer")
    pool.asks(FillTail(acknowledged_to=3, filled_to=4), actor="writer")
    pool.asks(Rearm("start", 10.0), actor="writer")
    for verb in ("drain", "pause", "resume"):
        pool.given("ops/erika", verb, reason="a look")
    _work(pool)
    _trouble(pool)
    _steals(pool)
    for verb in ("drain", "pause", "resume"):
        pool.given("ops", verb, agent_id="idle")
    pool.given("ops/erika", "annotate", agent_id="idle", kind="hardware", note="a new disk")
    pool.asks(MarkLost("idle", 700.0))
    pool.given("idle", "deregister")
    return pool.messages


def _work(pool: Scenario) -> None:
    """Claims, reports, silence, renewals, and each way of letting go."""
    pool.given("a1", "register", capabilities=["python"], labels=["x"], capacity=100)
    pool.given("ops", "submit", task_id="whole", payload={"n": 1}, deadline_s=9e4, labels=["simple"], command_id="c1")
    token = pool.given("a1", "claim").result["leases"][0]["token"]
    pool.given("a1", "progress", task_id="whole", token=token, percent=30, message="half", checkpoint={"at": 3})
    pool.given("a1", "silence", task_id="whole", token=token, for_s=100, reason="a build")
    pool.wait(200).given("a1", "heartbeat", load={"cpu": 50, "memory": 10})
    pool.given("ops", "load", agent_id="a1", load={"cpu": 90})
    pool.given("ops/erika", "update", task_id="whole", priority="high", title="All of it")
    pool.given("a1", "complete", task_id="whole", token=token, result=["done"])
    pool.given("ops/erika", "annotate", task_id="whole", kind="review", note="well done", data={"score": 5})
    ways: dict[str, dict[str, Any]] = {
        "release": {"checkpoint": 1, "reason": "no time"},
        "block": {"reason": "no key"},
        "fail": {"error": "no luck"},
    }
    for verb, fields in ways.items():
        token = pool.holds("a1", f"by-{verb}")
        pool.given("a1", verb, task_id=f"by-{verb}", token=token, **fields)
    pool.given("ops", "unblock", task_id="by-block")
    pool.holds("a1", "revoked", "cancelled")
    pool.given("ops", "revoke", task_id="revoked", reason="wrong one")
    pool.given("ops", "cancel", task_id="cancelled")


def _trouble(pool: Scenario) -> None:
    """Expiry, a late report, quarantine, a stuck task that recovers, a plea, and a missed deadline."""
    token = pool.holds("a1", "expires", lease=FIXED, budgets={"expiries": 2})
    pool.wait(70)
    pool.sweep()
    pool.when("a1", "progress", task_id="expires", token=token, percent=5).refused("stale_token", "late_progress")
    pool.given("ops", "assign", task_id="expires", agent_id="a1")
    pool.wait(70)
    pool.sweep()
    token = pool.holds("a1", "sticks", lease=FIXED, on_silence="stuck")
    pool.wait(70)
    pool.sweep()
    pool.given("a1", "start", task_id="sticks", token=token)
    token = pool.holds("a1", "stalls", lease=FIXED, stall_s=30, on_stall="requeue")
    for _ in range(4):
        pool.given("a1", "progress", task_id="stalls", token=token, percent=5)
        pool.wait(10)
    pool.sweep()
    token = pool.holds("a1", "pleads", lease=FIXED)
    pool.wait(70)
    pool.asks(Extend("pleads", token, "git_worktree", ("README.md",)))
    pool.given("ops", "submit", task_id="late", deadline_s=1)
    pool.wait(2)
    pool.sweep()


def _steals(pool: Scenario) -> None:
    """A steal that moves a task, and one whose only task began in between."""
    pool.given("idle", "register", capacity=10)
    pool.holds("a1", "moves")
    pool.given("ops", "steal", from_="a1", to="idle", task_ids=["moves"])
    token = pool.holds("a1", "began")
    request = pool.request("ops", "steal", from_="a1", to="idle", task_ids=["began"])
    decision = pool.decide(request)
    pool.state.apply(decision)
    pool.store(decision.records)
    pool.given("a1", "start", task_id="began", token=token)
    assert decision.follow_up is not None
    pool.send(decision.follow_up).then("failed")
