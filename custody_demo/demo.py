"""`custody demo`: runs the demo in an empty directory, checks its log and removes the directory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from custody_demo.demo_run import DemoRun
from custody_demo.kept_demo import follow_up_lines, prepare_directory, write_config
from custody_demo.plan import limits_problem, make_plan
from custody_demo.screen_view import LEAST_HEIGHT, LEAST_WIDTH
from custody_demo.summary import summary
from handlers.ports import LogError
from infra.broker.binary import BrokerBinaryError
from infra.broker.data_dir import DataDirError
from infra.broker.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker
from infra.broker.users import agent_user
from infra.host.shell import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, complain, say
from infra.host.stop_signals import stop_signal
from infra.nats.broker_errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from custody_demo.plan import Plan
    from custody_demo.summary import DemoResult
    from infra.settings.settings import Settings


async def run_demo(
    settings: Settings, *, agents: int, tasks: int, seconds: float, seed: int, keep: bool, into: Path | None = None
) -> int:
    """Run the demo on a broker of its own, check the log, and return the exit status.

    Args:
        settings: the pool's name and the broker's options; the rules are those of the demo.
        agents: how many agents take part.
        tasks: how many tasks are submitted.
        seconds: how long the demo is planned to take.
        seed: decides everything that is left to chance.
        keep: whether to leave the data directory, and print where it is.
        into: the data directory, if it is kept; None for a temporary one.

    Returns:
        0 if the check passed, 1 with the first finding if not, 2 for an impossible size, 130 after an interrupt.
    """
    problem = limits_problem(agents, tasks, seconds)
    if problem is not None:
        return _failed(problem, EXIT_USAGE)
    plan = make_plan(agents=agents, tasks=tasks, seconds=seconds, seed=seed)
    try:
        data_dir = prepare_directory(into if keep else None)
    except DataDirError as error:
        return _failed(str(error), EXIT_FAILED)
    demo_settings = plan.timings.settings(settings.model_copy(update={"data_dir": data_dir}))
    try:
        status = await _until_interrupted(plan, demo_settings)
    except (DataDirError, BrokerBinaryError, BrokerStartError, BrokerError, LogError) as error:
        status = _failed(str(error), EXIT_FAILED)
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. Discard what is still buffered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    finally:
        if not keep:
            shutil.rmtree(data_dir, ignore_errors=True)
    if keep:
        for line in follow_up_lines(data_dir, write_config(demo_settings)):
            say(line)
    return status


async def _until_interrupted(plan: Plan, settings: Settings) -> int:
    interrupted = stop_signal(hang_up=True)
    running = asyncio.create_task(_run_on_broker(plan, settings))
    waiting = asyncio.create_task(interrupted.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        return running.result()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    # A closed terminal cannot be written to.
    with contextlib.suppress(OSError):
        say("interrupted; the broker is stopped")
    return EXIT_INTERRUPTED


async def _run_on_broker(plan: Plan, settings: Settings) -> int:
    users = tuple(agent_user(settings.pool, agent.name) for agent in plan.agents)
    console = Console()
    on_screen = fits(console)
    say(
        f"custody demo: {len(plan.agents)} agents, {len(plan.tasks)} tasks, about {plan.timings.seconds:g} s, "
        f"seed {plan.seed}"
    )
    options = BrokerOptions(sync_interval=settings.broker_sync_interval, extra_users=users)
    async with EmbeddedBroker(settings.data_dir, options) as broker:
        say(f"broker    {broker.url}, a real nats-server with a log of its own")
        run = DemoRun(plan, settings, broker)
        with _reported_warnings(run) as warnings:
            result = await run.run(console if on_screen else None, say)
    status = conclude(result)
    if warnings:
        say(f"warnings  {len(warnings)} from the service; the first: {warnings[0]}")
    return status


def conclude(result: DemoResult) -> int:
    """Print the summary; return the exit status: 0 if the check passed, else 1."""
    for line in summary(result):
        say(line)
    return EXIT_OK if result.verdict.ok else _failed(f"the check failed: {result.verdict.findings[0]}", EXIT_FAILED)


def fits(console: Console) -> bool:
    """Return whether the live screen can be shown: on a capable terminal that is large enough."""
    able = sys.stdout.isatty() and not console.is_dumb_terminal
    return able and console.width >= LEAST_WIDTH and console.height >= LEAST_HEIGHT


class _ReportingHandler(logging.Handler):
    """Adds the service's warnings to the activity, instead of printing them across the screen."""

    def __init__(self, run: DemoRun) -> None:
        super().__init__(logging.WARNING)
        self._run = run
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self._run.activity.add(None, f"service: {record.getMessage()}")


@contextlib.contextmanager
def _reported_warnings(run: DemoRun) -> Iterator[list[str]]:
    """Collect the service's warnings within this context, and add them to the activity."""
    root, handler = logging.getLogger(), _ReportingHandler(run)
    before, root.handlers = root.handlers, [handler]
    try:
        yield handler.messages
    finally:
        root.handlers = before


def _failed(line: str, status: int) -> int:
    complain(line)
    return status
