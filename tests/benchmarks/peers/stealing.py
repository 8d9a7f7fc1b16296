"""Stealing beside Dask, which a benchmark of its own measures: its output, where that is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

from tests.support.checkout import ROOT

NAME = "stealing"
MODULE = "tests.benchmarks.bench_steal"


def run(say: Callable[[str], None]) -> None:
    """Run it, and say what it prints."""
    if find_spec(MODULE) is None:
        say(f"without {NAME}: there is no {MODULE}")
        return
    with subprocess.Popen([sys.executable, "-m", MODULE], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for line in process.stdout or ():
            say(line.rstrip())
