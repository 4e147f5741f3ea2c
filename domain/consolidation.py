"""What ConsolidatePoolFees may move, to the last lamport (CONTRACT.md 3.12). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.faults import Fault

PROTECTED_BYTES_RENT = 3_953_280  # rent minimum of 440 bytes: the program protects more than the 438 it allocated


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeBooks:
    """A pool's fee counters and lamports: CL, CS, CT, CC of CONTRACT.md 9."""

    liquidity: int
    swap: int
    total: int
    consolidated: int
    lamports: int
    paused: bool  # both pause flags are set: the pool is eligible


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    lamports: int
    liquidity: int
    swap: int


def expected_move(books: FeeBooks, protected: int = PROTECTED_BYTES_RENT) -> Moved:
    """The amount that leaves the pool and its split into liquidity and swap fees."""
    pending = max(0, books.total - books.consolidated)
    if not books.paused or pending == 0:
        return Moved(lamports=0, liquidity=0, swap=0)
    amount = min(max(0, books.lamports - protected), pending)
    both = books.liquidity + books.swap
    if amount == 0 or both == 0:
        return Moved(lamports=0, liquidity=0, swap=0)
    liquidity, liquidity_rest = divmod(amount * books.liquidity, both)
    swap, swap_rest = divmod(amount * books.swap, both)
    rest = amount - liquidity - swap
    if liquidity_rest >= swap_rest:
        return Moved(lamports=amount, liquidity=liquidity + rest, swap=swap)
    return Moved(lamports=amount, liquidity=liquidity, swap=swap + rest)


def check_consolidation(
    pool_id: str, before: FeeBooks, after: FeeBooks, *, slot: int, signature: str
) -> tuple[Fault, ...]:
    """Faults of one consolidated pool. ``before`` and ``after`` enclose the transaction and nothing else.

    Only meaningful when no operation of the pool came in between, which the caller proves by equal ``total``.
    """
    move = expected_move(before)
    wanted = {
        "lamports": before.lamports - move.lamports,
        "liquidity": before.liquidity - move.liquidity,
        "swap": before.swap - move.swap,
        "consolidated": before.consolidated + move.lamports,
    }
    shown = {
        "lamports": after.lamports,
        "liquidity": after.liquidity,
        "swap": after.swap,
        "consolidated": after.consolidated,
    }
    if wanted == shown:
        return ()
    evidence: dict[str, Any] = {
        "wanted": {name: str(n) for name, n in wanted.items()},
        "shown": {name: str(n) for name, n in shown.items()},
    }
    return (
        Fault(
            check="CONSOLIDATION-pool",
            message="a consolidation moved other amounts than the rule says",
            pool_id=pool_id,
            signature=signature,
            slot=slot,
            evidence=evidence,
        ),
    )
