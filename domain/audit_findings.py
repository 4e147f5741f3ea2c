"""What an audit found: how many comparisons were made, which did not hold, and what cannot be explained."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

LISTED_PER_CHECK: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """``violations`` are JSON documents like a Fault's, with ``id``, ``expected`` and ``actual``.

    ``unexplained_units`` and ``unexplained_lamports`` are sums of absolute differences; anything but 0 is a violation
    too. ``by_check``: comparisons per check id. ``violated``: violations per check id, also those beyond the list.
    """

    checks: int
    violations: list[dict[str, Any]]
    unexplained_units: int
    unexplained_lamports: int
    notes: list[str]
    by_check: dict[str, int] = field(default_factory=dict)
    violated: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Findings:
    """Grows while the checks run."""

    by_check: Counter[str] = field(default_factory=Counter)
    violated: Counter[str] = field(default_factory=Counter)
    violations: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    units: int = 0
    lamports: int = 0

    def equal(self, check: str, expected: object, actual: object, message: str, **where: Any) -> bool:
        """One comparison; False, and a violation, when the two differ."""
        self.by_check[check] += 1
        if expected == actual:
            return True
        self._violate(check, message, _text(expected), _text(actual), where)
        return False

    def holds(self, check: str, condition: bool, message: str, **where: Any) -> bool:
        """One condition that must be true."""
        self.by_check[check] += 1
        if not condition:
            self._violate(check, message, "true", "false", where)
        return condition

    def _violate(self, check: str, message: str, expected: Any, actual: Any, where: dict[str, Any]) -> None:
        self.violated[check] += 1
        if self.violated[check] > LISTED_PER_CHECK:
            return
        named = {name: where.pop(name, None) for name in ("pool_id", "chain_id", "operation_id", "signature", "slot")}
        self.violations.append(
            {
                "id": f"AUDIT-{check}",
                "check": f"AUDIT-{check}",
                "message": message,
                **named,
                "expected": expected,
                "actual": actual,
                "evidence": {name: _text(value) for name, value in where.items()},
            }
        )

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def result(self) -> AuditResult:
        for check, times in self.violated.items():
            if times > LISTED_PER_CHECK:
                self.notes.append(f"AUDIT-{check}: {times} violations, the first {LISTED_PER_CHECK} are listed")
        return AuditResult(
            checks=self.by_check.total(),
            violations=self.violations,
            unexplained_units=self.units,
            unexplained_lamports=self.lamports,
            notes=self.notes,
            by_check=dict(sorted(self.by_check.items())),
            violated=dict(sorted(self.violated.items())),
        )


def _text(value: Any) -> Any:
    """JSON, with numbers as decimal text: amounts go up to 2^64 and beyond."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _text(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_text(entry) for entry in value]
    return str(value)
