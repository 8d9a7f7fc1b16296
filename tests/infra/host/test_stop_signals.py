"""The signals by which a process is asked to end."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from infra.host.stop_signals import stop_signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers are as before once the test is over."""
    before = [signal.getsignal(each) for each in SIGNALS]
    yield
    for each, handler in zip(SIGNALS, before, strict=True):
        signal.signal(each, handler)


async def is_set_by(number: signal.Signals, stop: asyncio.Event) -> None:
    """Send a signal to this process and wait for the event."""
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await stop.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_and_a_request_to_end_set_it(number: signal.Signals) -> None:
    await is_set_by(number, stop_signal())


async def test_a_closed_terminal_sets_it_only_if_asked_for() -> None:
    before = signal.getsignal(signal.SIGHUP)
    stop_signal()
    assert signal.getsignal(signal.SIGHUP) is before
    await is_set_by(signal.SIGHUP, stop_signal(hang_up=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_is_set_where_the_loop_takes_no_signal_handlers(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", refuse)
    await is_set_by(number, stop_signal())


async def test_in_another_thread_it_is_never_set_and_no_error() -> None:
    async def is_set() -> bool:
        return stop_signal(hang_up=True).is_set()

    assert not await asyncio.to_thread(lambda: asyncio.run(is_set()))
