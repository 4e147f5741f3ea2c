"""Fixed-ratio integer arithmetic: what a swap gives, what it leaves to the pool (CONTRACT.md 6 and 9)."""

from __future__ import annotations

from math import gcd
from typing import Final

from domain.pool import Pool, Side

U64_MAX: Final = 2**64 - 1
NANO: Final = 10**9
PICO: Final = 10**12


def quote(amount_in: int, ratio_in: int, ratio_out: int) -> tuple[int, int]:
    """(output, remainder) of an input, all in base units: floor(in * r_out / r_in) and the rest of that division.

    The output may be 0 or exceed u64; the program refuses both (CONTRACT.md 6).
    """
    return divmod(amount_in * ratio_out, ratio_in)


def smallest_useful_input(ratio_in: int, ratio_out: int) -> int:
    """The smallest input that gives at least one base unit: ceil(r_in / r_out)."""
    return -(-ratio_in // ratio_out)


def exact_step(ratio_in: int, ratio_out: int) -> int:
    """Inputs of an exact-exchange pool are multiples of this; its output is r_out / gcd."""
    return ratio_in // gcd(ratio_in, ratio_out)


def largest_input(ratio_in: int, ratio_out: int) -> int:
    """The largest u64 input whose output still fits u64; beyond it the program answers Custom(1019)."""
    return min(U64_MAX, ((U64_MAX + 1) * ratio_in - 1) // ratio_out)


def ratio_of(pool: Pool, side_in: Side) -> tuple[int, int]:
    """(r_in, r_out) of a swap that puts ``side_in`` in."""
    return pool.ratio(side_in), pool.ratio(side_in.other)


def rounding_loss_nano(remainder: int, ratio_in: int) -> int:
    """What the floor kept from the user, in 1e-9 base units of the output token; below 1e9 for every swap."""
    return remainder * NANO // ratio_in


def loss_pico(amount_in: int, remainder: int, ratio_out: int) -> int:
    """The part of the unrounded output that the floor kept, in 1e-12 of it; below one half for every swap."""
    return remainder * PICO // (amount_in * ratio_out)


def surplus(pool: Pool, liquidity: tuple[int, int], supplies: tuple[int, int]) -> int:
    """G of I4: (T_A*rB + T_B*rA) - (S_A*rB + S_B*rA), in value units; negative means that value left the pool."""
    return (liquidity[0] - supplies[0]) * pool.ratio_b + (liquidity[1] - supplies[1]) * pool.ratio_a
