"""Node.js, where it is installed with what the tests or an example need of npm."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.requirements import missing

REQUIRED = "CUSTODY_REQUIRE_NODE"


def node(place: Path) -> str:
    """Return the program that runs a directory's scripts. Without it the test is skipped or fails; see `missing`."""
    program = shutil.which("node")
    if program is None:
        missing("Node.js is not installed", REQUIRED)
    if not (place / "node_modules").is_dir():
        missing(f"nothing is installed there: npm ci --prefix {place}", REQUIRED)
    return program
