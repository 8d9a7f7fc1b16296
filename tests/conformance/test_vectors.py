"""Every vector of the three ancestors' rules, against the project's own functions."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.adapter import evaluate

SEEDS = Path(__file__).parent / "vectors" / "seed_rules.jsonl"
VECTORS: list[dict[str, Any]] = [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    assert evaluate(vector["rule"], vector["given"]) == nearly(vector["expect"])


def nearly(expect: object) -> object:
    """What is expected, where a float is met by any number within a millionth."""
    if isinstance(expect, dict):
        return {name: nearly(value) for name, value in expect.items()}
    return pytest.approx(expect, abs=1e-6, rel=0) if isinstance(expect, float) else expect


def test_all_vectors_are_there_and_their_ids_are_unique() -> None:
    assert len({vector["id"] for vector in VECTORS}) == len(VECTORS) == 249
    assert Counter(vector["rule"] for vector in VECTORS) == {
        "lease.adaptive_terms": 25,
        "lease.initial_terms": 25,
        "lease.renewal_terms": 25,
        "recovery.cadence": 25,
        "stealing.best_agent": 37,
        "stealing.capability_match": 25,
        "stealing.load_status": 25,
        "stealing.plan": 37,
        "sweeping.judge": 25,
    }


def test_an_unknown_rule_is_named_with_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"unknown rule 'lease\.nonsense'; known: lease\.adaptive_terms, "):
        evaluate("lease.nonsense", {})


@pytest.mark.parametrize(
    ("rule", "given", "expect"),
    [
        ("lease.adaptive_terms", {}, {"lease_s": 180.0, "grace_s": 60.0}),
        ("lease.initial_terms", {}, {"lease_s": 7200.0}),
        ("lease.initial_terms", {"policy": {"default_hours": 0.0667}, "task": None}, {"lease_s": 180.0}),
        ("lease.initial_terms", {"task": {"priority": "urgent", "labels": None}}, {"lease_s": 3600.0}),
        ("lease.renewal_terms", {}, {"lease_s": 14400.0}),
        ("lease.renewal_terms", {"policy": {"max_hours": 1, "min_hours": None}}, {"lease_s": 3600.0}),
        ("recovery.cadence", {"now": 10}, {"median_s": None, "recover": True}),
        ("recovery.cadence", {"now": 70, "updates_at": [10, 20]}, {"median_s": 10, "recover": False}),
        ("stealing.best_agent", {"agents": [{"id": "a0"}]}, {"agent": "a0"}),
        ("stealing.best_agent", {}, {"agent": None}),
        ("stealing.capability_match", {}, {"match": 0.5}),
        ("stealing.load_status", {"tasks": 1}, {"overloaded": False, "underloaded": True}),
        ("stealing.plan", {}, []),
        (
            "stealing.plan",
            {"agents": [{"id": "a0", "tasks": 9}, {"id": "a1", "name": "spare"}]},
            [{"source": "a0", "target": "a1", "count": 2}],
        ),
        ("sweeping.judge", {"status": "queued"}, {"verdict": "none"}),
        ("sweeping.judge", {"status": "assigned", "beat_age_s": 601}, {"verdict": "stuck"}),
    ],
)
def test_what_a_vector_leaves_out_takes_the_default(rule: str, given: dict[str, Any], expect: object) -> None:
    assert evaluate(rule, given) == expect
