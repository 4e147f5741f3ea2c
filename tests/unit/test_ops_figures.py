"""Counters, their differences, and the figures made of them."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.probes_catalogue import BY_NAME
from domain.store.counts import Counts
from domain.store.histogram import bucket_of, bucket_top
from ops.figures import FIGURES, LIVE_FIGURES, Closing, all_figures, live_figures

CLOSING = Closing(
    violations=1,
    unexplained_units=2,
    unexplained_lamports=3,
    open_operations=4,
    threads_in_error=5,
    steps_failed=6,
    idle_kinds=7,
)
fields = st.dictionaries(st.sampled_from(["swap.started", "swap.confirmed", "deposit.started"]), st.integers(1, 1_000))
histograms = st.dictionaries(
    st.sampled_from(["swap", "share"]), st.dictionaries(st.integers(0, 300), st.integers(1, 50), min_size=1), max_size=2
)


@given(early=fields, more=fields, late_early=histograms, late_more=histograms)
def test_a_difference_is_what_came_between(early, more, late_early, late_more):
    summed = {name: early.get(name, 0) + more.get(name, 0) for name in early | more}
    late = {
        key: {
            bucket: late_early.get(key, {}).get(bucket, 0) + late_more.get(key, {}).get(bucket, 0)
            for bucket in late_early.get(key, {}) | late_more.get(key, {})
        }
        for key in late_early | late_more
    }
    first = Counts(at_s=3.0, cycles=early, lateness=late_early)
    between = Counts(at_s=10.0, cycles=summed, lateness=late).since(first)
    assert between.at_s == 7.0
    assert between.cycles == more
    assert {key: buckets for key, buckets in between.lateness.items() if buckets} == late_more


def test_thresholds_may_name_exactly_what_is_computed():
    live = live_figures(Counts(), Counts(), 0)
    assert live.keys() == LIVE_FIGURES
    assert all_figures(live, CLOSING).keys() == FIGURES


def test_cadence_is_the_share_of_what_all_threads_could_do():
    counts = Counts(at_s=11.0, cycles={"deposit.started": 40, "swap.started": 40, "share.started": 900})
    figures = live_figures(counts, counts, 10)
    assert figures["cadence"] == 80 / 11.0 * 1.375 / 10
    assert figures["thread_cycles_per_s"] == 80 / 11.0
    assert figures["cycles_per_s"] == 980 / 11.0


def test_rates_are_of_the_threads_own_operations():
    operations = {"deposit.confirmed": 6, "swap.failed_expected": 2, "swap.failed_unexpected": 1, "swap.expired": 1}
    probes = {"probe.failed_expected": 500, "share.failed_unexpected": 3}
    counts = Counts(at_s=5.0, operations=operations | probes, acted={"deposit": 6}, cycles={"deposit.started": 8})
    figures = live_figures(counts, counts, 2)
    assert figures["expected_failure_rate"] == Decimal("0.2")
    assert figures["unexpected_failure_rate"] == figures["expired_rate"] == Decimal("0.1")
    assert figures["submit_rate"] == Decimal("0.75")
    assert figures["failed_unexpected"] == 4  # everybody's
    assert figures["tx_per_s"] == (6 + 2 + 1 + 500 + 3) / 5.0


def test_the_catalogue_is_covered_by_what_was_judged_good_of_what_was_possible():
    names = list(BY_NAME)
    whole = Counts(probes=dict.fromkeys(names, 1))
    assert live_figures(whole, whole, 1)["probes_covered"] == 1
    starved = Counts(probes=dict.fromkeys(names[:10], 3), probes_skipped={names[11]: 5, f"{names[0]}:KeyMissing": 1})
    assert live_figures(starved, starved, 1)["probes_covered"] == Decimal(10) / (len(names) - 1)
    assert live_figures(Counts(), Counts(), 1)["probes_covered"] == 0


def test_without_a_measured_time_there_are_no_rates():
    figures = live_figures(Counts(), Counts(), 5)
    rates = ("cadence", "cycles_per_s", "expected_failure_rate", "lateness_p99_ms", "submit_rate")
    assert [figures[name] for name in rates] == [None] * len(rates)


def test_lateness_counts_every_kind_but_commands():
    counts = Counts(lateness={"swap": {5: 99}, "share": {bucket_of(700): 1}, "command": {bucket_of(9_000): 500}})
    assert (counts.lateness_ms(50), counts.lateness_ms(100)) == (5, bucket_top(bucket_of(700)))


def test_dropped_revived_and_refused_are_read_from_the_cycles():
    cycles = {"swap.superseded": 1, "share.busy": 2, "swap.stopped": 4, "swap.epoch": 8, "swap.started": 100}
    counts = Counts(cycles=cycles | {"swap.revived": 16, "probe.revived": 32, "swap.refused_lease": 64})
    assert (counts.dropped, counts.revived, counts.refused) == (15, 48, 64)
