"""Prometheus' promtool, which checks rules and tests them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.requirements import missing

REQUIRED = "CUSTODY_REQUIRE_PROMTOOL"


def promtool(*arguments: str, directory: Path, text: str = "") -> str:
    """Run it on a text; return what it printed. It must succeed.

    Without it the test is skipped, or fails; see `missing`.
    """
    program = shutil.which("promtool")
    if program is None:
        missing("promtool is not installed (Debian's package prometheus)", REQUIRED)
    ran = subprocess.run(
        [program, *arguments], cwd=directory, check=False, capture_output=True, text=True, timeout=60, input=text
    )
    printed = ran.stdout + ran.stderr
    assert ran.returncode == 0, printed
    return printed
