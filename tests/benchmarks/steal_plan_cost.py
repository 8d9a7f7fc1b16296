"""What one plan of the policy balance costs on a large pool."""

from __future__ import annotations

import statistics
import time

from domain.policies.load_balancing import Load, StealConfig
from domain.timestamps import after
from projections.state.balance_pass import BalancePass, Wish
from projections.state.work_times import WorkTimes
from tests.support.steal_passes import NOW, pool_of

ROUNDS = 15


def plan_cost_ms(held: int, agents: int, idle: int) -> float:
    """Return the median of the milliseconds that a plan takes: so many tasks, shared by so many agents of which none
    has begun any, and so many idle ones that claim a task each."""
    fleet = [Load(f"a{number}", held // agents) for number in range(agents)]
    state = pool_of([*fleet, *(Load(f"idle{number}", 0) for number in range(idle))])
    wishes = [Wish(f"idle{number}", 1) for number in range(idle)]
    now = after(NOW, 60.0)
    took_s = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        moves = BalancePass(state, WorkTimes(), StealConfig(), now, NOW).moves(wishes, str)
        took_s.append(time.perf_counter() - begin)
        assert moves
    return statistics.median(took_s) * 1e3
