"""Histogram buckets: exact at first, then about 3 % wide, and percentiles that never flatter."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from domain.store.histogram import bucket_of, bucket_top, merged, percentile

VALUES = st.integers(min_value=0, max_value=10**9)


@given(VALUES)
def test_a_value_lies_in_its_bucket(value: int) -> None:
    bucket = bucket_of(value)
    assert value <= bucket_top(bucket)
    assert bucket == 0 or value > bucket_top(bucket - 1)


@given(VALUES)
def test_a_bucket_is_at_most_a_32nd_wide(value: int) -> None:
    assert bucket_top(bucket_of(value)) - value <= value // 32


def test_values_below_128_are_exact() -> None:
    assert [bucket_top(bucket_of(value)) for value in range(128)] == list(range(128))


@given(st.lists(VALUES, min_size=1), st.integers(min_value=1, max_value=100))
def test_a_percentile_is_the_bucket_of_the_ranked_value(values: list[int], percent: int) -> None:
    rank = -(-len(values) * percent // 100)
    expected = bucket_top(bucket_of(sorted(values)[rank - 1]))
    assert percentile(Counter(map(bucket_of, values)), percent) == expected


def test_nothing_has_no_percentile() -> None:
    assert percentile({}, 99) is None


def test_merging_adds() -> None:
    assert merged({1: 2, 5: 1}, {}, {1: 3}) == {1: 5, 5: 1}
