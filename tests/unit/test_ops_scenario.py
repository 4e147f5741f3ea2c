"""Scenario files: the shipped ones, what is refused and by which name, what the command line changes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from domain.pool import Side
from domain.ratio import RatioType, classify
from domain.thread import ThreadKind
from ops.scenario import ScenarioError, parse_scenario, read_scenario
from ops.scenario_steps import expand_pools, read_duration_ms, step_title

SCENARIOS = Path(__file__).parents[2] / "scenarios"
POOL = {"name": "p", "decimals_a": 9, "decimals_b": 6, "ratio_whole_number": 160, "threads": {"deposit_a": 1}}
GOOD = {"name": "s", "duration": "10s", "pools": [POOL]}


def changed(path: str, value: object) -> dict:
    """GOOD with the value at a dotted path set."""
    document = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    place = document
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[last] = value
    return document


def test_the_default_scenario_is_the_one_that_was_promised():
    scenario = read_scenario(SCENARIOS / "default.toml")
    assert scenario.duration == 60_000
    assert [(pool.decimals_a, pool.decimals_b) for pool in scenario.pools] == [(9, 6), (0, 9), (6, 6), (9, 0)]
    assert scenario.threads == 32
    for pool in scenario.pools:
        counts = {(kind, side): count for kind, side, count in pool.threads.groups()}
        assert counts[ThreadKind.DEPOSIT, Side.A] == counts[ThreadKind.DEPOSIT, Side.B] == 2
        assert {count for (kind, _), count in counts.items() if kind is not ThreadKind.DEPOSIT} == {1}
    assert sum(pool.exact_exchange for pool in scenario.pools) == 1
    # Also in a run of 30 s: the mutants are judged by such runs, and what nothing exercises, nothing checks.
    for length in ("60s", "30s"):
        shortened = scenario.changed(duration=length, seed=None, slot_ms=None)
        actions = {step.action for step in shortened.steps}
        assert actions == {"update_fees", "pause", "unpause", "owner_only", "consolidate"}


def test_the_default_scenario_has_simple_and_decimal_ratios_both_ways():
    seen = set()
    for pool in read_scenario(SCENARIOS / "default.toml").pools:
        spec = pool.spec()
        kind = classify(spec.ratio_a, spec.ratio_b, spec.decimals_a, spec.decimals_b)
        seen.add((kind, spec.ratio_a == 10**spec.decimals_a))  # one whole A, or one whole B
    assert seen == {(kind, way) for kind in (RatioType.SIMPLE, RatioType.DECIMAL) for way in (True, False)}


def test_the_large_scenario_has_four_hundred_threads_in_twenty_pools():
    scenario = read_scenario(SCENARIOS / "400.toml")
    assert (scenario.threads, len(scenario.pool_names()), scenario.duration) == (400, 20, 120_000)
    assert {"cadence >= 0.95", "lateness_p99_ms <= 250", "submit_rate >= 0.8"} <= set(scenario.thresholds)


def test_the_fault_scenario_switches_on_every_fault_that_was_promised():
    scenario = read_scenario(SCENARIOS / "faults.toml")
    faults = next(step.set for step in scenario.steps if step.action == "faults")
    assert {
        name: faults[name]["probability"] for name in ("lost_reply", "lost_request", "late_landing")
    } == dict.fromkeys(("lost_reply", "lost_request", "late_landing"), 0.2)
    assert faults["http_429"]["probability"] == faults["http_500"]["probability"] == 0.1
    assert {"get_transaction_lag", "skipped_slots", "reordered_batches"} <= faults.keys()


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_scenario_demands_closed_books(path):
    assert {"violations == 0", "unexplained_units == 0", "unexplained_lamports == 0"} <= set(
        read_scenario(path).thresholds
    )


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("durations", "10s", "durations: unknown key"),
        ("pools.0.decimal_a", 1, "pools.0.decimal_a: unknown key"),
        ("pools.0.threads.deposits", 1, "pools.0.threads.deposits: unknown key"),
        ("load.rampp", "1s", "load.rampp: unknown key"),
        ("duration", 10, "duration"),
        ("duration", "10", "duration"),
        ("duration", "200h", "duration"),
        ("pools.0.decimals_a", "9", "pools.0.decimals_a"),
        ("pools.0.decimals_a", 20, "pools.0.decimals_a"),
        ("pools.0.decimals_a", True, "pools.0.decimals_a"),
        ("pools.0.threads.swap_a_to_b", 2, "pools.0.threads.swap_a_to_b"),
        ("pools.0.threads.initial_a", 2**64, "pools.0.threads.initial_a"),
        ("pools.0.threads.auto_refill", 1, "pools.0.threads.auto_refill"),
        ("pools.0.ratio_a", 1, "ratio_a"),
        ("pools", [], "pools"),
        ("seed", -1, "seed"),
        ("thresholds", ["violation == 0"], "violation"),
        ("thresholds", "violations == 0", "thresholds"),
        ("abort", ["violations > 0"], "violations"),
        ("steps", [{"at": "1s", "action": "paus"}], "steps.0"),
        ("steps", [{"at": "1s", "action": "pause", "liquidty": True}], "liquidty: unknown key"),
        ("steps", [{"at": "1s", "action": "pause", "pools": ["q"]}], "no pool is named 'q'"),
        ("steps", [{"at": "10s", "action": "pause"}], "steps.0.at"),
        ("steps", [{"at": "1s", "action": "update_fees"}], "liquidity_fee"),
        ("steps", [{"at": "1s", "action": "faults", "set": {"lost_replies": {}}}], "lost_replies"),
    ],
)
def test_what_is_wrong_is_named(path, value, named):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(changed(path, value), "x.toml")
    assert str(caught.value).startswith("x.toml: ")
    assert named in str(caught.value)


def test_a_ratio_that_the_program_refuses_is_refused_before_anything_starts():
    document = changed("pools.0.ratio_a", 2)
    document["pools"][0] |= {"ratio_b": 3, "decimals_a": 6}
    del document["pools"][0]["ratio_whole_number"]
    with pytest.raises(ScenarioError, match="engineering"):
        parse_scenario(document, "x.toml")


def test_equal_pool_names_are_refused_also_those_of_copies():
    document = changed("pools", [POOL | {"copies": 2}, POOL | {"name": "p-2"}])
    with pytest.raises(ScenarioError, match="p-2 is used twice"):
        parse_scenario(document, "x.toml")


def test_the_command_line_shortens_a_run_and_drops_what_lies_beyond():
    whole = read_scenario(SCENARIOS / "default.toml")
    scenario = whole.changed(duration="15s", seed=7, slot_ms=50)
    assert (scenario.duration, scenario.seed, scenario.slot_ms) == (15_000, 7, 50)
    assert 0 < len(scenario.steps) < len(whole.steps)
    assert scenario.steps == [step for step in whole.steps if step.at < 15_000]
    with pytest.raises(ScenarioError, match="--duration"):
        scenario.changed(duration="soon", seed=None, slot_ms=None)


def test_initial_amounts_are_whole_tokens_unless_given_and_nothing_for_withdrawals():
    scenario = parse_scenario(changed("pools.0.threads.initial_b", 5), "x.toml")
    pool = scenario.pools[0]
    assert pool.initial(ThreadKind.DEPOSIT, Side.A) == 1_000_000 * 10**9
    assert pool.initial(ThreadKind.SWAP, Side.B) == 5
    assert pool.initial(ThreadKind.WITHDRAWAL, Side.A) == 0


def test_patterns_choose_pools_in_order_and_none_chooses_all():
    names = ["a-1", "a-2", "b"]
    assert expand_pools([], names, "k") == names
    assert expand_pools(["b", "a-*"], names, "k") == names
    assert expand_pools(["a-2"], names, "k") == ["a-2"]


@pytest.mark.parametrize(("text", "ms"), [("1ms", 1), ("60s", 60_000), ("5m", 300_000), ("168h", 604_800_000)])
def test_durations(text, ms):
    assert read_duration_ms(text) == ms


def test_a_step_is_shown_in_a_few_words():
    step = parse_scenario(changed("steps", [{"at": "1s", "action": "owner_only", "enable": True}]), "x").steps[0]
    assert step_title(step) == "owner_only (enable=True)"
