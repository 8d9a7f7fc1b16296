"""What an endpoint wants."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.notifier.subscription import Subscription, fits


@pytest.mark.parametrize(
    ("patterns", "text", "expected"),
    [
        pytest.param((), "task.failed", False, id="without-a-pattern-nothing-fits"),
        pytest.param(("task.failed",), "task.failed", True, id="a-word-fits-itself"),
        pytest.param(("task.failed",), "task.failed_", False, id="a-word-fits-no-longer-one"),
        pytest.param(("task.*",), "task.late_progress", True, id="a-star-is-any-text"),
        pytest.param(("task.*",), "agent.lost", False, id="and-the-rest-has-to-fit"),
        pytest.param(("agent.lost", "task.f*"), "task.failed", True, id="one-of-several-is-enough"),
        pytest.param(("team-?",), "team-a", True, id="a-question-mark-is-one-character"),
        pytest.param(("team-?",), "team-ab", False, id="and-no-more"),
        pytest.param(("Team",), "team", False, id="case-counts"),
        pytest.param(("a[b]*",), "a[b]c", True, id="brackets-are-characters"),
        pytest.param(("a.c",), "abc", False, id="a-dot-is-a-dot"),
        pytest.param(("*",), "", True, id="a-star-is-nothing-too"),
    ],
)
def test_patterns(patterns: tuple[str, ...], text: str, *, expected: bool) -> None:
    assert fits(patterns, text) is expected


@pytest.mark.parametrize(
    ("wants", "labels", "agents", "expected"),
    [
        pytest.param({}, (), (), True, id="without-filters-everything-concerns-it"),
        pytest.param({"labels": ("ops",)}, ("ops", "x"), (), True, id="one-label-is-enough"),
        pytest.param({"labels": ("ops",)}, ("x",), (), False, id="another-label-is-not"),
        pytest.param({"labels": ("*",)}, (), (), False, id="a-filter-by-label-leaves-out-what-has-none"),
        pytest.param({"agents": ("a*",)}, (), ("b", "a1"), True, id="one-agent-is-enough"),
        pytest.param({"agents": ("a*",)}, (), (), False, id="a-filter-by-agent-leaves-out-what-has-none"),
        pytest.param({"labels": ("ops",), "agents": ("a",)}, ("ops",), ("b",), False, id="both-filters-have-to-fit"),
    ],
)
def test_filters(wants: dict[str, Any], labels: tuple[str, ...], agents: tuple[str, ...], *, expected: bool) -> None:
    assert Subscription("e", events=("*",), **wants).concerns(labels, agents) is expected
