"""What the sweeper makes of one task. Source of the rules: the stuck-task sweeper."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The sweeper's answer on one task: a closed set, one action each."""

    # Nothing is due.
    NONE = "none"
    # The task finished before the sweep came to it: counted, never an error, never overwritten.
    ALREADY_FINISHED = "already_finished"
    # Past its deadline, in whatever non-terminal status: it fails.
    DEADLINE_EXCEEDED = "deadline_exceeded"
    # Held, once alive, and silent for longer than the threshold.
    STUCK = "stuck"


def judge(
    *,
    terminal: bool,
    held: bool,
    deadline_overdue_s: float | None,
    beat_age_s: float | None,
    stuck_threshold_s: float,
) -> Verdict:
    """Judge one task.

    `held` means assigned or in progress; what is stuck is not, so it stays stuck quietly. `deadline_overdue_s`
    is the time since the deadline in seconds, negative before it, None if there is none. `beat_age_s` is the
    time since the last report or recorded renewal of the lease at hand, None if there was none: a free pass,
    for the first term and the deadline catch what never began. Both comparisons are strict.
    """
    if terminal:
        return Verdict.ALREADY_FINISHED
    if deadline_overdue_s is not None and deadline_overdue_s > 0:
        return Verdict.DEADLINE_EXCEEDED
    if held and beat_age_s is not None and beat_age_s > stuck_threshold_s:
        return Verdict.STUCK
    return Verdict.NONE
