"""Numbers as a row of small bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Return one bar for each value, the highest as high as a line; what is not 0 is seen."""
    highest = max(values, default=0)
    if highest <= 0:
        return BARS[0] * len(values)
    steps = len(BARS) - 1
    return "".join(BARS[max(round(steps * value / highest), value > 0)] for value in values)
