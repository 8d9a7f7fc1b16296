"""The page of metrics in the forms that Prometheus asks for, and that it is not made more often than needed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from handlers.telemetry import ProcessFigures
from infra.metrics import pool_metrics
from infra.metrics.pool_metrics import PoolMetrics
from tests.support.pool_harness import PoolHarness

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


@pytest.fixture
async def pool() -> AsyncIterator[PoolHarness]:
    pool = PoolHarness()
    await pool.start()
    yield pool
    await pool.finish()


@pytest.fixture
def metrics(pool: PoolHarness) -> PoolMetrics:
    return PoolMetrics(pool.service, ProcessFigures())


async def test_as_openmetrics(metrics: PoolMetrics) -> None:
    body, content_type = await metrics.page(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics_families(body.decode())}  # type: ignore[no-untyped-call] # the library's
    assert families["custody_steals"].type == "counter"
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accepted",
    [
        "",
        "*/*",
        "text/plain;version=0.0.4",
        "text/html,application/xhtml+xml",
        "application/openmetrics-text;version=one",
        "application/openmetrics-text;version=1.0.0;escaping=\x00\n",
        "text/plain;version=1.0.0;escaping=\nSet-Cookie: x",
        "☃",
    ],
)
async def test_else_as_text_and_nothing_asked_for_comes_back_in_the_head(metrics: PoolMetrics, accepted: str) -> None:
    body, content_type = await metrics.page(accepted)
    assert content_type.isprintable()
    assert "text" in content_type
    if content_type.startswith("text/plain"):
        assert {family.name for family in text_string_to_metric_families(body.decode())} > {"custody_tasks"}


async def test_a_page_is_used_again_for_a_moment_in_its_form(
    pool: PoolHarness, metrics: PoolMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_metrics, "REUSED_S", 3600.0)
    first = await metrics.page("")
    await pool.submit("T")
    assert await metrics.page("") == first
    assert b'custody_tasks{pool="p",status="queued"} 1.0' in (await metrics.page(OPENMETRICS))[0]
    monkeypatch.setattr(pool_metrics, "REUSED_S", 0.0)
    assert b'custody_tasks{pool="p",status="queued"} 1.0' in (await metrics.page(""))[0]


async def test_few_forms_are_kept(metrics: PoolMetrics) -> None:
    for number in range(3 * pool_metrics.MAX_FORMS):
        await metrics.page(f"application/openmetrics-text;version=1.{number}.0")
    assert len(metrics._pages) <= pool_metrics.MAX_FORMS  # noqa: SLF001 - that memory is bounded
