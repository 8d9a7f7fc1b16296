"""Starting a worker anew when its files change: for development."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

LOOK_S = 0.2
IGNORED = {"__pycache__", "node_modules", "venv"}


def run_and_reload(command: Sequence[str], directory: Path) -> int:
    """Run a worker as a process of its own, and anew whenever a Python file below the directory changes.

    One that fails, as half a change may make it, is started again at the next change. Returns the exit status of one
    that ended well, or because this process was asked to end.
    """
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, ask)
    while True:
        seen, changed, ending = times(directory), False, False
        process = subprocess.Popen(command, cwd=directory, start_new_session=True)
        while process.poll() is None:
            if asked:
                ending = True
                process.send_signal(asked.pop(0))
            elif not changed and times(directory) != seen:
                changed = True
                process.terminate()
            time.sleep(LOOK_S)
        while process.returncode and not (asked or ending) and times(directory) == seen:
            time.sleep(LOOK_S)
        if ending or asked or (not process.returncode and not changed):
            return process.returncode
        sys.stderr.write("custody-worker: a file has changed, starting again\n")
        sys.stderr.flush()


def times(directory: Path) -> dict[Path, int]:
    """Return when each Python file below a directory was written last."""
    found: dict[Path, int] = {}
    for root, folders, files in os.walk(directory):
        folders[:] = [each for each in folders if not each.startswith(".") and each not in IGNORED]
        for name in files:
            if name.endswith(".py"):
                path = Path(root) / name
                with contextlib.suppress(OSError):
                    found[path] = path.stat().st_mtime_ns
    return found
