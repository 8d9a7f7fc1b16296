"""Stealing beside Dask, which a benchmark of its own measures and writes about in docs/stealing.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.peers import environment
from tests.benchmarks.peers.servers.server import MissingError
from tests.support.checkout import ROOT

NAME = "stealing"
MODULE = "tests.benchmarks.bench_steal"


def run(say: Callable[[str], None], results: Path, *, write_docs: bool) -> None:
    """Run it, where it is there, and say what it prints."""
    if find_spec(MODULE) is None:
        say(f"without {NAME}: there is no {MODULE}")
        return
    results.mkdir(parents=True, exist_ok=True)
    options = ["--json", str(results / f"{NAME}.json"), *(["--write-docs"] if write_docs else [])]
    try:
        options += ["--dask", str(environment.peers_python())]
    except MissingError as error:
        say(f"without Dask: {error}")
    command = [sys.executable, "-m", MODULE, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for line in process.stdout or ():
            say(line.rstrip())
