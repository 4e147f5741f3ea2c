"""The steps that a scenario takes at given times: what each may say, strictly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from ops.localnet.faults import Faults, UnknownFaultError

_DURATION = re.compile(r"(\d+)(ms|s|m|h)")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_LONGEST_MS = 7 * 24 * 3_600_000


def read_duration_ms(value: object) -> int:
    """Milliseconds of "500ms", "60s", "5m" or "1h". Raises ValueError for anything else, plain numbers included."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration like '500ms', '60s', '5m' or '1h'")
    milliseconds = int(match[1]) * _MS[match[2]]
    if milliseconds > _LONGEST_MS:
        raise ValueError(f"{value!r} is longer than seven days")
    return milliseconds


Duration = Annotated[int, BeforeValidator(read_duration_ms)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Fee = Annotated[int, Field(ge=0, lt=2**64)]


class Strict(BaseModel):
    """No unknown names, no silent conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PoolStep(Strict):
    """``pools``: names or patterns ("main-*"); empty: every pool of the scenario."""

    at: Duration
    pools: list[str] = []


class UpdateFees(PoolStep):
    """Lamports per operation (CONTRACT.md 3.10); what is not given stays."""

    action: Literal["update_fees"]
    liquidity_fee: Fee | None = None
    swap_fee: Fee | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.liquidity_fee is None and self.swap_fee is None:
            raise ValueError("give liquidity_fee, swap_fee or both")
        return self


class Pause(PoolStep):
    action: Literal["pause"]
    liquidity: bool = True
    swaps: bool = True


class Unpause(PoolStep):
    action: Literal["unpause"]
    liquidity: bool = True
    swaps: bool = True


class OwnerOnly(PoolStep):
    action: Literal["owner_only"]
    enable: bool


class Consolidate(PoolStep):
    """Pools without both pause flags are skipped by the program; that is checked, too."""

    action: Literal["consolidate"]


class Threads(PoolStep):
    """``kinds``: deposit, withdrawal, swap; empty: all. ``count``: at most so many per pool, None: all of them."""

    action: Literal["empty", "stop", "start"]
    kinds: list[Literal["deposit", "withdrawal", "swap"]] = []
    count: int | None = Field(None, ge=1)


class Mint(PoolStep):
    """Tokens minted to ``recipient``, a wallet that has no part in the run; by default a fresh one (STR-22)."""

    action: Literal["mint"]
    side: Literal["A", "B"] = "A"
    amount: int = Field(1_000_000, ge=1, lt=2**64)
    recipient: str | None = None


class Whale(PoolStep):
    """A large deposit of one wallet and its withdrawal at once (STR-13)."""

    action: Literal["whale"]
    side: Literal["A", "B"] = "A"
    amount: int = Field(ge=1, lt=2**63)


class Burst(PoolStep):
    """Swaps both ways, deposits and withdrawals of one wallet, sent back to back (STR-15)."""

    action: Literal["burst"]
    count: int = Field(12, ge=1, le=32)


class Drain(PoolStep):
    """One side's liquidity swapped out as far as it goes, more asked for, then swapped back (STR-16)."""

    action: Literal["drain"]
    side: Literal["A", "B"] = "A"


class SetFaults(PoolStep):
    """Switch exactly these faults of the local chain on, all others off (ops/localnet/faults.py)."""

    action: Literal["faults"]
    set: dict[str, dict[str, float | int]] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.pools:
            raise ValueError("faults are the whole chain's, not a pool's")
        try:
            Faults(0).replace(self.set)
        except UnknownFaultError as error:
            raise ValueError(str(error)) from None
        return self


Step = Annotated[
    UpdateFees | Pause | Unpause | OwnerOnly | Consolidate | Threads | Mint | Whale | Burst | Drain | SetFaults,
    Field(discriminator="action"),
]


def expand_pools(patterns: Sequence[str], names: Sequence[str], key: str) -> list[str]:
    """The pools that the patterns mean, in the scenario's order. Raises ValueError for one that fits none."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"{key}: no pool is named {pattern!r}")
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


def step_title(step: Any) -> str:
    """A step in a few words, for the live view and the report."""
    details = step.model_dump(mode="json", exclude={"at", "action", "pools"}, exclude_none=True)
    shown = " ".join(f"{name}={value}" for name, value in details.items() if value not in ([], {}))
    where = f" on {', '.join(step.pools)}" if step.pools else ""
    return f"{step.action}{where}" + (f" ({shown})" if shown else "")
