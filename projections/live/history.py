"""What the last minutes and the last day were like, folded from events alone: activity, lanes, events, silences.

A fold that begins in the middle of a log adopts from the state what was there before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.live.activity import Activity
from projections.live.lanes import WINDOW_S, Lanes
from projections.live.recent import Recent
from projections.live.silences import Silences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from projections.state.pool_state import PoolState


class History:
    """The folds that need no state but what they adopt."""

    def __init__(self, lanes_window_s: float = WINDOW_S, known_since: datetime | None = None) -> None:
        """`known_since`: as of `Activity`."""
        self.activity = Activity(known_since=known_since)
        self.lanes = Lanes(lanes_window_s)
        self.recent = Recent()
        self.silences = Silences()

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events, in their order."""
        self.activity.observe(records)
        self.lanes.observe(records)
        self.recent.observe(records)
        self.silences.observe(records)

    def adopt(self, state: PoolState) -> None:
        """Take over from the state at the same position what began before the first folded event."""
        self.activity.adopt(state)
        self.lanes.adopt(state)
        self.silences.adopt(state)
