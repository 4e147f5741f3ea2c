"""The worker plan: reserved cores, nodes, pinning, hyper-threads and memory nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.runtime.settings import load
from domain.runtime.topology import Core, parse_core_list, parse_queue_cores, read_cores, spans
from ops.commands.options import planned
from ops.plan import PlanError, worker_plan


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
    with pytest.raises(PlanError, match="at least 1"):
        worker_plan([0, 1], **wrong)


@given(cores=st.sets(st.integers(0, 300), min_size=1, max_size=256))
def test_every_plan_uses_each_core_once_and_keeps_two_nodes(cores):
    plan = worker_plan(sorted(cores))
    assert sorted(plan.reserved + plan.worker_cores) == sorted(cores)
    assert len(plan.nodes) == max(2, len(plan.worker_cores))
    assert abs(len(plan.reserved) - len(cores) / 8) <= 0.5 or len(plan.reserved) == 1
    assert all(set(node.cores) <= set(plan.worker_cores) for node in plan.nodes)


def fake_system(folder: Path) -> Path:
    """Two memory nodes with four physical cores each; cores 8 to 15 are their second threads."""
    for number in range(16):
        topology = folder / f"cpu/cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{number % 8},{number % 8 + 8}\n")
    for node, cores in ((0, "0-3,8-11"), (1, "4-7,12-15"), (2, "")):  # a node of memory alone has no cores
        (folder / f"node/node{node}").mkdir(parents=True)
        (folder / f"node/node{node}/cpulist").write_text(f"{cores}\n")
    return folder


def test_the_topology_is_read_from_the_system(tmp_path):
    cores = read_cores(range(16), fake_system(tmp_path))
    assert cores[3] == Core(number=3, physical=3, node=0)
    assert cores[13] == Core(number=13, physical=5, node=1)
    assert read_cores([2, 0], tmp_path / "nothing") == (Core(number=0, physical=0), Core(number=2, physical=2))


def test_physical_cores_come_first_and_memory_nodes_in_turn(tmp_path):
    plan = worker_plan(range(16), topology=read_cores(range(16), fake_system(tmp_path)))
    assert plan.reserved == (0, 8)  # both threads of one physical core
    assert plan.worker_cores == (1, 4, 2, 5, 3, 6, 7, 9, 12, 10, 13, 11, 14, 15)
    few = worker_plan(range(16), nodes=4, topology=plan.cores)
    assert [node.cores for node in few.nodes] == [(1,), (4,), (2,), (5,)]
    shown = "\n".join(few.lines())
    assert "cores            16, 8 physical" in shown
    assert "memory node 0  cores 1-3, 9-11; cycle nodes 1, 3" in shown
    assert "memory node 1  cores 4-7, 12-15; cycle nodes 2, 4" in shown


def test_the_settings_of_the_plan_are_obeyed(tmp_path):
    topology = read_cores(range(16), fake_system(tmp_path))

    def plan(**given):
        return planned(load({}, None, given), range(16), None, topology)

    assert plan(reserved_cores=4).reserved == (0, 1, 8, 9)
    assert plan(reserved_cores=0).reserved == ()
    assert all(node.cores == () for node in plan(pin_workers=False).nodes)
    mapped = plan(queue_cores="cycles=0,5-6 control=8", worker_nice=5)
    assert sorted(node.cores for node in mapped.nodes) == [(0,), (5,), (6,)]
    assert (mapped.reserved, mapped.control_cores, mapped.nice) == ((8,), (8,), 5)
    assert {"control node     1, pinned to 8", "nice             5"} <= set(mapped.lines())
    with pytest.raises(PlanError, match=r"queue_cores: 20-21 is not among the cores of this process, 0-15"):
        plan(queue_cores="control=20,21")


@pytest.mark.parametrize("text", ["cycles", "cycles=", "cycles=3-1", "other=1", "cycles=1 cycles=2", "cycles=-1", "1"])
def test_a_wrong_map_of_cores_is_refused(text):
    with pytest.raises(ValueError, match=r"core|cycles"):
        parse_queue_cores(text)


@given(cores=st.sets(st.integers(0, 300), min_size=1))
def test_lists_of_cores_are_read_as_they_are_written(cores):
    assert parse_core_list(spans(cores)) == tuple(sorted(cores))
