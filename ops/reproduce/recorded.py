"""The faults that a run left, in the order of its report: first those found on the way, then the closing audit's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from domain.errors import StressError
from domain.files.faults import FaultFile

PROGRAM: Final = "program.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One fault or violation as it was written down; ``number`` counts from 1."""

    number: int
    check: str
    message: str
    signature: str | None
    slot: int | None
    evidence: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def executions(self) -> tuple[Mapping[str, Any], ...]:
        """Transactions that can be carried out again: the fault's own, or those that may have broken a snapshot."""
        own = self.evidence.get("execution")
        return (own,) if own else tuple(self.evidence.get("suspects") or ())


def read_recorded(directory: Path) -> list[Recorded]:
    """From the report of ``frt run``, else from the data folder of ``frt up``. Raises StressError."""
    report = directory / "report.json"
    if report.is_file():
        document = _report(report)
        found = [*document.get("faults", {}).get("listed", ()), *document.get("audit", {}).get("violations", ())]
    else:
        rows = FaultFile(directory / "data").read() or FaultFile(directory).read()
        found = [json.loads(row) for row in rows]
        if not found and not directory.is_dir():
            raise StressError(f"there is no folder {directory}")
    if not found:
        raise StressError(f"{directory} records no fault: neither report.json nor faults.jsonl has one")
    return [_recorded(number, entry) for number, entry in enumerate(found, 1)]


def _report(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StressError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise StressError(f"{path} is no report")
    return document


def _recorded(number: int, entry: Mapping[str, Any]) -> Recorded:
    evidence = dict(entry.get("evidence") or {})
    for name in ("expected", "actual"):  # what a violation of the audit compared
        if name in entry:
            evidence.setdefault(name, entry[name])
    return Recorded(
        number=number,
        check=entry["check"],
        message=entry["message"],
        signature=entry.get("signature"),
        slot=entry.get("slot"),
        evidence=evidence,
        document=entry,
    )


def choose(recorded: list[Recorded], number: int | None) -> Recorded:
    """The fault of that number; without one the first that can be carried out again, else the first."""
    if number is None:
        return next((one for one in recorded if one.executions), recorded[0])
    if not 1 <= number <= len(recorded):
        raise StressError(f"--fault {number}: this run recorded {len(recorded)}, numbered from 1")
    return recorded[number - 1]
