"""What the operating system says of a process."""

from __future__ import annotations

from pathlib import Path


def process_state(pid: int) -> str | None:
    """Return the letter of its state (R, S, T for stopped, Z for one that ended and was not waited for), or None.

    In one read: a process may be gone between a look whether it is there and a look at its state.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_running(pid: int) -> bool:
    """Say whether it has not ended."""
    return process_state(pid) not in {None, "Z"}
