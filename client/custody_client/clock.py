"""The clock by which leases are counted here: monotonic, and running on while the machine sleeps where it can."""

from __future__ import annotations

import time

_BOOT = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux's clock that counts suspended time as well; `time.monotonic` stands still then."""


def steady_s() -> float:
    """Return seconds since an arbitrary moment; only differences mean something."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)
