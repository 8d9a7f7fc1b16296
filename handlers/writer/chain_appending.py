"""Appending commands of one event each as a chain, and finding out how much of it was stored.

The log takes a prefix of a chain, or all. So where an acknowledgement fails to come, the outcome is found out event by
event: each that is not known to be stored is appended once more, by itself, at its own position. What is found there,
if it was stored before or another writer's event is, settles it; see `appending`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from handlers.ports import AppendRejectedError, LogError, LogUnavailableError, OutcomeUnknownError
from handlers.writer.appending import Conflicted, Rejected, Stored, Unsent, append, pause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.ports import Clock, EventLog, NewMessage
    from handlers.writer.appending import AppendOutcome
    from handlers.writer.flights import Flight

_LOG = logging.getLogger(__name__)


async def append_chain(
    log: EventLog,
    clock: Clock,
    flight: Flight,
    base: int,
    before: asyncio.Task[AppendOutcome] | None,
) -> AppendOutcome:
    """Append the flight's messages right after `base`; return only when their outcome is known.

    `before`: the append of the chain before this one, whose outcome need not be known yet. Where it is not stored
    whole, nothing of this chain ever is: each message names the very send of the one before it.
    """
    messages = flight.batch.messages[:]
    if before is not None and before.done():
        if not isinstance(before.result(), Stored):
            return Conflicted()
        before = None
    outcome = await _send(log, clock, flight, messages, base, behind=before is not None)
    if not isinstance(outcome, LogError):
        return outcome
    flight.in_doubt = True
    maybe_stored = isinstance(outcome, OutcomeUnknownError)
    if maybe_stored:
        unconfirmed = base + flight.acknowledged
        _LOG.warning("an append behind position %d is not confirmed: %s; it is sent again", unconfirmed, outcome)
        await pause(clock)
    if before is not None:
        await asyncio.wait([before])
        if not isinstance(before.result(), Stored):
            return Conflicted()
    return await _append_one_by_one(log, clock, flight, messages, base, maybe_stored=maybe_stored)


async def _send(
    log: EventLog,
    clock: Clock,
    flight: Flight,
    messages: Sequence[NewMessage],
    base: int,
    *,
    behind: bool,
) -> AppendOutcome | LogError:
    """Append the chain; return the outcome, or the error where that has to be found out."""

    def on_stored(count: int) -> None:
        flight.note_stored(count, clock.steady())

    try:
        await log.append_chain(messages, expected_position=base, behind=behind, on_stored=on_stored)
    except LogUnavailableError:
        return Unsent()
    except LogError as error:
        return Rejected(str(error)) if type(error) is AppendRejectedError else error
    return Stored()


async def _append_one_by_one(
    log: EventLog, clock: Clock, flight: Flight, messages: Sequence[NewMessage], base: int, *, maybe_stored: bool
) -> AppendOutcome:
    """Append what is not acknowledged; `maybe_stored`: whether the first of it may be in the log, or get there."""
    for number in range(flight.acknowledged, len(messages)):
        outcome = await append(log, clock, messages[number : number + 1], base + number, maybe_stored=maybe_stored)
        if not isinstance(outcome, Stored):
            return outcome
        flight.note_stored(number + 1, clock.steady())
        maybe_stored = True
    return Stored()
