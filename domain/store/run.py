"""What is true of the whole run: facts, pause, epoch, leases of singletons, reservations of the core wallet."""

from __future__ import annotations

from collections.abc import Mapping

from domain.store.edge import Part

EXACT_IN_LUA = 2**53


class RunStore(Part):
    """Time, run facts, pause, epoch and recovery, leases, reservations."""

    def now_ms(self) -> int:
        """Redis TIME: the only clock that leases and due times know."""
        seconds, micros = self._edge.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def ping(self) -> None:
        """StoreUnavailable when Redis does not answer."""
        self._edge.call("PING")

    def set_run(self, facts: Mapping[str, str]) -> None:
        """Add or replace facts of the run: seed, started_at_ms ..."""
        parts = [part for pair in facts.items() for part in pair]
        self._edge.call("HSET", self._keys.named("run"), *parts)

    def set_run_once(self, field: str, value: str) -> str:
        """Set a fact unless it is set; the value that holds now (the seed must not change under a run)."""
        self._edge.call("HSETNX", self._keys.named("run"), field, value)
        return str(self._edge.call("HGET", self._keys.named("run"), field))

    def get_run(self) -> dict[str, str]:
        found: dict[str, str] = self._edge.call("HGETALL", self._keys.named("run"))
        return found

    def set_service_paused(self, paused: bool) -> None:
        """Cycles go on settling but submit nothing while the service is paused."""
        key = self._keys.named("paused")
        self._edge.call(*(("SET", key, "1") if paused else ("DEL", key)))

    def service_paused(self) -> bool:
        return bool(self._edge.call("EXISTS", self._keys.named("paused")))

    def epoch(self) -> int:
        return int(self._edge.call("GET", self._keys.named("epoch")) or 0)

    def redis_run_id(self) -> str:
        """Changes whenever the Redis process does. StoreFailed on a server without INFO."""
        return str(self._edge.call("INFO", "server")["run_id"])

    def check_epoch(self) -> bool:
        """Is this the Redis process that was seen last? False asks for ``raise_epoch``."""
        return bool(self._edge.call("GET", self._keys.named("redis-run")) == self.redis_run_id())

    def raise_epoch(self, run_id: str) -> int:
        """Note ``run_id``; when another one was known, the epoch rises and the recovery begins. Returns the epoch.

        From then on every begin but the recovery's own, and every commit of an older epoch, is refused. The first
        process ever seen starts nothing; asking twice changes nothing.
        """
        keys = [self._keys.named(name) for name in ("epoch", "redis-run", "recovering")]
        return int(self._edge.script("raise_epoch", keys, [run_id]))

    def recovering(self) -> bool:
        return bool(self._edge.call("EXISTS", self._keys.named("recovering")))

    def finish_recovery(self, epoch: int) -> bool:
        """The books agree with the chain again: let the chains run. False when a newer epoch has begun meanwhile."""
        return bool(self._edge.script("finish_recovery", [self._keys.named("recovering")], [epoch]))

    def acquire_lease(self, name: str, token: str, ttl_ms: int) -> bool:
        """Take the lease, or keep it when ``token`` holds it."""
        return bool(self._edge.script("acquire_lease", [self._keys.lease(name)], [token, ttl_ms]))

    def lease_holder(self, name: str) -> str | None:
        """The holder's token; None while the lease is free."""
        found: str | None = self._edge.call("GET", self._keys.lease(name))
        return found

    def renew_lease(self, name: str, token: str, ttl_ms: int) -> bool:
        """Keep the lease; False when it is not ours any more, even if it is free."""
        return bool(self._edge.script("renew_lease", [self._keys.lease(name)], [token, ttl_ms]))

    def release_lease(self, name: str, token: str) -> bool:
        return bool(self._edge.script("release_lease", [self._keys.lease(name)], [token]))

    def reserve_core(self, reservation_id: str, lamports: int, balance: int) -> bool:
        """Set lamports of the core wallet aside, if all reservations together stay within ``balance``.

        The same id again keeps the largest amount that was granted it. ValueError beyond 2^53 - 1, where the script's
        sum would be inexact; of a larger balance only so much counts (a faucet may have been generous).
        """
        if not (0 <= lamports < EXACT_IN_LUA and balance >= 0):
            raise ValueError("lamports of the core wallet lie in 0 .. 2^53 - 1")
        args: list[str | bytes | int] = [reservation_id, lamports, min(balance, EXACT_IN_LUA - 1)]
        return bool(self._edge.script("reserve_core", [self._keys.named("core-reserved")], args))

    def release_core(self, reservation_id: str) -> bool:
        """False when there is no such reservation (any more)."""
        return bool(self._edge.call("HDEL", self._keys.named("core-reserved"), reservation_id))

    def core_reservations(self) -> dict[str, int]:
        found = self._edge.call("HGETALL", self._keys.named("core-reserved"))
        return {name: int(lamports) for name, lamports in found.items()}
