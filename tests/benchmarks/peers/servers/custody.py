"""`custody up`: the service, and the broker that it starts."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from tests.benchmarks.peers.servers.server import Address, Server, clean_environment
from tests.support.checkout import ROOT


class CustodyServer(Server):
    """Both in the server's directory, with the settings that they have by themselves, but for those that are given."""

    command: tuple[str, ...] = ("-m", "infra.cli.main", "up", "--broker-port", "0", "--data-dir")
    pool = "default"

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        super().__init__()
        self._settings = settings or {}

    def start(self) -> Address:
        """Return the broker's address, the operator's password, the pool, and the seconds that the start took."""
        data = self.directory / "data"
        began = time.perf_counter()
        environment = clean_environment() | {"PYTHONPATH": str(ROOT), "CUSTODY_DASHBOARD_PORT": "0"} | self._settings
        process = self.run(sys.executable, *self.command, str(data), stdout=subprocess.PIPE, env=environment)
        if process.stdout is None or not any(line.startswith(b"ready") for line in process.stdout):
            raise RuntimeError(f"{type(self).__name__} did not start: {self.printed()}")
        return {
            "pool": self.pool,
            "start_s": time.perf_counter() - began,
            "url": json.loads((data / "broker.json").read_text(encoding="utf-8"))["url"],
            "user": "operator",
            "password": json.loads((data / "credentials.json").read_text(encoding="utf-8"))["operator"],
        }
