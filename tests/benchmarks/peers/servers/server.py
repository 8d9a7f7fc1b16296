"""A server process: started in a directory of its own, ready when its port answers, ended with the run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

READY_S = 60.0
STOP_S = 20.0
POLL_S = 0.02

Address = dict[str, Any]
"""What callers connect with, as JSON."""


class MissingError(Exception):
    """Something that is not installed; the message says what, and how to get it."""


class Server(ABC):
    """One server. `start` raises MissingError where it is not installed; `stop` may be called at any time."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="custody-peers-"))
        self._processes: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def start(self) -> Address:
        """Start the server; return its address when it answers."""

    def stop(self) -> None:
        """End what was started, the last first, and remove its files."""
        for process in reversed(self._processes):
            end(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a process in the server's directory; what it prints goes to the file `log` there."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=options.pop("stdout", log),
                stderr=log,
                cwd=self.directory,
                **options,
            )
        self._processes.append(process)
        return process

    def wait_for(self, port: int) -> None:
        """Wait until something listens on the port.

        Raises RuntimeError with what the server printed if it ends or takes too long.
        """
        deadline = time.monotonic() + READY_S
        while not _listens(port):
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{type(self).__name__} did not start: {self.printed()}")
            time.sleep(POLL_S)

    def printed(self) -> str:
        """The end of what the server's processes printed."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def program(name: str, how: str) -> str:
    """Return the path of a program; raise MissingError with how to get it."""
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"{name} is not installed: {how}")
    return found


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[Any]) -> None:
    """Terminate the process, after a while by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings of Custody."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
