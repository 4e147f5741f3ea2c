"""Ratios of pools: what the program accepts, how a person writes it, random ones (CONTRACT.md 5, POL-02..05)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import gcd
from random import Random
from typing import Any, Final

from domain.amounts import SWAP_PERCENT
from domain.errors import CommandCode, CommandError
from domain.swap import U64_MAX, quote, smallest_useful_input

MAX_RANDOM_DECIMALS: Final = 9
MAX_DECIMALS: Final = 19  # 10^20 leaves u64; the program's own limit is 63, with factors that wrap
TYPICAL_TOKENS: Final = 1_000_000  # whole tokens that a thread of a random pool is expected to hold
A_TO_B: Final = "a_to_b"
B_TO_A: Final = "b_to_a"


class RatioType(StrEnum):
    SIMPLE = "simple"
    DECIMAL = "decimal"
    ENGINEERING = "engineering"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """A pool to be created; ratios are base units of the normalised sides A and B."""

    decimals_a: int
    decimals_b: int
    ratio_a: int
    ratio_b: int
    exact_exchange: bool


def classify(ratio_a: int, ratio_b: int, decimals_a: int, decimals_b: int) -> RatioType:
    """The program's own classification, factors in wrapping u64. Raises ValueError where the program panics.

    Engineering ratios are refused on chain with Custom(1049).
    """
    factor_a, factor_b = pow(10, decimals_a, 2**64), pow(10, decimals_b, 2**64)
    if factor_a == 0 or factor_b == 0:
        raise ValueError(f"decimals {decimals_a} and {decimals_b}: from 64 on the program divides by zero")
    a, b = _adjusted(ratio_a, factor_a), _adjusted(ratio_b, factor_b)
    if a // factor_a != 1 and b // factor_b != 1:
        return RatioType.ENGINEERING
    return RatioType.SIMPLE if a % factor_a == 0 and b % factor_b == 0 else RatioType.DECIMAL


def _adjusted(ratio: int, factor: int) -> int:
    """Values below one whole token count as whole tokens, for the classification only."""
    return min(ratio * factor, U64_MAX) if factor > 1 and ratio < factor and ratio % factor != 0 else ratio


def ratio_display(ratio_a: int, ratio_b: int, decimals_a: int, decimals_b: int) -> str:
    """The price of one token as text: "1 Token A = 160 Token B".

    Exact, never rounded: "1 Token B = 0.75 Token A" where only that is finite, else "3 Token A = 7 Token B".
    """
    a, b = ratio_a * 10**decimals_b, ratio_b * 10**decimals_a  # tokens A : tokens B, over a common denominator
    divisor = gcd(a, b)
    a, b = a // divisor, b // divisor
    if b % a == 0 or (a % b != 0 and _is_finite(a)):
        return f"1 Token A = {_decimal(b, a)} Token B"
    if _is_finite(b):
        return f"1 Token B = {_decimal(a, b)} Token A"
    return f"{a} Token A = {b} Token B"


def _is_finite(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def _decimal(numerator: int, denominator: int) -> str:
    """A fraction with a finite decimal expansion, written out."""
    places = 0
    while numerator * 10**places % denominator:
        places += 1
    digits = str(numerator * 10**places // denominator).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def whole_ratio(decimals_a: int, decimals_b: int, whole: int, direction: str) -> tuple[int, int]:
    """(rA, rB) in base units: 1 A = ``whole`` B for "a_to_b", 1 B = ``whole`` A for "b_to_a" (POL-04)."""
    one_a, one_b = 10**decimals_a, 10**decimals_b
    return (one_a, whole * one_b) if direction == A_TO_B else (whole * one_a, one_b)


def pool_spec(params: Mapping[str, Any], rng: Random, typical_tokens: int = TYPICAL_TOKENS) -> PoolSpec:
    """create_pool's parameters as a pool the program accepts; what is absent is drawn from ``rng``.

    ``token_a_decimals``, ``token_b_decimals``, ``ratio_whole_number``, ``ratio_direction``, or ``ratio_a`` with
    ``ratio_b`` in base units, and ``exact_exchange``. Raises CommandError INVALID_PARAMS, naming the field.
    """
    raw_a, raw_b = params.get("ratio_a"), params.get("ratio_b")
    whole, direction = params.get("ratio_whole_number"), params.get("ratio_direction")
    _check_ratio_params((raw_a, raw_b), whole, direction)
    decimals_a, decimals_b = _decimals(params, "token_a_decimals", rng), _decimals(params, "token_b_decimals", rng)
    if raw_a is not None and raw_b is not None:
        ratio_a, ratio_b = int(raw_a), int(raw_b)
    else:
        direction = direction or rng.choice((A_TO_B, B_TO_A))
        if whole is None:
            whole = _random_whole(rng, decimals_a, decimals_b, direction, typical_tokens)
        ratio_a, ratio_b = whole_ratio(decimals_a, decimals_b, whole, direction)
    _check_accepted(ratio_a, ratio_b, decimals_a, decimals_b)
    return PoolSpec(
        decimals_a=decimals_a,
        decimals_b=decimals_b,
        ratio_a=ratio_a,
        ratio_b=ratio_b,
        exact_exchange=bool(params.get("exact_exchange")),
    )


def _check_ratio_params(raw: tuple[Any, Any], whole: Any, direction: Any) -> None:
    if (raw[0] is None) != (raw[1] is None):
        raise _invalid("ratio_a", "ratio_a and ratio_b belong together")
    if raw[0] is not None and (whole is not None or direction is not None):
        raise _invalid("ratio_a", "give either ratio_a and ratio_b or ratio_whole_number and ratio_direction")
    if direction not in (None, A_TO_B, B_TO_A):
        raise _invalid("ratio_direction", f"ratio_direction must be {A_TO_B!r} or {B_TO_A!r}")
    if whole is not None and whole < 1:
        raise _invalid("ratio_whole_number", "ratio_whole_number must be at least 1")


def _decimals(params: Mapping[str, Any], name: str, rng: Random) -> int:
    given = params.get(name)
    if given is None:
        return rng.randint(0, MAX_RANDOM_DECIMALS)
    if not 0 <= given <= MAX_DECIMALS:
        raise _invalid(name, f"{name} must lie in 0..{MAX_DECIMALS}")
    return int(given)


def _check_accepted(ratio_a: int, ratio_b: int, decimals_a: int, decimals_b: int) -> None:
    for name, ratio in (("ratio_a", ratio_a), ("ratio_b", ratio_b)):
        if not 1 <= ratio <= U64_MAX:
            raise _invalid(name, f"{name} is {ratio} base units; each side must lie in 1..2^64-1")
    if classify(ratio_a, ratio_b, decimals_a, decimals_b) is RatioType.ENGINEERING:
        text = ratio_display(ratio_a, ratio_b, decimals_a, decimals_b)
        raise _invalid(
            "ratio_a",
            f"the program refuses {ratio_a}:{ratio_b} base units ({text}): one side must be one whole token "
            "(Custom(1049), engineering ratio)",
        )


def _invalid(field: str, message: str) -> CommandError:
    return CommandError(CommandCode.INVALID_PARAMS, message, {"field": field})


def _random_whole(rng: Random, decimals_a: int, decimals_b: int, direction: str, typical_tokens: int) -> int:
    """A whole number of every magnitude alike, up to the largest that keeps a typical balance usable (POL-03)."""
    largest = largest_whole(decimals_a, decimals_b, direction, typical_tokens)
    if largest < 1:
        raise _invalid("ratio_whole_number", f"no ratio suits balances of {typical_tokens} tokens; give one")
    magnitude = rng.randint(0, len(str(largest)) - 1)
    return rng.randint(10**magnitude, min(largest, 10 ** (magnitude + 1) - 1))


def largest_whole(decimals_a: int, decimals_b: int, direction: str, typical_tokens: int) -> int:
    """The largest n for which ``suits`` holds; 0 when not even 1 does.

    From 50 typical tokens on ``suits`` can only turn false as n grows, which is what the search relies on.
    """
    low, high = 0, U64_MAX
    while low < high:
        middle = (low + high + 1) // 2
        if suits(*whole_ratio(decimals_a, decimals_b, middle, direction), decimals_a, decimals_b, typical_tokens):
            low = middle
        else:
            high = middle - 1
    return low


def suits(ratio_a: int, ratio_b: int, decimals_a: int, decimals_b: int, typical_tokens: int) -> bool:
    """Both ways: a typical balance swapped whole stays within u64, and one output unit costs at most 2 % of it."""
    if max(ratio_a, ratio_b) > U64_MAX:
        return False
    sides = ((ratio_a, ratio_b, decimals_a), (ratio_b, ratio_a, decimals_b))
    for ratio_in, ratio_out, decimals in sides:
        balance = typical_tokens * 10**decimals
        if balance > U64_MAX or quote(balance, ratio_in, ratio_out)[0] > U64_MAX:
            return False
        if smallest_useful_input(ratio_in, ratio_out) * 100 > balance * SWAP_PERCENT:
            return False
    return True
