"""A held task for a handler without asyncio: each call waits, and ends at once when the handler is stopped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Generic, TypeVar

from custody_client.children import KILL_AFTER_S, Finished
from custody_client.errors import LeaseLost
from custody_client.held import Held
from custody_client.reports import UNSET, Unset
from custody_client.stopping import Shield, ThreadStopper
from custody_client.wire import Fate, Handoff, Lease

C = TypeVar("C")
T = TypeVar("T")


class SyncHeld(Generic[C]):
    """As `Held`, for a `def` handler or a `SyncWorker`."""

    def __init__(
        self, held: Held[C], loop: asyncio.AbstractEventLoop, wait: Callable[[Future[Any]], Any] | None = None
    ) -> None:
        """`wait`: waits for what the event loop does; None: without being stopped meanwhile."""
        self._held = held
        self._loop = loop
        self._wait = wait or Future.result

    @property
    def lease(self) -> Lease:
        """The lease as it was granted."""
        return self._held.lease

    @property
    def task_id(self) -> str:
        """The task."""
        return self._held.task_id

    @property
    def token(self) -> int:
        """The fencing token. Give it to what is written to, so that it refuses lower ones."""
        return self._held.token

    @property
    def attempt(self) -> int:
        """Which attempt at the task this is, from 1."""
        return self._held.attempt

    @property
    def payload(self) -> Any:
        """What is to be done, as JSON values."""
        return self._held.payload

    @property
    def title(self) -> str:
        """What people call it."""
        return self._held.title

    @property
    def labels(self) -> list[str]:
        """Its labels."""
        return self._held.labels

    @property
    def deadline(self) -> datetime | None:
        """When it must be done, by the service's clock."""
        return self._held.deadline

    @property
    def handoff(self) -> Handoff | None:
        """What the attempts before leave behind."""
        return self._held.handoff

    @property
    def checkpoint(self) -> C | None:
        """The latest checkpoint: reported here, else by the holders before; None if there is none."""
        return self._held.checkpoint

    @property
    def lost(self) -> LeaseLost | None:
        """Why the task is not held any more, if so."""
        return self._held.lost

    @property
    def cancelled(self) -> bool:
        """Whether to stop: the task is lost, or is being handed over."""
        return self._held.cancelled

    @property
    def handing_over(self) -> bool:
        """Whether the task should be given back soon. `raise HandOver` does."""
        return self._held.handing_over

    @property
    def left_s(self) -> float:
        """For how many seconds the lease surely lasts if it is not renewed."""
        return self._held.left_s

    @property
    def outcome(self) -> Fate | None:
        """What has become of the task by `complete`, `fail`, `release` or `block`; None before."""
        return self._held.outcome

    def progress(
        self, done: float, note: str | None = None, *, of: float = 100, checkpoint: C | Unset | None = UNSET
    ) -> None:
        """Report progress; see `Held.progress`."""
        self._call(self._held.progress(done, note, of=of, checkpoint=checkpoint))

    def quiet(self, for_s: float, reason: str) -> None:
        """Announce that no progress will be reported for up to an hour."""
        self._call(self._held.quiet(for_s, reason))

    def complete(self, result: Any = None) -> Fate:
        """Finish the task; see `Held.complete`."""
        return self._call(self._held.complete(result))

    def fail(self, error: str, *, retryable: bool = True) -> Fate:
        """Say that this attempt failed; see `Held.fail`."""
        return self._call(self._held.fail(error, retryable=retryable))

    def release(self, reason: str | None = None, *, delay_s: float = 0.0, checkpoint: C | Unset | None = UNSET) -> Fate:
        """Give the task back, with its last checkpoint."""
        return self._call(self._held.release(reason, delay_s=delay_s, checkpoint=checkpoint))

    def block(self, reason: str, question: str | None = None) -> Fate:
        """Give the task up until an operator unblocks it."""
        return self._call(self._held.block(reason, question))

    def shield(self) -> Shield:
        """Return a critical section: `with held.shield(): ...`. What stops the handler waits for its end."""
        return self._held.shield()

    def sleep(self, seconds: float) -> None:
        """Sleep, and end at once when the handler is stopped, which `time.sleep` does not."""
        self._call(asyncio.sleep(seconds))

    def run(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        stdin: bytes | None = None,
        capture: bool = False,
        check: bool = True,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        kill_after_s: float = KILL_AFTER_S,
    ) -> Finished:
        """Run a program, which ends with the handler; see `Held.run`."""
        return self._call(
            self._held.run(
                command, stdin=stdin, capture=capture, check=check, cwd=cwd, env=env, kill_after_s=kill_after_s
            )
        )

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self._wait(asyncio.run_coroutine_threadsafe(work, self._loop))
        return result

    def __repr__(self) -> str:
        return f"Sync{self._held!r}"


def held_by_thread(held: Held[C], loop: asyncio.AbstractEventLoop) -> tuple[SyncHeld[C], ThreadStopper]:
    """Return the held task for the calling thread, and what stops that."""
    stopper = ThreadStopper()
    held.stopper = stopper
    return SyncHeld(held, loop, stopper.wait), stopper
