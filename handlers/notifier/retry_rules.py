"""What becomes of a message after an attempt to send it, and when the next attempt is due."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

REFUSED_ATTEMPTS = 3
"""A message that the receiver refuses for its content is given up after so many attempts."""
LONGEST_RETRY_AFTER_S = 86_400.0
_ENDPOINT_FIRST_S = 1.0
_MESSAGE_FIRST_S = 5.0
LONGEST_PAUSE_S = 300.0
"""An endpoint that works again is told what it missed after twice this time at the latest."""


class Verdict(Enum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """The endpoint is down, too busy or set up wrongly: any message would have failed."""
    REFUSED = "refused"
    """The endpoint is up, and refuses this message."""
    GONE = "gone"
    """410 Gone: the receiver wants nothing any more."""


class Outcome(NamedTuple):
    """What one attempt came to."""

    verdict: Verdict
    reason: str = ""
    """One printable line, without secrets."""
    retry_after_s: float | None = None
    """How long the receiver asks to be left alone."""


_OF_THE_MESSAGE = frozenset({400, 406, 409, 413, 414, 415, 422, 431})
"""Statuses that are about this message; every other one but 2xx and 410 is about the endpoint."""


def verdict_of(status: int) -> Verdict:
    """Return what an HTTP status says of an attempt; a redirect is not followed, so it is a failure."""
    if 200 <= status < 300:  # noqa: PLR2004 # the statuses of success
        return Verdict.DELIVERED
    if status == 410:  # noqa: PLR2004 # Gone
        return Verdict.GONE
    return Verdict.REFUSED if status in _OF_THE_MESSAGE else Verdict.FAILED


def endpoint_pause_s(failures: int, random: Random, retry_after_s: float | None) -> float:
    """Return for how long an endpoint is left alone after so many consecutive failures, from 1."""
    return max(_jittered(_ENDPOINT_FIRST_S, failures, random), _asked_s(retry_after_s))


def message_pause_s(attempts: int, random: Random, retry_after_s: float | None) -> float:
    """Return how long a message waits after so many failed attempts, from 1; others are tried meanwhile."""
    return max(_jittered(_MESSAGE_FIRST_S, attempts, random), _asked_s(retry_after_s))


def _jittered(first_s: float, count: int, random: Random) -> float:
    """Return a pause that doubles with each failure; a random half of it keeps senders from acting in step."""
    return min(first_s * 2.0 ** min(count - 1, 30), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)


def _asked_s(retry_after_s: float | None) -> float:
    return min(max(retry_after_s or 0.0, 0.0), LONGEST_RETRY_AFTER_S)
