"""The comparison as one self-contained HTML page: no script, nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from html import escape
from itertools import zip_longest
from math import log10
from typing import Final

from ops.bench.echo.compare import HEADINGS, MORE_HEADINGS, SETTING_HEADINGS, Document, Ranking, row, setting
from ops.report.charts import COLOURS, Line, line_chart
from ops.report.page import STYLE

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 220, 52, 32, 12, 26
BAR, GAP = 22, 12
NINES: Final = ("0", "90", "99", "99.9", "99.99", "99.999", "99.9999")
WORDS: Final = ("server", "scenario", "note")  # the columns that are no numbers


def page(documents: Sequence[Document], ranking: Ranking) -> str:
    """The ranking, the figures, latency by percentile, CPU and memory of the servers over time, and the settings."""
    names = [f"{each['metadata']['serverName']} {each['metadata']['scenario']}" for each in documents]
    ranked = escape(ranking.why)
    if ranking.order is not None:
        ranked += ": " + " &gt; ".join(escape(names[index]) for index in ranking.order)
    charts = _bars(
        "Messages echoed", "per second", names, [each["throughput"]["messagesPerSecond"] for each in documents]
    )
    charts += _bars(
        "Messages per CPU second of the server",
        "whatever the client could do",
        names,
        [each["server"]["messagesPerCpuSecond"] for each in documents],
    )
    charts += percentile_chart(names, documents) + _resources(names, documents)
    title = "Echo benchmark"
    meta = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}</title>"
    whole_words = "td { overflow-wrap: normal; } .number { text-align: right; white-space: nowrap; }"
    style = STYLE.read_text("utf-8") + whole_words
    return (
        f"<!doctype html><html lang=en><head>{meta}<style>{style}</style></head><body><header><h1>{title}</h1>"
        f"<p class=facts>{ranked}</p></header>{_table((*HEADINGS, *MORE_HEADINGS), map(row, documents), WORDS)}"
        f"<h2>Throughput, latency and resources</h2><div class=charts>{charts}</div>"
        f"<h2>How it was measured</h2>{_table(SETTING_HEADINGS, map(setting, documents), SETTING_HEADINGS)}"
        f"<p class=facts>{escape(_systems(documents))}</p></body></html>\n"
    )


def _systems(documents: Sequence[Document]) -> str:
    return "; ".join(sorted({document["metadata"]["system"] for document in documents}))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[str]) -> str:
    kinds = ["" if heading in words else " class=number" for heading in headings]

    def line(tag: str, cells: Sequence[str]) -> str:
        inside = (f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(inside)}</tr>"

    return f"<div class=wide><table>{line('th', headings)}{''.join(line('td', cells) for cells in rows)}</table></div>"


def _bars(title: str, unit: str, names: Sequence[str], values: Sequence[float | None]) -> str:
    """One bar for each report; nothing when none has the figure."""
    longest = max((value for value in values if value), default=None)
    if longest is None:
        return ""
    height = TOP + len(names) * (BAR + GAP)
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">']
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        top, width = TOP + index * (BAR + GAP), (WIDTH - 300) * (value or 0) / longest
        said = "-" if value is None else f"{value:,.0f}"
        colour = f"fill:var(--k{index % COLOURS})"
        parts.append(f'<text class="axis" x="160" y="{top + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="170" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" style="{colour}"/>')
        parts.append(f'<text class="axis" x="{176 + width:.1f}" y="{top + 15}">{said}</text>')
    return f"<figure><figcaption>{title} <small>{unit}</small></figcaption>{''.join(parts)}</svg></figure>"


def percentile_chart(names: Sequence[str], documents: Sequence[Document]) -> str:
    """Latency against percentile, both logarithmic: each step right is one nine more."""
    curves = [document["latency"]["curve"] for document in documents]
    values = [value for curve in curves for _, value in curve if value > 0]
    if not values:
        return "<figure><figcaption>Latency</figcaption><p class=empty>no values</p></figure>"
    low, high = int(log10(min(values)) // 1), int(-(-log10(max(values)) // 1))
    high = max(high, low + 1)
    last = max(1, min(len(NINES) - 1, int(-(-max(_nines(curve[-1][0]) for curve in curves if curve) // 1))))

    def x(nines: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(nines, last) / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(max(value, 10.0**low)) - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Latency by percentile">']
    parts += _axes(x, y, range(low, high + 1), last)
    for index, curve in enumerate(curves):
        points = " ".join(f"{x(_nines(place)):.1f},{y(value):.1f}" for place, value in curve)
        parts.append(f'<polyline class="c{index % COLOURS}" points="{points}"><title>{escape(names[index])}</title>')
        parts.append("</polyline>")
    keys = "".join(f'<li><i class="k{n % COLOURS}"></i>{escape(name)}</li>' for n, name in enumerate(names))
    caption = (
        "<figcaption>Latency by percentile <small>ms, up to what the number of messages can tell</small></figcaption>"
    )
    return f'<figure>{caption}{"".join(parts)}</svg><ul class="legend">{keys}</ul></figure>'


def _axes(x: Callable[[float], float], y: Callable[[float], float], powers: range, last: int) -> list[str]:
    parts = []
    for power in powers:
        at = y(10.0**power)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for nines, text in enumerate(NINES[: last + 1]):
        at = x(nines)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="axis" x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text} %</text>')
    return parts


def _nines(percentile: float) -> float:
    """0 for 0 %, 1 for 90 %, 2 for 99 % and so on."""
    return -log10(max(1 - percentile / 100, 10.0 ** -len(NINES)))


def _resources(names: Sequence[str], documents: Sequence[Document]) -> str:
    series = [document["resourceUsage"]["samples"] for document in documents]
    longest: list[Document] = max(series, key=len, default=[])
    if len(longest) < 2:
        return ""
    began = datetime.fromisoformat(longest[0]["time"])
    times = [(datetime.fromisoformat(sample["time"]) - began).total_seconds() for sample in longest]

    def chart(title: str, unit: str, field: str, scale: float) -> str:
        columns = zip_longest(*([sample[field] * scale for sample in samples] for samples in series))
        lines = [
            Line(name=name, values=list(values)) for name, values in zip(names, zip(*columns, strict=True), strict=True)
        ]
        return line_chart(title, unit, times, lines, ())

    return chart("CPU of the server", "% of a core", "cpuPercent", 1) + chart(
        "Resident memory of the server", "MiB", "memoryBytes", 2**-20
    )
