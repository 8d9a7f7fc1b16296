"""Write the golden histories that are not there yet: python -m tests.golden.make

A history that was released is never written again; a new version of an event gets a new directory beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from domain.commands.service_commands import ExecuteSteal, Extend, Judge, Lead, MarkLost, Open, PlanSteal, Rearm
from domain.draft import Draft
from domain.events import pool as pool_ev
from domain.request import Request
from domain.rules import Rules
from tests.golden.snapshot import snapshot
from tests.support.scenario import OPS, Scenario

HERE = Path(__file__).parent / "v1"


def tasks(s: Scenario) -> None:
    """Follow tasks through everything that can become of one."""
    s.given("a1", "register", capabilities=["python"], capacity=9, priority=2, labels=["fast"])
    s.given("a2", "register", capacity=9)
    token = s.holds("a1", "done", title="Build", payload={"repo": "x", "n": [1, 2.5, None]}, labels=["simple"])
    s.at(10).given("a1", "start", task_id="done", token=token, command_id="start-1")
    for at, percent in ((60, 10), (120, 50), (200, 80)):
        s.at(at).given("a1", "progress", task_id="done", token=token, percent=percent, message=f"at {percent}")
    s.at(300).given("a1", "silence", task_id="done", token=token, for_s=600.0, reason="the test suite")
    s.at(900).given("a1", "complete", task_id="done", token=token, result={"ok": True})

    first = s.holds("a1", "late", deadline_s=86_400.0, lease={"max_renewals": 1})
    s.given("a1", "progress", task_id="late", token=first, percent=30, checkpoint={"step": 3}, message="début ☃")
    s.at(1250).asks(Extend("late", first, "worktree", ("src/a.py", "src/b.py"))).then("extended")
    s.sweep(at=1700).then("expired", "requeued")
    s.when("a1", "progress", task_id="late", token=first, percent=45, message="still here")
    s.at(1800).given("a1", "complete", task_id="late", token=first, result="late, but done")

    token = s.holds("a2", "stuck", lease={"mode": "fixed", "lease_s": 3000.0, "grace_s": 30.0})
    s.given("a2", "progress", task_id="stuck", token=token, percent=5)
    s.sweep(at=2500).then("stuck")
    s.at(2600).given("a2", "lease", task_id="stuck", token=token).then("recovered")
    s.at(2650).given("a2", "block", task_id="stuck", token=token, reason="needs a key")
    s.at(2700).given("ops/ada", "unblock", task_id="stuck", reason="key added")
    s.given(OPS, "assign", task_id="stuck", agent_id="a1")
    s.given("ops/ada", "revoke", task_id="stuck", reason="wrong machine")
    s.given(OPS, "assign", task_id="stuck")
    holder = s.lease("stuck").agent_id
    s.given(holder, "fail", task_id="stuck", token=s.token("stuck"), error="disk full")
    s.wait(2)
    s.given(OPS, "assign", task_id="stuck")
    holder = s.lease("stuck").agent_id
    s.given(holder, "fail", task_id="stuck", token=s.token("stuck"), error="impossible", retryable=False)

    token = s.holds("a1", "aside", budgets={"releases": 1}, priority="critical", estimated_hours=1.5)
    s.at(2800).given("a1", "heartbeat", load={"cpu": 50.0, "memory": 10.0})
    s.at(2830).given("a1", "heartbeat").then("renewed")
    s.given("a1", "release", task_id="aside", token=token, checkpoint=["half"], reason="restart")
    s.given("ops/ada", "requeue", task_id="aside", reason="try once more")
    s.given(OPS, "submit", task_id="called-off", on_silence="stuck", required_capabilities=["gpu"])
    s.given("ops/ada", "cancel", task_id="called-off", reason="no longer wanted")
    s.given(OPS, "submit", task_id="overdue", deadline_s=60.0)
    s.sweep(at=3000)


def agents(s: Scenario) -> None:
    """Follow agents and what is moved between them."""
    s.holds("busy", *(f"t{number}" for number in range(9)), capacity=20)
    s.given("idle", "register", capacity=5)
    s.at(30).asks(PlanSteal("move-1", "busy", "idle", 2, 3.7), actor="stealer")
    s.at(60).given("ops/ada", "steal", from_="busy", to="idle", task_ids=["t0"], reason="balance")
    plan = s.decide(s.request(OPS, "steal", from_="busy", to="idle", task_ids=["t1"]))
    s.state.apply(plan)
    s.store(plan.records)
    s.given("busy", "start", task_id="t1", token=s.token("t1"))
    s.asks(ExecuteSteal(plan.records[0].entity_id), actor="stealer").then("failed")
    s.given(OPS, "drain", agent_id="busy", reason="replace the disk")
    s.given(OPS, "pause", agent_id="idle")
    s.given(OPS, "resume", agent_id="idle")
    s.at(120).given("busy", "heartbeat", load={"cpu": 95.0})
    s.at(900).asks(MarkLost("idle", 780.0))
    s.at(1000).given("idle", "heartbeat")
    s.given("busy", "deregister")
    s.given("busy", "register", capabilities=["gpu", "web"], capacity=2)


def pool(s: Scenario) -> None:
    """Follow the pool itself."""
    s.asks(Open("custody 0.1.0"), actor="writer")
    s.asks(Lead("host:1:1763712000"), actor="writer")
    s.holds("a", "t")
    s.at(100).asks(Rearm("the connection was gone", 42.5), actor="writer")
    for event in (pool_ev.ExpiryHeld(reason="the clock jumped"), pool_ev.ExpiryResumed()):
        draft = Draft(s.state, Request(Judge(()), "writer", "clock-1", verb="hold"), s.now, s.rules)
        draft.record_pool(event)
        s.state.apply(draft.decided())
        s.store(draft.records)
    s.given("ops/ada", "drain", reason="the evening")
    s.given("ops/ada", "pause")
    s.given("ops/ada", "resume")
    s.at(500).sweep()


def operators(s: Scenario) -> None:
    """Follow what operators and services say, note and change."""
    s.given("a1", "register", capacity=9)
    s.given("a2", "register", capacity=9)
    s.given("ops/board", "submit_many", tasks=[{"task_id": f"t{number}"} for number in range(4)], command_id="many-1")
    for number in range(2):
        s.given(OPS, "assign", task_id=f"t{number}", agent_id="a1")
    s.at(60).given("ops/ci", "complete", task_id="t0", result={"build": 7}, command_id="ci-7")
    s.given("ops/ci", "fail", task_id="t1", error="flaky")
    s.given("ops/ada", "block", task_id="t1", reason="unclear", question="Which one?")
    s.given("ops/ada", "unblock", task_id="t1", answer="The second")
    s.given("ops/ada", "update", task_id="t1", priority="high", title="Now", labels=["x"], deadline_s=900.0)
    s.given("ops/ci", "complete", task_id="t2")
    s.given("ops/ci", "fail", task_id="t3", error="gone", retryable=False)
    s.given("ops/ada", "annotate", task_id="t3", kind="review", note="it was the disk", data={"disk": 2})
    s.given("ops/ada", "retry", task_id="t3", reason="a new disk")
    s.given("ops/ada", "annotate", agent_id="a1", kind="hardware", note="a new disk")
    s.given(OPS, "assign", task_id="t3-r1", agent_id="a1")
    s.given("ops/ada", "deregister", agent_id="a1", reason="replaced")
    s.at(900).asks(MarkLost("a2", 780.0))
    s.given("ops/ada", "forget", older_than_s=600.0)


def tasks_begun(s: Scenario) -> None:
    """Follow tasks from each first word of their holder's: a report, a start and a report, a completion, a failure."""
    s.given("a1", "register", capacity=9)
    reported = s.holds("a1", "reported", stall_s=300.0)
    s.at(60).given("a1", "progress", task_id="reported", token=reported, percent=10, command_id="first-1")
    s.at(120).given("a1", "progress", task_id="reported", token=reported, percent=60)
    s.at(150).given("a1", "complete", task_id="reported", token=reported)

    started = s.holds("a1", "started")
    s.at(180).given("a1", "start", task_id="started", token=started)
    s.at(200).given("a1", "progress", task_id="started", token=started, percent=20)

    done = s.holds("a1", "done")
    s.at(240).given("a1", "complete", task_id="done", token=done, result="at once")
    failed = s.holds("a1", "failed", budgets={"failures": 1})
    s.at(260).given("a1", "fail", task_id="failed", token=failed, error="at once")

    lost = s.holds("a1", "lost", lease={"mode": "fixed", "lease_s": 60.0, "grace_s": 0.0})
    s.at(300).given("a1", "progress", task_id="lost", token=lost, percent=30, message="begun")
    s.sweep(at=420).then("expired", "requeued")
    s.given(OPS, "assign", task_id="lost", agent_id="a1")
    s.at(430).given("a1", "progress", task_id="lost", token=s.token("lost"), percent=40)


HISTORIES: dict[str, Callable[[Scenario], None]] = {
    "tasks": tasks,
    "agents": agents,
    "pool": pool,
    "operators": operators,
    "tasks_begun": tasks_begun,
}


def write(name: str, script: Callable[[Scenario], None]) -> None:
    """Play a script and write its log and what it comes to."""
    s = Scenario(Rules(branch_template="task/{task_id}/{attempt}"))
    script(s)
    lines = [
        json.dumps(
            {
                "position": message.position,
                "subject": message.subject,
                "headers": dict(message.headers),
                "body": message.body.decode(),
            },
            ensure_ascii=False,
        )
        for message in s.messages
    ]
    HERE.mkdir(exist_ok=True)
    (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    entities = json.dumps(snapshot(s.state), indent=1, sort_keys=True, ensure_ascii=False)
    (HERE / f"{name}.entities.json").write_text(entities + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each, play in HISTORIES.items():
        if not (HERE / f"{each}.jsonl").exists():
            write(each, play)
