"""Reports side by side: rows for a table, and a ranking where one is honest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """``order``: indexes, best throughput first; None when it would not be honest, and ``why``."""

    order: tuple[int, ...] | None
    why: str


HEADINGS: Final = ("server", "scenario", "msg/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "errors")
MORE_HEADINGS: Final = ("server CPU %", "msg/CPU s", "server MiB", "client CPU %", "note")
FULL: Final = 0.85  # of a core: below it something else was the limit
BRIM: Final = 0.95  # of a core of its own: it was the limit, also where the client had nothing left


def row(document: Document) -> tuple[str, ...]:
    """One line of the table under HEADINGS and MORE_HEADINGS."""
    metadata, latency, client, server = (document[name] for name in ("metadata", "latency", "client", "server"))
    samples = document["resourceUsage"]["samples"]
    memory = max((sample["memoryBytes"] for sample in samples), default=None)
    told = {
        "client saturated": client["client_saturated"],
        "server not full": document["clientConfig"]["loop"] == "closed" and not is_full(document),
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


def is_full(document: Document) -> bool:
    """Whether the server filled a core, as far as is known: else the client or the machine was its limit."""
    share = document["server"]["cpuOfOneCore"]
    return share is None or share >= FULL


def is_brimful(document: Document) -> bool:
    """Pinned to cores that it filled, before several client processes: the figure is its own, whatever theirs is."""
    cores, share = len(document["serverConfig"].get("cores", ())), document["server"]["cpuOfOneCore"]
    several = document["clientConfig"]["processes"] > 1
    return several and cores > 0 and share is not None and share >= BRIM * cores


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
        if document["client"]["client_saturated"] and not is_brimful(document):
            return Ranking(order=None, why=f"not ranked: the client was saturated in the run of {name}")
        if document["metadata"]["partial"]:
            return Ranking(order=None, why=f"not ranked: the run of {name} is partial")
    load = _load(documents[0])
    if any(_load(document) != load for document in documents[1:]):
        return Ranking(order=None, why="not ranked: the loads differ")
    if load["loop"] == "open":
        return Ranking(order=None, why="not ranked: an open loop sends the same to all; compare the latencies")
    order = sorted(range(len(documents)), key=lambda n: -documents[n]["throughput"]["messagesPerSecond"])
    first, *others = (documents[index] for index in order)
    unknown = [document["metadata"]["serverName"] for document in others if not is_full(document)]
    if unknown:
        why = f"not ranked: {', '.join(unknown)} did not fill a core and may be faster; compare messages per CPU second"
        return Ranking(order=None, why=why)
    name, at_least = first["metadata"]["serverName"], ""
    if not is_full(first):
        at_least = f" ({name}: at least, it did not fill a core)"
    elif first["client"]["client_saturated"]:
        at_least = f" ({name}: at least, the client was full, too)"
    return Ranking(order=tuple(order), why=f"by messages per second{at_least}")


def ratios(document: Document, slowest: Document) -> str:
    """How many times the slowest it is, by messages per second and per CPU second of the server."""
    text = f"{document['throughput']['messagesPerSecond'] / (slowest['throughput']['messagesPerSecond'] or 1):.2f} x"
    own, other = (each["server"]["messagesPerCpuSecond"] for each in (document, slowest))
    return f"{text} the slowest, {own / other:.2f} x per CPU second of the server" if own and other else text


SETTING_HEADINGS: Final = ("server", "version", "language", "load", "measured", "options of the server", "client")


def setting(document: Document) -> tuple[str, ...]:
    """How it was measured, under SETTING_HEADINGS."""
    metadata, load, options = (document[name] for name in ("metadata", "clientConfig", "serverConfig"))
    rate = load["messagesPerSecondPerClient"]
    pace = "closed loop" if rate is None else f"{load['pattern']} {rate:g}/s each"
    told = (f"{name} {value}" for name, value in options.items() if value not in (None, [], ""))
    return (
        metadata["serverName"],
        metadata["serverVersion"] or "-",
        metadata["serverLanguage"],
        f"{load['clients']:,} clients, {pace}, {load['payloadBytes']:,} B {load['payloadKind']}",
        f"{metadata['measuredSeconds']:g} s after {load['warmUpSeconds']:g} s warm-up, {metadata['startedAt'][:19]}Z",
        ", ".join(told),
        f"processes {load['processes']}, cores {document['client']['coresAllowed']}",
    )


def _load(document: Document) -> Document:
    return {name: value for name, value in document["clientConfig"].items() if name != "url"}
