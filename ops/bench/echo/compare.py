"""Reports side by side: rows for a table, a ranking where one is honest, and one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import zip_longest
from math import log10
from typing import Any, Final

from ops.report.charts import COLOURS, Line, line_chart
from ops.report.page import STYLE

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 60, 24, 12, 28
NINES: Final = (("0", 0.0), ("90", 90.0), ("99", 99.0), ("99.9", 99.9), ("99.99", 99.99))
LAST_NINES: Final = 5.0  # where the axis ends: 99.999
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """``order``: indexes, best throughput first; None when it would not be honest, and ``why``."""

    order: tuple[int, ...] | None
    why: str


HEADINGS: Final = ("server", "scenario", "msg/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "errors")
MORE_HEADINGS: Final = ("server CPU %", "msg per server CPU s", "server MiB", "client CPU %", "note")
BUSY: Final = 0.9  # of a core


def row(document: Document) -> tuple[str, ...]:
    """One line of the table under HEADINGS and MORE_HEADINGS."""
    metadata, latency, client, server = (document[name] for name in ("metadata", "latency", "client", "server"))
    samples = document["resourceUsage"]["samples"]
    memory = max((sample["memoryBytes"] for sample in samples), default=None)
    told = {
        "client saturated": client["client_saturated"],
        "client short of cores": is_short_of_cores(document),
        "partial": metadata["partial"],
    }
    return (
        metadata["serverName"],
        metadata["scenario"],
        f"{document['throughput']['messagesPerSecond']:,.0f}",
        *(_ms(latency[name]) for name in ("p50", "p90", "p99", "p99_9", "max")),
        f"{100 * document['errors']['errorRate']:.3g} %",
        _whole(server["cpuOfOneCore"], 100),
        _whole(server["messagesPerCpuSecond"]),
        "-" if memory is None else f"{memory / 2**20:.0f}",
        "/".join(f"{100 * share:.0f}" for share in client["cpuOfOneCore"]),
        ", ".join(note for note, applies in told.items() if applies),
    )


def is_short_of_cores(document: Document) -> bool:
    """Whether the client waited for cores while the server did not fill one: a better machine would show more."""
    client, server_share = document["client"], document["server"]["cpuOfOneCore"]
    shares = zip(client["cpuOfOneCore"], client["waitingForACore"], strict=True)
    wanting = any(cpu + waiting > BUSY for cpu, waiting in shares)
    return wanting and not client["client_saturated"] and (server_share is None or server_share < BUSY)


def _whole(value: float | None, scale: int = 1) -> str:
    return "-" if value is None else f"{scale * value:,.0f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def rank(documents: Sequence[Document]) -> Ranking:
    """By messages per second; refused where the figures are the client's or stem from different loads."""
    if len(documents) < 2:
        return Ranking(order=None, why="one report: nothing to compare with")
    for document in documents:
        name = document["metadata"]["serverName"]
        if document["client"]["client_saturated"]:
            return Ranking(order=None, why=f"not ranked: the client was saturated in the run of {name}")
        if document["metadata"]["partial"]:
            return Ranking(order=None, why=f"not ranked: the run of {name} is partial")
    first = _load(documents[0])
    if any(_load(document) != first for document in documents[1:]):
        return Ranking(order=None, why="not ranked: the loads differ")
    if first["loop"] == "open":
        return Ranking(order=None, why="not ranked: an open loop sends the same to all; compare the latencies")
    order = sorted(range(len(documents)), key=lambda n: -documents[n]["throughput"]["messagesPerSecond"])
    short = [document["metadata"]["serverName"] for document in documents if is_short_of_cores(document)]
    at_least = f" ({', '.join(short)}: at least, the client was short of cores)" if short else ""
    return Ranking(order=tuple(order), why=f"by messages per second{at_least}")


def ratios(document: Document, slowest: Document) -> str:
    """How many times the slowest it is, by messages per second and per CPU second of the server."""
    text = f"{document['throughput']['messagesPerSecond'] / (slowest['throughput']['messagesPerSecond'] or 1):.2f} x"
    own, other = (each["server"]["messagesPerCpuSecond"] for each in (document, slowest))
    return f"{text} the slowest, {own / other:.2f} x per CPU second of the server" if own and other else text


def _load(document: Document) -> Document:
    return {name: value for name, value in document["clientConfig"].items() if name != "url"}


def page(documents: Sequence[Document], ranking: Ranking) -> str:
    """One HTML page: the table, latency by percentile, CPU and memory of the servers over time."""
    names = [f"{each['metadata']['serverName']} {each['metadata']['scenario']}" for each in documents]
    head = "".join(f"<th>{escape(name)}</th>" for name in (*HEADINGS, *MORE_HEADINGS))
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row(document)) + "</tr>" for document in documents
    )
    ranked = escape(ranking.why)
    if ranking.order is not None:
        ranked += ": " + " &gt; ".join(escape(names[index]) for index in ranking.order)
    charts = percentile_chart(names, documents) + _resources(names, documents)
    title = "Echo benchmark"
    meta = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}</title>"
    style = STYLE.read_text("utf-8")
    return (
        f"<!doctype html><html lang=en><head>{meta}<style>{style}</style></head><body><header><h1>{title}</h1>"
        f"<p class=facts>{ranked}</p></header><div class=wide><table><tr>{head}</tr>{rows}</table></div>"
        f"<h2>Latency and resources</h2><div class=charts>{charts}</div></body></html>\n"
    )


def percentile_chart(names: Sequence[str], documents: Sequence[Document]) -> str:
    """Latency against percentile, both logarithmic: each step right is one nine more."""
    curves = [document["latency"]["curve"] for document in documents]
    values = [value for curve in curves for _, value in curve if value > 0]
    if not values:
        return "<figure><figcaption>Latency</figcaption><p class=empty>no values</p></figure>"
    low, high = int(log10(min(values)) // 1), int(-(-log10(max(values)) // 1))
    high = max(high, low + 1)

    def x(percentile: float) -> float:
        nines = LAST_NINES if percentile >= 100 else min(LAST_NINES, -log10(1 - percentile / 100))
        return LEFT + (WIDTH - LEFT - RIGHT) * nines / LAST_NINES

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(max(value, 10.0**low)) - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Latency by percentile">']
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for text, place in NINES:
        at = x(place)
        parts.append(f'<text class="axis" x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text} %</text>')
    for index, curve in enumerate(curves):
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in curve)
        parts.append(f'<polyline class="c{index % COLOURS}" points="{points}"/>')
    keys = "".join(f'<li><i class="k{n % COLOURS}"></i>{escape(name)}</li>' for n, name in enumerate(names))
    caption = "<figcaption>Latency by percentile <small>ms</small></figcaption>"
    return f'<figure>{caption}{"".join(parts)}</svg><ul class="legend">{keys}</ul></figure>'


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
