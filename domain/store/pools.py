"""Pools in Redis: their constants, policy, outbox, ledger, marks, and the wallets flagged as low."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from domain.chains import Mark
from domain.flows import ledger_fields
from domain.ids import PoolId, ThreadId
from domain.observed import ObservedPool
from domain.policy import Policy
from domain.pool import Pool
from domain.store.edge import Part


def pool_to_text(pool: Pool) -> str:
    """JSON of a Pool; the ratios, which go up to 2^64 - 1, are decimal text."""
    doc = asdict(pool) | {"ratio_a": str(pool.ratio_a), "ratio_b": str(pool.ratio_b)}
    return json.dumps(doc, separators=(",", ":"))


def pool_from_text(text: str) -> Pool:
    doc: dict[str, Any] = json.loads(text)
    doc |= {"ratio_a": int(doc["ratio_a"]), "ratio_b": int(doc["ratio_b"]), "bumps": tuple(doc["bumps"])}
    return Pool(**doc)


class PoolStore(Part):
    """What belongs to a pool and not to one thread."""

    def put_pool(self, pool: Pool) -> None:
        """Register the pool (again); it leaves the archive if it was there."""
        name = pool.pool_id
        put = ("HSET", self._keys.named("pools"), name, pool_to_text(pool))
        self._edge.batch([put, ("HDEL", self._keys.named("archived-pools"), name)], atomic=True)

    def archive_pool(self, pool_id: PoolId) -> bool:
        """The chain does not know the pool any more: keep its record apart. False when it is not registered."""
        text = self._edge.call("HGET", self._keys.named("pools"), pool_id)
        if text is None:
            return False
        put = ("HSET", self._keys.named("archived-pools"), pool_id, text)
        self._edge.batch([put, ("HDEL", self._keys.named("pools"), pool_id)], atomic=True)
        return True

    def get_pool(self, pool_id: PoolId) -> Pool | None:
        text = self._edge.call("HGET", self._keys.named("pools"), pool_id)
        return pool_from_text(text) if text else None

    def list_pools(self) -> list[Pool]:
        """Registered pools, oldest first."""
        return self._pools("pools")

    def archived_pools(self) -> list[Pool]:
        return self._pools("archived-pools")

    def _pools(self, name: str) -> list[Pool]:
        pools = [pool_from_text(text) for text in self._edge.call("HVALS", self._keys.named(name))]
        return sorted(pools, key=lambda pool: (pool.created_at_ms, pool.pool_id))

    def policy_text(self, pool_id: PoolId) -> str:
        """What ``Commit.policy_expected`` compares with; empty when the pool has no policy."""
        return self._edge.call("HGET", self._keys.named("policies"), pool_id) or ""

    def policy(self, pool_id: PoolId) -> Policy | None:
        return Policy.from_text(self.policy_text(pool_id))

    def set_first_policy(self, pool_id: PoolId, policy: Policy) -> bool:
        """The policy of a pool at its creation or import; False when it has one already."""
        return bool(self._edge.call("HSETNX", self._keys.named("policies"), pool_id, policy.to_text()))

    def replace_policy(self, pool_id: PoolId, policy: Policy) -> None:
        """Only while a recovery holds every chain up: everybody else compares and sets it within a commit."""
        self._edge.call("HSET", self._keys.named("policies"), pool_id, policy.to_text())

    def outbox(self, pool_id: PoolId) -> dict[str, str]:
        """Entry id -> JSON, as ``Commit.outbox_take`` expects it."""
        found: dict[str, str] = self._edge.call("HGETALL", self._keys.outbox(pool_id))
        return found

    def outbox_length(self, pool_id: PoolId) -> int:
        return int(self._edge.call("HLEN", self._keys.outbox(pool_id)))

    def ledger(self, pool_id: PoolId) -> dict[str, str]:
        """Field -> JSON record."""
        found: dict[str, str] = self._edge.call("HGETALL", self._keys.ledger(pool_id))
        return found

    def thread_ledger(self, pool_id: PoolId, thread_id: ThreadId) -> dict[str, str]:
        """What the pool's ledger holds about one thread: those of ``ledger_fields`` that are there."""
        names = ledger_fields(thread_id)
        values = self._edge.call("HMGET", self._keys.ledger(pool_id), *names)
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def low(self, pool_id: PoolId) -> set[str]:
        """Members "thread|reason", as ``Commit.low_served`` names them; a thread may be deleted by now."""
        found: set[str] = self._edge.call("SMEMBERS", self._keys.low(pool_id))
        return found

    def observed_pools(self) -> dict[PoolId, ObservedPool]:
        """Every pool as the last cycle that looked saw it. Two processes may take turns: a slot may be older than one
        that was read before.
        """
        found = self._edge.call("HGETALL", self._keys.named("observed"))
        return {PoolId(pool_id): ObservedPool.from_text(text) for pool_id, text in found.items()}

    def observed_pool(self, pool_id: PoolId) -> ObservedPool | None:
        """None until a cycle has seen the whole pool."""
        text = self._edge.call("HGET", self._keys.named("observed"), pool_id)
        return ObservedPool.from_text(text) if text else None

    def marks(self, pool_id: PoolId) -> dict[str, Mark]:
        found = self._edge.call("HGETALL", self._keys.marks(pool_id))
        marks = {}
        for name, text in found.items():
            slot, value = text.split("|")
            marks[name] = Mark(name=name, slot=int(slot), value=int(value))
        return marks
