"""Thresholds: what can be read, and when a rule holds."""

from __future__ import annotations

import operator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.thresholds import ThresholdError, judge, parse_threshold, triggered

KNOWN = ("violations", "lateness_p99_ms", "expected_failure_rate")
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4)


@given(
    name=st.sampled_from(KNOWN),
    sign=st.sampled_from(sorted(COMPARISONS)),
    limit=numbers,
    value=numbers,
    pad=st.sampled_from(["", " ", "  "]),
)
def test_a_rule_holds_exactly_when_its_comparison_does(name, sign, limit, value, pad):
    rule = parse_threshold(f"{pad}{name}{pad}{sign}{pad}{limit}{pad}", KNOWN)
    assert (rule.name, rule.comparison, rule.limit) == (name, sign, limit)
    assert judge(rule, {name: value}).ok is COMPARISONS[sign](value, limit)


@given(limit=st.integers(-(10**30), 10**30), value=st.integers(-(10**30), 10**30))
def test_large_whole_numbers_are_compared_exactly(limit, value):
    assert judge(parse_threshold(f"violations <= {limit}", KNOWN), {"violations": value}).ok is (value <= limit)


def test_a_fraction_is_compared_as_it_is_written():
    rule = parse_threshold("expected_failure_rate <= 0.2", KNOWN)
    assert judge(rule, {"expected_failure_rate": 1 / 5}).ok
    assert not judge(rule, {"expected_failure_rate": 0.2001}).ok


@pytest.mark.parametrize("figures", [{}, {"violations": None}, {"violations": float("nan")}])
@pytest.mark.parametrize("text", ["violations == 0", "violations != 0", "violations >= 0"])
def test_a_figure_that_is_missing_breaks_every_rule_and_aborts_nothing(figures, text):
    rule = parse_threshold(text, KNOWN)
    judged = judge(rule, figures)
    assert (judged.ok, judged.value) == (False, None)
    assert not triggered(rule, figures)


def test_a_misspelt_figure_is_an_error_with_the_nearest_name():
    with pytest.raises(ThresholdError, match="did you mean lateness_p99_ms"):
        parse_threshold("latenes_p99_ms < 250", KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "violations",
        "violations =< 0",
        "violations == ",
        "== 0",
        "violations == zero",
        "violations == nan",
        "violations == inf",
        "violations == 0 0",
        "violations = 0",
    ],
)
def test_what_is_no_rule_is_an_error(text):
    with pytest.raises(ThresholdError):
        parse_threshold(text, KNOWN)


def test_the_text_says_what_was_written():
    assert parse_threshold("lateness_p99_ms<250", KNOWN).text == "lateness_p99_ms < 250"
    assert parse_threshold("lateness_p99_ms < 250", KNOWN).limit == Decimal(250)
