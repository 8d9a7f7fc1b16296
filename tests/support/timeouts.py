"""A test that takes too long ends, whatever code is running then.

pytest-timeout raises an ordinary failure in the main thread, once. A task of asyncio keeps it as its own result, and
the test waits on. Hypothesis takes it for a failing example and runs the test again to shrink that, with no timer any
more. Both let KeyboardInterrupt pass, so this raises one, and again until the test has ended.
"""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.waiting_tasks import waiting_tasks

AGAIN_S = 10.0
"""After this long another one is raised: a destructor swallows it, and clean-up may hang as well."""

_START = pytest.StashKey[Callable[[], None]]()
"""Starts a test's timer."""
_TIMED_OUT = pytest.StashKey[bool]()


class TestTimeoutError(KeyboardInterrupt):
    """The test's time is up."""

    __test__ = False


class _Phase:
    """Whether a test's code is running, its fixtures' included. Elsewhere pytest would take it for a Ctrl-C."""

    running = False


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Start the timer in place of pytest-timeout, which cancels it; only the main thread can have one."""
    if settings.method != "signal" or threading.current_thread() is not threading.main_thread():
        return None

    def time_is_up(*_: object) -> None:
        if _Phase.running:
            if tasks := waiting_tasks():
                item.add_report_section("call", "tasks", tasks)
            msg = f"the test took longer than {settings.timeout:g} s"
            raise TestTimeoutError(msg)

    def start() -> None:
        signal.signal(signal.SIGALRM, time_is_up)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, AGAIN_S)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined] # what pytest-timeout calls
    item.stash[_START] = start
    start()
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Run the fixtures."""
    return (yield from _failing_in_time(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run the test."""
    return (yield from _failing_in_time(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Run the clean-up, with as much time as the test had: pytest-timeout cancels the timer at a failure."""
    item.stash.get(_START, _no_timer)()
    return (yield from _failing_in_time(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Collect what a test left that timed out: its tasks report themselves then.

    Collected while pytest parses source for a report, they would fail that: CPython 3.11 parses source for their
    traceback, too, and its parser cannot be entered twice.
    """
    try:
        return (yield)
    finally:
        if item.stash.get(_TIMED_OUT, False):
            gc.collect()


def _failing_in_time(item: pytest.Item) -> Iterator[None]:
    _Phase.running = True
    try:
        return (yield)
    except TestTimeoutError as error:
        item.stash[_TIMED_OUT] = True
        raise pytest.fail.Exception(str(error)) from error
    finally:
        _Phase.running = False


def _no_timer() -> None:
    pass
