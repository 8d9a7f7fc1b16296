"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

SYNCS = 200
BLOCK = b"x" * 4096


def describe() -> dict[str, Any]:
    """Return date, processor, Python, load and what a flush to disk takes."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "fsync_ms": fsync_ms(),
    }


def fsync_ms() -> float:
    """Return the median time of a write of 4 KiB that is flushed to disk, where servers keep their files."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(BLOCK)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3
