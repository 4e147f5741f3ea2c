"""How much an operation moves: uniform integers in base units, no floor or cap of our own (DESIGN.md 8)."""

from __future__ import annotations

from random import Random
from typing import Final

from domain.swap import exact_step, largest_input, smallest_useful_input

LIQUIDITY_PERCENT: Final = 5  # DEP-12, WDR-09
SWAP_PERCENT: Final = 2  # SWP-07


def liquidity_amount(rng: Random, balance: int) -> int | None:
    """A deposit's or withdrawal's amount: uniform in [1, max(1, floor(5 % of the balance))]; None without a balance."""
    if balance < 1:
        return None
    return rng.randint(1, max(1, balance * LIQUIDITY_PERCENT // 100))


def smallest_swap(ratio_in: int, ratio_out: int, *, exact: bool) -> int:
    """The smallest input that the program accepts: one output unit's worth, or one exact step."""
    return exact_step(ratio_in, ratio_out) if exact else smallest_useful_input(ratio_in, ratio_out)


def swap_amount(rng: Random, balance: int, ratio_in: int, ratio_out: int, *, exact: bool) -> int | None:
    """A swap's input: uniform in [smallest, max(smallest, floor(2 % of the balance))]; on an exact pool in steps.

    None when the balance is below the smallest input. Inputs whose output leaves u64 are never drawn: no amount of
    liquidity could serve them.
    """
    smallest = smallest_swap(ratio_in, ratio_out, exact=exact)
    if balance < smallest:
        return None
    upper = min(balance * SWAP_PERCENT // 100, largest_input(ratio_in, ratio_out))
    if not exact:
        return rng.randint(smallest, max(smallest, upper))
    return smallest * rng.randint(1, max(1, upper // smallest))


def whole_swap(balance: int, ratio_in: int, ratio_out: int, *, exact: bool) -> int | None:
    """All of a balance that one swap can take; None when that is less than the smallest input."""
    smallest = smallest_swap(ratio_in, ratio_out, exact=exact)
    amount = min(balance, largest_input(ratio_in, ratio_out))
    if exact:
        amount -= amount % smallest
    return amount if amount >= smallest else None
