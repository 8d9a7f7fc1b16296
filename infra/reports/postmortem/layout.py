"""The layout of the timeline: x in percent of the time shown, y in pixels.

With percent the page zooms by widening the drawing; nothing is computed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from projections.postmortem.bars import Bar, Span
    from projections.postmortem.lanes import Arrow, Lane, Mark, Timeline

BAR_PX = 18
_ROW_PX = 22
_GAP_PX = 8
_NOTE_PX = 15
_HEADING_PX = 20
_MARGIN = 0.015
_SHORTEST_S = 1.0
_ROOMY_LANES = 12
"""With more lanes of tasks than this, the ends of leases have no notes beneath them."""
_TICKS = 9
_EDGE = 5
"""Labels nearer to an edge than this, in percent, are left out: they would be cut off."""
_STEPS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600,
    7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
)  # fmt: skip


class Box(NamedTuple):
    """A range of x."""

    x: str
    """In percent, with its sign."""
    width: str


class PlacedSpan(NamedTuple):
    """A span in its lane."""

    span: Span
    box: Box
    y: float


class PlacedBar(NamedTuple):
    """A lease in its lane."""

    bar: Bar
    box: Box
    y: float
    end_x: str
    label: str
    spans: tuple[PlacedSpan, ...]
    note_box: Box | None
    """The range of x of its note, beneath it; None where there are too many lanes for notes."""


class PlacedMark(NamedTuple):
    """A mark in its lane."""

    mark: Mark
    x: str
    y: float


class PlacedLane(NamedTuple):
    """A lane with its bars, marks and spans."""

    lane: Lane
    y: float
    height: float
    bars: tuple[PlacedBar, ...]
    marks: tuple[PlacedMark, ...]
    spans: tuple[PlacedSpan, ...]


class PlacedArrow(NamedTuple):
    """A steal between two lanes."""

    arrow: Arrow
    x: str
    y1: float
    y2: float


class Tick(NamedTuple):
    """A label of the axis."""

    x: str
    text: str


class Heading(NamedTuple):
    """The heading of the lanes beneath."""

    text: str
    y: float


class Drawing(NamedTuple):
    """The timeline, laid out."""

    lanes: tuple[PlacedLane, ...]
    headings: tuple[Heading, ...]
    arrows: tuple[PlacedArrow, ...]
    outages: tuple[PlacedSpan, ...]
    marks: tuple[PlacedMark, ...]
    ticks: tuple[Tick, ...]
    height: float
    begin: datetime
    end: datetime


class Scale:
    """From moments to percent."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        length_s = max(seconds_between(begin, end), _SHORTEST_S)
        self.begin = after(begin, -length_s * _MARGIN)
        self.length_s = length_s * (1 + 2 * _MARGIN)
        self.end = after(self.begin, self.length_s)

    def x(self, at: datetime) -> float:
        """Return the x of a moment, 0 to 100; a moment outside is at the edge."""
        return min(100.0, max(0.0, 100 * seconds_between(self.begin, at) / self.length_s))

    def box(self, begin: datetime, end: datetime | None) -> Box:
        """Return the x of a range of time; without an end it reaches the edge."""
        left = self.x(begin)
        right = 100.0 if end is None else self.x(end)
        return Box(percent(left), percent(max(right - left, 0.0)))

    def ticks(self) -> tuple[Tick, ...]:
        """Return the axis's labels, at round times."""
        step_s = next((step for step in _STEPS_S if self.length_s / step <= _TICKS), _STEPS_S[-1])
        since_s = self.begin.timestamp()
        first = int(since_s // step_s) + 1
        found = []
        for number in range(first, first + _TICKS + 1):
            at = after(self.begin, number * step_s - since_s)
            if at > self.end:
                break
            x = self.x(at)
            found.append(Tick(percent(x), _label(at, step_s) if _EDGE < x < 100 - _EDGE else ""))
        return tuple(found)


def percent(value: float) -> str:
    """Return a percentage in SVG's form."""
    return f"{value:.4f}".rstrip("0").rstrip(".") + "%"


def _label(at: datetime, step_s: float) -> str:
    if step_s < 1:
        return f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"
    if step_s < 60:  # noqa: PLR2004 - a minute
        return f"{at:%H:%M:%S}"
    return f"{at:%H:%M}" if step_s < 43_200 else f"{at:%Y-%m-%d}"  # noqa: PLR2004 - half a day


def drawing(timeline: Timeline) -> Drawing:
    """Return the layout of a timeline."""
    scale = Scale(timeline.begin, timeline.end)
    roomy = sum(lane.kind == "task" for lane in timeline.lanes) <= _ROOMY_LANES
    lanes: list[PlacedLane] = []
    headings: list[Heading] = []
    y = 0.0
    for lane in timeline.lanes:
        if not lanes or lanes[-1].lane.kind != lane.kind:
            headings.append(Heading(f"{lane.kind}s".upper(), y))
            y += _HEADING_PX
        placed = _lane(lane, y, scale, noted=roomy and lane.kind == "task")
        lanes.append(placed)
        y += placed.height
    arrows = [_arrow(arrow, lanes, scale) for arrow in timeline.arrows]
    return Drawing(
        tuple(lanes),
        tuple(headings),
        tuple(arrows),
        tuple(PlacedSpan(span, scale.box(span.begin, span.end), 0) for span in timeline.outages),
        tuple(PlacedMark(mark, percent(scale.x(mark.at)), 0) for mark in timeline.marks),
        scale.ticks(),
        y,
        scale.begin,
        scale.end,
    )


def _arrow(arrow: Arrow, lanes: Sequence[PlacedLane], scale: Scale) -> PlacedArrow:
    """Return the arrow from the bar that ended to the one that began, or to the lane of a bar that is not shown."""
    agents = {each.lane.id: each for each in lanes if each.lane.kind == "agent"}

    def middle(agent_id: str, token: int) -> float:
        lane = agents[agent_id]
        above = next((placed.y for placed in lane.bars if placed.bar.token == token), lane.y + _GAP_PX / 2)
        return above + BAR_PX / 2

    return PlacedArrow(
        arrow,
        percent(scale.x(arrow.at)),
        middle(arrow.from_agent, arrow.from_token),
        middle(arrow.to_agent, arrow.to_token),
    )


def _lane(lane: Lane, y: float, scale: Scale, *, noted: bool) -> PlacedLane:
    top = y + _GAP_PX / 2
    bars = []
    for number, (row, bar) in enumerate(lane.bars):
        above = top + row * _ROW_PX
        until = lane.bars[number + 1][1].begin if number + 1 < len(lane.bars) else None
        bars.append(
            PlacedBar(
                bar,
                scale.box(bar.begin, bar.end),
                above,
                percent(scale.x(bar.end or scale.end)),
                bar.task_id if lane.kind == "agent" else bar.agent_id,
                tuple(PlacedSpan(span, scale.box(span.begin, span.end), above) for span in bar.spans),
                scale.box(bar.begin, until) if noted else None,
            )
        )
    marks = [PlacedMark(mark, percent(scale.x(mark.at)), top + mark.row * _ROW_PX) for mark in lane.marks]
    spans = [PlacedSpan(span, scale.box(span.begin, span.end), top) for span in lane.spans]
    height = _GAP_PX + lane.rows * _ROW_PX - (_ROW_PX - BAR_PX) + (_NOTE_PX if noted else 0)
    return PlacedLane(lane, y, height, tuple(bars), tuple(marks), tuple(spans))
