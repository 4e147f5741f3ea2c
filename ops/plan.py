"""How many Celery nodes run, of which size, on which cores (DESIGN.md 12, PRF-02..06). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.errors import StressError
from domain.runtime.topology import Core, plain_cores, spans

PER_NODE: Final = 4  # measured: more threads in one node do not raise its throughput (CELERY.md 1.3)
# Where nodes are few they are larger: with 8 slots on two cores 400 threads waited for a slot, not for a core
# (cadence 0.84, with 32 slots 0.98).
FEWEST_SLOTS: Final = 32
FEWEST_NODES: Final = 2  # one may freeze
PINNED_FROM: Final = 3  # with two cores the nodes, the chain and Redis must share


class PlanError(StressError):
    """There is no such plan on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One small Celery worker. ``cores`` empty: not pinned."""

    number: int  # from 1
    concurrency: int
    cores: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """``reserved`` cores stay free for Redis, the chain and the system; ``worker_cores`` in the order of the nodes."""

    cores: tuple[Core, ...]
    reserved: tuple[int, ...]
    worker_cores: tuple[int, ...]
    nodes: tuple[Node, ...]
    control_cores: tuple[int, ...] = ()
    nice: int = 0

    @property
    def slots(self) -> int:
        """Cycles that may run at the same moment."""
        return sum(node.concurrency for node in self.nodes)

    def lines(self) -> list[str]:
        """The plan for a person."""
        pinned = "pinned, one per worker core" if self.nodes[0].cores else "not pinned"
        physical = len({core.physical for core in self.cores})
        shared = f", {physical} physical" if physical < len(self.cores) else ""
        found = [
            f"cores            {len(self.cores)}{shared}",
            f"reserved         {len(self.reserved)} ({spans(self.reserved)})",
            f"worker cores     {len(self.worker_cores)} ({spans(self.worker_cores)})",
        ]
        homes = {core.number: core.node for core in self.cores}
        for home in sorted({homes[core] for core in self.worker_cores}) if len(set(homes.values())) > 1 else []:
            cores = [core for core in self.worker_cores if homes[core] == home]
            nodes = [node.number for node in self.nodes if set(node.cores) & set(cores)]
            found.append(f"  memory node {home:<2} cores {spans(cores)}; cycle nodes {spans(nodes)}")
        found += [
            f"cycle nodes      {len(self.nodes)}, {pinned}",
            f"worker slots     {len(self.nodes)} x {self.nodes[0].concurrency} = {self.slots}",
            f"control node     1{f', pinned to {spans(self.control_cores)}' if self.control_cores else ''}",
        ]
        return [*found, f"nice             {self.nice}"] if self.nice else found


def worker_plan(
    cores: Sequence[int],
    *,
    nodes: int | None = None,
    per_node: int | None = None,
    reserved: int | None = None,
    pin: bool = True,
    cycle_cores: Sequence[int] = (),
    control_cores: Sequence[int] = (),
    nice: int = 0,
    topology: Sequence[Core] = (),
) -> WorkerPlan:
    """Plan for these cores: reserved = max(1, 12.5 %, rounded), one node per other core, at least two.

    Whole physical cores are reserved. Nodes take one thread of every physical core before the second ones, and the
    memory nodes in turn, so that also few of them spread over the machine. A node takes four cycles at once, or more
    where that makes fewer than 32 in all. What is given overrides these rules: ``cycle_cores`` all that are not
    reserved, ``control_cores`` where the control node runs. Raises PlanError for what this machine does not have.
    """
    known = set(cores)
    if not known:
        raise PlanError("there must be at least one core")
    if (per_node is not None and per_node < 1) or (nodes is not None and nodes < 1):
        raise PlanError("nodes and their size must be at least 1")
    missing = {*cycle_cores, *control_cores} - known
    if missing:
        raise PlanError(f"queue_cores: {spans(missing)} is not among the cores of this process, {spans(known)}")
    machine = [core for core in topology or plain_cores(known) if core.number in known]
    # Half a core counts as a whole one: integers, because round(2.5) is 2.
    kept = max(1, (len(machine) + 4) // 8) if reserved is None else reserved
    by_physical = sorted(machine, key=lambda core: (core.physical, core.number))
    working = set(cycle_cores) or {core.number for core in by_physical[kept:]}
    rest = _in_turn([core for core in machine if core.number in working])
    count = nodes if nodes is not None else max(FEWEST_NODES, len(rest))
    pinned = pin and bool(rest) and (bool(cycle_cores) or len(machine) >= PINNED_FROM)
    size = per_node if per_node is not None else max(PER_NODE, -(-FEWEST_SLOTS // count))
    return WorkerPlan(
        cores=tuple(machine),
        reserved=tuple(sorted({core.number for core in by_physical[:kept]} - working)),
        worker_cores=rest,
        nodes=tuple(
            Node(number=index + 1, concurrency=size, cores=(rest[index % len(rest)],) if pinned else ())
            for index in range(count)
        ),
        control_cores=tuple(control_cores),
        nice=nice,
    )


def _in_turn(cores: Sequence[Core]) -> tuple[int, ...]:
    """First threads of physical cores before second ones; among equals the memory nodes in turn."""
    threads: Counter[int] = Counter()
    seats: Counter[tuple[int, int]] = Counter()
    keyed = []
    for core in sorted(cores, key=lambda core: core.number):
        thread = threads[core.physical]
        seat = seats[core.node, thread]
        threads[core.physical] += 1
        seats[core.node, thread] += 1
        keyed.append((thread, seat, core.node, core.number))
    return tuple(number for *_, number in sorted(keyed))
