"""What one process works with: store, chain, publisher and the constants it remembers. Built once, by one function."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from celery import Celery

from domain.chain.gateway import SolanaChain
from domain.errors import CommandCode, CommandError
from domain.facts import Account, Observation
from domain.ids import Address, PoolId, ThreadId
from domain.pool import Pool
from domain.ports import NULL_METRICS, Metrics
from domain.runtime.metrics import ProcessMetrics
from domain.runtime.monitor import Monitor
from domain.runtime.settings import Settings
from domain.runtime.wiring import build_chain, build_store
from domain.store.gateway import RedisStore
from domain.thread import ThreadConfig
from tasks.client import Commands
from tasks.publish import Publisher


class Snapshots:
    """Which snapshot of each pool this process has checked last: its endpoint and slot, and the pool account itself.

    All accounts of one slot at one endpoint are the same for every thread that reads them. A check counts once it is
    committed: what a refused commit found must be found again.
    """

    def __init__(self) -> None:
        self._last: dict[PoolId, tuple[str, int, Account | None]] = {}

    def is_new(self, pool_id: PoolId, seen: Observation) -> bool:
        return self._last.get(pool_id) != (seen.endpoint, seen.slot, seen.accounts[Address(pool_id)])

    def checked(self, pool_id: PoolId, seen: Observation) -> None:
        self._last[pool_id] = (seen.endpoint, seen.slot, seen.accounts[Address(pool_id)])


@dataclass(slots=True, kw_only=True)
class Runtime:
    """Thread-safe; one per process. ``run_seed`` fixes every random decision of the run."""

    settings: Settings
    store: RedisStore
    chain: SolanaChain
    publisher: Publisher
    commands: Commands
    monotonic_ms: Callable[[], int]
    metrics: Metrics = NULL_METRICS
    # Delays only spread load, nothing is decided by them; decisions use the run's seed (domain/randomness.py).
    jitter: random.Random = field(default_factory=random.Random)
    wallets: dict[Address, ThreadId]  # whose wallet it is, filled as configurations are read; the keyring asks it
    snapshots: Snapshots = field(default_factory=Snapshots)
    # By check and pool: the faults whose evidence this process has made complete (tasks/evidence.py).
    reproducible: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    _pools: dict[PoolId, Pool] = field(default_factory=dict)
    _threads: dict[ThreadId, ThreadConfig] = field(default_factory=dict)
    _seed: int | None = None

    @property
    def lease_ms(self) -> int:
        return self.settings.lease_ms

    def pool(self, pool_id: PoolId) -> Pool:
        """A pool's constants, remembered. Raises CommandError POOL_NOT_FOUND."""
        pool = self._pools.get(pool_id)
        if pool is None:
            pool = self.store.get_pool(pool_id)
            if pool is None:
                raise CommandError(CommandCode.POOL_NOT_FOUND, f"Pool {pool_id} not found", {"pool_id": pool_id})
            self._pools[pool_id] = pool
        return pool

    def thread(self, thread_id: ThreadId) -> ThreadConfig:
        """A thread's configuration, remembered: it never changes. Raises CommandError THREAD_NOT_FOUND."""
        config = self._threads.get(thread_id)
        if config is None:
            config = self.store.thread_config(thread_id)
            if config is None:
                raise CommandError(CommandCode.THREAD_NOT_FOUND, f"Thread {thread_id} not found")
            self._threads[thread_id] = config
            self.wallets[config.wallet] = thread_id
        return config

    def close(self) -> None:
        """Close idle connections; the runtime can still be used and will open new ones."""
        self.chain.endpoints.close()
        self.store.close()

    def seed(self) -> int:
        if self._seed is None:
            self._seed = int(self.store.get_run().get("seed", "0"))
        return self._seed


def build_runtime(settings: Settings, app: Celery | None = None, metrics: Metrics = NULL_METRICS) -> Runtime:
    """The one composition root of a process that runs or sends tasks. Raises StressError with a clear text."""
    if app is None:
        from tasks.app import create_app

        app = create_app(settings)
    store = build_store(settings, metrics)
    publisher = Publisher(app, settings.redis_prefix)

    def monotonic_ms() -> int:
        return int(monotonic() * 1000)

    wallets: dict[Address, ThreadId] = {}

    def sealed_of(wallet: Address) -> str | None:
        thread_id = wallets.get(wallet)
        return None if thread_id is None else store.sealed_key(thread_id)

    def pool_of(pool_id: PoolId) -> Pool:
        return runtime.pool(pool_id)

    runtime = Runtime(
        settings=settings,
        store=store,
        chain=build_chain(settings, sealed_of, pool_of, monotonic_ms, metrics),
        publisher=publisher,
        commands=Commands(store, publisher),
        monotonic_ms=monotonic_ms,
        metrics=metrics,
        wallets=wallets,
    )
    return runtime


def watch(runtime: Runtime, metrics: ProcessMetrics) -> Monitor:
    """Serve and log what this process measures; once per process, after any fork."""
    metrics.watch_endpoints(runtime.chain.endpoints.health)
    monitor = Monitor(runtime.settings, runtime.store, metrics)
    monitor.start()
    return monitor
