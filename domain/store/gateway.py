"""The store as the rest of the service sees it."""

from __future__ import annotations

from domain.store.commands import CommandStore
from domain.store.counters import CounterStore
from domain.store.exports import ExportStore
from domain.store.journal import JournalStore
from domain.store.overview import OverviewStore
from domain.store.pools import PoolStore
from domain.store.run import RunStore
from domain.store.schedule import ScheduleStore
from domain.store.status import StatusStore
from domain.store.threads import ThreadStore


class RedisStore(
    ThreadStore,
    PoolStore,
    CommandStore,
    ScheduleStore,
    JournalStore,
    CounterStore,
    RunStore,
    OverviewStore,
    ExportStore,
    StatusStore,
):
    """Everything the service keeps in Redis (>= 6.2), one method per sentence. Safe to share between threads.

    StoreUnavailable from any method: nothing is known about whether it was carried out; the same call may be repeated
    (a commit with the same ``Begun``).
    """
