"""Telling what needs people: a need when it appears, and when it is over to those who want that."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from domain.timestamps import format_timestamp, seconds_between
from handlers.notifier.event_selection import labels_of_task
from handlers.notifier.message import NEED_OPENED, NEED_RESOLVED, Message, cut, message_id
from projections.live.attention import Attention
from projections.state.pool_state import PoolState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from handlers.notifier.outbox import Outbox
    from handlers.notifier.subscription import Subscription
    from projections.live.attention import Need
    from projections.live.service_health import ServiceHealth

MAX_LOOKED_AT = 100_000
"""Needs that are compared with those that were told; with more of them, none is known to be over."""
MAX_TOLD = 500
"""Needs of one kind that one endpoint is told and that are open: the next one is told when one of them is over."""
_OF_A_TASK = frozenset({"blocked", "quarantined", "deadline", "stuck", "stalled"})
"""Kinds of need whose title is their task's."""


class NeedsWatch:
    """Compares the needs with those that each endpoint was told, and queues the differences."""

    def __init__(
        self,
        pool: str,
        subscriptions: Sequence[Subscription],
        outbox: Outbox,
        health: Callable[[], ServiceHealth | None],
    ) -> None:
        """`health` returns what is known of the service now; None: nothing."""
        self._pool = pool
        self._subscriptions = [each for each in subscriptions if each.needs]
        self._outbox = outbox
        self._health = health
        self._attention = Attention()
        self._state: PoolState | None = None
        self._differing: dict[str, dict[str, datetime]] = {}
        """By endpoint: the needs that are open and not told, or told and over, and since when."""

    @property
    def wanted(self) -> bool:
        """Whether an endpoint wants needs."""
        return bool(self._subscriptions)

    def begin(self, state: PoolState) -> None:
        """Begin with a state, which is folded further from now on."""
        self._state = state
        self._attention = Attention()
        self._attention.fill(state)

    def observe(self, recorded: Recorded) -> None:
        """Take an event that the state has just folded."""
        if self._state is not None:
            self._attention.observe((recorded,), self._state)

    def look(self, now: datetime, *, stale: bool = False) -> None:
        """Queue what has changed since the last look, of this run or an earlier one.

        `stale`: the log cannot be read now, so that only the service's own need can be new. Raises
        OutboxUnavailableError.
        """
        state = self._state
        if state is None:
            return
        if stale:
            needs, more = Attention().needs(PoolState(self._pool, state.rules), now, self._health())
        else:
            needs, more = self._attention.needs(state, now, self._health(), most=MAX_LOOKED_AT)
        for subscription in self._subscriptions:
            if self._outbox.disabled(subscription.endpoint) is None:
                self._tell(subscription, state, needs, now, complete=not more and not stale)

    def _tell(
        self, subscription: Subscription, state: PoolState, needs: Sequence[Need], now: datetime, *, complete: bool
    ) -> None:
        endpoint = subscription.endpoint
        wanted = {need.key: need for need in needs if _wants(subscription, need, state)}
        known = self._outbox.known_needs(endpoint)
        # One that is missing from a list that is not complete may be open all the same.
        over = [key for key in known if key not in wanted] if complete else []
        settled = self._settled(subscription, [*_not_told(wanted, known, over), *over], now)
        opened = {
            key: self._message(endpoint, NEED_OPENED, need_data(self._pool, state.position, wanted[key]), now)
            for key in settled
            if key in wanted
        }
        resolved = {
            key: self._message(endpoint, NEED_RESOLVED, _over(known[key].data, state.position), now)
            if subscription.resolved
            else None
            for key in settled
            if key in known
        }
        if opened or resolved:
            self._outbox.tell_needs(endpoint, opened, resolved)

    def _settled(self, subscription: Subscription, differing: Sequence[str], now: datetime) -> list[str]:
        """Return the needs that have differed for long enough from what the endpoint was told."""
        before = self._differing.get(subscription.endpoint, {})
        since = self._differing[subscription.endpoint] = {key: before.get(key, now) for key in differing}
        return [key for key, at in since.items() if seconds_between(at, now) >= subscription.settle_s]

    def _message(self, endpoint: str, type_: str, data: Mapping[str, Any], now: datetime) -> Message:
        position = data["position"]
        what = f"{type_} {data['key']} {data['since']}"
        return Message(endpoint, message_id(self._pool, position, endpoint, what), position, type_, now, data)


def _not_told(wanted: Mapping[str, Need], known: Mapping[str, Message], over: Sequence[str]) -> list[str]:
    """Return the keys of needs to be told: of each kind at most as many as there is room for beside those told."""
    room = Counter[str]()
    room.subtract(message.data["kind"] for message in known.values())
    room.update(known[key].data["kind"] for key in over)
    found = []
    for key, need in wanted.items():
        if key not in known and room[need.kind] + MAX_TOLD > 0:
            room[need.kind] -= 1
            found.append(key)
    return found


def _wants(subscription: Subscription, need: Need, state: PoolState) -> bool:
    labels = {label for task_id in _tasks_of(need) for label in labels_of_task(task_id, state)}
    return subscription.wants_need(need.kind, labels, () if need.agent_id is None else (need.agent_id,))


def _tasks_of(need: Need) -> Sequence[str]:
    return need.task_ids if need.task_id is None else (need.task_id, *need.task_ids)


def need_data(pool: str, position: int, need: Need) -> dict[str, Any]:
    """Return what a message on a need says, as JSON values."""
    if need.kind in _OF_A_TASK and need.task_id is not None:
        named = f' "{need.title}"' if need.title != need.task_id else ""
        about = f"task {need.task_id}{named}"
    else:
        # The title says what it is.
        about = f"{need.title} ({need.task_id})" if need.task_id is not None else need.title
    why = f": {need.detail}" if need.detail else ""
    question = f'; to be answered: "{need.question}"' if need.question else ""
    return {
        "pool": pool,
        "position": position,
        "kind": need.kind,
        "key": need.key,
        "task_id": need.task_id,
        "agent_id": need.agent_id,
        "since": format_timestamp(need.since),
        "title": need.title,
        "detail": need.detail,
        "question": need.question,
        "actions": list(need.actions),
        "task_ids": list(need.task_ids),
        "text": cut(f"needs you: {need.kind.replace('_', ' ')}: {about}{why}{question}"),
    }


def _over(told: Mapping[str, Any], position: int) -> dict[str, Any]:
    return {**told, "position": position, "text": cut(f"over: {told['text'].removeprefix('needs you: ')}")}
