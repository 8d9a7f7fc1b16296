"""What a random caller might want of a random pool; a wish becomes a command only when it meets the pool's state."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from domain.commands.service_commands import (
    ExecuteSteal,
    Extend,
    FillTail,
    Judge,
    Lead,
    MarkLost,
    Open,
    PlanMove,
    PlanSteal,
    Rearm,
    ServiceCommand,
)
from domain.request import Request
from tests.support.scenario import OPS, Scenario

AGENTS = ("A", "B", "C", "D")
TASKS = tuple(f"T{number}" for number in range(9))
CAPABILITIES = ("gpu", "web")


class Wish(NamedTuple):
    """A command in the making: `who` and `token` may be a role that the state will cast."""

    who: str
    verb: str
    body: dict[str, Any]
    token: str = ""


class Internally(NamedTuple):
    """The service's own business in the making."""

    kind: str
    task_id: str
    agent_id: str
    other_id: str
    number: float


agents = st.sampled_from(AGENTS)
tasks = st.sampled_from(TASKS)
who_holds = st.sampled_from(["holder", "holder", "holder", *AGENTS])
which_token = st.sampled_from(["current", "current", "current", "former", "never"])
some_capabilities = st.lists(st.sampled_from(CAPABILITIES), max_size=2, unique=True)
seconds = st.sampled_from([0.0, 0.000001, 1.0, 17.5, 60.0, 179.0, 181.0, 241.0, 600.0, 601.0, 3600.0, 90_000.0])

definitions = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.sampled_from(["low", "medium", "high", "critical"]),
        "required_capabilities": some_capabilities,
        "deadline_s": st.sampled_from([0.0, 100.0, 1000.0, 20_000.0]),
        "delay_s": st.sampled_from([0.0, 17.5, 240.0]),
        "retry": st.sampled_from([{"delay_s": 0.0}, {"delay_s": 30.0, "backoff": 1.0}]),
        "on_silence": st.sampled_from(["requeue", "stuck"]),
        "budgets": st.fixed_dictionaries(
            {},
            optional={name: st.integers(1, 3) for name in ("failures", "expiries", "steals", "attempts")},
        ),
        "lease": st.one_of(
            st.just({"max_lease_s": 400.0, "max_renewals": 1}),
            st.just({"mode": "fixed", "lease_s": 1000.0, "grace_s": 5.0}),
            st.just({"mode": "estimated"}),
        ),
    },
)
"""The fields of a submission."""


def _bodies(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_AS_HOLDER = {
    "lease": st.just({}),
    "start": st.just({}),
    "progress": st.fixed_dictionaries({"percent": st.integers(0, 100)}, optional={"message": st.just("note")}),
    "silence": st.fixed_dictionaries({"for_s": seconds.filter(lambda s: 0 < s <= 3600), "reason": st.just("build")}),
    "release": _bodies(checkpoint=st.just({"at": 1}), delay_s=st.sampled_from([0.0, 17.5, 600.0])),
    "block": st.just({"reason": "no key"}),
    "complete": _bodies(result=st.just([1])),
    "fail": _bodies(retryable=st.booleans()).map(lambda body: body | {"error": "no"}),
}
as_holder = st.sampled_from(sorted(_AS_HOLDER)).flatmap(
    lambda verb: st.builds(
        lambda who, token, task_id, body: Wish(who, verb, {"task_id": task_id, **body}, token),
        who_holds,
        which_token,
        tasks,
        _AS_HOLDER[verb],
    )
)
register = st.builds(
    lambda who, body: Wish(who, "register", body),
    agents,
    _bodies(capabilities=some_capabilities, capacity=st.integers(1, 12), priority=st.sampled_from([0.5, 3.0])),
)
heartbeat = st.builds(
    lambda who, cpu: Wish(who, "heartbeat", {} if cpu is None else {"load": {"cpu": cpu}}),
    agents,
    st.sampled_from([None, 10.0, 50.0, 95.0]),
)
claim = st.builds(lambda who, most: Wish(who, "claim", {"max": most, "wait_s": 1.0}), agents, st.integers(1, 5))
deregister = st.builds(lambda who: Wish(who, "deregister", {}), agents)
submit = st.builds(lambda task_id, body: Wish(OPS, "submit", {"task_id": task_id, **body}), tasks, definitions)
assign = st.builds(
    lambda task_id, body: Wish(OPS, "assign", {"task_id": task_id, **body}), tasks, _bodies(agent_id=agents)
)
on_task = st.builds(
    lambda verb, task_id: Wish(OPS, verb, {"task_id": task_id}),
    st.sampled_from(["cancel", "requeue", "requeue", "unblock", "unblock", "revoke"]),
    tasks,
)
update = st.builds(
    lambda task_id, body: Wish(OPS, "update", {"task_id": task_id, **body}),
    tasks,
    st.sampled_from(
        [{"priority": "critical"}, {"deadline_s": 100.0}, {"delay_s": 0.0}, {"delay_s": 17.5}, {"delay_s": 240.0}]
    ),
)
intake = st.builds(
    lambda verb, body: Wish(OPS, verb, body),
    st.sampled_from(["drain", "pause", "resume", "resume", "resume"]),
    _bodies(agent_id=agents),
)
steal = st.builds(
    lambda pair, body: Wish(OPS, "steal", {"from_": pair[0], "to": pair[1], **body}),
    st.permutations(AGENTS),
    st.one_of(st.just({}), _bodies(count=st.integers(1, 3)), _bodies(task_ids=st.lists(tasks, min_size=1, max_size=3))),
)
internally = st.builds(
    Internally,
    st.sampled_from(["judge", "extend", "lost", "rearm", "plan", "move", "execute", "lead", "open", "fill"]),
    tasks,
    agents,
    agents,
    seconds,
)

wishes: st.SearchStrategy[Wish | Internally] = st.one_of(
    as_holder, as_holder, as_holder, claim, submit, assign, on_task, update, register, heartbeat, intake, steal,
    internally, deregister,
)  # fmt: skip
"""Any command of any caller."""


def cast(wish: Wish | Internally, s: Scenario) -> Request:
    """Turn a wish into a command, given the pool as it stands."""
    if isinstance(wish, Internally):
        command, actor = _internal(wish, s)
        return Request(command, actor, f"internal-{wish.kind}", verb=wish.kind)
    if not wish.token:
        return s.request(wish.who, wish.verb, **wish.body)
    task = s.state.task(wish.body["task_id"])
    lease = task.lease if task is not None else None
    former = task.former[-1] if task is not None and task.former else None
    wanted = {"current": lease, "former": former, "never": None}[wish.token]
    holder = wanted.agent_id if wanted is not None else "A"
    who = holder if wish.who == "holder" else wish.who
    return s.request(who, wish.verb, **wish.body, token=wanted.token if wanted is not None else 1)


def _internal(wish: Internally, s: Scenario) -> tuple[ServiceCommand, str]:
    task = s.state.task(wish.task_id)
    token = task.lease.token if task is not None and task.lease is not None else 1
    command: ServiceCommand
    match wish.kind:
        case "judge":
            command, actor = Judge(TASKS), "sweeper"
        case "extend":
            command, actor = Extend(wish.task_id, token, "worktree", ("a/b",)), "sweeper"
        case "lost":
            command, actor = MarkLost(wish.agent_id, wish.number), "sweeper"
        case "rearm":
            command, actor = Rearm("outage", wish.number), "writer"
        case "plan":
            command, actor = PlanSteal(f"S{s.state.position}", wish.agent_id, wish.other_id, 2, 0.9), "stealer"
        case "move":
            held = tuple(s.state.held_by(wish.agent_id))
            command, actor = PlanMove(f"S{s.state.position}", wish.agent_id, wish.other_id, held, 9.5), "stealer"
        case "execute":
            command, actor = ExecuteSteal(next(iter(s.state.steals), "none")), "stealer"
        case "fill":
            command, actor = FillTail(s.state.position + 1, s.state.position + 3), "writer"
        case "lead":
            command, actor = Lead("host:1:2"), "writer"
        case _:
            command, actor = Open("test"), "writer"
    return command, actor
