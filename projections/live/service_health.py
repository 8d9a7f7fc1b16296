"""Whether the pool's service answers: what a poll of `query.health` found, which the log does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class ServiceHealth(NamedTuple):
    """What is known of the service. Without a poll: nothing, and it counts as served by who leads by the log."""

    answered_at: datetime | None = None
    """When it answered last."""
    failing_since: datetime | None = None
    """When the first poll failed that no answer followed; None: it answers, or was not asked."""
    why: str = ""
    """Why it does not answer, in words."""
    leader: str | None = None
    """Who answered last."""

    @property
    def is_known(self) -> bool:
        """Whether a poll has ended, with an answer or without."""
        return self.answered_at is not None or self.failing_since is not None

    def answered(self, now: datetime, result: Mapping[str, Any]) -> ServiceHealth:
        """Return what is known after an answer of `query.health`."""
        leader = result.get("leader")
        return ServiceHealth(now, None, "", leader if isinstance(leader, str) else self.leader)

    def failed(self, now: datetime, why: str) -> ServiceHealth:
        """Return what is known after a poll without an answer."""
        return self._replace(failing_since=self.failing_since or now, why=why)
