"""The worker plan: reserved cores, nodes, pinning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.plan import worker_plan


def test_thirty_two_cores_give_the_documented_plan():
    plan = worker_plan(range(32))
    assert "worker slots     28 x 4 = 112" in plan.lines()
    assert plan.slots == 112
    assert plan.reserved == (0, 1, 2, 3)
    assert [node.cores for node in plan.nodes] == [(core,) for core in range(4, 32)]


@pytest.mark.parametrize(("cores", "reserved"), [(1, 1), (2, 1), (8, 1), (11, 1), (12, 2), (20, 3), (32, 4), (64, 8)])
def test_an_eighth_is_reserved_rounded_and_at_least_one(cores, reserved):
    assert len(worker_plan(range(cores)).reserved) == reserved


def test_two_cores_run_two_unpinned_nodes():
    plan = worker_plan([0, 1])
    assert [node.cores for node in plan.nodes] == [(), ()]


@pytest.mark.parametrize(("cores", "size"), [(1, 16), (2, 16), (4, 11), (8, 5), (10, 4), (32, 4)])
def test_few_nodes_are_larger_so_that_threads_wait_for_a_core_and_not_for_a_slot(cores, size):
    assert {node.concurrency for node in worker_plan(range(cores)).nodes} == {size}


def test_only_the_cores_that_this_process_may_use_are_planned():
    plan = worker_plan([5, 9, 2, 7])
    assert plan.reserved == (2,)
    assert [node.cores for node in plan.nodes] == [(5,), (7,), (9,)]


def test_an_override_of_the_nodes_wins_and_shares_the_cores():
    plan = worker_plan(range(4), nodes=5, per_node=2)
    assert plan.slots == 10
    assert [node.cores for node in plan.nodes] == [(1,), (2,), (3,), (1,), (2,)]


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"per_node": 0}])
def test_counts_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        worker_plan([0, 1], **wrong)


@given(cores=st.sets(st.integers(0, 300), min_size=1, max_size=256))
def test_every_plan_uses_each_core_once_and_keeps_two_nodes(cores):
    plan = worker_plan(sorted(cores))
    assert sorted(plan.reserved + plan.worker_cores) == sorted(cores)
    assert len(plan.nodes) == max(2, len(plan.worker_cores))
    assert abs(len(plan.reserved) - len(cores) / 8) <= 0.5 or len(plan.reserved) == 1
    assert all(set(node.cores) <= set(plan.worker_cores) for node in plan.nodes)
