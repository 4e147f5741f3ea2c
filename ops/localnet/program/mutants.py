"""The seeded bugs: each number is a `BUG(n)` in the C source, built with -DMUTANT=n (DESIGN.md 9).

They measure what the service finds, so each shows in public behaviour: balances, counters, fees, flags and codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal[
    "rounding", "fees", "counters", "lp", "authority", "flags", "overflow", "accounts", "expected", "treasury"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One seeded bug: its number in the source, its class, and what the program does wrong."""

    number: int
    group: Group
    description: str


_BUGS: dict[Group, dict[int, str]] = {
    "rounding": {
        1: "Swap rounds its output up",
        2: "Swap rounds its output to the nearest unit",
        3: "Swap ignores the pool's exact-exchange flag",
        49: "Swap accepts an input whose output rounds to zero",
    },
    "fees": {
        4: "Deposit charges the default fee, not the pool's own",
        5: "Withdraw charges the pool's swap fee",
        6: "Swap charges the pool's liquidity fee",
        7: "UpdatePoolFees has no upper limit for the swap fee",
        8: "UpdatePoolFees stores the liquidity fee as the swap fee",
    },
    "counters": {
        9: "Swap does not add its input to the pool's liquidity counter",
        10: "Swap does not take its output off the pool's liquidity counter",
        11: "Withdraw leaves the pool's liquidity counter as it was",
        12: "Liquidity fees are booked in the swap fee bucket",
        13: "Swap fees are missing from the lifetime total of fees",
    },
    "lp": {
        14: "Deposit mints one LP unit too few",
        15: "Withdraw burns one LP unit too few",
        16: "Withdraw redeems the LP token of the other side",
        17: "Deposit does not check the mint of the user's LP account",
        50: "Withdraw accepts an amount of zero",
    },
    "authority": {
        18: "Deposit does not check that the user signed",
        19: "Administration does not check that the admin signed",
        20: "UpdatePoolFees accepts any signer",
        21: "PausePool and UnpausePool accept any signer",
        22: "ConsolidatePoolFees accepts any signer",
        23: "SetSwapOwnerOnly accepts any signer",
    },
    "flags": {
        24: "Withdraw ignores the pool's liquidity pause",
        25: "Swap ignores the pool's swap pause",
        26: "Swap ignores the owner-only flag",
        27: "PausePool's swap bit pauses liquidity instead",
        28: "Deposit ignores the system pause",
        29: "SetSwapOwnerOnly does not change the pool's owner",
    },
    "overflow": {
        30: "Swap multiplies in 64 bits, dropping the product's high half",
        31: "Swap truncates an output above 64 bits instead of refusing it",
        32: "Deposit adds only the low 32 bits of the amount to the counter",
    },
    "accounts": {
        33: "Swap pays the input into any account that is given as the input vault",
        34: "The pool_id argument is not compared with the pool account",
        35: "Deposit accepts an LP account of another owner",
        36: "Swap does not check the two mint accounts",
        37: "Withdraw pays out to an account of another owner",
        38: "Token accounts with an active delegate are accepted",
        39: "The owner of the pool account is not checked",
    },
    "expected": {
        40: "Swap takes the expected output as a minimum",
        41: "Swap does not look at the expected output",
        42: "Swap takes the expected output as a maximum",
    },
    "treasury": {
        43: "ConsolidatePoolFees leaves the rent of 438 bytes, not of 440",
        44: "ConsolidatePoolFees books everything as liquidity fees",
        45: "ConsolidatePoolFees does not advance the pool's consolidated total",
        46: "ConsolidatePoolFees does not add to the treasury's regular swap fees",
        47: "ConsolidatePoolFees also empties pools that are not paused",
        48: "InitializePool does not count its fee in the treasury's totals",
    },
}

MUTANTS: tuple[Mutant, ...] = tuple(
    Mutant(number=number, group=group, description=description)
    for number, group, description in sorted(
        (number, group, description) for group, bugs in _BUGS.items() for number, description in bugs.items()
    )
)
"""By number, without gaps."""
