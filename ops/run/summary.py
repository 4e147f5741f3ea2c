"""The result of a run in a few lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.report.findings import findings, other_reasons, verdict_in_words

COLOURS: Final = {"pass": "bold white on green", "fail": "bold white on red", "error": "bold black on yellow"}
SHOWN_REASONS: Final = 12
SHOWN_FINDINGS: Final = 8
COLUMNS: Final = {
    "submitted": "sent",
    "confirmed": "confirmed",
    "failed_expected": "refused",
    "failed_unexpected": "unexpected",
    "expired": "expired",
    "recovered": "recovered",
    "open": "open",
}


def summarise(document: Mapping[str, Any], directory: Path | None, console: Console) -> None:
    """Print operations, thresholds, what did not hold, the verdict and where to look (``directory`` None: nowhere)."""
    if document["version"] and document["pools"]:
        console.print(_operations(document))
        console.print("  refused: for a reason that balances, fees or a pause explain; probes must be", style="dim")
        console.print(_figures(document), highlight=False, soft_wrap=True)
    for one in document["thresholds"] if document["pools"] else []:
        style = "green" if one["ok"] else "red"
        mark = "ok    " if one["ok"] else "FAILED"
        console.print(Text(f"  {mark} {one['name']} {one['limit']}   value {_shown(one['value'])}", style=style))
    # Missed thresholds stand above, marked FAILED.
    reasons = [reason for reason in other_reasons(document) if not reason.startswith("threshold ")]
    for reason in reasons[:SHOWN_REASONS]:
        console.print(Text(f"  {reason}", style="red"), soft_wrap=True)
    if len(reasons) > SHOWN_REASONS:
        console.print(f"  and {len(reasons) - SHOWN_REASONS} more reasons in the report")
    _print_findings(document, console)
    verdict = document["verdict"]
    line = Text(f" {verdict.upper()} ", style=COLOURS[verdict])
    line.append(f"  {verdict_in_words(document)}", style="default")
    console.print(line, soft_wrap=True)
    if directory is not None:
        console.print(f"  {_where_to_look(document, directory)}", highlight=False, soft_wrap=True)


def _print_findings(document: Mapping[str, Any], console: Console) -> None:
    found = findings(document)
    for one in found[:SHOWN_FINDINGS]:
        console.print(Text(f"  {one.check} x{one.count}: {one.message}", style="red"), soft_wrap=True)
        if one.first:
            console.print(Text(f"    first in {one.first}", style="dim"), soft_wrap=True)
    if len(found) > SHOWN_FINDINGS:
        console.print(f"  and {len(found) - SHOWN_FINDINGS} more checks in the report")


def _where_to_look(document: Mapping[str, Any], directory: Path) -> str:
    page = directory / "report.html"
    if document["verdict"] == "error":
        return f"logs in {directory / 'logs'}, report in {page}; frt doctor looks at this machine"
    if document["verdict"] == "fail":
        alone = f"one fault alone: ./frt reproduce {directory}; " if document["faults"]["count"] else ""
        return f"evidence in {page} and report.json; {alone}the same decisions again: --seed {document['seed']}"
    return f"report in {page} and report.json"


def _operations(document: Mapping[str, Any]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("operations", no_wrap=True)
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, entry in document["operations"].items():
        table.add_row(kind, *(f"{entry[name]:,}" for name in COLUMNS))
    return table


def _figures(document: Mapping[str, Any]) -> str:
    figures, audit = document["figures"], document["audit"]
    lateness, confirm = document["lateness_ms"], document["confirm_ms"]
    return (
        f"  {_shown(figures['cycles_per_s'])} cycles/s ({_share(figures['cadence'])} of the full cadence), "
        f"{_shown(figures['tx_per_s'])} transactions/s\n"
        f"  lateness ms p50 {_shown(lateness['p50'])} p99 {_shown(lateness['p99'])} max {_shown(lateness['max'])}, "
        f"confirmation ms p50 {_shown(confirm['p50'])} p99 {_shown(confirm['p99'])}\n"
        f"  {figures['checks']:,} checks on the way, {audit['checks']:,} in the audit: "
        f"{document['faults']['count']} faults, {len(audit['violations'])} violations, "
        f"{_shown(audit['unexplained_units'])} unexplained units, "
        f"{_shown(audit['unexplained_lamports'])} unexplained lamports"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
