"""A contender at work: its server, and the process of its callers."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.benchmarks.peers import environment
from tests.benchmarks.peers.catalogue import Contender
from tests.benchmarks.peers.servers.kinds import KINDS
from tests.benchmarks.peers.servers.server import end
from tests.support.checkout import ROOT


class Team:
    """Both, from `start` to `stop`."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._server = KINDS[contender.server]()
        self._callers: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start both.

        Raises:
            MissingError: something is not installed.
            RuntimeError: something does not start.
        """
        command = environment.command(self.contender)
        address = self._server.start()
        with (self._server.directory / "callers").open("ab") as log:
            self._callers = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
            )
        self._ask(address | {"directory": str(self._server.directory)})

    def measure(self, job: str, case: dict[str, Any]) -> dict[str, float]:
        """Have the callers do a job; return its figures. Raises RuntimeError with their error."""
        return self._ask({"job": job, "case": case})

    def stop(self) -> None:
        """End callers and server."""
        if self._callers is not None:
            if self._callers.stdin is not None:
                self._callers.stdin.close()
            try:
                self._callers.wait(10)
            except subprocess.TimeoutExpired:
                end(self._callers)
            if self._callers.stdout is not None:
                self._callers.stdout.close()
        self._server.stop()

    def _ask(self, question: dict[str, Any]) -> dict[str, float]:
        callers = self._callers
        if callers is None or callers.stdin is None or callers.stdout is None:
            raise RuntimeError("not started")
        try:
            callers.stdin.write(json.dumps(question) + "\n")
            callers.stdin.flush()
            answer = json.loads(callers.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            said = (self._server.directory / "callers").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"the callers of {self.contender.name} ended: {said[-1000:]}") from None
        if "error" in answer:
            raise RuntimeError(answer["error"])
        figures: dict[str, float] = answer["figures"]
        return figures
