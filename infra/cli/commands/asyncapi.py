"""`custody schema`: the wire contract as an AsyncAPI document."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGED = Path(__file__).resolve().parents[2] / "asyncapi.yaml"
"""Where an installation has it."""
_IN_CHECKOUT = Path(__file__).resolve().parents[3] / "docs" / "asyncapi.yaml"


def schema() -> None:
    """Print the wire contract as an AsyncAPI document: for generators and checks of other languages."""
    path = _PACKAGED if _PACKAGED.exists() else _IN_CHECKOUT
    sys.stdout.write(path.read_text(encoding="utf-8"))
