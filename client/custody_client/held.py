"""A task that this process holds, as a handler has it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from custody_client.children import KILL_AFTER_S, Finished, run_child
from custody_client.errors import LOST, LeaseLost
from custody_client.holding import Holding
from custody_client.life import Life
from custody_client.limits import MAX_SILENCE_S, checked_json, cut_reason, cut_text
from custody_client.reports import UNSET, Reports, Unset
from custody_client.stopping import NoStopper, Shield, Stopper
from custody_client.wire import Fate, Handoff, Lease, Terms

C = TypeVar("C")


class Held(Generic[C]):
    """A held task: what is to be done, under which token, and how it goes on.

    `C` is the type of its checkpoints. Each command on it raises `LeaseLost` once the task is not held any more.
    """

    def __init__(self, life: Life, holding: Holding) -> None:
        self._life = life
        self._holding = holding
        self._reports = Reports(life, holding)
        self._children: set[asyncio.Task[Any]] = set()
        self.stopper: Stopper = NoStopper()
        """How the handler is stopped."""
        self.outcome: Fate | None = None
        """What has become of the task by `complete`, `fail`, `release` or `block`; None before."""
        self.on_end: Callable[[], None] = lambda: life.end(holding)
        """Called once when that is so, or when the task is lost on the way."""

    # What it is.

    @property
    def lease(self) -> Lease:
        """The lease as it was granted."""
        return self._holding.lease

    @property
    def task_id(self) -> str:
        """The task."""
        return self.lease.task_id

    @property
    def token(self) -> int:
        """The fencing token. Give it to what is written to, so that it refuses lower ones."""
        return self.lease.token

    @property
    def attempt(self) -> int:
        """Which attempt at the task this is, from 1."""
        return self.lease.attempt

    @property
    def payload(self) -> Any:
        """What is to be done, as JSON values."""
        return self.lease.payload

    @property
    def title(self) -> str:
        """What people call it."""
        return self.lease.title

    @property
    def labels(self) -> list[str]:
        """Its labels."""
        return self.lease.labels

    @property
    def deadline(self) -> datetime | None:
        """When it must be done, by the service's clock."""
        return self.lease.deadline

    @property
    def handoff(self) -> Handoff | None:
        """What the attempts before leave behind."""
        return self.lease.handoff

    @property
    def checkpoint(self) -> C | None:
        """The latest checkpoint: reported here, else by the holders before; None if there is none."""
        checkpoint: C | None = self._reports.checkpoint
        return checkpoint

    # How it stands.

    @property
    def lost(self) -> LeaseLost | None:
        """Why the task is not held any more, if so."""
        return self._holding.lost

    @property
    def cancelled(self) -> bool:
        """Whether to stop: the task is lost, or is being handed over."""
        return self._holding.stop_reason is not None

    @property
    def handing_over(self) -> bool:
        """Whether the task should be given back soon: the worker or the agent drains. `raise HandOver` does."""
        return self._holding.handing_over is not None

    @property
    def left_s(self) -> float:
        """For how many seconds the lease surely lasts if it is not renewed."""
        return self._holding.term.left_s()

    # What is said about it.

    async def progress(
        self, done: float, note: str | None = None, *, of: float = 100, checkpoint: C | Unset | None = UNSET
    ) -> None:
        """Report progress: `done` of `of` (percent by default), a note for people, and where to go on.

        At most one report a second is sent, unless the checkpoint changed; the latest counts.

        Raises:
            LeaseLost: the task is not held any more.
            TooLargeError: the checkpoint takes more than 64 KiB.
        """
        percent = max(0, min(100, int(100 * done / of))) if of else 100
        await self._reports.report(percent, note, checkpoint)

    async def flush(self) -> None:
        """Send a report that waits for the next one; raises LeaseLost if the task is not held any more."""
        await self._reports.flush()

    async def quiet(self, for_s: float, reason: str) -> None:
        """Announce that no progress will be reported for up to an hour; the lease lasts as if it were."""
        for_s = min(for_s, MAX_SILENCE_S)
        body = {"for_s": for_s, "reason": cut_reason(reason)}
        answer = await self._life.on_task(self._holding, "silence", body)
        self._holding.advanced_at = answer.sent_at + for_s
        self._holding.started = True
        self._life.take_terms(self._holding, answer.read(Terms), answer.sent_at)

    # How it ends.

    async def complete(self, result: Any = None) -> Fate:
        """Finish the task. Repeated until the outcome is known, over restarts of the service and the broker.

        Raises:
            LeaseLost: another has the task, or it has ended.
            TooLargeError: the result takes more than 64 KiB.
        """
        body = {"result": checked_json(result, "result")}
        self._reports.close()
        return await self._end("complete", body)

    async def fail(self, error: str, *, retryable: bool = True, delay_s: float | None = None) -> Fate:
        """Say that this attempt failed; a retryable one leads to another while the task's budgets last.

        `delay_s`: how long the next attempt waits; None: as the task's own `retry` says.
        """
        await self._flush()
        body: dict[str, Any] = {"error": cut_text(error), "retryable": retryable}
        if delay_s is not None:
            body["delay_s"] = delay_s
        return await self._end("fail", body)

    async def release(
        self, reason: str | None = None, *, delay_s: float = 0.0, checkpoint: C | Unset | None = UNSET
    ) -> Fate:
        """Give the task back, with its last checkpoint; no agent is granted it for `delay_s`."""
        body: dict[str, Any] = {"delay_s": delay_s}
        if not isinstance(checkpoint, Unset):
            body["checkpoint"] = checked_json(checkpoint, "checkpoint")
        await self._flush()
        if reason:
            body["reason"] = cut_reason(reason)
        return await self._end("release", body)

    async def block(self, reason: str, question: str | None = None) -> Fate:
        """Give the task up until an operator unblocks it; the answer to the question comes with the next hand-off."""
        await self._flush()
        body = {"reason": cut_reason(reason), "question": cut_text(question) if question else None}
        return await self._end("block", body)

    # What helps while working on it.

    def shield(self) -> Shield:
        """Return a critical section: `with held.shield(): ...`. What stops the handler waits for its end."""
        return Shield(self.stopper)

    async def run(
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
        """Run a program. It is terminated, and killed after `kill_after_s`, when the handler is stopped.

        It runs in a process group of its own, which is ended whole. `stdin`: what it reads. `capture`: whether what it
        writes is returned instead of shown.

        Raises:
            subprocess.CalledProcessError: it ended with another status than 0, and `check` is set.
            OSError: it cannot be started.
        """
        child = asyncio.ensure_future(
            run_child(command, stdin=stdin, capture=capture, check=check, cwd=cwd, env=env, kill_after_s=kill_after_s)
        )
        self._children.add(child)
        child.add_done_callback(self._children.discard)
        try:
            return await asyncio.shield(child)
        except asyncio.CancelledError:
            child.cancel()
            raise

    async def give_back(self) -> None:
        """Release a task whose lease ran out here alone. That another has it by now is no error."""
        body = {**self._holding.fields(), "reason": "the holder had no answer until its term ran out"}
        try:
            await self._life.command("release", body)
        except LOST:
            return

    def take_checkpoint(self, checkpoint: C | None) -> None:
        """Have the checkpoint of the holders before in the handler's type."""
        self._reports.checkpoint = checkpoint

    async def children_ended(self) -> None:
        """Return when no program of `run` is left."""
        if self._children:
            await asyncio.wait(self._children)

    async def _flush(self) -> None:
        """Send the last report before what ends the lease, while that does any good."""
        if self.lost is None:
            await self._reports.flush()

    async def _end(self, verb: str, body: dict[str, Any]) -> Fate:
        holding = self._holding
        if holding.lost is not None:
            raise holding.lost
        holding.ending = True
        try:
            answer = await self._life.on_task(holding, verb, body, while_held=False)
        except LeaseLost:
            self.on_end()
            raise
        finally:
            holding.ending = False
        self.outcome = answer.read(Fate)
        self.on_end()
        return self.outcome

    def __repr__(self) -> str:
        return f"Held({self.task_id!r}, token={self.token}, attempt={self.attempt})"
