"""The run's totals, summed from the documents that the chains of cycles own; exact, and nothing else is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from domain.chains import ChainKind, pool_chain_id
from domain.ids import ChainId, PoolId
from domain.pool import Asset, Pool
from domain.state import ThreadState, Totals
from domain.store.counts import OUTCOMES, REPORTED_KINDS, THREAD_KINDS
from domain.store.gateway import RedisStore
from domain.store.records import config_from_text
from domain.thread import ThreadConfig, ThreadStatus

LAMPORTS = "lamports"


@dataclass(slots=True)
class KindBooks:
    """One kind's operations. ``volume``: mint (or "lamports") -> base units moved by confirmed operations."""

    submitted: int = 0
    confirmed: int = 0
    failed_expected: int = 0
    failed_unexpected: int = 0
    expired: int = 0
    recovered: int = 0
    open: int = 0
    volume: dict[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Every operation that was submitted has exactly one outcome, or is open."""
        ended = sum(int(getattr(self, outcome)) for outcome in OUTCOMES)
        return self.submitted == self.open + ended

    def add_volume(self, mint: str, amount: int) -> None:
        if amount:
            self.volume[mint] = self.volume.get(mint, 0) + amount

    def to_json(self) -> dict[str, Any]:
        names = ("submitted", *OUTCOMES, "open")
        return {name: getattr(self, name) for name in names} | {"volume": dict(sorted(self.volume.items()))}


@dataclass(slots=True)
class PoolBooks:
    """One pool: threads and confirmed operations by kind."""

    pool: Pool
    threads: dict[str, int] = field(default_factory=dict)
    confirmed: dict[str, int] = field(default_factory=dict)

    @property
    def idle_kinds(self) -> int:
        return sum(1 for kind in self.threads if not self.confirmed.get(kind))


@dataclass(slots=True)
class Books:
    """Of the whole service."""

    kinds: dict[str, KindBooks] = field(default_factory=lambda: {kind: KindBooks() for kind in REPORTED_KINDS})
    pools: dict[PoolId, PoolBooks] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)  # status -> count, deleted ones included

    @property
    def idle_kinds(self) -> int:
        return sum(books.idle_kinds for books in self.pools.values())

    @property
    def open_operations(self) -> int:
        return sum(books.open for books in self.kinds.values())

    def unbalanced(self) -> list[str]:
        """Kinds whose submitted operations are not the sum of their outcomes."""
        return [kind for kind, books in self.kinds.items() if not books.balanced]


def read_books(store: RedisStore) -> Books:
    """Sum everything. Raises StoreUnavailable."""
    books = Books(pools={pool.pool_id: PoolBooks(pool) for pool in store.list_pools()})
    for record in store.thread_records():
        config, state = config_from_text(record.config), ThreadState.from_text(record.state)
        _add_thread(books, config, state.lifetime, record.status, _kinds_of(record.intents))
    for stone in store.tombstones():
        _add_thread(books, stone.config, stone.state.lifetime, ThreadStatus.DELETED, [])
    for pool_id in books.pools:
        _add_pool_chains(books, store, pool_id)
    return books


def _add_thread(
    books: Books, config: ThreadConfig, totals: Totals, status: ThreadStatus, open_kinds: Iterable[str]
) -> None:
    books.threads[status.value] = books.threads.get(status.value, 0) + 1
    kind = config.kind.value
    entry = books.kinds[kind]
    entry.submitted += totals.submitted
    for outcome in OUTCOMES:
        setattr(entry, outcome, getattr(entry, outcome) + getattr(totals, outcome))
    entry.open += sum(1 for open_kind in open_kinds if open_kind in THREAD_KINDS)
    pool = books.pools.get(config.pool_id)
    if pool is not None:
        entry.add_volume(pool.pool.mint(config.spends), totals.spent)
        pool.threads[kind] = pool.threads.get(kind, 0) + 1
        pool.confirmed[kind] = pool.confirmed.get(kind, 0) + totals.confirmed


def _add_pool_chains(books: Books, store: RedisStore, pool_id: PoolId) -> None:
    chains: list[ChainId] = [
        pool_chain_id(kind, pool_id) for kind in (ChainKind.SHARE, ChainKind.REFILL, ChainKind.PROBE)
    ]
    pool = books.pools[pool_id].pool
    for record in store.get_chains(chains):
        if record is None:
            continue
        entry, state = books.kinds[record.kind.value], json.loads(record.state or "{}")
        totals = {name: int(count) for name, count in state.get("totals", {}).items()}
        entry.submitted += totals.get("submitted", 0)
        for outcome in OUTCOMES:
            setattr(entry, outcome, getattr(entry, outcome) + totals.get(outcome, 0))
        entry.open += len(_kinds_of(record.intents))
        if record.kind is ChainKind.SHARE:
            for asset, amount in state.get("volume", {}).items():
                entry.add_volume(pool.mint(Asset(asset)), int(amount))
    _add_refilled(books, store, pool_id)


def _add_refilled(books: Books, store: RedisStore, pool_id: PoolId) -> None:
    """What refills brought, by mint: the ledger says it per thread."""
    entry, pool = books.kinds[ChainKind.REFILL.value], books.pools[pool_id].pool
    for name, text in store.ledger(pool_id).items():
        if not name.startswith("refill:"):
            continue
        record, thread_id = json.loads(text), name.removeprefix("refill:")
        entry.add_volume(LAMPORTS, int(record["sol"]))
        chain = store.get_chain(thread_id)
        if chain is not None:
            entry.add_volume(pool.mint(config_from_text(chain.config).spends), int(record["tokens"]))


def _kinds_of(intents: str) -> list[str]:
    return [str(doc["kind"]) for doc in json.loads(intents or "[]")]
