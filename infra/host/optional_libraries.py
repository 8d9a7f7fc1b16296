"""Libraries that only some commands need: the extras in `pyproject.toml`."""

import shlex
import sys


def install_hint(need: str, package: str) -> str:
    """Return what to say where a library is missing: what needs it, and how to install it beside this program.

    The extra is not named: the project is in no package index, and another package has its name there.
    """
    return f"{need}: {shlex.join((sys.executable, '-m', 'pip', 'install', package))}"
