"""Getting a group into the log, and finding out whether it got there. Nothing here touches the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import after
from handlers.ports import (
    AppendConflictError,
    AppendRejectedError,
    LogUnavailableError,
    OutcomeUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.ports import Clock, EventLog, NewMessage

RETRY_S = 0.25
"""Pause before an unanswered append or look-up is sent again."""


class Stored(NamedTuple):
    """The log holds the group."""


class Conflicted(NamedTuple):
    """The log holds something else in its place, or ends before it; the group was not stored and never will be."""


class Rejected(NamedTuple):
    """The broker will not take it."""

    reason: str


class Unsent(NamedTuple):
    """There is no broker, and it certainly did not get this."""


Verdict = Stored | Conflicted | Rejected | Unsent


async def append(log: EventLog, clock: Clock, messages: Sequence[NewMessage], base: int) -> Verdict:
    """Append the messages right after `base`; return only when it is known what became of them.

    No answer means unknown, not failed: the same content is sent again on the same condition until the log has
    accepted it, or refuses the condition and shows what stands there instead.
    """
    maybe_stored = False
    while True:
        try:
            await log.append(messages, expected_position=base)
        except AppendConflictError:
            stored = await _is_stored(log, messages[0], base)
            if stored is not None:
                return Stored() if stored else Conflicted()
        except AppendRejectedError as error:
            return Rejected(str(error))
        except OutcomeUnknownError:
            maybe_stored = True
        except LogUnavailableError:
            if not maybe_stored:
                return Unsent()
        else:
            return Stored()
        await pause(clock)


async def _is_stored(log: EventLog, first: NewMessage, base: int) -> bool | None:
    """Find out, after a conflict, whether the log holds this very group; None: ask again later.

    A conflict alone is no proof: an earlier send may have been stored, and a leader without a quorum counts what is
    not. A batch is stored whole or not at all, so its first message speaks for it.
    """
    try:
        message = await log.get(base + 1)
        if message is not None:
            return message.subject == first.subject and message.body == first.body
        if await log.last_position() < base:
            return False
    except LogUnavailableError:
        return None
    return None


async def pause(clock: Clock) -> None:
    """Wait a moment before the broker is asked again."""
    await clock.sleep_until(after(clock.now(), RETRY_S))
