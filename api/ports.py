"""What the web edge needs of the rest: reads of the store, and commands sent by name. RedisStore and Commands fit."""

from __future__ import annotations

from typing import Any, Protocol

from domain.ids import ChainId, CommandId, PoolId, ThreadId
from domain.observed import ObservedPool
from domain.pool import Pool
from domain.store.commands import CommandRecord
from domain.store.overview import Overview
from domain.store.records import ChainRecord


class Store(Protocol):
    """Reads only; StoreError when they cannot be carried out."""

    def get_pool(self, pool_id: PoolId) -> Pool | None: ...

    def list_pools(self) -> list[Pool]: ...

    def get_chain(self, chain_id: ChainId | str) -> ChainRecord | None: ...

    def list_threads(self) -> list[ThreadId]: ...

    def thread_records(self) -> list[ChainRecord]: ...

    def ledger(self, pool_id: PoolId) -> dict[str, str]: ...

    def observed_pools(self) -> dict[PoolId, ObservedPool]: ...

    def overview(self) -> Overview: ...

    def faults(self, start: int = 0, count: int = 1000) -> list[str]: ...

    def fault_count(self) -> int: ...

    def command(self, command_id: CommandId) -> CommandRecord | None: ...


class Commands(Protocol):
    """tasks/client.py: ``send`` registers and enqueues, ``wait`` gives {"ok": ...}, {"error": ...} or None."""

    def send(self, method: str, params: dict[str, Any], command_id: CommandId | None = None) -> CommandId: ...

    def wait(self, command_id: CommandId, timeout_s: float) -> dict[str, Any] | None: ...
