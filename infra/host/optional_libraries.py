"""The libraries of single commands: the extras in `pyproject.toml`."""

import shlex
import sys


def install_hint(need: str, package: str) -> str:
    """Return the message for a missing library: what needs it, and the command that installs it.

    The extra is not named: this project is in no package index, and another package has its name there.
    """
    return f"{need}: {shlex.join((sys.executable, '-m', 'pip', 'install', package))}"
