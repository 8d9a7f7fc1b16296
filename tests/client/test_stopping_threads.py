"""Stopping a thread: an exception is raised in it, and a shield puts that off."""

import contextlib
import threading
from collections.abc import Callable

import pytest

from custody_client import Stopped
from custody_client.stopping import Shield, ThreadStopper

JOIN_S = 10.0


class Ran(threading.Thread):
    """Runs a function with a stopper of its own thread, and keeps what it raised."""

    def __init__(self, function: Callable[["Ran"], None]) -> None:
        super().__init__(daemon=True)
        self.function = function
        self.began = threading.Event()
        self.stopper: ThreadStopper
        self.raised: BaseException | None = None
        self.said: list[str] = []
        self.start()
        assert self.began.wait(JOIN_S)

    def run(self) -> None:
        self.stopper = ThreadStopper()
        try:
            try:
                self.function(self)
            finally:
                self.stopper.finish()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.raised = error

    def ended(self) -> BaseException | None:
        self.join(JOIN_S)
        assert not self.is_alive()
        return self.raised


def spin(thread: Ran) -> None:
    thread.began.set()
    while True:
        with contextlib.suppress(Exception):  # what catches all exceptions is stopped too
            sum(range(100))


def test_a_thread_that_computes_is_stopped() -> None:
    thread = Ran(spin)
    thread.stopper.stop()
    assert isinstance(thread.ended(), Stopped)


def test_a_shield_puts_it_off_to_its_end() -> None:
    stopped = threading.Event()

    def shielded(thread: Ran) -> None:
        with Shield(thread.stopper), Shield(thread.stopper):
            thread.began.set()
            stopped.wait(JOIN_S)
            thread.said.append("both halves")
        thread.said.append("never")

    thread = Ran(shielded)
    thread.stopper.stop()
    stopped.set()
    assert isinstance(thread.ended(), Stopped)
    assert thread.said == ["both halves"]


def test_a_thread_that_has_finished_is_left_alone() -> None:
    thread = Ran(lambda thread: thread.began.set())
    assert thread.ended() is None
    thread.stopper.stop()


@pytest.mark.parametrize("times", range(20))
def test_a_stop_at_any_moment_is_one_exception_or_none(times: int) -> None:
    def brief(thread: Ran) -> None:
        thread.began.set()
        sum(range(50 * times))

    thread = Ran(brief)
    thread.stopper.stop()
    thread.stopper.stop()
    assert isinstance(thread.ended(), Stopped | None)
