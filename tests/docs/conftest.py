"""A real `custody up` in a directory of its own, as a reader of the README has it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
READY_S = 30.0


class Place(NamedTuple):
    """A working directory in which `custody up` runs, and the environment to run things in."""

    path: Path
    env: Mapping[str, str]

    def run(self, *command: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command here and return what it said."""
        return subprocess.run(
            command, cwd=self.path, env=self.env, check=False, capture_output=True, text=True, timeout=timeout_s
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command here."""
        return subprocess.Popen(
            command, cwd=self.path, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def environment() -> dict[str, str]:
    """`custody` is found on PATH, as in an activated environment; no settings come from outside."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    return env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "COLUMNS": "110", "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path = tmp_path_factory.mktemp("readme")
    env = environment()
    here = Place(path, env)
    log = (path / "up.log").open("w")
    service = subprocess.Popen(
        [Path(sys.executable).with_name("custody"), "up", "--broker-sync-interval", "2m"],
        cwd=path,
        env=env,
        stdout=log,
        stderr=log,
    )
    try:
        wait_until_ready(service, path / "up.log")
        yield here
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0, (path / "up.log").read_text()
        log.close()


def wait_until_ready(service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while "ready " not in log.read_text():
        assert service.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
