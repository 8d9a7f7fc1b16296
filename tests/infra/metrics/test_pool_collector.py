"""A pool's metrics: what they show, that none is named by a task or an agent, and that those of the log outlive it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from handlers.telemetry import ProcessFigures, Telemetry
from infra.metrics.metric_list import METRICS, Source
from infra.metrics.pool_metrics import PoolMetrics
from tests.support.pool_harness import PoolHarness

Values = Mapping[str, float]


class Shown:
    """A pool and its metrics."""

    def __init__(self, pool: PoolHarness) -> None:
        self.pool = pool

    async def text(self) -> str:
        figures = self.pool.telemetry.figures
        assert figures is not None
        return (await PoolMetrics(self.pool.service, figures).page(""))[0].decode()

    async def samples(self) -> Values:
        """Each sample by its name and its own label, such as `custody_tasks queued`; without buckets."""
        found = {}
        for family in text_string_to_metric_families(await self.text()):
            for sample in family.samples:
                labels = {**sample.labels}
                if family.name.startswith("custody_"):
                    assert labels.pop("pool") == "p"
                    if "le" not in labels:
                        found[" ".join([sample.name, *labels.values()])] = sample.value
        return found


@pytest.fixture
async def shown() -> AsyncIterator[Shown]:
    pool = PoolHarness()
    pool.telemetry = Telemetry(ProcessFigures())
    await pool.start()
    yield Shown(pool)
    await pool.finish()


async def night(pool: PoolHarness) -> None:
    """Given: of five tasks one was completed, one failed, one expired, one is held and one waits for its time."""
    await pool.register("a", "b")
    await pool.submit("T1", "T2", "T3", "T4", lease={"mode": "fixed", "lease_s": 600, "grace_s": 0})
    await pool.submit("T5", delay_s=5_000)
    await pool.advance(30)
    tokens = [await pool.assign("a", task_id) for task_id in ("T1", "T2", "T3")]
    await pool.given("agent.a.complete", task_id="T1", token=tokens[0])
    await pool.given("agent.a.fail", task_id="T2", token=tokens[1], error="no", retryable=False)
    await pool.advance(400)
    await pool.given("agent.b.heartbeat")
    await pool.advance(300)
    await pool.assign("b", "T4")
    await pool.request("agent.a.progress", {"task_id": "T3", "token": tokens[2], "percent": 1})


async def test_a_new_pool_shows_every_metric(shown: Shown) -> None:
    families = {family.name for family in text_string_to_metric_families(await shown.text())}
    absent = {metric.name.removesuffix("_total") for metric in METRICS} - families
    assert absent == {"custody_snapshot_age_events"}, "a pool of the tests keeps none"
    assert {"process_cpu_seconds", "python_info", "python_gc_objects_collected"} <= families


async def test_a_pool_is_shown_as_it_is(shown: Shown) -> None:
    await night(shown.pool)
    samples = await shown.samples()
    assert {
        name.removeprefix("custody_tasks "): value
        for name, value in samples.items()
        if name.startswith("custody_tasks ") and value
    } == {"queued": 2, "assigned": 1, "completed": 1, "failed": 1}
    assert samples["custody_oldest_ready_age_seconds"] == pytest.approx(100, abs=2), "T3 waits since it expired"
    assert samples["custody_wait_seconds_count"] == 4
    assert samples["custody_wait_seconds_sum"] == pytest.approx(3 * 30 + 730, abs=5)
    assert samples["custody_leases_ended_total completed"] == samples["custody_leases_ended_total expired"] == 1
    assert samples["custody_hold_seconds_count"] == 3
    assert samples["custody_false_recoveries_total"] == 1
    assert samples["custody_due_late_seconds_count"] == 1
    assert samples["custody_events_total task.submitted"] == 5
    assert samples["custody_commands_total assign"] == 4
    assert samples["custody_refusals_total stale_token"] == 1
    assert samples["custody_position"] == shown.pool.position
    assert samples["custody_leader"] == 1
    assert samples["custody_follow_lag_events"] == 0


async def test_agents_are_shown_by_what_they_take_on(shown: Shown) -> None:
    await shown.pool.register("a", "b", "c")
    await shown.pool.given("ops.pause", agent_id="b")
    await shown.pool.advance(300)
    await shown.pool.given("agent.a.heartbeat")
    await shown.pool.advance(400)
    samples = await shown.samples()
    assert {name.removeprefix("custody_agents "): value for name, value in samples.items() if "agents" in name} == {
        "open": 1, "paused": 0, "draining": 0, "lost": 2,
    }  # fmt: skip


async def test_what_is_counted_over_the_log_outlives_the_service(shown: Shown) -> None:
    await night(shown.pool)
    before = await shown.samples()
    await shown.pool.stop()
    shown.pool.telemetry = Telemetry(ProcessFigures())
    await shown.pool.start()
    after = await shown.samples()
    of_log = tuple(metric.name for metric in METRICS if metric.source is Source.LOG)
    kept = {name: value for name, value in before.items() if name.startswith(of_log)}
    changed = {name for name, value in kept.items() if after[name] != value}
    assert changed == {"custody_events_total pool.led"}
    assert after["custody_commands_total assign"] == 0, "those of the process begin anew"


async def test_no_label_names_a_task_or_an_agent(shown: Shown) -> None:
    await shown.pool.holds("agent-with-a-name", "task-with-a-name", title="title-with-a-name")
    assert "with-a-name" not in await shown.text()


async def test_without_an_answer_of_the_broker_the_lag_is_left_out(shown: Shown) -> None:
    shown.pool.log.fail_reads(1)
    assert "custody_follow_lag_events" not in await shown.samples()
    assert "custody_follow_lag_events" in await shown.samples()
