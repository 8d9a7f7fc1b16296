"""The conformance vectors, evaluated by the project's own functions.

A vector is ``{"id", "rule", "given", "expect"}``. ``evaluate(rule, given)`` answers in the shape of `expect`. What a
vector leaves out takes the project's default. The vectors' own conventions, and nothing else, live here:

- a lease policy whose `default_hours` is below 1 is the adaptive mode, any other is the estimated one;
- a verdict `none` covers a task that finished, and `fail` is an exceeded deadline;
- numbers of seconds are moments on an axis of their own; a lease that is asked about is past its expiry and grace;
- an agent that is `idle` or `active` is open to new tasks.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

from domain.lifecycles import TaskStatus
from domain.policies.cadence import excused_until, median_interval_s, recovery_at
from domain.policies.lease import LeaseMode, LeasePolicy, first_terms, renewal_terms
from domain.policies.load_balancing import (
    Load,
    LoadStatus,
    StealConfig,
    capability_match,
)
from domain.policies.sweeping import DueMoments, Verdict, deadline_exceeded_at, judge, stuck_at
from domain.rules import Rules
from domain.timestamps import EPOCH
from domain.values import Priority
from tests.support.steal_passes import moves_of_a_pass, pool_of

Given = Mapping[str, Any]
Answer = dict[str, object] | list[dict[str, object]]

_AVAILABLE: Final = frozenset({"idle", "active"})
_VERDICTS: Final = {
    Verdict.NONE: "none",
    Verdict.ALREADY_FINISHED: "none",
    Verdict.DEADLINE_EXCEEDED: "fail",
    Verdict.STUCK: "stuck",
}


def evaluate(rule: str, given: Given) -> Answer:
    """Answer one vector; an unknown rule raises ``LookupError`` that names those there are."""
    try:
        answer = _RULES[rule]
    except KeyError:
        raise LookupError(f"unknown rule {rule!r}; known: {', '.join(sorted(_RULES))}") from None
    return answer(given)


def _adaptive_terms(given: Given) -> Answer:
    terms = renewal_terms(
        LeasePolicy(mode=LeaseMode.ADAPTIVE),
        reports=given.get("updates") or 0,
        percent=given.get("progress") or 0,
        estimated_hours=None,
    )
    return {"lease_s": terms.lease_s, "grace_s": terms.grace_s}


def _initial_terms(given: Given) -> Answer:
    task: Given = given.get("task") or {}
    terms = first_terms(
        _lease_policy(given),
        estimated_hours=task.get("estimated_hours"),
        priority=Priority((task.get("priority") or "medium").lower()),
        labels=task.get("labels") or (),
    )
    return {"lease_s": terms.lease_s}


def _renewal_terms(given: Given) -> Answer:
    terms = renewal_terms(
        _lease_policy(given),
        reports=(given.get("renewals") or 0) + 1,
        percent=given.get("progress") or 0,
        estimated_hours=given.get("estimated_hours"),
    )
    return {"lease_s": terms.lease_s}


def _lease_policy(given: Given) -> LeasePolicy:
    wanted = _present(given.get("policy") or {})
    adaptive = wanted.get("default_hours", LeasePolicy().default_hours) < 1
    mode = LeaseMode.ADAPTIVE if adaptive else LeaseMode.ESTIMATED
    return LeasePolicy.model_validate({"mode": mode, **wanted})


def _cadence(given: Given) -> Answer:
    updates_at: list[float] = given.get("updates_at") or []
    last_sign_at = updates_at[-1] if updates_at else given.get("granted_at") or 0.0
    multiplier = given.get("silence_multiplier")
    median_s = median_interval_s(updates_at)
    excused = excused_until(
        _moment(last_sign_at),
        median_s=median_s,
        silence_multiplier=LeasePolicy().silence_multiplier if multiplier is None else multiplier,
    )
    recover = recovery_at(_moment(last_sign_at), excused) <= _moment(given["now"])
    return {"median_s": median_s, "recover": recover}


def _moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def _judge(given: Given) -> Answer:
    deadline_in_s = given.get("deadline_in_s")
    stuck_threshold_s = given.get("stuck_threshold_s")
    beat_age_s = given.get("beat_age_s")
    due = DueMoments(
        deadline_exceeded_at=None if deadline_in_s is None else deadline_exceeded_at(_moment(deadline_in_s)),
        stuck_at=stuck_at(
            None if beat_age_s is None else _moment(-beat_age_s),
            Rules().stuck_threshold_s if stuck_threshold_s is None else stuck_threshold_s,
        ),
    )
    verdict = judge(TaskStatus(given["status"]), due, _moment(0))
    return {"verdict": _VERDICTS[verdict]}


def _capability_match(given: Given) -> Answer:
    return {"match": capability_match(given.get("source") or (), given.get("target") or ())}


def _load_status(given: Given) -> Answer:
    status = StealConfig().load_status(given.get("tasks") or 0, given.get("cpu") or 0.0)
    return {"overloaded": status is LoadStatus.OVERLOADED, "underloaded": status is LoadStatus.UNDERLOADED}


def _plan(given: Given) -> Answer:
    config = StealConfig(**_present(given.get("config") or {}))
    moves = moves_of_a_pass(config, [_load(agent) for agent in given.get("agents") or ()])
    return [{"source": move.source, "target": move.target, "count": move.count} for move in moves]


def _load(agent: Given) -> Load:
    names = {field.name for field in fields(Load)}
    known = {name: value for name, value in _present(agent).items() if name in names}
    return Load(**{"tasks": 0, **known, "agent_id": agent["id"], "capabilities": _capabilities(agent)})


def _best_agent(given: Given) -> Answer:
    agents = given.get("agents") or ()
    paused = {agent["id"] for agent in agents if (agent.get("status") or "idle") not in _AVAILABLE}
    pool = pool_of([_load(agent) for agent in agents], paused=paused)
    return {"agent": pool.best_agent(frozenset(given.get("required_capabilities") or ()))}


def _capabilities(agent: Given) -> frozenset[str]:
    return frozenset(agent.get("capabilities") or ())


def _present(given: Given) -> dict[str, Any]:
    """Return what is given and not null, so that a null takes the default too."""
    return {name: value for name, value in given.items() if value is not None}


_RULES: Final[Mapping[str, Callable[[Given], Answer]]] = {
    "lease.adaptive_terms": _adaptive_terms,
    "lease.initial_terms": _initial_terms,
    "lease.renewal_terms": _renewal_terms,
    "recovery.cadence": _cadence,
    "stealing.best_agent": _best_agent,
    "stealing.capability_match": _capability_match,
    "stealing.load_status": _load_status,
    "stealing.plan": _plan,
    "sweeping.judge": _judge,
}
