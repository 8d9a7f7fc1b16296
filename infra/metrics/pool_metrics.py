"""The metrics of a served pool: made on demand, within limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from handlers.ports import LogUnavailableError
from infra.metrics.metrics_server import MetricsServer
from infra.metrics.pool_collector import PoolCollector

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.registry import Collector

    from handlers.pool_service import PoolService
    from handlers.telemetry import ProcessFigures

REUSED_S = 0.25
"""A page is shown again for so long to whoever asks in the same form."""
LAG_TIMEOUT_S = 1.0
"""How long a page waits for the broker to say where the log ends."""
MAX_FORMS = 8
"""Pages that are kept, by form: the text of Prometheus and of OpenMetrics, each in few versions."""


class PoolMetrics:
    """Makes the page of one pool's metrics."""

    def __init__(self, pool: PoolService, figures: ProcessFigures) -> None:
        self._pool = pool
        self._collector = PoolCollector(pool, figures)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._pages: dict[str, tuple[float, bytes]] = {}
        self._one_page = asyncio.Lock()

    async def page(self, accepted: str) -> tuple[bytes, str]:
        """Return the page in a form that is accepted, with its content type."""
        encode, content_type = _form(accepted)
        async with self._one_page:
            now_s = asyncio.get_running_loop().time()
            made_at_s, body = self._pages.get(content_type, (0.0, b""))
            if not body or now_s - made_at_s >= REUSED_S:
                self._collector.lag_events = await self._lag_events()
                body = encode(self._registry)
                if len(self._pages) >= MAX_FORMS:
                    self._pages.clear()
                self._pages[content_type] = (asyncio.get_running_loop().time(), body)
        return body, content_type

    async def _lag_events(self) -> int | None:
        try:
            async with asyncio.timeout(LAG_TIMEOUT_S):
                return await self._pool.lag_events()
        except (LogUnavailableError, TimeoutError):
            return None


def _form(accepted: str) -> tuple[Callable[[Collector], bytes], str]:
    """Return the encoder of a form that is accepted and its content type, which repeats parts of what was asked."""
    try:
        return choose_encoder(accepted if accepted.isascii() and accepted.isprintable() else "")
    except (TypeError, ValueError):
        return choose_encoder("")


def metrics_server(pool: PoolService, figures: ProcessFigures, host: str, port: int) -> MetricsServer:
    """Return the server of a pool's metrics; it is yet to be started."""
    return MetricsServer(host, port, PoolMetrics(pool, figures).page)
