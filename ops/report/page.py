"""report.html: one self-contained page made of the report's document. No script, nothing is loaded from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from ops.report.charts import Line, Mark, line_chart
from ops.report.findings import findings, other_reasons, verdict_in_words

STYLE: Final = Path(__file__).with_name("page.css")
SHOWN_OF_A_CHECK: Final = 5
PROBE_ERROR: Final = "probe."
Document = dict[str, Any]


def render(document: Document) -> str:
    """The whole page."""
    title = f"Stress run {document['scenario']['name']}: {document['verdict']}"
    body = "".join(
        (
            _head(document),
            _tiles(document),
            _reasons(document),
            _findings(document),
            _thresholds(document),
            _operations(document),
            _charts(document),
            _pools(document),
            _steps(document),
            _audit(document),
            _faults(document),
            *_errors(document["errors"]),
            _cycles(document),
            _counts("Cycles that waited", "kind and reason", document["waits"]),
            _environment(document),
        )
    )
    style = STYLE.read_text("utf-8")
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{escape(title)}</title>"
    return f"<!doctype html><html lang=en><head>{head}<style>{style}</style></head><body>{body}</body></html>\n"


def _head(document: Document) -> str:
    scenario = document["scenario"]
    facts = (
        f"{scenario['threads']} threads in {len(document['pools'])} pools · seed {document['seed']} · "
        f"{document['started_at']} · {document['duration_s']} s"
    )
    verdict = document["verdict"]
    return (
        f"<header><h1>{escape(scenario['name'])} <b class={verdict}>{verdict}</b></h1>"
        f"<p><strong>{escape(verdict_in_words(document))}</strong></p>"
        f"<p>{escape(scenario.get('description', ''))}</p><p class=facts>{escape(facts)}</p></header>"
    )


def _tiles(document: Document) -> str:
    figures, audit = document["figures"], document["audit"]
    confirmed = sum(kind["confirmed"] for kind in document["operations"].values())
    tiles = [
        ("operations confirmed", confirmed),
        ("transactions per s", round(document["throughput"]["tx_per_s"], 1)),
        ("cycles per s", round(document["throughput"]["cycles_per_s"], 1)),
        ("share of the full cadence", _percent(figures["cadence"])),
        ("lateness p99", _unit(document["lateness_ms"]["p99"], "ms")),
        ("confirmation p50", _unit(document["confirm_ms"]["p50"], "ms")),
        ("checks", figures["checks"] + audit["checks"]),
        ("faults and violations", document["faults"]["count"] + len(audit["violations"])),
        ("unexplained units", audit["unexplained_units"]),
        ("unexplained lamports", audit["unexplained_lamports"]),
    ]
    cells = "".join(f"<div><strong>{escape(_text(value))}</strong><span>{name}</span></div>" for name, value in tiles)
    return f"<section class=tiles>{cells}</section>"


def _reasons(document: Document) -> str:
    items = "".join(f"<li>{escape(reason)}</li>" for reason in other_reasons(document))
    return f"<section class=reasons><h2>Why</h2><ul>{items}</ul></section>" if items else ""


def _findings(document: Document) -> str:
    """Every broken check with its first occurrence; the evidence stands further down."""
    rows = [
        (
            f"<a href='#{escape(one.check)}'>{escape(one.check)}</a>"
            if one.check in _shown_faults(document)
            else escape(one.check),
            _text(one.count),
            escape(one.message),
            escape(one.first),
        )
        for one in findings(document)
    ]
    said = (
        "A check's name leads to its evidence: accounts, transaction, logs and the pool's last operations. Every "
        "operation of the run is a line of data/journal.jsonl. One fault alone: <code>./frt reproduce DIR --fault N"
        f"</code>. The same decisions again: <code>--seed {document['seed']}</code>."
    )
    return _table("What did not hold", ("check", "times", "what", "first seen"), rows, escaped=True, said=said)


def _charts(document: Document) -> str:
    rows = document["series"]
    times = [row["t"] for row in rows]
    began = document["environment"].get("load_began_s", 0.0)
    marks = [Mark(at=began + step["at_s"], text=step["title"]) for step in document["steps"]]

    def line(name: str, key: str) -> Line:
        return Line(name=name, values=[row.get(key) for row in rows])

    def nested(key: str) -> list[Line]:
        names = sorted({name for row in rows for name in row.get(key, {})})
        return [Line(name=name, values=[row.get(key, {}).get(name, 0) for row in rows]) for name in names]

    charts = [
        line_chart(
            "Throughput", "per second", times, [line("cycles", "cycles_per_s"), line("transactions", "tx_per_s")], marks
        ),
        line_chart("Confirmed operations", "per second", times, nested("confirmed_per_s"), marks),
        line_chart(
            "Lateness of cycles", "ms", times, [line("p50", "lateness_p50_ms"), line("p99", "lateness_p99_ms")], marks
        ),
        line_chart(
            "Time to confirmation", "ms", times, [line("p50", "confirm_p50_ms"), line("p99", "confirm_p99_ms")], marks
        ),
        line_chart("Threads by state", "threads", times, nested("threads"), marks),
        line_chart("Failed share of operations", "0 to 1", times, [line("failed", "failed_share")], marks),
        line_chart("Processor use", "cores", times, _cores(rows), marks),
    ]
    return f"<section><h2>Over time</h2><div class=charts>{''.join(charts)}</div></section>"


def _cores(rows: Sequence[Document]) -> list[Line]:
    """The slope of the processor time that each role has used."""
    roles = sorted({role for row in rows for role in row.get("cpu_s", {})})
    lines = []
    for role in roles:
        values: list[float | int | None] = [None]
        for before, row in pairwise(rows):
            seconds = max(row["t"] - before["t"], 1e-9)
            values.append(max(0.0, row["cpu_s"].get(role, 0.0) - before["cpu_s"].get(role, 0.0)) / seconds)
        lines.append(Line(name=role, values=values))
    return lines


def _thresholds(document: Document) -> str:
    rows = [(_ok(one["ok"]), one["name"], one["limit"], _text(one["value"])) for one in document["thresholds"]]
    return _table("Thresholds", ("", "figure", "limit", "value"), rows)


def _operations(document: Document) -> str:
    names = ("submitted", "confirmed", "failed_expected", "failed_unexpected", "expired", "recovered", "open")
    rows = []
    for kind, entry in document["operations"].items():
        units = document["compute_units"][kind]
        share = f"{units['max'] / units['limit']:.0%}" if units["max"] is not None and units["limit"] else ""
        counted = [_text(entry[name]) for name in names]
        rows.append((kind, *counted, _text(units["p50"]), _text(units["max"]), share))
    columns = ("kind", *(name.replace("_", " ") for name in names), "units p50", "units max", "of limit")
    said = (
        "Failed expected: the program refused, and balances, a pause or a fee explain why; probes are transactions "
        "that it must refuse. Failed unexpected: nothing explains it. Expired: proven never to have landed. "
        "Recovered: found on the chain after Redis had lost it. Units: compute units of one transaction."
    )
    return _table("Operations", columns, rows, said=said)


def _cycles(document: Document) -> str:
    rows = [
        (kind, *(_text(entry[name]) for name in ("started", "superseded", "revived")))
        for kind, entry in document["cycles"].items()
    ]
    said = "Superseded: a second delivery that ended at once. Revived: sent again by the supervisor."
    return _table("Cycles", ("kind", "started", "superseded", "revived"), rows, said=said)


def _pools(document: Document) -> str:
    rows = [
        (
            pool["name"],
            pool["pool_id"],
            "/".join(str(number) for number in pool["decimals"]),
            " : ".join(f"{number:,}" for number in pool["ratio"]) + (" exact" if pool["exact_exchange"] else ""),
            *(_text(pool["confirmed"].get(kind, 0)) for kind in ("deposit", "withdrawal", "swap")),
        )
        for pool in document["pools"]
    ]
    columns = ("name", "pool", "decimals", "ratio, base units", "deposits", "withdrawals", "swaps")
    return _table("Pools: confirmed operations", columns, rows)


def _steps(document: Document) -> str:
    rows = [
        ("skipped" if step["skipped"] else _ok(step["ok"]), f"{step['at_s']:.1f} s", step["title"], step["detail"])
        for step in document["steps"]
    ]
    return _table("Steps", ("", "at", "step", "seen"), rows)


def _audit(document: Document) -> str:
    audit = document["audit"]
    rows = [
        (str(one.get("id")), str(one.get("message")), _text(one.get("expected")), _text(one.get("actual")))
        for one in audit["violations"]
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in audit["notes"])
    table = _table("Violations", ("check", "what", "expected", "actual"), rows)
    said = f"{audit['checks']:,} comparisons, {len(rows)} violations"
    return f"<section><h2>Closing audit</h2><p>{said}</p><ul>{notes}</ul></section>{table}"


def _shown_faults(document: Document) -> dict[str, list[tuple[int, Document]]]:
    """The faults that are shown, with their numbers, by check: of every check some."""
    by_check: dict[str, list[tuple[int, Document]]] = {}
    for number, fault in enumerate(document["faults"]["listed"], start=1):
        shown = by_check.setdefault(str(fault.get("check")), [])
        if len(shown) < SHOWN_OF_A_CHECK:
            shown.append((number, fault))
    return by_check


def _faults(document: Document) -> str:
    by_check = _shown_faults(document)
    blocks = []
    for check, faults in by_check.items():
        blocks.append(f"<h3 id='{escape(check)}'>{escape(check)}</h3>")
        blocks += [
            f"<details><summary>fault {number} · slot {escape(_text(fault.get('slot')))} · "
            f"{escape(str(fault.get('message')))}</summary><pre>{escape(json.dumps(fault, indent=1))}</pre></details>"
            for number, fault in faults
        ]
    if not blocks:
        return ""
    count, shown = document["faults"]["count"], sum(len(faults) for faults in by_check.values())
    return f"<section><h2>Faults ({count}, {shown} shown)</h2>{''.join(blocks)}</section>"


def _errors(errors: dict[str, int]) -> tuple[str, str]:
    """Probes are refused on purpose; their codes would hide those of the honest traffic."""
    probes = {name.removeprefix(PROBE_ERROR): count for name, count in errors.items() if name.startswith(PROBE_ERROR)}
    honest = {name: count for name, count in errors.items() if not name.startswith(PROBE_ERROR)}
    said = "With these errors the program refused honest operations; a refusal that nothing explains is a fault above."
    return (
        _counts("Refused operations by error", "error", honest, said),
        _counts("Refused probes by error", "error", probes, "Each probe must be refused, and with the right code."),
    )


def _counts(title: str, column: str, counts: dict[str, int], said: str = "") -> str:
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return _table(title, (column, "times"), [(name, _text(count)) for name, count in ordered], said=said)


def _environment(document: Document) -> str:
    rows = [(name, escape(json.dumps(value))) for name, value in document["environment"].items()]
    return _table("Environment", ("name", "value"), rows, escaped=True)


def _table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, escaped: bool = False, said: str = ""
) -> str:
    """A section with a table and what is ``said`` of it in HTML; nothing when there are no rows."""
    lines = [
        "<tr>" + "".join(f"<td>{cell if escaped else escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    ]
    if not lines:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    told = f"<p class=facts>{said}</p>" if said else ""
    return (
        f"<section><h2>{escape(title)}</h2>{told}<div class=wide><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _ok(ok: bool) -> str:
    return "ok" if ok else "FAILED"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:,} {unit}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}"
