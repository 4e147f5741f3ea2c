"""Statuses from the store: what never changes is remembered, what many threads share is read every other second."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import orjson

from api.ports_status import StatusReads
from api.status import summary, thread_status
from api.status_facts import Facts, volume_of
from domain.flows import Flows, errors_since
from domain.ids import PoolId, ThreadId
from domain.pool import Asset, Pool
from domain.sharing import Taker, kind_of, may_take
from domain.state import ThreadState
from domain.store.records import ChainRecord, config_from_text
from domain.store.status import PoolReading
from domain.thread import ThreadConfig, ThreadKind

VOLUMES_LAST_S: Final = 2.0
NOBODY: Final = PoolReading()
TAKER_OF: Final = {
    ThreadKind.DEPOSIT: ThreadKind.WITHDRAWAL,
    ThreadKind.WITHDRAWAL: ThreadKind.DEPOSIT,
    ThreadKind.SWAP: ThreadKind.SWAP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """What each thread of a pool has moved so far, in the pool's value units; deleted ones together."""

    read_at_s: float
    living: dict[ThreadId, int]
    deleted: int

    def total(self, thread_id: ThreadId, volume: int) -> int:
        """All together, with one thread's own number as it is now."""
        return sum(self.living.values()) - self.living.get(thread_id, 0) + volume + self.deleted


@dataclass(slots=True)
class Readings:
    """One per process, shared by its threads. A configuration never changes, an id is used once, a pool is constant.

    ``cadence_ms``: the longest pause between two cycles.
    """

    _configs: dict[ThreadId, tuple[str, ThreadConfig]] = field(default_factory=dict)  # as stored, and read
    _pools: dict[PoolId, Pool] = field(default_factory=dict)
    _deleted: dict[ThreadId, tuple[PoolId, int]] = field(default_factory=dict)
    _volumes: dict[PoolId, Volumes] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def one(self, store: StatusReads, thread_id: ThreadId, *, cadence_ms: int, now_s: float) -> dict[str, Any] | None:
        """A thread's status; None when there is no such thread. ``now_s``: a monotonic clock."""
        config = self._known(store, [thread_id]).get(thread_id) if _kind(thread_id) else None
        if config is None:
            return None
        other = None
        if config.kind is ThreadKind.SWAP:
            other = "b_to_a" if config.direction == "a_to_b" else "a_to_b"
        reading = store.thread_reading(thread_id, config.pool_id, other)
        if reading.record is None or reading.record.config != self._configs[thread_id][0]:
            # Deleted since, or another Redis: whoever asks again gets what is there now.
            self._configs.pop(thread_id, None)
            return None if reading.record is None else self.one(store, thread_id, cadence_ms=cadence_ms, now_s=now_s)
        pool = self._pool(store, config.pool_id)
        state = _state(reading.record.state)
        volumes = self._volumes_of(store, config.pool_id, pool, now_s)
        candidates = [name for name in reading.pool.eligible if _kind(name) is TAKER_OF[config.kind]]
        return _status(
            config,
            reading.record,
            state,
            ledger=reading.ledger,
            now_ms=reading.now_ms,
            cadence_ms=cadence_ms,
            pool=pool,
            around=reading.pool,
            pool_volume=volumes.total(thread_id, volume_of(config, state.lifetime.spent, pool)),
            takers=_takers(config, self._known(store, candidates).values()),
            opposite=reading.opposite,
        )

    def every(self, store: StatusReads, *, cadence_ms: int) -> dict[str, Any]:
        """Every thread's status by index, and the summary."""
        reading = store.all_reading()
        self._note_deleted(store, reading.deleted)
        rows = [(self._read(record), record, _state(record.state)) for record in reading.records]
        pools = {pool_id: self._pool(store, pool_id) for pool_id in {config.pool_id for config, _, _ in rows}}
        volumes: Counter[PoolId] = Counter()
        for pool_id, volume in list(self._deleted.values()):
            volumes[pool_id] += volume
        running: defaultdict[tuple[PoolId, Asset], list[ThreadConfig]] = defaultdict(list)
        for config, _, state in rows:
            volumes[config.pool_id] += volume_of(config, state.lifetime.spent, pools[config.pool_id])
            if config.thread_id in reading.pools.get(config.pool_id, NOBODY).eligible:
                running[config.pool_id, config.spends].append(config)
        swaps = {(config.pool_id, config.side): config.thread_id for config, _, _ in rows if config.direction}
        statuses = [
            _status(
                config,
                record,
                state,
                ledger=reading.ledgers.get(config.pool_id, {}),
                now_ms=reading.now_ms,
                cadence_ms=cadence_ms,
                pool=pools[config.pool_id],
                around=reading.pools.get(config.pool_id, NOBODY),
                pool_volume=volumes[config.pool_id],
                takers=_takers(config, running[config.pool_id, config.receives]),
                opposite=swaps.get((config.pool_id, config.side.other)) if config.direction else None,
            )
            for config, record, state in rows
        ]
        return {"threads": statuses, "summary": summary(statuses)}

    def _read(self, record: ChainRecord) -> ThreadConfig:
        thread_id = ThreadId(record.chain_id)
        known = self._configs.get(thread_id)
        if known is None or known[0] != record.config:
            known = self._configs[thread_id] = (record.config, config_from_text(record.config))
        return known[1]

    def _known(self, store: StatusReads, thread_ids: list[ThreadId]) -> dict[ThreadId, ThreadConfig]:
        missing = [name for name in thread_ids if name not in self._configs]
        if missing:
            for name, text in store.thread_configs(missing).items():
                self._configs[name] = (text, config_from_text(text))
        found = ((name, self._configs.get(name)) for name in thread_ids)
        return {name: known[1] for name, known in found if known is not None}

    def _pool(self, store: StatusReads, pool_id: PoolId) -> Pool | None:
        pool = self._pools.get(pool_id) or store.pool_constants(pool_id)
        if pool is not None:
            self._pools[pool_id] = pool
        return pool

    def _volumes_of(self, store: StatusReads, pool_id: PoolId, pool: Pool | None, now_s: float) -> Volumes:
        """At most one thread of the process reads them anew; meanwhile the others take the last ones."""
        known = self._volumes.get(pool_id)
        if known is not None and now_s - known.read_at_s < VOLUMES_LAST_S:
            return known
        mine = self._lock.acquire(blocking=known is None)
        if known is not None and not mine:
            return known
        try:
            self._volumes[pool_id] = self._read_volumes(store, pool_id, pool, now_s)
            return self._volumes[pool_id]
        finally:
            self._lock.release()

    def _read_volumes(self, store: StatusReads, pool_id: PoolId, pool: Pool | None, now_s: float) -> Volumes:
        thread_ids, deleted = store.known_and_deleted()
        self._note_deleted(store, deleted)
        mine = {name: config for name, config in self._known(store, thread_ids).items() if config.pool_id == pool_id}
        states = store.thread_states(list(mine))
        return Volumes(
            read_at_s=now_s,
            living={name: volume_of(mine[name], _spent(text), pool) for name, text in states.items()},
            deleted=sum(volume for of_pool, volume in list(self._deleted.values()) if of_pool == pool_id),
        )

    def _note_deleted(self, store: StatusReads, count: int) -> None:
        """Tombstones never change: each is read once."""
        if count < len(self._deleted):
            self._deleted.clear()  # another Redis
        if count == len(self._deleted):
            return
        new = [name for name in store.deleted_threads() if name not in self._deleted]
        for stone in store.tombstones_of(new):
            pool = self._pool(store, stone.config.pool_id)
            volume = volume_of(stone.config, stone.state.lifetime.spent, pool)
            self._deleted[stone.thread_id] = (stone.config.pool_id, volume)
            self._configs.pop(stone.thread_id, None)


def _status(
    config: ThreadConfig,
    record: ChainRecord,
    state: ThreadState,
    *,
    ledger: Mapping[str, str],
    now_ms: int,
    cadence_ms: int,
    pool: Pool | None,
    around: PoolReading,
    pool_volume: int,
    takers: int,
    opposite: ThreadId | None,
) -> dict[str, Any]:
    thread_id = config.thread_id
    flows = Flows.of(thread_id, ledger)
    facts = Facts(
        config=config,
        status=record.status,
        state=state,
        flows=flows,
        session_flows=flows.since(thread_id, ledger),
        session_errors=errors_since(thread_id, ledger, state.error_counts),
        now_ms=now_ms,
        due_ms=record.due_ms if record.live else None,
        cadence_ms=cadence_ms,
        pool=pool,
        observed=around.observed,
        pool_fees=around.fees_collected,
        pool_volume=pool_volume,
        takers=takers,
        opposite=opposite,
    )
    return thread_status(facts)


def _state(text: str) -> ThreadState:
    return ThreadState.from_doc(orjson.loads(text or "{}"))


def _spent(text: str) -> int:
    return int(orjson.loads(text or "{}").get("lifetime", {}).get("spent", "0"))


def _kind(thread_id: str) -> ThreadKind | None:
    """None for a name that no thread has; other chains have ids too, but they are nobody's business here."""
    try:
        return kind_of(ThreadId(thread_id))
    except ValueError:
        return None


def _takers(owner: ThreadConfig, running: Iterable[ThreadConfig]) -> int:
    """How many of these would get a part of what the owner shares (DEP-26, WDR-12)."""
    if not owner.share:
        return 0
    takers = (Taker(thread_id=config.thread_id, spends=config.spends) for config in running)
    return sum(may_take(taker, owner.thread_id, owner.receives) for taker in takers)
