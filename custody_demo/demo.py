"""`custody demo`: from an empty directory to a checked log, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from custody_demo.keeping import how_to_ask, stage, write_config
from custody_demo.plan import draw_up, limits_problem
from custody_demo.screen import LEAST_HEIGHT, LEAST_WIDTH
from custody_demo.show import Show
from custody_demo.summary import summary
from handlers.ports import LogError
from infra.broker.binary import BrokerBinaryError
from infra.broker.data_dir import DataDirError
from infra.broker.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker
from infra.broker.users import agent_user
from infra.nats import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from custody_demo.plan import Plan
    from custody_demo.summary import Facts
    from infra.settings.settings import Settings

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


async def run_demo(
    settings: Settings, *, agents: int, tasks: int, seconds: float, seed: int, keep: bool, into: Path | None = None
) -> int:
    """Give the demonstration on a broker of its own, check the log, and return the exit status.

    `keep`: leave the data directory, and say where it is; `into` names one, else it is a temporary one. 0 only if the
    check passed, 1 with the first finding otherwise, 2 for a size that cannot be, 130 when it was interrupted.
    """
    problem = limits_problem(agents, tasks, seconds)
    if problem is not None:
        return _failed(problem, EXIT_USAGE)
    plan = draw_up(agents=agents, tasks=tasks, seconds=seconds, seed=seed)
    try:
        data_dir = stage(into if keep else None)
    except DataDirError as error:
        return _failed(str(error), EXIT_FAILED)
    at_pace = plan.pace.settings(settings.model_copy(update={"data_dir": data_dir}))
    try:
        status = await _until_interrupted(plan, at_pace)
    except (DataDirError, BrokerBinaryError, BrokerStartError, BrokerError, LogError) as error:
        status = _failed(str(error), EXIT_FAILED)
    except BrokenPipeError:
        # The reader went, as `head` does. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    finally:
        if not keep:
            shutil.rmtree(data_dir, ignore_errors=True)
    if keep:
        for line in how_to_ask(data_dir, write_config(at_pace)):
            say(line)
    return status


async def _until_interrupted(plan: Plan, settings: Settings) -> int:
    with _interrupts() as interrupted:
        playing = asyncio.create_task(_play(plan, settings))
        waiting = asyncio.create_task(interrupted.wait())
        await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not playing.done():
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing
            # A terminal that was closed takes no last word.
            with contextlib.suppress(OSError):
                say("interrupted; the broker is stopped")
            return EXIT_INTERRUPTED
        return playing.result()


async def _play(plan: Plan, settings: Settings) -> int:
    users = tuple(agent_user(settings.pool, agent.name) for agent in plan.agents)
    console = Console()
    on_screen = fits(console)
    say(
        f"custody demo: {len(plan.agents)} agents, {len(plan.tasks)} tasks, about {plan.pace.seconds:g} s, "
        f"seed {plan.seed}"
    )
    options = BrokerOptions(sync_interval=settings.broker_sync_interval, extra_users=users)
    async with EmbeddedBroker(settings.data_dir, options) as broker:
        say(f"broker    {broker.url}, a real nats-server with a log of its own")
        show = Show(plan, settings, broker)
        with _warnings_told(show) as warnings:
            facts = await show.play(console if on_screen else None, say)
    status = conclude(facts)
    if warnings:
        say(f"warnings  {len(warnings)} from the service; the first: {warnings[0]}")
    return status


def conclude(facts: Facts) -> int:
    """Print the summary; return the exit status that the check earns."""
    for line in summary(facts):
        say(line)
    return EXIT_OK if facts.verdict.ok else _failed(f"the check failed: {facts.verdict.findings[0]}", EXIT_FAILED)


def fits(console: Console) -> bool:
    """Return whether the live screen can be shown: on a terminal that is able to and large enough."""
    able = sys.stdout.isatty() and not console.is_dumb_terminal
    return able and console.width >= LEAST_WIDTH and console.height >= LEAST_HEIGHT


class _TellingHandler(logging.Handler):
    """Has the service's warnings told as part of the story, instead of across the screen."""

    def __init__(self, show: Show) -> None:
        super().__init__(logging.WARNING)
        self._show = show
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self._show.story.tell(None, f"service: {record.getMessage()}")


@contextlib.contextmanager
def _warnings_told(show: Show) -> Iterator[list[str]]:
    """Collect the service's warnings while this lasts, and have them told."""
    root, handler = logging.getLogger(), _TellingHandler(show)
    before, root.handlers = root.handlers, [handler]
    try:
        yield handler.messages
    finally:
        root.handlers = before


@contextlib.contextmanager
def _interrupts() -> Iterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM and a closed terminal set while this lasts."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    for each in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        # Neither Windows nor a thread beside the main one has such handlers; there, the loop is cancelled instead.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(each, stop.set)
            taken.append(each)
    try:
        yield stop
    finally:
        for each in taken:
            loop.remove_signal_handler(each)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _failed(line: str, status: int) -> int:
    sys.stderr.write(f"custody: {line}\n")
    return status
