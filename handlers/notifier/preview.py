"""What a notifier that starts now would send: the log from a position to its end, and the needs at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.notifier.event_selection import EventSelection, Wanted
from handlers.notifier.needs_watch import NeedsWatch
from handlers.projector.log_identity import log_id
from handlers.projector.projector import Projector
from handlers.projector.read_model import Watermark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.notifier.outbox import Outbox
    from handlers.notifier.subscription import Subscription
    from handlers.ports import Clock
    from handlers.projector.read_model import Source
    from projections.live.service_health import ServiceHealth
    from projections.state.pool_state import PoolState

_MAX_EVENTS = 5_000


class Preview:
    """Fills a queue as a notifier would, and sends nothing."""

    def __init__(
        self,
        pool: str,
        source: Source,
        outbox: Outbox,
        subscriptions: Sequence[Subscription],
        health: Callable[[], ServiceHealth | None],
        clock: Clock,
    ) -> None:
        """`outbox` is a copy of the real one, or an empty one: it is thrown away."""
        self._source = source
        self._outbox = outbox
        self._subscriptions = subscriptions
        # It looks once, so nothing would settle.
        self._watch = NeedsWatch(pool, [each._replace(settle_s=0.0) for each in subscriptions], outbox, health)
        self._clock = clock

    async def fill(self, behind: int | None) -> None:
        """Queue what is behind a position; None: behind that of the queue, nothing if that is an empty one.

        Raises OutdatedError, LogUnavailableError.
        """
        log, codec, fold_until = self._source
        before = await self._outbox.watermark()
        if behind is not None:
            memory = await fold_until(behind)
            mark = Watermark(memory.state.position, memory.tail_hash, await log_id(log, codec) if behind else None)
            await self._outbox.write((), before, mark)
            before = mark
        end = await log.last_position()
        since = end if behind is None and not before.position else behind

        def selection(state: PoolState) -> EventSelection:
            self._watch.begin(state)
            wanted = [
                Wanted(each, self._outbox.since(each.endpoint) if since is None else since)
                for each in self._subscriptions
            ]
            return EventSelection(state, wanted, self._watch.observe)

        projector = Projector(
            self._source, self._outbox, selection, self._clock, lambda _: None, max_events=_MAX_EVENTS
        )
        await projector.run(follow=False)
        self._watch.look(self._clock.now())
