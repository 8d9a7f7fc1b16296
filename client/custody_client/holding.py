"""One lease that this process holds: what the event loop, the beats' thread and the handler's thread share of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from custody_client.clock import steady_s
from custody_client.errors import HandOver, LeaseLost
from custody_client.local_term import LocalTerm
from custody_client.wire import Lease

MAX_REMEMBERED = 1000
"""Leases that have ended and are remembered, so that an answer from before is not taken for a new grant."""


class Holding:
    """A lease from the grant to its end here."""

    def __init__(self, lease: Lease, granted_by: float) -> None:
        self.lease = lease
        self.term = LocalTerm(lease, granted_by)
        self.began_at = steady_s()
        self.advanced_at = self.began_at
        """When the handler showed progress last."""
        self.progress_within_s: float | None = None
        """For how long it may show none and still be vouched for; None: for ever."""
        self.started = lease.status != "assigned"
        """Whether the service knows that work has begun: until then the task may be stolen."""
        self.ending = False
        """Whether an outcome is on its way: then nothing stops the handler any more."""
        self.ended = False
        self.drains: HandOver | None = None
        """Set once the worker itself drains: the task should be given back soon."""
        self.asked: HandOver | None = None
        """Set while the service asks for that; an agent that is resumed is not asked any more."""
        self.stop_reason: LeaseLost | HandOver | None = None
        """Why the handler was stopped, if it was."""
        self._stop: Callable[[], None] | None = None
        self._lock = threading.Lock()

    @property
    def key(self) -> tuple[str, int]:
        """Task and token."""
        return self.lease.key

    @property
    def lost(self) -> LeaseLost | None:
        """Why the lease is lost, if it is."""
        return self.stop_reason if isinstance(self.stop_reason, LeaseLost) else None

    @property
    def handing_over(self) -> HandOver | None:
        """Why the task should be given back soon, if it should."""
        return self.drains or self.asked

    def vouched(self, now: float) -> bool:
        """Return whether this process vouches for the task: it is held, and its handler shows progress in time."""
        if self.ended or self.lost is not None:
            return False
        return self.ending or self.progress_within_s is None or now - self.advanced_at <= self.progress_within_s

    def on_stop(self, stop: Callable[[], None] | None) -> None:
        """Have `stop` called when the handler is to be stopped, from whichever thread finds that out; at once if so."""
        with self._lock:
            self._stop = stop
            due = stop is not None and self.stop_reason is not None
        if due and stop is not None:
            stop()

    def stop(self, reason: LeaseLost | HandOver) -> bool:
        """Stop the handler, once; return whether it was this call that did. A loss counts above a hand-over."""
        with self._lock:
            if self.ended or self.ending or isinstance(self.stop_reason, LeaseLost):
                return False
            if isinstance(reason, HandOver) and self.stop_reason is not None:
                return False
            self.stop_reason = reason
            stop = self._stop
        if stop is not None:
            stop()
        return True

    def lose(self, reason: str, *, certain: bool = True) -> bool:
        """Stop the handler because the lease is lost; return whether it was this call that did."""
        return self.stop(LeaseLost(*self.key, reason, certain=certain))

    def fields(self) -> dict[str, Any]:
        """Return what a command on the task names it by."""
        return {"task_id": self.lease.task_id, "token": self.lease.token}


class Holdings:
    """What this process holds. Changed by its event loop, read by the beats' thread."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], Holding] = {}
        self._ended: dict[tuple[str, int], None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def all(self) -> list[Holding]:
        """Return them, as of now."""
        return list(self._held.values())

    def get(self, key: tuple[str, int]) -> Holding | None:
        """Return the holding of a task and token, if there is one."""
        return self._held.get(key)

    def of_task(self, task_id: str) -> Holding | None:
        """Return the latest holding of a task, if there is one."""
        return max((each for each in self.all() if each.lease.task_id == task_id), key=_token, default=None)

    def is_known(self, key: tuple[str, int]) -> bool:
        """Return whether this is held here, or was."""
        return key in self._held or key in self._ended

    def add(self, holding: Holding) -> None:
        """Take in a grant."""
        self._held[holding.key] = holding

    def remove(self, holding: Holding) -> None:
        """Forget a lease that has ended, but for its key."""
        holding.ended = True
        self._held.pop(holding.key, None)
        self._ended[holding.key] = None
        while len(self._ended) > MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]


def _token(holding: Holding) -> int:
    return holding.lease.token
