"""Any caller may send any command at any time, and every invariant holds; refused batches leave no trace."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from domain.commands.service_commands import Judge
from domain.draft import Draft
from domain.events import pool as pool_ev
from domain.policies.load_balancing import StealConfig
from domain.recorded import Recorded
from domain.request import Request
from domain.rules import Rules
from projections.state import ended_entities
from projections.state.pool_state import PoolState
from tests.simulation.intents import Internally, Wish, cast, seconds, wishes
from tests.support.invariants import check_equal, check_indexes
from tests.support.scenario import Scenario

EXAMPLES = int(os.environ.get("CUSTODY_MODEL_EXAMPLES", "150"))
"""How many random lives a run follows; the default is for every build, a thousand and more for a long night."""

REPEATABLE = frozenset(
    {
        *("register", "heartbeat", "lease", "start", "release", "block", "fail", "deregister"),
        *("submit", "assign", "cancel", "requeue", "unblock", "revoke", "drain", "pause", "resume"),
        *("judge", "lost", "rearm", "open"),
    }
)
"""Asked again at once, these yield no event: the second time there is nothing left to do, or to refuse."""

RULES = Rules(steal=StealConfig(cooldown_s=30.0), branch_template="task/{task_id}-{attempt}")


batches = st.lists(wishes, min_size=1, max_size=6)


class PoolModel(RuleBasedStateMachine):
    """A pool under random commands, clocks, sweeps, outages and refused appends."""

    remembered: ClassVar[int] = ended_entities.RECENT_ENTITIES

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(ended_entities, "RECENT_ENTITIES", self.remembered)
        self.s = Scenario(RULES)

    @initialize(capacities=st.lists(st.integers(1, 12), min_size=2, max_size=2))
    def agents_register(self, capacities: list[int]) -> None:
        for agent_id, capacity in zip("AB", capacities, strict=True):
            self.s.given(agent_id, "register", capacity=capacity, capabilities=["gpu"])

    @rule(wish=wishes)
    def asks(self, wish: Wish | Internally) -> None:
        request = cast(wish, self.s)
        step = self.s.send(request)
        if step.refusal is not None:
            assert set(step.names) <= {"late_progress"}, "a refused command appends nothing but a late report"
        if request.verb in REPEATABLE:
            assert self.s.decide(request).records == [], f"{request.verb} repeated yields an event"

    @rule(batch=batches)
    def together(self, batch: list[Wish | Internally]) -> None:
        """Several commands are decided on each other's tentative state and acknowledged at once."""
        records, _ = self.decide(batch)
        self.s.store(records)

    @rule(batch=batches, look=st.booleans(), later=seconds)
    def refused(self, batch: list[Wish | Internally], look: bool, later: float) -> None:  # noqa: FBT001 - drawn
        """The log refuses a batch: what was decided is taken back, whatever was looked at meanwhile."""
        self.decide(batch)
        if look:
            check_indexes(self.s.state, self.s.now + timedelta(seconds=later))
        self.s.state.undo()
        self.s.check()

    @rule(first=batches, second=batches, accepted=st.booleans())
    def one_after_the_other(
        self,
        first: list[Wish | Internally],
        second: list[Wish | Internally],
        accepted: bool,  # noqa: FBT001 - drawn
    ) -> None:
        """A batch is decided while the one before it is in flight; that one is acknowledged, this one may be not."""
        records, changes = self.decide(first)
        more, _ = self.decide(second)
        self.s.store(records, changes=changes)
        if accepted:
            self.s.store(more)
        else:
            self.s.state.undo()
            self.s.check()

    def decide(self, batch: list[Wish | Internally]) -> tuple[list[Recorded], int]:
        """Decide and apply each wish; return the events and how many entities were replaced."""
        records: list[Recorded] = []
        changes = 0
        for wish in batch:
            decision = self.s.decide(cast(wish, self.s))
            self.s.state.apply(decision)
            records += decision.records
            changes += len(decision.after)
        return records, changes

    @rule(amount=seconds)
    def time_passes(self, amount: float) -> None:
        self.s.wait(amount)
        self.s.check()

    @rule()
    def sweep(self) -> None:
        due = self.s.state.due(self.s.now, 3)
        step = self.s.asks(Judge(tuple(due)))
        judged = {recorded.entity_id for recorded in step.records}
        assert judged == set(due), "whatever is due comes to an event"

    @rule()
    def next_due_moment(self) -> None:
        moment = self.s.state.next_due_at()
        if moment is not None and moment > self.s.now:
            self.s.now = moment
            assert self.s.state.due(moment, 1)
            self.sweep()

    @rule(held=st.booleans())
    def expiry_is_held_or_resumed(self, held: bool) -> None:  # noqa: FBT001 - drawn
        s = self.s
        draft = Draft(s.state, Request(Judge(()), "writer", "hold"), s.now, s.rules)
        draft.record_pool(pool_ev.ExpiryHeld() if held else pool_ev.ExpiryResumed())
        s.state.apply(draft.decided())
        s.store(draft.records)

    def teardown(self) -> None:
        """Fold the whole log again, from its bytes: event by event, and with the indexes made in the end."""
        again, rebuilt = PoolState("default", RULES), PoolState("default", RULES)
        rebuilt.begin_rebuild()
        for message in self.s.messages:
            recorded = self.s.codec.decode(message)
            again.fold(recorded)
            rebuilt.fold(recorded)
        rebuilt.end_rebuild()
        for state in (again, rebuilt):
            check_equal(self.s.state, state)
            check_indexes(state, self.s.now)
        self.patch.undo()


class ForgetfulPoolModel(PoolModel):
    """The same with a short memory: what has ended is read from the log again when a command names it."""

    remembered = 2


def profile(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# Finding the smallest failing life takes longer than a test may.
pytestmark = [pytest.mark.simulation, pytest.mark.timeout(900)]

TestPoolModel = PoolModel.TestCase
TestPoolModel.settings = profile(EXAMPLES)
TestForgetfulPoolModel = ForgetfulPoolModel.TestCase
TestForgetfulPoolModel.settings = profile(EXAMPLES // 2)
