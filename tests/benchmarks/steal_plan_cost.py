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
    """Return the median of the milliseconds of CPU that a plan takes.

    So many tasks are shared by so many agents, of which none has begun any; so many idle ones claim a task each.
    """
    fleet = [Load(f"a{number}", held // agents) for number in range(agents)]
    state = pool_of([*fleet, *(Load(f"idle{number}", 0) for number in range(idle))])
    wishes = [Wish(f"idle{number}", 1) for number in range(idle)]
    now = after(NOW, 60.0)
    took_s = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        moves = BalancePass(state, WorkTimes(), StealConfig(), now, NOW).moves(wishes, str)
        took_s.append(time.process_time() - begin)
        assert moves
    return statistics.median(took_s) * 1e3
