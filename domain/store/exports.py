"""Everything that is kept, read as it stood at one moment, and put back into an empty Redis (DESIGN.md 5, PER-01).

Streams are no part of it: the journal and the finished sessions have files of their own that only grow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.chains import ChainKind, command_chain_id, pool_chain_id
from domain.flows import funding_field, funding_lease, ledger_fields
from domain.ids import Address, CommandId, PoolId, ThreadId
from domain.store.counts import HISTOGRAMS, PLAIN
from domain.store.edge import Argument, Part
from domain.store.errors import StoreConflict
from domain.store.keys import FAMILIES, Life

Value = Any  # str, dict[str, str], list[str] or list[[member, score]], as the key's type has it

_START: Final = "0-0"
# The moment's own: who holds what, which process is seen, what is under way in the broker.
_NOT_KEPT: Final = frozenset({"journal", "sessions", "faults", "recovering", "redis-run", "heartbeat"})
_PAYING_KINDS: Final = (ChainKind.SHARE, ChainKind.REFILL)
_POOL_KINDS: Final = (*_PAYING_KINDS, ChainKind.PROBE)
_ATTEMPTS: Final = 5
_CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """``values``: key without prefix -> its whole value, by the types of keys.FAMILIES; absent keys are left out.

    ``at_ms`` is Redis TIME, ``journal_id`` the newest entry of the journal at that moment ("" when it was empty).
    """

    at_ms: int
    journal_id: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payments:
    """What was booked for a thread beside its own operations: its ledger records, the newest slot that is in them, and
    whether no payment and no funding that touches its wallet is under way. ``owed``: the outbox entries it has to pay.
    """

    ledger: Mapping[str, str]
    owed: Mapping[str, str]
    last_slot: int
    quiet: bool


class ExportStore(Part):
    """snapshot and restore, finished sessions, a thread's payments."""

    def snapshot(self) -> Snapshot | None:
        """None while there is no run record. StoreConflict when threads or pools keep coming and going."""
        keys = self._keys
        for _ in range(_ATTEMPTS):
            known = self._edge.batch(self._membership())
            names = self._names(*known)
            reads = [self._read(name) for name in names]
            head = [
                ("TIME",),
                ("EXISTS", keys.named("run")),
                ("XREVRANGE", keys.named("journal"), "+", "-", "COUNT", 1),
            ]
            answers = self._edge.batch([*head, *self._membership(), *reads], atomic=True)
            (seconds, micros), exists, newest = answers[:3]
            if not exists:
                return None
            if answers[3 : 3 + len(known)] == known:
                found = dict(zip(names, answers[3 + len(known) :], strict=True))
                return Snapshot(
                    at_ms=int(seconds) * 1000 + int(micros) // 1000,
                    journal_id=newest[0][0] if newest else "",
                    values={name: self._plain(name, value) for name, value in found.items() if value},
                )
        raise StoreConflict("threads or pools came and went during every attempt to read all of them at once")

    def restore(self, values: Mapping[str, Value]) -> bool:
        """Write all of it in one step, the run record with it; False when there is a run record already.

        The Redis process seen now counts as another one than before, so that ``raise_epoch`` begins a recovery. The
        caller holds a lease: nobody else may write a run record meanwhile.
        """
        if self.has_run():
            return False
        writes: list[tuple[Argument, ...]] = [("SET", self._keys.named("redis-run"), "restored from files")]
        for name, value in values.items():
            writes += self._write(name, value)
        self._edge.batch(writes, atomic=True)
        return True

    def has_run(self) -> bool:
        """Does this Redis hold a service's data?"""
        return bool(self._edge.call("EXISTS", self._keys.named("run")))

    def journal_spilled(self, up_to_id: str) -> bool:
        """Is no entry up to and including ``up_to_id`` left in the stream?"""
        return not up_to_id or not self._edge.call("XRANGE", self._keys.named("journal"), "-", up_to_id, "COUNT", 1)

    def read_sessions(self, count: int = 1_000) -> list[tuple[str, str]]:
        """(entry id, JSON) of finished sessions that have no file yet, oldest first."""
        found = self._edge.call("XRANGE", self._keys.named("sessions"), f"({_START}", "+", "COUNT", count)
        return [(entry_id, fields["e"]) for entry_id, fields in found]

    def drop_sessions(self, entry_ids: list[str]) -> None:
        """They stand in their files, on disk."""
        if entry_ids:
            self._edge.call("XDEL", self._keys.named("sessions"), *entry_ids)

    def sessions_waiting(self) -> int:
        return int(self._edge.call("XLEN", self._keys.named("sessions")))

    def payments(self, pool_id: PoolId, thread_id: ThreadId, wallet: Address) -> Payments:
        """Read in one step."""
        names = ledger_fields(thread_id)
        reads: list[tuple[Argument, ...]] = [("HMGET", self._keys.ledger(pool_id), *names)]
        reads += [
            ("HMGET", self._keys.chain(pool_chain_id(kind, pool_id)), "intents", "state") for kind in _PAYING_KINDS
        ]
        reads += [("EXISTS", self._keys.lease(funding_lease(thread_id))), ("HGETALL", self._keys.outbox(pool_id))]
        records, *chains, funding, outbox = self._edge.batch(reads, atomic=True)
        states = [json.loads(state or "{}") for _, state in chains]
        fund = json.loads(dict(zip(names, records, strict=True))[funding_field(thread_id)] or "{}")
        touched = [
            wallet in intent["in"].get("wallets", ()) for intents, _ in chains for intent in json.loads(intents or "[]")
        ]
        return Payments(
            ledger={name: record for name, record in zip(names, records, strict=True) if record is not None},
            owed={entry: text for entry, text in outbox.items() if json.loads(text)["owner"] == thread_id},
            last_slot=max(fund.get("slot", 0), *(state.get("last_slot", 0) for state in states)),
            quiet=not any(touched) and not funding,
        )

    def sealing_check(self) -> str | None:
        """What the sealing key in use must open; None before the first key was used here."""
        found: str | None = self._edge.call("GET", self._keys.named("sealing-check"))
        return found

    def set_sealing_check_once(self, sealed: str) -> str:
        """The check that holds now."""
        self._edge.call("SET", self._keys.named("sealing-check"), sealed, "NX")
        return str(self._edge.call("GET", self._keys.named("sealing-check")))

    def replace_sealed(self, sealed: Mapping[ThreadId, str], check: str) -> None:
        """Every wallet's key under a new sealing key, and the check with them, in one step."""
        writes = self._write("wallets", dict(sealed))
        self._edge.batch([("SET", self._keys.named("sealing-check"), check), *writes], atomic=True)

    def _membership(self) -> list[tuple[Argument, ...]]:
        named = self._keys.named
        return [
            ("ZRANGE", named("threads"), 0, -1),
            ("HKEYS", named("pools")),
            ("HKEYS", named("archived-pools")),
            ("ZRANGE", named("open-commands"), 0, -1),
        ]

    def _names(self, threads: list[str], pools: list[str], archived: list[str], commands: list[str]) -> list[str]:
        keys = self._keys
        plain = [family.pattern for family in FAMILIES if family.life is Life.PERMANENT and "{}" not in family.pattern]
        found = [keys.named(name) for name in plain if name not in _NOT_KEPT]
        found += [keys.counters(name) for name in (*PLAIN, *HISTOGRAMS)]
        found += [keys.chain(thread) for thread in threads]
        for command in map(CommandId, commands):
            found += [keys.chain(command_chain_id(command)), keys.command(command)]
        for pool in map(PoolId, sorted({*pools, *archived})):
            found += [keys.running(pool), keys.eligible(pool), keys.outbox(pool), keys.ledger(pool), keys.low(pool)]
            found.append(keys.marks(pool))
            found += [keys.swap_slot(pool, direction) for direction in ("a_to_b", "b_to_a")]
            found += [keys.chain(pool_chain_id(kind, pool)) for kind in _POOL_KINDS]
        return [key.removeprefix(keys.prefix) for key in found]

    def _type(self, name: str) -> str:
        family = self._keys.family(self._keys.prefix + name)
        if family is None:
            raise ValueError(f"{name} is no key of ours")
        return family.type

    def _read(self, name: str) -> tuple[Argument, ...]:
        key = self._keys.prefix + name
        match self._type(name):
            case "hash":
                return ("HGETALL", key)
            case "set":
                return ("SMEMBERS", key)
            case "zset":
                return ("ZRANGE", key, 0, -1, "WITHSCORES")
            case "list":
                return ("LRANGE", key, 0, -1)
            case _:
                return ("GET", key)

    def _plain(self, name: str, value: Value) -> Value:
        """JSON data: members in order, a sorted set as [member, score] pairs (the server's answer may be flat)."""
        match self._type(name):
            case "set":
                return sorted(value)
            case "zset":
                pairs = value if isinstance(value[0], list | tuple) else zip(value[::2], value[1::2], strict=True)
                return [[member, str(int(float(score)))] for member, score in pairs]
            case _:
                return value

    def _write(self, name: str, value: Value) -> list[tuple[Argument, ...]]:
        key = self._keys.prefix + name
        match self._type(name):
            case "hash":
                command, parts = "HSET", [part for pair in value.items() for part in pair]
            case "set":
                command, parts = "SADD", list(value)
            case "zset":
                command, parts = "ZADD", [part for member, score in value for part in (score, member)]
            case "list":
                command, parts = "RPUSH", list(value)
            case _:
                return [("SET", key, value)]
        return [(command, key, *parts[start : start + _CHUNK]) for start in range(0, len(parts), _CHUNK)]
