"""Fixtures and settings for every test."""

import gc
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.servers", "tests.support.timeouts"]

# A slow machine is no failure; what CI finds can be repeated.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

LONGEST = ("slow", "simulation", "system")
"""Marks of tests that take long, the longest first."""
COLLECT_EVERY = 20_000
"""New objects between two collections: what pytest has collected is not traversed for every few tests."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where tests are spread over processes, begin with the files that have long ones: none is left over at the end.

    What they wait for leaves the cores to the others. A file stays in one piece, for its fixtures.
    """
    if hasattr(config, "workerinput"):
        ranks: dict[Path, int] = {}
        for item in items:
            rank = next((rank for rank, mark in enumerate(LONGEST) if item.get_closest_marker(mark)), len(LONGEST))
            ranks[item.path] = min(rank, ranks.get(item.path, rank))
        items.sort(key=lambda item: ranks[item.path])


def pytest_collection_finish() -> None:
    """Keep services in the tests' process from setting its garbage collector.

    A service freezes what lives long, for good. Here that would be the objects of all earlier tests, garbage included:
    memory grows without end, and `gc.get_freeze_count`, which counts them one by one, costs more than most tests.
    """
    gc.set_threshold(COLLECT_EVERY, 20, 50)
    if "infra.service.serving" in sys.modules:
        untouched = SimpleNamespace(collect=lambda: 0, freeze=lambda: None, set_threshold=lambda *_: None)
        pytest.MonkeyPatch().setattr("infra.service.serving.gc", untouched)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests recorded as `measured`, where they ran in other processes, too."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "measured":
                    terminalreporter.write_line(f"measured: {value}")
