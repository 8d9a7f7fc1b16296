"""Stealing beside Dask, which a benchmark of its own measures and writes about in docs/stealing.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.peers import environment
from tests.benchmarks.peers.servers.server import MissingError, end
from tests.support.checkout import ROOT

NAME = "stealing"
MODULE = "tests.benchmarks.bench_steal"
QUICK = ("--kinds", "labelled", "--seeds", "1", "--contenders", "threshold,balance,claims")
"""What `--quick` measures, without Dask."""


def run(say: Callable[[str], None], results: Path, *, quick: bool, write_docs: bool) -> None:
    """Run it, where it is there, and say what it prints. It ends at the latest with this call, however that ends."""
    if find_spec(MODULE) is None:
        say(f"without {NAME}: there is no {MODULE}")
        return
    results.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", MODULE, *_options(say, results, quick=quick, write_docs=write_docs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            for line in process.stdout or ():
                say(line.rstrip())
            if process.wait():
                say(f"{NAME} failed with status {process.returncode}")
        finally:
            end(process)


def _options(say: Callable[[str], None], results: Path, *, quick: bool, write_docs: bool) -> list[str]:
    if quick:
        if write_docs:
            say("docs/stealing.md stays as it is: --quick measures too little for it")
        return [*QUICK, "--json", str(results / f"{NAME}-quick.json")]
    options = ["--json", str(results / f"{NAME}.json"), *(["--write-docs"] if write_docs else [])]
    try:
        return [*options, "--dask", str(environment.peers_python())]
    except MissingError as error:
        say(f"without Dask: {error}")
        return options
