"""A command run in a terminal of its own, of a given size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.checkout import ROOT


class Shown(NamedTuple):
    """What a terminal showed, and the command's status."""

    status: int
    out: str


def in_terminal(command: Sequence[str], directory: Path, *, columns: int, rows: int, **variables: str) -> Shown:
    """Run a command to its end; its standard output and standard error are the terminal."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    environment = {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **variables}
    with subprocess.Popen(command, cwd=directory, env=environment, stdin=child, stdout=child, stderr=child) as process:
        os.close(child)
        chunks = []
        # Linux ends the reading with an error once the last writer has closed the terminal.
        with contextlib.suppress(OSError):
            while chunk := os.read(parent, 65_536):
                chunks.append(chunk)
        os.close(parent)
    return Shown(process.returncode, b"".join(chunks).decode().replace("\r\n", "\n"))
