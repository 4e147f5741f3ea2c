"""The plan of hits and the measuring of gaps: both decide what a chaos run proves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.chains import ChainKind
from domain.ids import ChainId
from domain.state import ThreadState
from domain.store.records import ChainRecord
from domain.thread import ThreadStatus
from ops.chaos.gaps import Tracks
from ops.chaos.order import Moment, Quiet, between, disorder, unrest
from ops.chaos.plan import FREEZE_MS, FULL_HITS, RECOVERY_MS, THAW_MS, Blow, plan_hits, shortest_window_ms
from ops.chaos.run import judge
from ops.chaos.scenario import chaos_scenario
from ops.chaos.strike import LIMIT_S, Outcome, Struck

WINDOW_MS = 150_000


@given(seed=st.integers(0, 2**63), blow=st.sampled_from(Blow))
def test_a_plan_has_every_hit_within_the_window_in_order_of_time(seed, blow):
    hits = plan_hits(seed, blow, FULL_HITS, WINDOW_MS)
    assert {role: sum(hit.role == role for hit in hits) for role in FULL_HITS} == dict(FULL_HITS)
    assert [hit.at_ms for hit in hits] == sorted(hit.at_ms for hit in hits)
    assert all(0 <= hit.at_ms <= WINDOW_MS and hit.blow is blow for hit in hits)
    assert hits == plan_hits(seed, blow, FULL_HITS, WINDOW_MS)


@given(seed=st.integers(0, 2**63))
def test_only_one_process_of_a_role_is_frozen_at_a_time(seed):
    for window_ms in (WINDOW_MS, shortest_window_ms(Blow.STOP, FULL_HITS)):
        hits = plan_hits(seed, Blow.STOP, FULL_HITS, window_ms)
        for role in FULL_HITS:
            for one, two in pairwise([hit for hit in hits if hit.role == role]):
                assert two.at_ms - one.end_ms >= THAW_MS
        assert {hit.freeze_ms for hit in hits} == {FREEZE_MS}


@given(seed=st.integers(0, 2**63))
def test_killed_cycle_workers_have_time_to_recover_unless_the_plan_is_crowded(seed):
    cycles = [hit for hit in plan_hits(seed, Blow.KILL, FULL_HITS, WINDOW_MS) if hit.role == "cycles"]
    assert min(two.at_ms - one.at_ms for one, two in pairwise(cycles)) >= RECOVERY_MS


def test_a_crowded_plan_kills_again_before_the_recovery():
    cycles = [hit for hit in plan_hits(1, Blow.KILL, FULL_HITS, 80_000, crowded=True) if hit.role == "cycles"]
    assert min(two.at_ms - one.at_ms for one, two in pairwise(cycles)) < RECOVERY_MS
    assert judge(Outcome(struck=[_struck(LIMIT_S + 1)]), 1, crowded=True) == []


def test_the_seed_decides_and_roles_do_not_disturb_each_other():
    hits = plan_hits(1, Blow.KILL, FULL_HITS, WINDOW_MS)
    assert hits != plan_hits(2, Blow.KILL, FULL_HITS, WINDOW_MS)
    more = plan_hits(1, Blow.KILL, {**FULL_HITS, "api": 5}, WINDOW_MS)
    assert [hit for hit in more if hit.role == "cycles"] == [hit for hit in hits if hit.role == "cycles"]


def test_a_window_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="too short"):
        plan_hits(1, Blow.STOP, FULL_HITS, shortest_window_ms(Blow.STOP, FULL_HITS) - 1)


def _tracks(*readings: tuple[float, dict[str, int]]) -> Tracks:
    tracks = Tracks()
    for now_s, due_ms in readings:
        tracks.see(now_s, due_ms)
    return tracks


def test_a_gap_counts_from_the_hit_and_ends_with_the_next_move():
    tracks = _tracks((0.0, {"a": 1}), (4.0, {"a": 1}), (9.0, {"a": 2}), (10.0, {"a": 3}))
    gap = tracks.longest(2.0, 8.0, 10.0)
    assert gap is not None
    assert (gap.chain_id, gap.began_s, gap.seconds) == ("a", 2.0, 7.0)


def test_a_gap_that_begins_in_the_aftermath_counts_whole_and_one_that_begins_later_does_not():
    tracks = _tracks((0.0, {"a": 1}), (5.0, {"a": 2}), (15.0, {"a": 3}))
    assert tracks.longest(4.0, 5.5, 15.0).seconds == 10.0
    assert tracks.longest(4.0, 5.0, 15.0).seconds == 1.0


def test_a_chain_that_never_moves_again_is_seen_and_one_that_ended_is_not():
    tracks = _tracks((0.0, {"stuck": 1, "done": 1}), (1.0, {"stuck": 1}))
    gap = tracks.longest(0.5, 2.0, 30.0)
    assert (gap.chain_id, gap.seconds) == ("stuck", 29.5)
    assert _tracks((0.0, {"done": 1}), (1.0, {})).longest(0.5, 2.0, 30.0).seconds == 0.5


def test_a_second_life_is_no_gap_of_the_first():
    tracks = _tracks((0.0, {"a": 1}), (1.0, {}), (20.0, {"a": 2}), (21.0, {"a": 3}))
    assert tracks.longest(0.0, 30.0, 21.0).seconds == 1.0


def test_commands_are_measured_apart():
    tracks = _tracks((0.0, {"command:x": 1, "swap_1": 1}), (1.0, {"command:x": 1, "swap_1": 2}))
    assert tracks.longest(0.0, 5.0, 9.0).chain_id == "swap_1"
    assert tracks.longest(0.0, 5.0, 9.0, commands=True).chain_id == "command:x"
    assert _tracks((0.0, {"swap_1": 1})).longest(0.0, 5.0, 9.0, commands=True) is None


def _struck(gap_s: float) -> Struck:
    return Struck(role="cycles", blow="kill", at_s=1.0, until_s=1.0, child="cycle-1", pid=2, gap_s=gap_s, gap_chain="a")


def test_a_gap_over_the_limit_or_a_missing_hit_fails_the_run():
    assert judge(Outcome(struck=[_struck(LIMIT_S)]), 1) == []
    assert "stood still" in judge(Outcome(struck=[_struck(LIMIT_S + 0.01)]), 1)[0]
    assert judge(Outcome(struck=[_struck(1.0)]), 2) == ["1 of 2 hits were made"]
    assert judge(Outcome(problem="no process"), 0) == ["no process"]
    assert judge(Outcome(struck=[_struck(1.0)], disorder=["twin"]), 1) == ["twin"]


def test_the_quiet_time_shows_twins():
    calm = Quiet(begun=100, committed=99, refused=0, dropped=0, revived=0)
    assert unrest(calm, 8) == []
    assert unrest(Quiet(begun=100, committed=91, refused=0, dropped=0, revived=0), 8)
    assert unrest(Quiet(begun=100, committed=91, refused=1, dropped=0, revived=0), 8) == []
    assert unrest(Quiet(begun=100, committed=109, refused=0, dropped=0, revived=0), 8)


def test_what_happened_between_two_moments_is_counted_without_commands():
    before = Moment(records=(), due={}, moved=10, cycles={"swap.started": 5, "command.started": 3})
    later = {"swap.started": 9, "share.started": 2, "command.started": 7, "swap.busy": 1, "swap.refused_lease": 2}
    after = Moment(records=(), due={}, moved=16, cycles={**later, "refill.revived": 3, "command.superseded": 4})
    assert between(before, after) == Quiet(begun=6, committed=6, refused=2, dropped=1, revived=3)
    assert disorder(after) == []


def _record(**values) -> ChainRecord:
    fields = {
        "chain_id": ChainId("swap_1"),
        "kind": ChainKind.SWAP,
        "status": ThreadStatus.RUNNING,
        "generation": 1,
        "seq": 7,
        "live": True,
        "ready": True,
        "leased": False,
        "lease_until_ms": 0,
        "due_ms": 5,
        "pool_id": None,
        "config": "",
        "state": ThreadState(cycles=7).to_text(),
        "intents": "",
        "order": "",
    }
    return ChainRecord(**fields | values)


def _moment(cycles: dict[str, int] | None = None, due: dict[str, int] | None = None, **values) -> Moment:
    live = {"swap_1": 5} if due is None else due
    return Moment(records=(_record(**values),), due=live, moved=7, cycles=cycles or {})


def test_a_running_thread_has_one_live_chain_and_one_commit_per_step():
    assert disorder(_moment()) == []
    assert "no live chain" in disorder(_moment(live=False))[0]
    assert "no live chain" in disorder(_moment(due={}))[0]
    assert disorder(_moment(due={}, live=False, status=ThreadStatus.STOPPED)) == []
    assert "in error" in disorder(_moment(status=ThreadStatus.ERROR))[0]
    assert "made 8 cycles in 7 steps" in disorder(_moment(state=ThreadState(cycles=8).to_text()))[0]


def test_only_revivals_and_orders_explain_a_dropped_delivery():
    assert disorder(_moment({"swap.superseded": 2, "swap.revived": 1})) == []
    assert "3 deliveries" in disorder(_moment({"swap.superseded": 2, "share.busy": 1, "swap.revived": 1}))[0]


@pytest.mark.parametrize("threads", [6, 11, 12, 60, 61])
def test_the_scenario_has_as_many_threads_as_asked_for_and_ends_as_it_began(threads):
    scenario = chaos_scenario(threads, seed=1, hit_from_ms=3_000, hit_until_ms=90_000, duration_ms=110_000)
    assert scenario.threads == threads
    actions = [step.action for step in scenario.steps]
    assert actions.count("pause") == actions.count("unpause") == actions.count("stop") == actions.count("start")
    assert scenario.steps[-1].at < 90_000


def test_too_few_threads_are_refused():
    with pytest.raises(ValueError, match="at least 6"):
        chaos_scenario(5, seed=1, hit_from_ms=0, hit_until_ms=1, duration_ms=90_000)
