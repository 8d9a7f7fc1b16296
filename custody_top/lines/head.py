"""The first lines: whether what is shown is live, and the pool in a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len

from custody_top.lines.ages import since, until
from custody_top.lines.cells import BAD, GOOD, ODD, QUIET, STRONG, Cell, cut, fitted
from custody_top.lines.sparkline import sparkline
from projections.reports.time_text import duration
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from custody_top.lines.cells import Line

SPARK_MINUTES = 60


class Liveness(NamedTuple):
    """How true what is shown is now."""

    mode: str
    """`starting`, `live`, `behind` or `disconnected`."""
    behind_events: int = 0
    out_of_touch_s: float | None = None
    """For how long nothing has been heard of the log; None: it never was."""
    why: str = ""

    @property
    def live(self) -> bool:
        """Whether it is."""
        return self.mode == "live"


_MODES = {"starting": "STARTING", "live": "LIVE", "behind": "BEHIND", "disconnected": "NOT CONNECTED"}


def head_lines(
    pool: str,
    liveness: Liveness,
    strip: Mapping[str, Any] | None,
    completed: Sequence[float],
    now: datetime,
    width: int,
) -> list[Line]:
    """Return the two lines.

    `completed`: tasks completed in each of the last minutes; `strip`: None if none is known.
    """
    mode = Cell(_MODES[liveness.mode], f"{STRONG} {GOOD if liveness.live else BAD}")
    left = [Cell(" custody top ", QUIET), Cell(pool, STRONG), Cell("  "), mode]
    if strip is not None:
        left += [Cell(f" {strip['position']:,}"), *_intake(strip)]
        left += [Cell(f"  {count(strip['agents'], 'agent')}"), *_served(liveness, strip)]
    clock = f"{now:%H:%M:%S}Z "
    first = cut(tuple(left), width - len(clock) - 1)
    filled = sum(cell_len(cell.text) for cell in first)
    first = (*first, Cell(" " * max(width - len(clock) - filled, 1)), Cell(clock, QUIET))
    return [first, cut(() if strip is None else _figures(strip, completed, now, width), width)]


def banner(liveness: Liveness, width: int) -> Line | None:
    """Return the line that says that what is shown is not live; None if it is."""
    if liveness.live:
        return None
    why = f": {liveness.why}" if liveness.why else ""
    if liveness.mode == "starting":
        text = f"not live yet{why}"
    elif liveness.mode == "behind":
        text = f"NOT LIVE: {liveness.behind_events:,} events behind the log, catching up{why}"
    else:
        silent_s = liveness.out_of_touch_s
        age = "" if silent_s is None else f" for {duration(float(int(silent_s)))}"
        text = f"NOT LIVE: out of touch{age}, what is below is old{why}"
    return (Cell(fitted(f" {text}", width), f"reverse {STRONG} {BAD}"),)


def _served(liveness: Liveness, strip: Mapping[str, Any]) -> list[Cell]:
    by = strip["served_by"]
    if not liveness.live:
        return []
    if strip["served"] is False:
        return [Cell("  NOT SERVED", f"{STRONG} {BAD}")]
    return [Cell("  served by ", QUIET), Cell(str(by))] if by else []


def _intake(strip: Mapping[str, Any]) -> list[Cell]:
    found = []
    if strip["intake"] != "open":
        found.append(Cell(f"  pool is {strip['intake']}", f"{STRONG} {ODD}"))
    if strip["expiry_held"]:
        found.append(Cell("  nothing expires now", ODD))
    return found


def _figures(strip: Mapping[str, Any], completed: Sequence[float], now: datetime, width: int) -> Line:
    """Return the second line; the bars take the room that the figures leave."""
    expired, false = strip["expiries_1h"], strip["false_recoveries_1h"]
    found = [
        Cell(" held "),
        Cell(f"{strip['held']:,}", STRONG),
        Cell("  queued "),
        Cell(f"{strip['queued']:,}", STRONG),
        Cell(f" +{strip['delayed']:,} later" if strip["delayed"] else ""),
    ]
    if strip["oldest_since"] is not None:
        found += [Cell("  oldest "), Cell(since(strip["oldest_since"], now), STRONG)]
    if strip["backlog_empty_at"] is not None:
        found += [Cell("  empty in "), Cell(until(strip["backlog_empty_at"], now), STRONG)]
    # The time that is counted, where not all of the last hour is known.
    of = since(strip["last_hour_since"], now) or "h"
    found += [Cell("  expired "), Cell(f"{expired}/{of}", BAD if expired else STRONG)]
    if false:
        found.append(Cell(f" ({false} false)", ODD))
    found += [Cell("  done "), Cell(f"{strip['throughput_per_min']:.3g}/min", STRONG)]
    room = width - sum(cell_len(cell.text) for cell in found) - 2
    minutes = list(completed)[-min(room, SPARK_MINUTES) :] if room > 0 else []
    return (*found, Cell(f" {sparkline(minutes)}", GOOD))
