"""The limit of requests in flight: a healthy endpoint never meets it, a slow one gets fewer, and gets them back."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from domain.in_flight import FEWEST, InFlightLimit

SLOW = 0.25


def answers(limit: InFlightLimit, seconds: float, times: int, now: float, apart: float = 0.05) -> float:
    for _ in range(times):
        now += apart
        limit.answered(seconds, now)
    return now


def test_a_healthy_endpoint_keeps_the_largest_limit_whatever_it_jitters():
    limit, rng = InFlightLimit(32, SLOW), Random(5)
    for n in range(5_000):
        limit.answered(rng.choice([0.001, 0.002, 0.05, 0.2]), n * 0.003)
        assert limit.limit == 32


def test_an_endpoint_that_becomes_slow_gets_fewer_and_later_all_of_them_again():
    limit = InFlightLimit(32, SLOW)
    now = answers(limit, 0.01, 50, 0.0)
    now = answers(limit, 0.9, 300, now)
    assert limit.limit <= 4
    now = answers(limit, 0.01, 60, now)
    assert 4 < limit.limit < 32  # back step by step
    answers(limit, 0.01, 1_000, now)
    assert limit.limit == 32


def test_a_far_endpoint_is_not_slow_by_being_far():
    limit = InFlightLimit(32, SLOW)
    answers(limit, 0.4, 500, 0.0)
    assert limit.limit == 32


def test_a_lasting_change_becomes_the_usual_latency():
    limit = InFlightLimit(32, SLOW)
    now = answers(limit, 0.01, 20, 0.0)
    now = answers(limit, 0.5, 40, now)
    assert limit.limit < 32
    answers(limit, 0.5, 3_000, now, apart=1.0)
    assert limit.limit == 32


def test_what_is_in_flight_together_lowers_it_once():
    limit = InFlightLimit(32, SLOW)
    limit.answered(0.01, 0.0)
    for _ in range(20):
        limit.overloaded(10.0)
    assert limit.limit == 24
    limit.overloaded(10.2)
    assert limit.limit == 18


@given(
    most=st.integers(1, 64),
    events=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 10), st.booleans()), max_size=200),
)
def test_it_stays_within_its_bounds(most, events):
    limit, now = InFlightLimit(most, SLOW), 0.0
    for apart, seconds, failed in events:
        now += apart
        if failed:
            limit.overloaded(now)
        else:
            limit.answered(seconds, now)
        assert min(FEWEST, most) <= limit.limit <= most
