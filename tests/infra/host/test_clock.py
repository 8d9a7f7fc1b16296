"""The machine's clocks."""

import time

import pytest

from infra.host.clock import SystemClock


def test_a_suspension_of_the_machine_counts_on_the_steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, boot_time = SystemClock(), time.clock_gettime
    before = clock.steady()
    monkeypatch.setattr(time, "clock_gettime", lambda which: boot_time(which) + 1000)
    assert (clock.steady() - before).total_seconds() >= 1000
