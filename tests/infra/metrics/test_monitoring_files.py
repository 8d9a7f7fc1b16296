"""The alert rules and the dashboard: they parse, do what their tests say, and name metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from handlers.telemetry import ProcessFigures
from infra.metrics.metric_list import METRICS
from infra.metrics.pool_metrics import PoolMetrics
from tests.support.cases import case
from tests.support.checkout import ROOT
from tests.support.pool_harness import PoolHarness
from tests.support.promtool import promtool

PROMETHEUS = ROOT / "infra" / "metrics" / "prometheus"
GRAFANA = ROOT / "infra" / "metrics" / "grafana"
RULES = PROMETHEUS / "custody.rules.yml"
DASHBOARD = GRAFANA / "dashboards" / "custody.json"
METRIC = re.compile(r"\b(?:custody|process|python)_[a-z_]+\b(?=[{\[ )]|$)")
LABEL = re.compile(r'([a-z_]+)=~?"([a-z_.|]+)"')
PARTS = re.compile(r"_(bucket|sum|count)$")


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in loaded(RULES)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@pytest.fixture
async def page() -> AsyncIterator[str]:
    """The page of a new pool's metrics."""
    pool = PoolHarness()
    await pool.start()
    body, _ = await PoolMetrics(pool.service, ProcessFigures()).page("")
    yield body.decode()
    await pool.finish()


@pytest.fixture
def scraped(page: str) -> dict[str, list[dict[str, str]]]:
    """The labels of every sample of a new pool, by its name; buckets, sums and counts by that of their metric."""
    found: dict[str, list[dict[str, str]]] = {"custody_snapshot_age_events": [{}]}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = PARTS.sub("", sample.name) if family.type == "histogram" else sample.name
            found.setdefault(name, []).append(sample.labels)
    return found


def test_every_metric_that_they_name_is_there_with_each_value_of_a_label(
    scraped: dict[str, list[dict[str, str]]],
) -> None:
    named = set()
    for where, expression in expressions():
        names = {PARTS.sub("", name) for name in METRIC.findall(expression)}
        assert names <= scraped.keys() or "up{" in expression, (where, names - scraped.keys())
        named |= names
        for label, values in LABEL.findall(expression):
            if label not in {"pool", "job"}:
                known = {labels.get(label) for name in names for labels in scraped[name]}
                assert set(values.split("|")) <= known, (where, label)
    assert {metric.name for metric in METRICS} - named == {"custody_position"}, "the dashboard shows all others"


def test_the_rules_parse() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES.name, directory=PROMETHEUS)


def test_the_rules_do_what_their_tests_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "custody.rules_test.yml", directory=PROMETHEUS)


def test_prometheus_takes_the_configuration() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", directory=PROMETHEUS)


def test_what_the_dashboard_asks_for_parses(tmp_path: Path) -> None:
    asked = [expression for _, expression in expressions()]
    filled = [each.replace("$pool", ".*").replace("$__rate_interval", "1m") for each in asked]
    rules_of = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(filled)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules_of}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", "panels.yml", directory=tmp_path)


async def test_promtool_finds_nothing_wrong_with_the_page(page: str) -> None:
    assert promtool("check", "metrics", directory=PROMETHEUS, text=page) == ""


def test_each_alert_is_tested_and_says_what_is_wrong() -> None:
    tested = loaded(PROMETHEUS / "custody.rules_test.yml")["tests"]
    fired = {case["alertname"] for test in tested for case in test.get("alert_rule_test", ()) if case.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in rules()}
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_lays_out_its_panels_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"], panel["title"]
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_dashboard_is_of_one_source_that_is_chosen_and_its_units_are_grafanas() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    source, pool = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    (annotation,) = dashboard["annotations"]["list"]
    asked = [panel for panel in panels() if panel["type"] != "row"]
    targets = [target for panel in asked for target in panel["targets"]]
    assert all(each["datasource"] == chosen for each in (pool, annotation, *asked, *targets))
    # 36 is the first schema in which a data source is an object with its uid.
    assert 36 <= dashboard["schemaVersion"] <= 41
    for panel in asked:
        with case(panel["title"]):
            assert panel["type"] in {"stat", "timeseries", "heatmap"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
            labels = [re.findall(r"{{(\w+)}}", target["legendFormat"]) for target in panel["targets"]]
            for target, shown in zip(panel["targets"], labels, strict=True):
                grouped = re.search(r"by \(([a-z, ]+)\)", target["expr"])
                kept = set(grouped[1].split(", ")) - {"le"} if grouped and panel["type"] != "heatmap" else set()
                assert kept <= set(shown), "two series would have one name"
            if panel["type"] != "heatmap":
                assert panel["fieldConfig"]["defaults"]["unit"] in {"short", "s", "ops", "bytes"}


def test_compose_scrapes_the_service_and_shows_the_dashboard() -> None:
    services = loaded(ROOT / "docker-compose.yml")["services"]
    environment = services["custody"]["environment"]
    (scrape,) = loaded(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [f"custody:{environment['CUSTODY_METRICS_PORT']}"]}]
    assert environment["CUSTODY_METRICS_HOST"] == "0.0.0.0"  # noqa: S104 - in a network of the containers' own
    assert services["custody"].get("ports") is None
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["metrics"]
        assert re.search(r":v?\d+\.\d+\.\d+$", services[name]["image"]), "pinned"
        for volume in services[name]["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_dir(), volume
    source = loaded(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    provider = loaded(GRAFANA / "provisioning" / "dashboards" / "custody.yml")["providers"][0]
    assert services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == (
        f"{provider['options']['path']}/{DASHBOARD.name}"
    )
    assert "./infra/metrics/grafana/provisioning:/etc/grafana/provisioning:ro" in services["grafana"]["volumes"]
    assert "./infra/metrics/prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in services["prometheus"]["command"]
    assert f"./infra/metrics/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
