"""Line charts as inline SVG text: no script, no network, readable in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 220
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 12, 26
COLOURS: Final = 7  # classes c0 .. c6 of the page's style
Value = float | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One named line; None values leave a gap."""

    name: str
    values: Sequence[Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A vertical line at a moment."""

    at: float
    text: str


def nice_ceiling(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten: a round top for an axis."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if value <= step * power * (1 + 1e-9))


def round_moments(start: float, end: float) -> list[float]:
    """Four to nine round moments from start to end, for the labels of a time axis."""
    step = nice_ceiling((end - start) / 8)
    return [round(number * step, 9) for number in range(ceil(start / step - 1e-9), floor(end / step + 1e-9) + 1)]


def line_chart(title: str, unit: str, times: Sequence[float], lines: Sequence[Line], marks: Sequence[Mark]) -> str:
    """A figure element. ``times`` are seconds, one per value; a chart without values says so."""
    top = max((value for line in lines for value in line.values if value is not None), default=None)
    heading = f"<figcaption>{escape(title)} <small>{escape(unit)}</small></figcaption>"
    if top is None or len(times) < 2:
        return f'<figure>{heading}<p class="empty">no values</p></figure>'
    ceiling, end = nice_ceiling(float(top)), times[-1]

    def x(moment: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (moment - times[0]) / max(end - times[0], 1e-9)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / ceiling

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for step in range(5):
        value = ceiling * step / 4
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text class="axis" x="{x(moment):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{moment:g} s</text>'
        for moment in round_moments(times[0], end)
    ]
    for mark in marks:
        if times[0] <= mark.at <= end:
            where = f'x1="{x(mark.at):.1f}" x2="{x(mark.at):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
            parts.append(f'<line class="mark" {where}><title>{mark.at:.1f} s: {escape(mark.text)}</title></line>')
    for index, line in enumerate(lines):
        parts += [
            f'<polyline class="c{index % COLOURS}" points="{run}"><title>{escape(line.name)}</title></polyline>'
            for run in _runs([(x(t), None if v is None else y(v)) for t, v in zip(times, line.values, strict=True)])
        ]
    return f"<figure>{heading}{''.join(parts)}</svg>{_legend(lines)}</figure>"


def _runs(points: Sequence[tuple[float, float | None]]) -> list[str]:
    """Unbroken stretches of points, as SVG wants them; a single point becomes a short dash."""
    runs: list[list[tuple[float, float]]] = [[]]
    for across, down in points:
        if down is None:
            runs.append([])
        else:
            runs[-1].append((across, down))
    stretches = [run if len(run) > 1 else [run[0], (run[0][0] + 1, run[0][1])] for run in runs if run]
    return [" ".join(f"{across:.1f},{down:.1f}" for across, down in run) for run in stretches]


def _legend(lines: Sequence[Line]) -> str:
    items = "".join(
        f'<li><i class="k{index % COLOURS}"></i>{escape(line.name)}</li>' for index, line in enumerate(lines)
    )
    return f'<ul class="legend">{items}</ul>'
