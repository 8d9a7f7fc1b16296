"""docs/metrics.md names every metric, alert, stage and attribute that there is, with its meaning."""

from __future__ import annotations

import re

import yaml

from infra.metrics.metric_list import METRICS
from tests.support.checkout import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
CELLS = re.compile(r"(?m)^\| `(\w+)` \|(.*)\|$")


def test_the_table_has_every_metric_as_the_service_shows_it() -> None:
    rows = [
        f"| `{metric.name}` | {metric.kind} | {f'`{metric.label}`' if metric.label else ''} | {metric.source} "
        f"| {metric.meaning} |".replace("|  |", "| |")
        for metric in METRICS
    ]
    shown = [line for line in PAGE.splitlines() if line.startswith("| `custody_")]
    assert shown == rows


def test_every_alert_has_a_row() -> None:
    rules = yaml.safe_load((ROOT / "infra/metrics/prometheus/custody.rules.yml").read_text(encoding="utf-8"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert [name for name, _ in CELLS.findall(PAGE) if name.startswith("Custody")] == alerts


def test_every_stage_and_attribute_of_a_span_is_named() -> None:
    source = (ROOT / "infra/tracing/span_tracer.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:custody|rpc|messaging|error)\.[a-z_.]+)"', source))
    assert {f"custody.{stage}" for stage in ("queue", "decide", "append", "reply")} <= names
    common = {"messaging.system", "messaging.operation.name", "messaging.operation.type"}
    assert {name for name in names if f"`{name}`" not in PAGE} == common
