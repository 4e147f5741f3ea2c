"""Thresholds of a scenario: "lateness_p99_ms < 250" read, and held against the figures of a run. Pure.

A misspelt name is an error when the scenario is read, never a threshold that quietly holds.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Final

from domain.errors import StressError

Figure = int | float | Decimal

OPERATORS: Final[dict[str, Callable[[Decimal, Decimal], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_RULE: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")


class ThresholdError(StressError):
    """A threshold cannot be read: no such figure, no such comparison, no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """``name`` compared with ``limit``; the rule holds when the comparison does."""

    name: str
    comparison: str  # a key of OPERATORS
    limit: Decimal

    @property
    def text(self) -> str:
        return f"{self.name} {self.comparison} {self.limit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One rule and what the run made of it. ``value`` None: the run has no such figure, and the rule does not hold."""

    threshold: Threshold
    value: Decimal | None
    ok: bool


def parse_threshold(text: str, known: Collection[str]) -> Threshold:
    """Read "name comparison number". Raises ThresholdError that names what is wrong, with the nearest known name."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise ThresholdError(f"threshold {text!r} is not of the form 'figure < number' ({' '.join(OPERATORS)})")
    name, comparison, number = match.groups()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
        raise ThresholdError(f"threshold {text!r}: there is no figure {name!r}{hint}")
    try:
        limit = Decimal(number)
    except InvalidOperation:
        raise ThresholdError(f"threshold {text!r}: {number!r} is not a number") from None
    if not limit.is_finite():
        raise ThresholdError(f"threshold {text!r}: the limit must be finite")
    return Threshold(name=name, comparison=comparison, limit=limit)


def judge(threshold: Threshold, figures: Mapping[str, Figure | None]) -> Judged:
    """Hold one rule against the figures. A figure that is missing or not a number breaks the rule."""
    found = figures.get(threshold.name)
    value = None if found is None else Decimal(str(found))  # a float counts as it is written
    if value is None or not value.is_finite():
        return Judged(threshold=threshold, value=None, ok=False)
    return Judged(threshold=threshold, value=value, ok=OPERATORS[threshold.comparison](value, threshold.limit))


def triggered(rule: Threshold, figures: Mapping[str, Figure | None]) -> bool:
    """An abort rule: does it hold *now*? A figure that is not there yet aborts nothing."""
    return judge(rule, figures).ok
