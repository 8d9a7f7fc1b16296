"""What an operator says, once, about a log that is not as the last service left it."""

from __future__ import annotations

from typing import NamedTuple


class LogConsent(NamedTuple):
    """What is meant, though a start would refuse it."""

    new_log: bool = False
    """Open a new log, or serve another one, where one was served before."""
    accept_loss: bool = False
    """Serve a log that lacks what was acknowledged, after it is filled up."""


NOTHING_ACCEPTED = LogConsent()
