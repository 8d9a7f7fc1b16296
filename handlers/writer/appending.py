"""Appending a batch to the log, and finding out whether it was stored. Nothing here touches the state.

A crash needs no code here: the log has all of the batch or nothing, and the next start folds what it has.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import seconds_between
from handlers.ports import (
    AppendConflictError,
    AppendRefusedError,
    AppendRejectedError,
    LogUnavailableError,
    OutcomeUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.ports import Clock, EventLog, NewMessage, Steady

_LOG = logging.getLogger(__name__)
RETRY_S = 0.25
"""Pause before an unanswered append or look-up is sent again."""
LATEST_S = 30.0
"""How late an unanswered append may still be stored, before a rejection of its resend is believed.

Observed: up to 17 s, after a peer rejoined.
"""


class Stored(NamedTuple):
    """The log holds the batch."""


class Conflicted(NamedTuple):
    """The log holds something else in its place, or ends before it; the batch was not stored and never will be."""


class Rejected(NamedTuple):
    """The broker refuses this content."""

    reason: str


class Unsent(NamedTuple):
    """There is no broker, and it certainly did not receive this."""


AppendOutcome = Stored | Conflicted | Rejected | Unsent


async def append(
    log: EventLog, clock: Clock, messages: Sequence[NewMessage], base: int, *, maybe_stored: bool = False
) -> AppendOutcome:
    """Append the messages right after `base`; return only when their outcome is known.

    No answer means unknown, not failed: the same content is sent again on the same condition until the log accepts
    it, or refuses the condition and shows what is stored in its place. `maybe_stored`: it was sent before.
    """
    rejected_since: Steady | None = None
    while True:
        try:
            await log.append(messages, expected_position=base)
        except AppendConflictError:
            # An earlier attempt may have been stored, or may still be on its way.
            outcome = await _found(log, messages[0], base)
            if outcome is not None:
                return outcome
        except AppendRejectedError as error:
            rejected_since = rejected_since or clock.steady()
            final = not maybe_stored or seconds_between(rejected_since, clock.steady()) >= LATEST_S
            outcome = await _after_rejection(log, clock, error, messages[0], base, final=final)
            if outcome is not None:
                return outcome
        except OutcomeUnknownError as error:
            _LOG.warning("an append behind position %d is not confirmed: %s; it is sent again", base, error)
            maybe_stored = True
        except LogUnavailableError:
            if not maybe_stored:
                return Unsent()
        else:
            return Stored()
        await pause(clock)


async def _after_rejection(
    log: EventLog, clock: Clock, error: AppendRejectedError, first: NewMessage, base: int, *, final: bool
) -> AppendOutcome | None:
    """Return what became of a rejected batch; None: try again. `final`: a rejection by the broker itself ends it."""
    certain = not isinstance(error, AppendRefusedError)
    if final and certain:
        return Rejected(str(error))
    if not certain:
        # By then the log has what was sent, if it was not the broker that refused it.
        await pause(clock)
    outcome = await _found(log, first, base)
    return Rejected(str(error)) if outcome is None and final else outcome


async def _found(log: EventLog, first: NewMessage, base: int) -> AppendOutcome | None:
    """Find out, after a refusal, whether the log holds this very batch; None: it is not known yet.

    A conflict alone is no proof: an earlier attempt may have been stored, and a leader without a quorum counts what
    is not stored. A batch is stored whole or not at all, so its first message decides.
    """
    try:
        message = await log.get(base + 1)
        if message is not None:
            return Stored() if message.subject == first.subject and message.body == first.body else Conflicted()
        if await log.last_position() < base:
            return Conflicted()
    except LogUnavailableError:
        return None
    return None


async def pause(clock: Clock) -> None:
    """Wait before the broker is asked again."""
    await clock.sleep(RETRY_S)
