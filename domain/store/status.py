"""What statuses are made from: one thread and its surroundings in one round trip, or all threads in two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from domain.flows import ledger_fields
from domain.ids import PoolId, ThreadId
from domain.observed import ObservedPool
from domain.pool import Pool
from domain.store.edge import Argument, Part
from domain.store.pools import pool_from_text
from domain.store.records import (
    RECORD_FIELDS,
    ChainRecord,
    Tombstone,
    chain_record,
    tombstone,
)

FEES_MARK = "I10-CT"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReading:
    """``fees_collected``: lamports, by the newest mark of the pool's own counter; None before the first snapshot."""

    observed: ObservedPool | None = None
    fees_collected: int | None = None
    eligible: frozenset[ThreadId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadReading:
    """One thread, at ``now_ms`` of Redis. ``record`` None: there is no such thread (any more)."""

    now_ms: int
    record: ChainRecord | None
    ledger: dict[str, str]
    pool: PoolReading
    opposite: ThreadId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReading:
    """Every thread, and every pool they may belong to."""

    now_ms: int
    records: list[ChainRecord]
    pools: dict[PoolId, PoolReading] = field(default_factory=dict)
    ledgers: dict[PoolId, dict[str, str]] = field(default_factory=dict)
    deleted: int = 0  # how many tombstones there are


class StatusStore(Part):
    """Reads only. StoreError when they cannot be carried out."""

    def thread_reading(self, thread_id: ThreadId, pool_id: PoolId, opposite_direction: str | None) -> ThreadReading:
        """One round trip. The pool must be the thread's own; ``opposite_direction`` for a swap thread."""
        keys = self._keys
        reads: list[tuple[Argument, ...]] = [
            ("TIME",),
            ("HMGET", keys.chain(thread_id), *RECORD_FIELDS),
            ("HMGET", keys.ledger(pool_id), *ledger_fields(thread_id)),
            *self._pool_reads(pool_id),
        ]
        if opposite_direction is not None:
            reads.append(("GET", keys.swap_slot(pool_id, opposite_direction)))
        time, record, ledger, *rest = self._edge.batch(reads)
        named = zip(ledger_fields(thread_id), ledger, strict=True)
        return ThreadReading(
            now_ms=_now_ms(time),
            record=chain_record(thread_id, record),
            ledger={name: text for name, text in named if text is not None},
            pool=_pool_reading(*rest[:3]),
            opposite=ThreadId(rest[3]) if len(rest) > 3 and rest[3] else None,
        )

    def all_reading(self) -> AllReading:
        """Two round trips, whatever the number of threads."""
        keys = self._keys
        time, threads, pools, archived, deleted = self._edge.batch(
            [
                ("TIME",),
                ("ZRANGE", keys.named("threads"), 0, -1),
                ("HKEYS", keys.named("pools")),
                ("HKEYS", keys.named("archived-pools")),
                ("HLEN", keys.named("tombstones")),
            ]
        )
        pool_ids = [PoolId(name) for name in (*pools, *archived)]
        reads: list[tuple[Argument, ...]] = [("HMGET", keys.chain(name), *RECORD_FIELDS) for name in threads]
        for pool_id in pool_ids:
            reads += [("HGETALL", keys.ledger(pool_id)), *self._pool_reads(pool_id)]
        answers = self._edge.batch(reads) if reads else []
        rows, rest = answers[: len(threads)], answers[len(threads) :]
        records = [chain_record(name, row) for name, row in zip(threads, rows, strict=True)]
        readings = [rest[start : start + 4] for start in range(0, len(rest), 4)]
        return AllReading(
            now_ms=_now_ms(time),
            records=[record for record in records if record is not None],
            pools={name: _pool_reading(*each[1:]) for name, each in zip(pool_ids, readings, strict=True)},
            ledgers={name: each[0] for name, each in zip(pool_ids, readings, strict=True)},
            deleted=int(deleted),
        )

    def _pool_reads(self, pool_id: PoolId) -> list[tuple[Argument, ...]]:
        return [
            ("HGET", self._keys.named("observed"), pool_id),
            ("HGET", self._keys.marks(pool_id), FEES_MARK),
            ("SMEMBERS", self._keys.eligible(pool_id)),
        ]

    def thread_configs(self, thread_ids: Sequence[ThreadId]) -> dict[ThreadId, str]:
        """Each thread's configuration, as text; threads that are gone are left out. One round trip."""
        texts = self._edge.batch([("HGET", self._keys.chain(name), "config") for name in thread_ids])
        return {name: text for name, text in zip(thread_ids, texts, strict=True) if text}

    def thread_states(self, thread_ids: Sequence[ThreadId]) -> dict[ThreadId, str]:
        """Each thread's document, as text; threads that are gone are left out."""
        texts = self._edge.batch([("HGET", self._keys.chain(name), "state") for name in thread_ids])
        return {name: text for name, text in zip(thread_ids, texts, strict=True) if text is not None}

    def known_and_deleted(self) -> tuple[list[ThreadId], int]:
        """Every thread that is not deleted, by index, and the number of those that are."""
        reads: list[tuple[Argument, ...]] = [
            ("ZRANGE", self._keys.named("threads"), 0, -1),
            ("HLEN", self._keys.named("tombstones")),
        ]
        threads, deleted = self._edge.batch(reads)
        return [ThreadId(name) for name in threads], int(deleted)

    def deleted_threads(self) -> list[ThreadId]:
        return [ThreadId(name) for name in self._edge.call("HKEYS", self._keys.named("tombstones"))]

    def tombstones_of(self, thread_ids: Iterable[ThreadId]) -> list[Tombstone]:
        names = list(thread_ids)
        texts = self._edge.call("HMGET", self._keys.named("tombstones"), *names) if names else []
        return [tombstone(name, text) for name, text in zip(names, texts, strict=True) if text]

    def pool_constants(self, pool_id: PoolId) -> Pool | None:
        """A pool that is registered or archived: threads of a pool that is gone keep their past."""
        names = ("pools", "archived-pools")
        texts = self._edge.batch([("HGET", self._keys.named(name), pool_id) for name in names])
        return next((pool_from_text(text) for text in texts if text), None)


def _now_ms(time: Sequence[str]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000


def _pool_reading(observed: str | None, mark: str | None, eligible: Iterable[str]) -> PoolReading:
    return PoolReading(
        observed=ObservedPool.from_text(observed) if observed else None,
        fees_collected=int(mark.partition("|")[2]) if mark else None,
        eligible=frozenset(map(ThreadId, eligible)),
    )
