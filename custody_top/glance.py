"""One look at the watched pool: what everything on a screen is drawn from, so that it fits together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from custody_top.lines.head import SPARK_MINUTES, Liveness
from domain.timestamps import seconds_between
from projections.live.strip import strip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from handlers.ports import Steady
    from infra.cli.watching.watched_pool import WatchedPool
    from projections.live.live_view import Reading

SERIES_EVERY_S = 2.0
"""How often the minutes of the sparkline are counted."""


class Glance(NamedTuple):
    """What is known at a moment."""

    watch: WatchedPool
    reading: Reading | None
    """None until the log was read once."""
    liveness: Liveness
    strip: Mapping[str, Any] | None
    completed: Sequence[float]
    """Tasks completed in each of the last minutes, the present one last."""
    now: datetime


class Glances:
    """Makes glances."""

    def __init__(self, watch: WatchedPool) -> None:
        self._watch = watch
        self._completed: Sequence[float] = ()
        self._counted_at: tuple[int, Steady] | None = None
        """With the view's generation."""

    def take(self) -> Glance:
        """Fold what happened since the last one, and return what is known now."""
        watch = self._watch
        if watch.feed is None:
            liveness = Liveness(watch.mode, why=watch.why_not_live or "")
            return Glance(watch, None, liveness, None, (), watch.clock.now())
        watch.tick()
        reading, follower = watch.reading(), watch.follower
        why = (watch.why_not_live or "") if reading.mode != "live" else ""
        liveness = Liveness(reading.mode, follower.behind_events, follower.last_contact_s, why)
        document = strip(
            reading.state,
            watch.view.history.activity,
            reading.now,
            mode=reading.mode,
            behind_events=reading.behind_events,
            health=reading.health,
        )
        return Glance(watch, reading, liveness, document, self._series(reading), reading.now)

    def _series(self, reading: Reading) -> Sequence[float]:
        watch, generation = self._watch, self._watch.view.generation
        steady = watch.clock.steady()
        counted = self._counted_at
        if counted is None or counted[0] != generation or seconds_between(counted[1], steady) >= SERIES_EVERY_S:
            self._counted_at = generation, steady
            series = watch.view.history.activity.series(reading.now, len(reading.state.indexes.backlog), SPARK_MINUTES)
            self._completed = series["completed"]
        return self._completed
