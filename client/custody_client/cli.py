"""The command `custody-worker`.

custody-worker module:worker --slots 8 --drain 60s
custody-worker exec --agent builder-1 --kind report -- ./make-report.sh
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from custody_client.errors import AddressError
from custody_client.held import Held
from custody_client.json_log import log_as_json
from custody_client.lengths import seconds
from custody_client.log_context import TaskFields
from custody_client.program import Program
from custody_client.reloading import run_and_reload
from custody_client.sync_worker import SyncWorker
from custody_client.worker import HAND_OVER_S, Worker


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker; return the exit status: 0 after a drain; raises SystemExit: 1 if it had to end, 2: wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    program: list[str] = []
    if given[:1] == ["exec"] and "--" in given:
        place = given.index("--")
        given, program = given[:place], given[place + 1 :]
    parser = _exec_parser() if given[:1] == ["exec"] else _module_parser()
    options = parser.parse_args(given[1:] if given[:1] == ["exec"] else given)
    _set_up_logging(options)
    try:
        if given[:1] == ["exec"]:
            if not program:
                parser.error("name the program behind `--`: custody-worker exec --agent a1 -- ./program")
            worker = _program_worker(options, program)
        elif options.reload:
            command = [sys.executable, "-m", "custody_client.cli", *(each for each in given if each != "--reload")]
            return run_and_reload(command, Path.cwd())
        else:
            worker = load(options.worker)
        _configure(worker, options)
    except (AddressError, ImportError, AttributeError, ValueError) as error:
        parser.error(str(error))
    worker.run(burst=options.burst)
    return 0


def load(name: str) -> Worker:
    """Return the worker that `module:name`, or `file.py:name`, says.

    Raises:
        ImportError, AttributeError: there is none.
        ValueError: it is something else.
    """
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    if module_name.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(module_name).stem, module_name)
        if spec is None or spec.loader is None or not Path(module_name).exists():
            raise ImportError(f"there is no file {module_name}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(module_name)
    found: Any = module
    for each in (attribute or "worker").split("."):
        found = getattr(found, each)
    if isinstance(found, SyncWorker):
        return found.worker
    if not isinstance(found, Worker):
        raise ValueError(f"{name} is a {type(found).__name__}, and no Worker")  # noqa: TRY004 - the user's, not a bug
    return found


def _configure(worker: Worker, options: argparse.Namespace) -> None:
    """Have the command line's options in place of the worker's own."""
    if options.slots is not None:
        worker.slots = options.slots
    if options.drain is not None:
        worker.drain_s = options.drain


def _program_worker(options: argparse.Namespace, command: list[str]) -> Worker:
    """Return a worker that runs a program for each task."""
    worker = Worker(options.agent, url=options.nats, pool=options.pool, capabilities=options.capabilities)
    program = Program(command, kill_after_s=options.kill_after)

    async def run(held: Held[Any]) -> Any:
        return await program.work(held)

    for kind in options.kind or [None]:
        worker.task(kind, progress_within=options.progress_within)(run)
    return worker


def _exec_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="custody-worker exec",
        usage="custody-worker exec [options] -- PROGRAM [ARGUMENTS]",
        description="Work on tasks with any program: the payload comes on its input and in the file CUSTODY_PAYLOAD, "
        "its lines ::progress, ::checkpoint, ::quiet and ::result are its reports, its exit status is the outcome.",
    )
    parser.add_argument("--agent", metavar="NAME", help="the agent's name (CUSTODY_AGENT)")
    parser.add_argument("--kind", action="append", metavar="K", help="a kind of task to take; without one, any task")
    parser.add_argument("--nats", metavar="URL", help="the broker (CUSTODY_NATS, else ./.custody)")
    parser.add_argument("--pool", help="the pool (CUSTODY_POOL, else default)")
    parser.add_argument("--capability", action="append", dest="capabilities", metavar="C", help="what else it can do")
    parser.add_argument(
        "--progress-within", type=_seconds, metavar="LENGTH", help="without a report for so long, it counts as hung"
    )
    parser.add_argument(
        "--kill-after",
        type=_seconds,
        default=HAND_OVER_S / 2,
        metavar="LENGTH",
        help="when a program is killed after it was asked to end (5s)",
    )
    _add_common(parser)
    return parser


def _module_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="custody-worker",
        description="Run a worker until SIGTERM, then drain. `custody-worker exec --help`: any program as a worker.",
    )
    parser.add_argument("worker", metavar="MODULE:WORKER", help="where the Worker is, such as myapp.tasks:worker")
    parser.add_argument("--reload", action="store_true", help="start again when a Python file below here changes")
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--slots", type=int, metavar="N", help="how many tasks are worked on at once")
    parser.add_argument("--burst", action="store_true", help="end when nothing is left to do")
    parser.add_argument("--drain", type=_seconds, metavar="LENGTH", help="at the end, how long tasks may go on (30s)")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="json: one object a line")


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _set_up_logging(options: argparse.Namespace) -> None:
    """Log to standard error, each line with the task that it is about."""
    if options.log_format == "json":
        log_as_json(logging.INFO)
    else:
        handler = logging.StreamHandler()
        handler.addFilter(TaskFields())
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(agent)s %(task_id)s %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    if options.verbose:
        logging.getLogger("custody_client").setLevel(logging.DEBUG)


if __name__ == "__main__":
    sys.exit(main())
