"""How many Celery nodes run, of which size, on which cores (DESIGN.md 12, PRF-02). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PER_NODE: Final = 4  # measured: more threads in one node do not raise its throughput (CELERY.md 1.3)
# Where nodes are few they are larger: with 8 slots on two cores 400 threads waited for a slot, not for a core
# (cadence 0.84, with 32 slots 0.98).
FEWEST_SLOTS: Final = 32
FEWEST_NODES: Final = 2  # one may freeze
PINNED_FROM: Final = 3  # with two cores the nodes, the chain and Redis must share


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One small Celery worker. ``cores`` empty: not pinned."""

    number: int  # from 1
    concurrency: int
    cores: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """``reserved`` cores stay free for Redis, the chain and the system; they are the first ones."""

    cores: tuple[int, ...]
    reserved: tuple[int, ...]
    worker_cores: tuple[int, ...]
    nodes: tuple[Node, ...]

    @property
    def slots(self) -> int:
        """Cycles that may run at the same moment."""
        return sum(node.concurrency for node in self.nodes)

    def lines(self) -> list[str]:
        """The plan for a person."""
        pinned = "pinned, one per worker core" if self.nodes[0].cores else "not pinned"
        total = len(self.cores)
        return [
            f"cores            {total}",
            f"reserved         {len(self.reserved)} ({_spans(self.reserved)})",
            f"worker cores     {len(self.worker_cores)} ({_spans(self.worker_cores)})",
            f"cycle nodes      {len(self.nodes)}, {pinned}",
            f"worker slots     {len(self.nodes)} x {self.nodes[0].concurrency} = {self.slots}",
            "control node     1",
        ]


def worker_plan(cores: Sequence[int], *, nodes: int | None = None, per_node: int | None = None) -> WorkerPlan:
    """Plan for the given core numbers: reserved = max(1, 12.5 %, rounded), one node per other core, at least two.

    A node takes four cycles at once, or more where that makes fewer than 32 in all. ``nodes`` and ``per_node`` override
    these numbers. Raises ValueError without cores or with counts below 1.
    """
    if not cores:
        raise ValueError("there must be at least one core")
    if (per_node is not None and per_node < 1) or (nodes is not None and nodes < 1):
        raise ValueError("nodes and their size must be at least 1")
    ordered = tuple(sorted(cores))
    # Half a core counts as a whole one: integers, because round(2.5) is 2.
    reserved_count = min(max(1, (len(ordered) + 4) // 8), len(ordered))
    reserved, rest = ordered[:reserved_count], ordered[reserved_count:]
    count = nodes if nodes is not None else max(FEWEST_NODES, len(rest))
    pinned = len(ordered) >= PINNED_FROM

    def cores_of(index: int) -> tuple[int, ...]:
        return (rest[index % len(rest)],) if pinned else ()

    size = per_node if per_node is not None else max(PER_NODE, -(-FEWEST_SLOTS // count))
    planned = tuple(Node(number=index + 1, concurrency=size, cores=cores_of(index)) for index in range(count))
    return WorkerPlan(cores=ordered, reserved=reserved, worker_cores=rest, nodes=planned)


def _spans(cores: Sequence[int]) -> str:
    """Give "0-3, 6" for 0, 1, 2, 3, 6."""
    spans: list[list[int]] = []
    for core in cores:
        if spans and core == spans[-1][1] + 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans) or "none"
