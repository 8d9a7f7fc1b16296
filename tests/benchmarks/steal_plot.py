"""Utilisation as a picture: how many agents are at work, over time, for each way to level the same load."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.steal_simulation import Span

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 34, 40
_COLOURS = ("#b3541e", "#8a8f98", "#1f6f8b", "#3a7d44")


class Series(NamedTuple):
    """A way to level the load, and the work that was done."""

    name: str
    spans: Sequence[Span]


def _steps(spans: Sequence[Span]) -> list[tuple[float, int]]:
    """Return how many agents are at work from each moment on."""
    changes = sorted([(span.begin_s, 1) for span in spans] + [(span.end_s, -1) for span in spans])
    steps: list[tuple[float, int]] = []
    at_work = 0
    for at_s, change in changes:
        at_work += change
        if steps and at_s - steps[-1][0] < 1e-6:
            steps.pop()
        steps.append((at_s, at_work))
    return steps


def utilisation_svg(title: str, series: Sequence[Series], agents: int, lower_bound_s: float) -> str:
    """Return a picture of how many agents are at work; its horizontal unit is the lower bound of the makespan."""
    until = max(span.end_s for each in series for span in each.spans) / lower_bound_s
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(bounds: float) -> float:
        return round(_LEFT + bounds / until * width, 1)

    def y(at_work: float) -> float:
        return round(_TOP + height - at_work / agents * height, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">',
        f'<title>{title}</title><rect width="100%" height="100%" fill="#fff"/><g font-size="11">',
    ]
    for share in (0.0, 0.5, 1.0):
        at = y(share * agents)
        parts.append(f'<path d="M{_LEFT} {at}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{share * agents:g}</text>')
    parts += [
        f'<text x="{x(bounds)}" y="{_HEIGHT - 22}" text-anchor="middle">{bounds}</text>'
        for bounds in range(int(until) + 1)
    ]
    parts.append(f'<path d="M{x(1)} {_TOP}V{_TOP + height}" stroke="#444" stroke-dasharray="4 3"/>')
    upwards = f'text-anchor="middle" transform="rotate(-90 14 {y(agents / 2)})"'
    parts.append(f'<text x="14" y="{y(agents / 2)}" {upwards}>agents at work</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">time, as a multiple of the lower bound</text>')
    for number, each in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        path = f"M{x(0)} {y(0)}" + "".join(
            f"H{x(at_s / lower_bound_s)}V{y(at_work)}" for at_s, at_work in _steps(each.spans)
        )
        parts.append(f'<path d="{path}" fill="{colour}" fill-opacity="0.12" stroke="{colour}" stroke-width="1.5"/>')
        at = _LEFT + 8 + number * 160
        parts.append(f'<rect x="{at}" y="10" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{at + 15}" y="19">{each.name}</text>')
    return "\n".join((*parts, "</g></svg>", ""))
