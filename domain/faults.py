"""A fault: a check that did not hold, with everything needed to reproduce it (DESIGN.md 6)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``check`` names the broken rule: "I4", "J1", "DEP-amount", "PROBE-<name>" ... Evidence is plain JSON data."""

    check: str
    message: str
    pool_id: str | None = None
    chain_id: str | None = None
    operation_id: str | None = None
    signature: str | None = None
    slot: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Fault:
        return cls(**json.loads(text))
