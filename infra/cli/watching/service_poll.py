"""What only the service knows: whether it serves the pool, and when it heard each agent last; asked now and then."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from domain.limits import MAX_PAGE
from infra.nats.contract_client import CustodyClient, CustodyError, CustodyRefusedError, NoServiceError
from projections.live.service_health import ServiceHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.ports import Clock
    from infra.nats.connection import NatsConnection

_LOG = logging.getLogger(__name__)
HEALTH_EVERY_S = 1.0
AGENTS_EVERY_TURNS = 5
"""Agents are asked for at so many-th question about the health, and at the first one after somebody begins to look."""
TIMEOUT_S = 1.9
MAX_AGENT_PAGES = 10


class ServiceView:
    """The latest answers of the pool's service."""

    def __init__(self) -> None:
        self.health = ServiceHealth()
        self.agents: dict[str, dict[str, Any]] = {}
        """Agents as `query.agents` had them, by id."""
        self.changed = True
        """Whether something changed since this was last set to False."""

    @property
    def served_by(self) -> str | None:
        """The leader that answers for the pool; None: no service does, or it is not known."""
        return self.health.leader if self.health.answered_at is not None and not self.health.failing_since else None

    @property
    def asked(self) -> bool:
        """Whether a poll has been answered, or has failed."""
        return self.health.answered_at is not None or self.health.failing_since is not None

    def set_health(self, health: ServiceHealth) -> None:
        """Note what a poll found."""
        self.changed |= health._replace(answered_at=None) != self.health._replace(answered_at=None)
        self.health = health

    def forget(self) -> None:
        """Know nothing again: the broker is not reached."""
        self.set_health(ServiceHealth())
        self.agents = {}


class ServicePoll:
    """Asks the service, and keeps a view up to date."""

    def __init__(
        self, view: ServiceView, connection: NatsConnection, pool: str, clock: Clock, watched: Callable[[], bool]
    ) -> None:
        """`watched`: whether a person looks: without one, agents are not asked for."""
        self._view = view
        self._connection = connection
        self._client = CustodyClient(connection.client, pool)
        self._clock = clock
        self._watched = watched

    async def run(self) -> None:
        """Ask until cancelled."""
        turn = agents_due = 0
        while True:
            if self._connection.is_connected:
                await self._ask_health()
                if turn >= agents_due and self._watched() and self._view.served_by is not None:
                    await self._ask_agents()
                    agents_due = turn + AGENTS_EVERY_TURNS
            else:
                self._view.forget()
            turn += 1
            await self._clock.sleep(HEALTH_EVERY_S)

    async def _ask_health(self) -> None:
        view = self._view
        try:
            reply = await self._client.request("query.health", timeout=TIMEOUT_S)
            view.set_health(view.health.answered(self._clock.now(), reply["result"]))
        except NoServiceError:
            view.set_health(view.health.failed(self._clock.now(), "no service answers for the pool"))
        except CustodyRefusedError as refused:
            # It is there, and says what it lacks.
            view.set_health(view.health.failed(self._clock.now(), refused.message))
        except (CustodyError, KeyError, TypeError, AttributeError) as error:
            view.set_health(view.health.failed(self._clock.now(), str(error)))

    async def _ask_agents(self) -> None:
        agents: dict[str, dict[str, Any]] = {}
        after: str | None = None
        try:
            for _ in range(MAX_AGENT_PAGES):
                body: dict[str, Any] = {"limit": MAX_PAGE} | ({"after": after} if after is not None else {})
                result = (await self._client.request("query.agents", body, timeout=TIMEOUT_S))["result"]
                agents |= {each["agent_id"]: each for each in result["agents"]}
                after = result["next"]
                if after is None:
                    break
                await asyncio.sleep(0)
        except (CustodyError, KeyError, TypeError) as error:
            _LOG.debug("query.agents: %s", error)
            return
        self._view.agents = agents
        self._view.changed = True
