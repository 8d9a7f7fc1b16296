"""A service and its broker in a temporary directory, with leases of tenths of a second."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from custody_client.address import find_address
from custody_client.errors import CustodyError

READY_S = 30.0
END_S = 10.0
SHORT = {
    "lease_mode": "fixed",
    "lease_s": "0.8",
    "lease_grace_s": "0.3",
    "retry_delay_s": "0.05",
    "sweeper_interval_s": "1",
    "broker_sync_interval": "2m",
}
"""The service's settings: a task is lost and comes back while a test waits for it."""


class NoServiceInstalledError(CustodyError):
    """The command `custody` is not installed in this environment, nor on PATH."""


class RunningService(NamedTuple):
    """A service that runs."""

    directory: Path
    url: str
    """The broker's address, with user and password."""
    pool: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process finds the service by: `CUSTODY_NATS` and `CUSTODY_POOL`."""
        return {"CUSTODY_NATS": self.url, "CUSTODY_POOL": self.pool}


@contextmanager
def running_service(
    directory: Path, *, pool: str = "test", settings: Mapping[str, str] | None = None
) -> Iterator[RunningService]:
    """Run `custody up` in a directory; it ends, and the broker with it, at the end.

    `settings`: of the service, in addition to `SHORT`, by the names of its manual.

    Raises:
        NoServiceInstalledError: there is no command `custody`.
        CustodyError: it did not start; the message has what it said.
    """
    beside = Path(sys.executable).with_name("custody")
    command = str(beside) if beside.exists() else shutil.which("custody")
    if command is None:
        raise NoServiceInstalledError("tests against a real service need the package `custody` in this environment")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    given = {**SHORT, "dashboard_port": "0", **(settings or {}), "pool": pool, "data_dir": str(directory / "data")}
    with (directory / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [command, "up"],
            cwd=directory,
            env={**kept, **{f"CUSTODY_{name.upper()}": value for name, value in given.items()}},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        _wait_until_ready(process, directory)
        found = find_address(environ={"CUSTODY_DATA_DIR": str(directory / "data")})
        url = found.servers[0].replace("//", f"//{found.user}:{found.password}@", 1)
        yield RunningService(directory, url, pool)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait_until_ready(process: subprocess.Popen[str], directory: Path) -> None:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("ready"):
            return
    log = (directory / "service.log").read_text(encoding="utf-8", errors="replace")
    raise CustodyError(f"the service did not start: {''.join(said)}{log}")
