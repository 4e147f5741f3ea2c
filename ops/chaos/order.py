"""Is there exactly one live chain per running thread? Read from the records while the service runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from domain.chains import ChainKind
from domain.state import ThreadState
from domain.store.counts import DROPPED
from domain.store.gateway import RedisStore
from domain.store.records import ChainRecord
from domain.thread import ThreadStatus

BEGUN_KINDS = tuple(kind.value for kind in ChainKind if kind is not ChainKind.COMMAND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Threads and pools at one moment. ``moved`` sums every chain's seq: each commit raises one of them by one."""

    records: tuple[ChainRecord, ...]
    due: Mapping[str, int]
    moved: int
    cycles: Mapping[str, int]  # the counters, "deposit.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """What happened between two moments after the last hit, when nothing is left to be revived."""

    begun: int
    committed: int
    refused: int
    dropped: int
    revived: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def look(store: RedisStore) -> Moment:
    """Raises StoreUnavailable."""
    chains = [chain_id for chain_id, _ in store.live_chains() if not chain_id.startswith(f"{ChainKind.COMMAND.value}:")]
    threads = store.thread_records()
    pools = [chain_id for chain_id in chains if ":" in chain_id]
    records = [*threads, *(record for record in store.get_chains(pools) if record is not None)]
    return Moment(
        records=tuple(threads),
        due={str(chain_id): due_ms for chain_id, due_ms in store.live_chains()},
        moved=sum(record.seq for record in records),
        cycles=store.counts("cycles"),
    )


def disorder(moment: Moment) -> list[str]:
    """What contradicts "one live chain per running thread, one commit per seq"; empty when nothing does."""
    wrong = []
    dropped, revived = _dropped(moment.cycles), _revived(moment.cycles)
    # One delivery becomes void with each order; a second delivery of the same step exists only by a revival.
    orders = sum(record.generation for record in moment.records)
    if dropped > revived + orders:
        wrong.append(f"{dropped} deliveries were dropped after {revived} revivals and {orders} orders")
    for record in moment.records:
        if record.status is ThreadStatus.RUNNING and not (record.live and record.chain_id in moment.due):
            wrong.append(f"{record.chain_id} is running and has no live chain")
        if record.status is ThreadStatus.ERROR:
            wrong.append(f"{record.chain_id} is in error")
        # Both rise by one in every commit and nowhere else: a twin that committed would part them.
        cycles = ThreadState.from_text(record.state).cycles
        if cycles != record.seq:
            wrong.append(f"{record.chain_id} has made {cycles} cycles in {record.seq} steps")
    return wrong


def between(before: Moment, after: Moment) -> Quiet:
    """The traffic from one moment to a later one; no chain may have ended in between."""
    delta = {name: count - before.cycles.get(name, 0) for name, count in after.cycles.items()}
    return Quiet(
        begun=sum(delta.get(f"{kind}.started", 0) for kind in BEGUN_KINDS),
        committed=after.moved - before.moved,
        refused=sum(count for name, count in delta.items() if ".refused_" in name),
        dropped=_dropped(delta),
        revived=_revived(delta),
    )


def _dropped(cycles: Mapping[str, int]) -> int:
    return sum(cycles.get(f"{kind}.{reason}", 0) for kind in BEGUN_KINDS for reason in DROPPED)


def _revived(cycles: Mapping[str, int]) -> int:
    return sum(cycles.get(f"{kind}.revived", 0) for kind in BEGUN_KINDS)


def unrest(quiet: Quiet, slots: int) -> list[str]:
    """Every begin ends in one commit: two chains of one thread would begin more, or commit more.

    ``slots``: cycles that may be under way at either moment.
    """
    if abs(quiet.begun - quiet.committed - quiet.refused) > slots:
        return [f"{quiet.begun} cycles began and {quiet.committed} committed in the quiet time"]
    return []
