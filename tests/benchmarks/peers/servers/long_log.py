"""`custody up` on a log that is long already, with the snapshots that a service would have made of it."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.long_log import POOL
from tests.benchmarks.peers.servers.custody import CustodyServer
from tests.benchmarks.peers.servers.server import Address
from tests.support.checkout import ROOT

SNAPSHOT_EVERY = 100_000


class LongLogServer(CustodyServer):
    """A log of so many events; making it takes about a minute for each million."""

    command = ("-m", "infra.cli.main", "up", "--pool", POOL, "--broker-port", "0", "--data-dir")
    pool = POOL

    def __init__(self, events: int) -> None:
        super().__init__()
        self._events = events

    def start(self) -> Address:
        """Make the log, then start on it."""
        make = ("-m", "tests.benchmarks.long_log", str(self.directory / "data"), str(self._events))
        done = subprocess.run(
            [sys.executable, *make, "--snapshots", str(SNAPSHOT_EVERY)],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        if done.returncode:
            raise RuntimeError(f"the log was not made: {done.stderr[-1000:]}")
        return super().start()
