"""A pool on the pure core, watched: what a page would be told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from domain.recorded import Recorded
from projections.live.attention import Need
from projections.live.live_view import LiveView, Reading
from projections.live.service_health import ServiceHealth
from projections.state.last_heard import LastHeard
from tests.support.scenario import Scenario


class Watched(Scenario):
    """A scenario with a live view that follows it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.last_heard = LastHeard()
        self.view = LiveView()
        self.health: ServiceHealth | None = None
        self._seen = 0
        self.view.reset(self.state)

    def unseen(self) -> list[Recorded]:
        """Return what came since the last call."""
        records, self._seen = self.log[self._seen :], len(self.log)
        return records

    def reading(self) -> Reading:
        """Return what a tick is made from now."""
        return Reading(self.state, self.now, self.last_heard.heard_at, health=self.health)

    def look(self) -> dict[str, Any]:
        """Let the view follow what came, and return what has changed."""
        records = self.unseen()
        self.last_heard.observe(records)
        self.view.observe(records, self.state)
        return self.view.tick(self.reading())

    def shown(self) -> dict[str, Any]:
        """Return the whole document after a look."""
        self.look()
        return self.view.document(self.reading())

    def needs(self) -> list[Need]:
        """Return what needs a person now."""
        self.look()
        return self.view.needs.items

    def row(self, agent_id: str) -> dict[str, Any]:
        """Return an agent's row."""
        rows: dict[str, dict[str, Any]] = self.shown()["agents"]
        return rows[agent_id]

    def bars(self, agent_id: str) -> list[dict[str, Any]]:
        """Return an agent's lane."""
        lanes: dict[str, list[dict[str, Any]]] = self.shown()["lanes"]["agents"]
        return lanes.get(agent_id, [])

    def heard_beside_the_log(self, *heard: tuple[str, datetime]) -> None:
        """Tell the view what a poll of the service said."""
        self.view.heard(heard)


def keys(needs: Iterable[Need]) -> list[str]:
    """Return the needs' keys."""
    return [need.key for need in needs]
