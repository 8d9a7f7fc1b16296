"""What the program says to the shell that started it: exit statuses, and lines that are written at once."""

from __future__ import annotations

import sys

from infra.host.printable import printable_lines

EXIT_OK = 0
EXIT_FAILED = 1
"""The service refused, the input was wrong, a check failed, or a service could not go on."""
EXIT_USAGE = 2
"""Wrong usage, or unusable settings."""
EXIT_NO_SERVICE = 3
"""No service or no broker answers."""
EXIT_INTERRUPTED = 130
"""Ended by a signal: 128 and the number of SIGINT."""


def say(line: str) -> None:
    """Print a line on standard output."""
    sys.stdout.write(printable_lines(line) + "\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line on standard error, behind the program's name."""
    sys.stderr.write(f"custody: {printable_lines(line)}\n")
    sys.stderr.flush()
