"""One task that the agent holds, and what its client knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from custody_client import CustodyError, Fate, Held, LeaseLost, OwnReport
from custody_client.clock import steady_s
from custody_client.errors import LOST, NoAnswerError, lease_lost
from custody_client.holding import Holding
from custody_client.life import Life
from custody_client.limits import checked_json, cut_text
from custody_client.reports import UNSET, Unset
from custody_mcp.answers import Work
from custody_mcp.briefing import at, briefing
from custody_mcp.words import NotHeld, Unconfirmed, in_words

CALL_S = 20.0
"""How long a call waits for the service: clients give up on a call after some 60 s, and each has to stay under 25."""
ASK_S = 3.0
"""How long it is asked who has a task that was lost."""


class AtHand:
    """A held task."""

    def __init__(self, life: Life, held: Held[Any], holding: Holding) -> None:
        self._life = life
        self.held = held
        self.holding = holding
        self.shown = False
        """Whether the client was given it."""
        self._reported = held.lease.reported
        self._ending: asyncio.Task[Fate] | None = None

    @property
    def task_id(self) -> str:
        """The task."""
        return self.held.task_id

    @property
    def at_work(self) -> bool:
        """Whether it is held, as far as is known, and has not ended."""
        return self.held.lost is None and not self.holding.ended

    @property
    def over_in_words(self) -> str:
        """What has become of a task that is not held any more, and what to do now."""
        try:
            self.check()
        except CustodyError as error:
            return in_words(error)
        return f"{self.task_id} is held."

    def check(self) -> None:
        """Return if the task is held.

        Raises:
            LeaseLost: it is lost.
            NotHeld: it has ended, as a call before had asked for.
        """
        if self.held.outcome is not None:
            said = f"{self.task_id} is {self.held.outcome.status} now, as you asked before."
            raise NotHeld(f"{said} You hold it no more.")
        if self.held.lost is not None:
            raise self.held.lost
        if self._ending is not None and self._ending.done() and not self._ending.cancelled():
            error = self._ending.exception()
            if isinstance(error, LeaseLost):
                raise error

    @property
    def unconfirmed(self) -> bool:
        """Whether an outcome is on its way."""
        return self._ending is not None and not self._ending.done()

    @property
    def percent(self) -> int:
        """The progress so far: reported under this lease, else by the holders before."""
        if self._reported is not None:
            return self._reported.percent
        return self.held.handoff.progress if self.held.handoff is not None else 0

    def touch(self) -> None:
        """Note that the client is there: the task is vouched for."""
        self.holding.advanced_at = max(self.holding.advanced_at, steady_s())

    async def report(self, percent: int, note: str | None, checkpoint: Any | Unset = UNSET) -> None:
        """Report progress, and return when the service has it.

        Raises:
            LeaseLost: the task is not held any more.
            TooLargeError: the checkpoint is too large.
            Unconfirmed: there was no answer in time.
        """
        before = self._reported or OwnReport()
        if self.held.lost is not None:
            # It is kept as evidence, and may reach the next holder.
            await self._say_late("progress", _late_report(percent, note, checkpoint))
        self._reported = OwnReport(
            percent,
            before.note if note is None else note,
            before.checkpoint if isinstance(checkpoint, Unset) else checkpoint,
        )
        try:
            async with asyncio.timeout(CALL_S):
                await self.held.progress(percent, note, checkpoint=checkpoint)
                await self.held.flush()
        except TimeoutError:
            raise Unconfirmed(self._unanswered("Report again after your next step.")) from None

    async def quiet(self, for_s: float, why: str) -> None:
        """Announce that no report comes for a time; raises LeaseLost or Unconfirmed."""
        await self._check_now()
        try:
            async with asyncio.timeout(CALL_S):
                await self.held.quiet(for_s, why)
        except TimeoutError:
            raise Unconfirmed(self._unanswered("Work on.")) from None

    async def complete(self, result: Any) -> Fate:
        """Complete the task. After the lease has expired, that is still accepted until another is granted the task."""
        if self.held.lost is not None:
            return await self._say_late("complete", {"result": checked_json(result, "result")})
        return await self._end(partial(self.held.complete, result))

    async def fail(self, error: str, *, retryable: bool) -> Fate:
        """Say that the attempt failed."""
        await self._check_now()
        return await self._end(partial(self.held.fail, error, retryable=retryable))

    async def block(self, reason: str, question: str) -> Fate:
        """Set the task aside until its question is answered."""
        await self._check_now()
        return await self._end(partial(self.held.block, reason, question))

    async def hand_over(self, reason: str, notes: str | None = None, checkpoint: Any | Unset = UNSET) -> Fate:
        """Report what the next holder needs, and give the task back. Joins an end that is on its way."""
        await self._check_now()
        return await self._end(partial(self._release, reason, notes, checkpoint))

    async def _release(self, reason: str, notes: str | None, checkpoint: Any | Unset) -> Fate:
        if notes is not None or not isinstance(checkpoint, Unset):
            await self.held.progress(self.percent, notes, checkpoint=checkpoint)
        return await self.held.release(reason)

    async def _check_now(self) -> None:
        """Say of a lost task who has it now; raises LeaseLost."""
        if self.held.lost is not None:
            await self._say_late("lease", {})

    async def _say_late(self, verb: str, body: dict[str, Any]) -> Fate:
        """Send a command under a lease that is lost, and return what came of a completion.

        Raises:
            LeaseLost: it is refused, with what is so now, or no answer came.
        """
        lost = self.held.lost
        assert lost is not None  # noqa: S101 - that is when it is called
        try:
            answer = await self._life.command(verb, {**self.holding.fields(), **body}, limit_s=ASK_S)
        except LOST as refused:
            raise lease_lost(*self.holding.key, refused) from None
        except NoAnswerError:
            raise lost from None
        if verb != "complete":
            raise lost
        return answer.read(Fate)

    async def _end(self, how: Callable[[], Coroutine[Any, Any, Fate]]) -> Fate:
        """End the work on it, and return what has become of the task.

        A command that gets no answer in time goes on in the background, and a second call joins it: so a repeat of
        the client never speaks twice.

        Raises:
            LeaseLost: the task is not held any more.
            Unconfirmed: there was no answer in time.
        """
        if self._ending is None or self._failed_to_send(self._ending):
            self._ending = asyncio.create_task(how())
        try:
            async with asyncio.timeout(CALL_S):
                return await asyncio.shield(self._ending)
        except TimeoutError:
            raise Unconfirmed(
                f"Custody gave no answer about {self.task_id} yet. It is asked again in the background until it does: "
                "do no more work on the task; my_work tells when it is done."
            ) from None

    def shown_as_work(self) -> Work:
        """Return it for the client, who has been given it with that."""
        self.shown = True
        lease = self.held.lease
        return Work(
            task_id=self.task_id,
            briefing=self.briefing(),
            payload=lease.payload,
            checkpoint=self.held.checkpoint,
            progress=self.percent,
            attempt=lease.attempt,
            deadline=None if lease.deadline is None else at(lease.deadline),
        )

    def briefing(self, *, with_fields: bool = False) -> str:
        """Return it in words; `with_fields`: payload and checkpoint too."""
        return briefing(self.held.lease, self._reported, with_fields=with_fields)

    def _failed_to_send(self, ending: asyncio.Task[Fate]) -> bool:
        """Return whether an attempt to end it came to nothing, so that another may be made."""
        return ending.done() and self.at_work

    def _unanswered(self, what_now: str) -> str:
        left_s = max(self.held.left_s, 0)
        return (
            f"Custody gave no answer about {self.task_id}. The lease surely lasts {left_s:.0f} s more, and the server "
            f"goes on keeping it alive. {what_now}"
        )


def _late_report(percent: int, note: str | None, checkpoint: Any | Unset) -> dict[str, Any]:
    body: dict[str, Any] = {"percent": percent}
    if note is not None:
        body["message"] = cut_text(note)
    if not isinstance(checkpoint, Unset):
        body["checkpoint"] = checked_json(checkpoint, "checkpoint")
    return body
