"""Ratios: the program's classification, the display, create_pool's parameters, random pools."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import CommandCode, CommandError
from domain.ratio import (
    TYPICAL_TOKENS,
    PoolSpec,
    RatioType,
    classify,
    largest_whole,
    pool_spec,
    ratio_display,
    suits,
    whole_ratio,
)
from domain.swap import U64_MAX, quote, smallest_useful_input
from tests.support.contract_model.creation import classify as model_classify

decimals = st.integers(0, 9)
ratios = st.one_of(
    st.integers(1, U64_MAX),
    st.integers(1, 30),
    st.builds(lambda n, d: min(n * 10**d, U64_MAX), st.integers(1, 300), decimals),
)


@pytest.mark.parametrize(
    ("ratio_a", "ratio_b", "decimals_a", "decimals_b", "wanted"),
    [
        (10**9, 160_000_000, 9, 6, "simple"),
        (10**6, 1_010_000, 6, 6, "decimal"),
        (1_500_000, 2_000_000, 6, 6, "decimal"),
        (1_999_999, 1_999_999, 6, 6, "decimal"),
        (2_500_000, 3_700_000, 6, 6, "engineering"),
        (3_000_000, 2_000_000, 6, 6, "engineering"),
        (500_000, 1_000_000, 6, 6, "simple"),
        (500_000, 300_000, 6, 6, "engineering"),
        (999_999, 2_000_000, 6, 6, "engineering"),
        (1_000_001, 2_000_000, 6, 6, "decimal"),
        (1, 160, 9, 6, "simple"),
        (2, 3, 6, 6, "engineering"),
        (2, 1, 6, 6, "simple"),
        (2, 3, 0, 0, "engineering"),
        (7, 1, 0, 0, "simple"),
        (1, U64_MAX, 6, 6, "decimal"),
        (10**8, 10**16, 8, 8, "simple"),
        (1, 1, 0, 9, "simple"),
        (2, 3, 19, 19, "decimal"),
    ],
)
def test_the_classification_is_the_contracts_table(ratio_a, ratio_b, decimals_a, decimals_b, wanted):
    assert classify(ratio_a, ratio_b, decimals_a, decimals_b) == wanted


@given(ratios, ratios, st.integers(0, 63), st.integers(0, 63))
def test_the_classification_agrees_with_the_model(ratio_a, ratio_b, decimals_a, decimals_b):
    wanted = model_classify(ratio_a, ratio_b, decimals_a, decimals_b)
    assert classify(ratio_a, ratio_b, decimals_a, decimals_b) == wanted.lower()


def test_decimals_that_make_the_program_panic_are_an_error():
    with pytest.raises(ValueError, match="divides by zero"):
        classify(5, 7, 64, 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((10**9, 160_000_000, 9, 6), "1 Token A = 160 Token B"),
        ((7_000_000, 10**9, 6, 9), "1 Token B = 7 Token A"),
        ((1_500_000, 2_000_000, 6, 6), "1 Token B = 0.75 Token A"),
        ((10**6, 1_010_000, 6, 6), "1 Token A = 1.01 Token B"),
        ((2_000_000, 500_000, 6, 6), "1 Token B = 4 Token A"),
        ((1_500_000, 7_000_000, 6, 6), "3 Token A = 14 Token B"),
        ((1, 1, 0, 9), "1 Token B = 1000000000 Token A"),
        ((1, 1, 3, 3), "1 Token A = 1 Token B"),
    ],
)
def test_the_display_names_the_price_of_one_token(arguments, text):
    assert ratio_display(*arguments) == text


@given(ratios, ratios, decimals, decimals)
def test_the_display_is_exact(ratio_a, ratio_b, decimals_a, decimals_b):
    left, right = ratio_display(ratio_a, ratio_b, decimals_a, decimals_b).split(" = ")
    amounts = {text.split()[2]: Fraction(text.split()[0]) for text in (left, right)}
    price = Fraction(ratio_b, 10**decimals_b) / Fraction(ratio_a, 10**decimals_a)
    assert amounts["B"] / amounts["A"] == price


def test_the_documented_parameters_give_the_documented_ratio():
    params = {
        "token_a_decimals": 9,
        "token_b_decimals": 6,
        "ratio_whole_number": 160,
        "ratio_direction": "a_to_b",
        "exact_exchange": True,
    }
    wanted = PoolSpec(decimals_a=9, decimals_b=6, ratio_a=10**9, ratio_b=160_000_000, exact_exchange=True)
    assert pool_spec(params, Random(0)) == wanted
    other_way = pool_spec({**params, "ratio_direction": "b_to_a"}, Random(0))
    assert (other_way.ratio_a, other_way.ratio_b) == (160 * 10**9, 10**6)


def test_raw_ratios_are_taken_as_they_are():
    params = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_a": 1, "ratio_b": 160}
    spec = pool_spec(params, Random(0))
    assert (spec.ratio_a, spec.ratio_b, spec.exact_exchange) == (1, 160, False)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"ratio_a": 2, "ratio_b": 3, "token_a_decimals": 0, "token_b_decimals": 0}, "ratio_a"),
        ({"ratio_a": 2}, "ratio_a"),
        ({"ratio_b": 2}, "ratio_a"),
        ({"ratio_a": 1, "ratio_b": 2, "ratio_whole_number": 2}, "ratio_a"),
        ({"ratio_a": 0, "ratio_b": 1}, "ratio_a"),
        ({"ratio_a": 1, "ratio_b": 2**64}, "ratio_b"),
        ({"ratio_direction": "sideways"}, "ratio_direction"),
        ({"ratio_whole_number": 0}, "ratio_whole_number"),
        ({"token_a_decimals": 20}, "token_a_decimals"),
        ({"token_b_decimals": -1}, "token_b_decimals"),
        ({"ratio_whole_number": 2**60, "ratio_direction": "a_to_b", "token_b_decimals": 9}, "ratio_b"),
    ],
)
def test_a_pool_that_the_program_would_refuse_is_refused_before(params, field):
    with pytest.raises(CommandError) as caught:
        pool_spec(params, Random(0))
    assert caught.value.code is CommandCode.INVALID_PARAMS
    assert caught.value.data["field"] == field


@given(st.integers(0, 2**32), st.sampled_from([None, 0, 9]), st.sampled_from([None, 0, 9]))
def test_random_pools_are_accepted_and_usable(seed, decimals_a, decimals_b):
    params = {"token_a_decimals": decimals_a, "token_b_decimals": decimals_b}
    spec = pool_spec(params, Random(seed))
    assert spec == pool_spec(params, Random(seed))
    assert classify(spec.ratio_a, spec.ratio_b, spec.decimals_a, spec.decimals_b) is not RatioType.ENGINEERING
    for ratio_in, ratio_out, places in (
        (spec.ratio_a, spec.ratio_b, spec.decimals_a),
        (spec.ratio_b, spec.ratio_a, spec.decimals_b),
    ):
        balance = TYPICAL_TOKENS * 10**places
        assert max(ratio_in, balance, quote(balance, ratio_in, ratio_out)[0]) <= U64_MAX
        assert smallest_useful_input(ratio_in, ratio_out) <= balance // 50


def test_random_pools_cover_all_decimals_both_directions_and_many_magnitudes():
    specs = [pool_spec({}, Random(seed)) for seed in range(400)]
    assert {spec.decimals_a for spec in specs} == {spec.decimals_b for spec in specs} == set(range(10))
    prices = [Fraction(s.ratio_b, 10**s.decimals_b) / Fraction(s.ratio_a, 10**s.decimals_a) for s in specs]
    assert min(prices) < Fraction(1, 1000)
    assert max(prices) > 1000


@given(decimals, decimals, st.sampled_from(["a_to_b", "b_to_a"]), st.sampled_from([50, 10**4, 10**6, 10**9]))
def test_the_largest_whole_number_is_the_last_that_suits(decimals_a, decimals_b, direction, typical):
    largest = largest_whole(decimals_a, decimals_b, direction, typical)

    def holds(whole):
        return suits(*whole_ratio(decimals_a, decimals_b, whole, direction), decimals_a, decimals_b, typical)

    assert largest == 0 or holds(largest)
    assert not holds(largest + 1)
    assert largest == 0 or all(holds(1 + largest * n // 7) for n in range(7))


def test_balances_that_no_ratio_suits_are_an_error():
    with pytest.raises(CommandError, match="no ratio suits"):
        pool_spec({"token_a_decimals": 0, "token_b_decimals": 0}, Random(1), typical_tokens=10)
