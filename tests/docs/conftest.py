"""A real `custody up` in a directory of its own, as a reader of the README has it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest


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
    return env | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "LOGNAME": "ann",
    }


@contextmanager
def up(path: Path, *options: str, dashboard: bool = False) -> Iterator[list[str]]:
    """`custody up` in a directory; gives the lines that it says until it is ready, and ends it the polite way."""
    service = subprocess.Popen(
        [Path(sys.executable).with_name("custody"), "up", *options],
        cwd=path,
        env=environment() | ({} if dashboard else {"CUSTODY_DASHBOARD_PORT": "0"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert service.stdout is not None
    said: list[str] = []
    try:
        for line in service.stdout:
            said.append(line)
            if line.startswith("ready "):
                break
        else:
            raise AssertionError("".join(said))
        yield said
    finally:
        service.send_signal(signal.SIGTERM)
        rest, _ = service.communicate(timeout=30)
        assert service.returncode == 0, "".join(said) + rest


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path = tmp_path_factory.mktemp("readme")
    with up(path, "--broker-sync-interval", "2m"):
        yield Place(path, environment())
