"""Everything an operator looks at, in a few round trips: for metrics, health, the live page and a run's own view."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.ids import PoolId
from domain.store.counts import HISTOGRAMS, PLAIN, Counts
from domain.store.edge import Part
from domain.store.histogram import by_key
from domain.store.keys import QUEUES
from domain.thread import ThreadKind, ThreadStatus

THREADS_AT_ONCE = 250  # counted by one call, which keeps Redis for less than a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadGroup:
    """So many threads of one pool, kind and status."""

    pool_id: PoolId
    kind: ThreadKind
    status: ThreadStatus
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSizes:
    """``outbox``: entries owed or in flight; ``low``: wallets waiting for a refill; ``running``: as RunStore says."""

    pool_id: PoolId
    outbox: int
    low: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReport:
    """What the supervisor found when it asked one RPC endpoint last. ``endpoint`` is the URL without its secrets."""

    endpoint: str
    ok: bool
    latency_ms: int
    backoff_ms: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What the supervisor noted. Times are Redis milliseconds, 0 = never; ``asked_ms`` is when it asked the chain."""

    swept_ms: int = 0
    cycle_ms: int = 0  # when a cycle was last seen to have begun, to the length of a sweep
    waiting_ms: Mapping[str, int] = field(default_factory=dict)  # queue -> for how long nobody took its oldest message
    asked_ms: int = 0
    endpoints: tuple[EndpointReport, ...] = ()
    core_lamports: int | None = None  # None: could not be asked
    core_asked_ms: int = 0

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Heartbeat:
        """From the hash: ``sweep`` and ``chain`` are JSON, each written whole by one thread of the supervisor."""
        sweep: dict[str, Any] = json.loads(fields.get("sweep", "{}"))
        chain: dict[str, Any] = json.loads(fields.get("chain", "{}"))
        core = chain.get("core_lamports")
        return cls(
            swept_ms=sweep.get("at_ms", 0),
            cycle_ms=sweep.get("cycle_ms", 0),
            waiting_ms=sweep.get("waiting_ms", {}),
            asked_ms=chain.get("at_ms", 0),
            endpoints=tuple(EndpointReport(**each) for each in chain.get("endpoints", [])),
            core_lamports=None if core is None else int(core),
            core_asked_ms=chain.get("core_at_ms", 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The service at one moment; its parts are read one after the other, milliseconds apart. Times: Redis, ms."""

    at_ms: int
    counts: Counts  # ``at_s`` is ``at_ms``
    groups: tuple[ThreadGroup, ...]
    pools: tuple[PoolSizes, ...]
    live_chains: int  # members of the due set
    overdue_ms: int  # how long the earliest chain of the due set has been due; 0 when none is
    queues: Mapping[str, int]  # queue name -> messages nobody has reserved
    journal_length: int  # entries not yet spilled
    fault_count: int
    open_commands: int
    oldest_command_ms: int  # age; 0 without open commands
    core_reserved_lamports: int
    run: Mapping[str, str]  # facts of the run: seed, started_at_ms ...
    paused: bool
    recovering: bool
    epoch: int
    heartbeat: Heartbeat

    def states(self, kind: ThreadKind | None = None, pool_id: PoolId | None = None) -> dict[str, int]:
        """Status -> threads, every status but the tombstones' present."""
        found = {status.value: 0 for status in ThreadStatus if status is not ThreadStatus.DELETED}
        for group in self.groups:
            if kind in (None, group.kind) and pool_id in (None, group.pool_id):
                found[group.status.value] = found.get(group.status.value, 0) + group.count
        return found

    @property
    def running(self) -> int:
        return self.states()[ThreadStatus.RUNNING.value]

    @property
    def outbox_entries(self) -> int:
        return sum(pool.outbox for pool in self.pools)


class OverviewStore(Part):
    """overview, counters, and the supervisor's notes."""

    def overview(self) -> Overview:
        """Raises StoreUnavailable. Costs Redis about a microsecond per thread and no document is read."""
        keys = self._keys
        one = [
            ("TIME",),
            ("ZRANGE", keys.named("threads"), 0, -1),
            ("HKEYS", keys.named("pools")),
            ("ZCARD", keys.named("due")),
            ("ZRANGE", keys.named("due"), 0, 0, "WITHSCORES"),
            ("XLEN", keys.named("journal")),
            ("LLEN", keys.named("faults")),
            ("ZCARD", keys.named("open-commands")),
            ("ZRANGE", keys.named("open-commands"), 0, 0, "WITHSCORES"),
            ("HVALS", keys.named("core-reserved")),
            ("HGETALL", keys.named("run")),
            ("HGETALL", keys.named("heartbeat")),
            ("MGET", keys.named("paused"), keys.named("recovering"), keys.named("epoch")),
        ]
        queues = [("LLEN", keys.queue(name)) for name in QUEUES]
        answers = self._edge.batch([*one, *queues, *self._counter_reads()])
        time, threads, pools, live, due, journal, faults, open_, oldest, reserved, run, beat, flags = answers[
            : len(one)
        ]
        depths = answers[len(one) : len(one) + len(queues)]
        at_ms = int(time[0]) * 1000 + int(time[1]) // 1000
        return Overview(
            at_ms=at_ms,
            counts=_counts(at_ms / 1000, answers[len(one) + len(queues) :]),
            groups=self._groups(threads),
            pools=self._sizes(pools),
            live_chains=int(live),
            overdue_ms=_age_ms(at_ms, due),
            queues=dict(zip(QUEUES, map(int, depths), strict=True)),
            journal_length=int(journal),
            fault_count=int(faults),
            open_commands=int(open_),
            oldest_command_ms=_age_ms(at_ms, oldest),
            core_reserved_lamports=sum(map(int, reserved)),
            run=run,
            paused=flags[0] is not None,
            recovering=flags[1] is not None,
            epoch=int(flags[2] or 0),
            heartbeat=Heartbeat.from_fields(beat),
        )

    def all_counts(self, at_s: float) -> Counts:
        """Every counter now, in one round trip; ``at_s``: the reader's clock."""
        return _counts(at_s, self._edge.batch(self._counter_reads()))

    def note_heartbeat(self, field: str, document: Mapping[str, Any]) -> None:
        """``field``: "sweep" {at_ms, cycle_ms, waiting_ms} or "chain" {at_ms, endpoints, core_lamports, core_at_ms}."""
        self._edge.call("HSET", self._keys.named("heartbeat"), field, json.dumps(document, separators=(",", ":")))

    def heartbeat(self) -> Heartbeat:
        return Heartbeat.from_fields(self._edge.call("HGETALL", self._keys.named("heartbeat")))

    def announce_target(self, address: str, labels: Mapping[str, str], keep_ms: int) -> None:
        """Where one process serves its metrics; forgotten after ``keep_ms``. The last one has the address."""
        key, now_ms = self._keys.named("metrics-targets"), self._now_ms()
        old = [known for known, until_ms, _ in self._targets() if until_ms < now_ms]
        document = json.dumps({"until_ms": now_ms + keep_ms, "labels": dict(labels)}, separators=(",", ":"))
        writes = [("HSET", key, address, document)]
        self._edge.batch([*writes, ("HDEL", key, *old)] if old else writes)

    def metrics_targets(self) -> list[tuple[str, dict[str, str]]]:
        """(address, labels) of the processes that announced themselves and are not forgotten."""
        now_ms = self._now_ms()
        return [(address, labels) for address, until_ms, labels in self._targets() if until_ms >= now_ms]

    def _targets(self) -> list[tuple[str, int, dict[str, str]]]:
        found = self._edge.call("HGETALL", self._keys.named("metrics-targets"))
        documents = [(address, json.loads(text)) for address, text in sorted(found.items())]
        return [(address, document["until_ms"], document["labels"]) for address, document in documents]

    def _now_ms(self) -> int:
        seconds, micros = self._edge.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def _counter_reads(self) -> list[tuple[str, str]]:
        return [("HGETALL", self._keys.counters(name)) for name in (*PLAIN, *HISTOGRAMS)]

    def _groups(self, threads: list[str]) -> tuple[ThreadGroup, ...]:
        counted: dict[str, int] = {}
        for start in range(0, len(threads), THREADS_AT_ONCE):
            chains = [self._keys.chain(thread) for thread in threads[start : start + THREADS_AT_ONCE]]
            flat = self._edge.script("count_threads", chains, [])
            for group, count in zip(flat[::2], flat[1::2], strict=True):
                counted[group] = counted.get(group, 0) + int(count)
        found = []
        for group, count in counted.items():
            pool, kind, status = group.split("|")
            found.append(
                ThreadGroup(pool_id=PoolId(pool), kind=ThreadKind(kind), status=ThreadStatus(status), count=count)
            )
        return tuple(sorted(found, key=lambda each: (each.pool_id, each.kind, each.status)))

    def _sizes(self, pools: list[str]) -> tuple[PoolSizes, ...]:
        keys = self._keys
        names = sorted(pools)
        reads = [
            read
            for pool in names
            for read in (("HLEN", keys.outbox(pool)), ("SCARD", keys.low(pool)), ("SCARD", keys.running(pool)))
        ]
        sizes = [int(size) for size in self._edge.batch(reads)] if reads else []
        return tuple(
            PoolSizes(pool_id=PoolId(pool), outbox=sizes[3 * n], low=sizes[3 * n + 1], running=sizes[3 * n + 2])
            for n, pool in enumerate(names)
        )


def _age_ms(now_ms: int, first: list[Any]) -> int:
    """Of the earliest member of a sorted set of times: [name, score], [[name, score]] (as RESP3 has it) or []."""
    if not first:
        return 0
    score = first[-1] if isinstance(first[-1], str) else first[-1][-1]
    return max(0, now_ms - int(float(score)))


def _counts(at_s: float, answers: Sequence[Mapping[str, str]]) -> Counts:
    found = dict(zip((*PLAIN, *HISTOGRAMS), answers, strict=True))
    read: dict[str, Any] = {name: {key: int(count) for key, count in found[name].items()} for name in PLAIN}
    read |= {name: by_key(found[name]) for name in HISTOGRAMS}
    return Counts(at_s=at_s, **read)
