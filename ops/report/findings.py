"""What did not hold in a run, gathered by check: the honest traffic's faults first, then what the audit made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PROBE: Final = "PROBE-"
_COUNTED: Final = re.compile(r"\d+ (faults|violations in the audit): ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken check; everything but ``count`` is of the first time that it broke."""

    check: str
    count: int
    message: str
    pool: str  # name in the scenario, else address
    slot: int | None
    signature: str
    number: int | None  # of the fault in the report, as `frt reproduce --fault` takes it

    @property
    def first(self) -> str:
        """Where it was seen first, in words."""
        parts = [
            f"pool {self.pool}" if self.pool else "",
            "" if self.slot is None else f"slot {self.slot}",
            f"transaction {self.signature}" if self.signature else "",
            "" if self.number is None else f"fault {self.number}",
        ]
        return ", ".join(part for part in parts if part)


def findings(document: Mapping[str, Any]) -> list[Finding]:
    """Of the faults on the way and the violations in the closing audit."""
    names = {pool["pool_id"]: pool["name"] for pool in document["pools"]}
    first: dict[str, Mapping[str, Any]] = {}
    numbers: dict[str, int] = {}
    for number, fault in enumerate(document["faults"]["listed"], start=1):
        first.setdefault(str(fault["check"]), fault)
        numbers.setdefault(str(fault["check"]), number)
    counts = dict(document["faults"]["by_check"])
    for violation in document["audit"]["violations"]:
        check = str(violation.get("id"))
        first.setdefault(check, violation)
        counts[check] = counts.get(check, 0) + 1
    found = []
    for check, count in counts.items():
        one = first.get(check, {})
        pool = str(one.get("pool_id") or "")
        found.append(
            Finding(
                check=check,
                count=count,
                message=str(one.get("message", "")),
                pool=names.get(pool) or pool,
                slot=one.get("slot"),
                signature=str(one.get("signature") or ""),
                number=numbers.get(check),
            )
        )
    # what has a transaction and its accounts to look at comes before what the audit saw of it in the end
    return sorted(found, key=lambda one: (one.check.startswith(PROBE), one.number is None, -one.count, one.check))


def other_reasons(document: Mapping[str, Any]) -> list[str]:
    """Why a run did not pass, without what the findings say in more detail."""
    return [reason for reason in document["reasons"] if not _COUNTED.match(reason)]


def verdict_in_words(document: Mapping[str, Any]) -> str:
    """One sentence for who has never seen a report."""
    if document["verdict"] == "error":
        return "The run could not be carried out: this says nothing about the program."
    if document["verdict"] == "fail":
        interrupted = "Interrupted. " if document["environment"].get("interrupted") else ""
        return f"{interrupted}{_what_failed(document)}"
    confirmed = sum(kind["confirmed"] for kind in document["operations"].values())
    checks = document["figures"]["checks"] + document["audit"]["checks"]
    return f"Everything held: {confirmed:,} confirmed operations, {checks:,} checks, every unit and lamport explained."


def _what_failed(document: Mapping[str, Any]) -> str:
    broken = len(findings(document))
    if broken:
        return f"{broken} {'check' if broken == 1 else 'checks'} did not hold."
    if any(not one["ok"] for one in document["thresholds"]):
        return "Every check held, but a threshold was missed."
    return "Every check held, but the run did not come to its proper end."
