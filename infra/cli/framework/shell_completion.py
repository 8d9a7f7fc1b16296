"""Shell completion: typer's own, without the library that draws.

typer renders the texts beside the completions with rich, which takes three times as long as the completion itself.
"""

from __future__ import annotations

from typing import Any

import typer._completion_classes as classes
from typer.main import get_install_completion_arguments


def register() -> None:
    """Make the completions of bash, zsh, fish and PowerShell known to typer."""
    vars(classes)["_sanitize_help_text"] = str.strip
    classes.completion_init()


def completion_options() -> list[Any]:
    """Return `--install-completion` and `--show-completion`."""
    return [*get_install_completion_arguments()]
