"""What the statuses of threads need of the store. RedisStore fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from domain.ids import PoolId, ThreadId
from domain.pool import Pool
from domain.store.records import Tombstone
from domain.store.status import AllReading, ThreadReading


class StatusReads(Protocol):
    """Reads only; StoreError when they cannot be carried out."""

    def thread_reading(self, thread_id: ThreadId, pool_id: PoolId, opposite_direction: str | None) -> ThreadReading: ...

    def all_reading(self) -> AllReading: ...

    def thread_configs(self, thread_ids: Sequence[ThreadId]) -> dict[ThreadId, str]: ...

    def thread_states(self, thread_ids: Sequence[ThreadId]) -> dict[ThreadId, str]: ...

    def known_and_deleted(self) -> tuple[list[ThreadId], int]: ...

    def deleted_threads(self) -> list[ThreadId]: ...

    def tombstones_of(self, thread_ids: Iterable[ThreadId]) -> list[Tombstone]: ...

    def pool_constants(self, pool_id: PoolId) -> Pool | None: ...
