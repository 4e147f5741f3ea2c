"""Swap arithmetic, amounts and random decisions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import gcd
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.amounts import liquidity_amount, swap_amount, whole_swap
from domain.pool import Side
from domain.randomness import countdown_ms, generator
from domain.swap import (
    U64_MAX,
    exact_step,
    largest_input,
    quote,
    ratio_of,
    rounding_loss_nano,
    smallest_useful_input,
    surplus,
)
from tests.support.rules import make_pool

u64 = st.integers(1, U64_MAX)
seeds = st.integers(0, 2**64)
small = st.integers(1, 50)
ratios = st.one_of(u64, small, st.sampled_from([10**6, 10**9, 160_000_000]))


@pytest.mark.parametrize(
    ("amount", "ratio_in", "ratio_out", "wanted"),
    [
        (10**9, 10**9, 160_000_000, (160_000_000, 0)),
        (6, 10**9, 160_000_000, (0, 960_000_000)),
        (7, 10**9, 160_000_000, (1, 120_000_000)),
        (999_999_999, 10**9, 160_000_000, (159_999_999, 840_000_000)),
        (123_456_789, 160_000_000, 10**9, (771_604_931, 40_000_000)),
        (U64_MAX, 10**9, 160_000_000, (2_951_479_051_793_528_258, 400_000_000)),
        (10, 1, 3, (30, 0)),
    ],
)
def test_the_quote_is_the_contracts_table(amount, ratio_in, ratio_out, wanted):
    assert quote(amount, ratio_in, ratio_out) == wanted


@given(ratios, ratios)
def test_the_smallest_useful_input_gives_one_and_one_less_gives_nothing(ratio_in, ratio_out):
    smallest = smallest_useful_input(ratio_in, ratio_out)
    assert quote(smallest, ratio_in, ratio_out)[0] >= 1
    assert quote(smallest - 1, ratio_in, ratio_out)[0] == 0


@given(ratios, ratios, st.integers(1, 1000))
def test_exactly_the_multiples_of_the_exact_step_leave_no_remainder(ratio_in, ratio_out, amount):
    step = exact_step(ratio_in, ratio_out)
    assert quote(step, ratio_in, ratio_out) == (ratio_out // gcd(ratio_in, ratio_out), 0)
    assert (quote(amount, ratio_in, ratio_out)[1] == 0) == (amount % step == 0)


@given(ratios, ratios)
@example(1, 2)
def test_beyond_the_largest_input_the_output_leaves_u64(ratio_in, ratio_out):
    largest = largest_input(ratio_in, ratio_out)
    assert quote(largest, ratio_in, ratio_out)[0] <= U64_MAX
    assert largest == U64_MAX or quote(largest + 1, ratio_in, ratio_out)[0] > U64_MAX


@given(u64, ratios, ratios)
def test_a_swap_adds_exactly_its_remainder_to_the_surplus(amount, ratio_a, ratio_b):
    pool = make_pool(ratio_a, ratio_b)
    ratio_in, ratio_out = ratio_of(pool, Side.B)
    assert (ratio_in, ratio_out) == (ratio_b, ratio_a)
    out, remainder = quote(amount, ratio_in, ratio_out)
    before, after = (7 + out, 11), (7, 11 + amount)
    assert surplus(pool, after, (3, 5)) - surplus(pool, before, (3, 5)) == remainder
    assert 0 <= rounding_loss_nano(remainder, ratio_in) < 10**9


@given(seeds, st.integers(0, U64_MAX))
def test_liquidity_amounts_lie_between_one_unit_and_five_percent(seed, balance):
    amount = liquidity_amount(Random(seed), balance)
    if balance == 0:
        assert amount is None
    else:
        assert 1 <= amount <= max(1, balance // 20)


def test_liquidity_amounts_reach_both_ends_evenly():
    drawn = Counter(liquidity_amount(generator(1, 2, n), 100) for n in range(5000))
    assert sorted(drawn) == [1, 2, 3, 4, 5]
    assert min(drawn.values()) > 850


@given(seeds, st.integers(0, U64_MAX), ratios, ratios, st.booleans())
def test_swap_amounts_are_useful_and_within_two_percent(seed, balance, ratio_in, ratio_out, exact):
    amount = swap_amount(Random(seed), balance, ratio_in, ratio_out, exact=exact)
    smallest = exact_step(ratio_in, ratio_out) if exact else smallest_useful_input(ratio_in, ratio_out)
    if balance < smallest:
        assert amount is None
        return
    out, remainder = quote(amount, ratio_in, ratio_out)
    assert 1 <= out <= U64_MAX
    assert smallest <= amount <= max(smallest, balance * 2 // 100)
    assert not exact or remainder == 0


def test_swap_amounts_reach_both_ends():
    plain = {swap_amount(generator(1, 2, n), 1000, 3, 1, exact=False) for n in range(2000)}
    assert plain == set(range(3, 21))
    exact = {swap_amount(generator(1, 2, n), 1000, 6, 4, exact=True) for n in range(500)}
    assert exact == {3, 6, 9, 12, 15, 18}


@given(st.integers(0, U64_MAX), ratios, ratios, st.booleans())
def test_a_whole_swap_takes_all_that_one_swap_can(balance, ratio_in, ratio_out, exact):
    amount = whole_swap(balance, ratio_in, ratio_out, exact=exact)
    step = exact_step(ratio_in, ratio_out) if exact else 1
    if amount is None:
        assert quote(balance, ratio_in, ratio_out)[0] == 0 or balance < step
        return
    assert amount <= balance
    assert amount % step == 0
    assert 1 <= quote(amount, ratio_in, ratio_out)[0] <= U64_MAX
    more = amount + step
    assert more > balance or quote(more, ratio_in, ratio_out)[0] > U64_MAX


def test_a_generator_is_fixed_by_its_four_numbers_and_by_each_of_them():
    def draws(*numbers):
        return [generator(*numbers).randint(0, 2**64) for _ in range(2)]

    first = draws(7, 1, 2, 3)
    assert first[0] == first[1]
    others = [draws(*numbers)[0] for numbers in ((8, 1, 2, 3), (7, 2, 2, 3), (7, 1, 3, 3), (7, 1, 2, 4), (7, 12, 3, 0))]
    assert len({first[0], *others}) == 6
    assert generator(7, 1, 23).random() != generator(7, 12, 3).random()


def test_the_seed_gives_the_same_run_on_every_machine():
    assert generator(42, 3, 9, 1).randint(1, 10**12) == 560_894_032_319


@dataclass(frozen=True)
class Pace:
    countdown_min_ms: int = 10
    countdown_max_ms: int = 12


def test_countdowns_are_uniform_between_both_ends():
    rng = Random(5)
    drawn = [countdown_ms(rng) for _ in range(20_000)]
    assert (min(drawn), max(drawn)) == (750, 2000)
    assert 1365 < sum(drawn) / len(drawn) < 1385
    assert {countdown_ms(rng, Pace()) for _ in range(100)} == {10, 11, 12}
