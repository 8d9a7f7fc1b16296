"""What a service records about the pool: that its log was opened or lost its tail, who leads it, and its outages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import pool as ev
from domain.limits import MAX_EVENTS_PER_COMMAND
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from domain.commands.service_commands import FillTail, Lead, Open, Rearm
    from domain.decision import Decision
    from domain.draft import Draft


def open_log(draft: Draft, command: Open) -> Decision:
    """Record the first event of an empty log; records nothing in any other."""
    if draft.view.position == 0:
        draft.record_pool(ev.Opened(software=command.software))
    return draft.decided({})


def lead(draft: Draft, command: Lead) -> Decision:
    """Record who leads the pool from here on."""
    draft.record_pool(ev.Led(leader=command.leader))
    return draft.decided({})


def fill_tail(draft: Draft, command: FillTail) -> Decision:
    """Fill the log up to where it ended before it lost its tail, so that no token is given twice.

    A loss is recorded once at least, also where other events fill its positions already. What was begun goes on.
    """
    pool, position = draft.view.pool, draft.view.position
    last = pool.tail_losses[-1] if pool.tail_losses else None
    if last is not None and last.is_of(command.acknowledged_to, command.filled_to):
        survived_to, missing = last.survived_to, command.filled_to - position
    else:
        survived_to = position if position < command.acknowledged_to else None
        missing = max(command.filled_to - position, 1)
    for _ in range(min(missing, MAX_EVENTS_PER_COMMAND)):
        draft.record_pool(
            ev.TailLost(survived_to=survived_to, acknowledged_to=command.acknowledged_to, filled_to=command.filled_to)
        )
    return draft.decided({})


def rearm(draft: Draft, command: Rearm) -> Decision:
    """Set the moment before which no lease is judged: during an outage of the pool its agents could not be heard.

    A floor that already lies later is kept; it is never lowered for any lease.
    """
    rules, pool = draft.rules, draft.view.pool
    floor_s = min(command.blind_s, rules.rearm_max_s)
    not_before = after(draft.now, floor_s)
    if floor_s <= 0 or (pool.not_before is not None and pool.not_before >= not_before):
        return draft.decided({})
    jitter_s = min(floor_s, rules.rearm_jitter_s)
    if pool.not_before is not None:
        jitter_s = max(jitter_s, seconds_between(not_before, after(pool.not_before, pool.jitter_s)))
    draft.record_pool(
        ev.Rearmed(
            reason=command.reason,
            blind_s=command.blind_s,
            not_before=not_before,
            jitter_s=jitter_s,
        )
    )
    return draft.decided({})
