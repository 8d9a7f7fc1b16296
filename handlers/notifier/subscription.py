"""Which events and needs an endpoint wants."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection


class Subscription(NamedTuple):
    """What one endpoint wants. In every pattern `*` stands for any text and `?` for one character."""

    endpoint: str
    events: tuple[str, ...] = ()
    """Patterns of kinds of event, such as `task.quarantined` or `agent.*`; none: no events."""
    needs: tuple[str, ...] = ()
    """Patterns of kinds of need, such as `blocked`; none: no needs."""
    labels: tuple[str, ...] = ()
    """Only what concerns a task with a label that one of these patterns fits; none: anything."""
    agents: tuple[str, ...] = ()
    """Only what concerns an agent that one of these patterns fits; none: anything."""
    resolved: bool = False
    """Whether the end of a need is told, too."""
    settle_s: float = 0.0
    """A need that was open, or over, for less than this is not told."""

    def may_want_event(self, kind: str) -> bool:
        """Return whether events of a kind are wanted, about some task and agent."""
        return fits(self.events, kind)

    def wants_need(self, kind: str, labels: Collection[str], agents: Collection[str]) -> bool:
        """Return whether a need is wanted."""
        return fits(self.needs, kind) and self.concerns(labels, agents)

    def concerns(self, labels: Collection[str], agents: Collection[str]) -> bool:
        """Return whether what concerns a task with these labels, and these agents, is wanted."""
        return (not self.labels or any(fits(self.labels, each) for each in labels)) and (
            not self.agents or any(fits(self.agents, each) for each in agents)
        )


@lru_cache(maxsize=65_536)
def fits(patterns: tuple[str, ...], text: str) -> bool:
    """Return whether the text fits one of the patterns."""
    return any(_compiled(pattern).match(text) is not None for pattern in patterns)


@lru_cache(maxsize=4_096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # A bracket is a character like any other.
    return re.compile(translate(pattern.replace("[", "[[]")))
