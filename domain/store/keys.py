"""The only place that spells a Redis key: its name, type, meaning and life span.

Scripts get their keys from here, so a chain's keys and its pool's lie in different hash slots of one script call:
the store is not Redis-Cluster capable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from domain.ids import ChainId, CommandId, PoolId, Signature

DEFAULT_PREFIX = "frt:"
CYCLES_QUEUE = "cycles"
CONTROL_QUEUE = "control"
QUEUES = (CYCLES_QUEUE, CONTROL_QUEUE)  # the broker's lists; Celery writes them, too

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
SIGNATURE_TTL_MS = 5 * MINUTE_MS  # a blockhash lives about 80 s, so a signature cannot come back after that
FAREWELL_TTL_MS = 5 * MINUTE_MS  # how long a lost reply to a deleting commit may be asked for again
REVIVAL_TTL_MS = MINUTE_MS
RATE_LIMITS = "limits"  # the web server's rate limits; the library `limits` writes them
COMMAND_TTL_MS = DAY_MS  # an answered command can be asked about for a day


class Life(StrEnum):
    """Whether a key may be found without a TTL."""

    PERMANENT = "permanent"
    TTL = "ttl"
    TTL_AT_END = "ttl at end"  # without a TTL while its command is open, with one afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of key. ``pattern`` is what follows the prefix; ``{}`` stands for one id."""

    pattern: str
    type: str
    life: Life
    meaning: str

    def matches(self, name: str) -> bool:
        return re.fullmatch(re.escape(self.pattern).replace(r"\{\}", r"(.+)"), name) is not None


def _family(pattern: str, type_: str, life: Life, meaning: str) -> Family:
    return Family(pattern=pattern, type=type_, life=life, meaning=meaning)


FAMILIES: tuple[Family, ...] = (
    # a command's chain ends with its command and then expires; all other chains stay until they are deleted
    _family("chain:command:{}", "hash", Life.TTL_AT_END, "chain record of a command"),
    _family("chain:{}", "hash", Life.PERMANENT, "chain record: kind, status, generation, seq, live, lease, documents"),
    _family("farewell:{}", "string", Life.TTL, "token|answer of the commit that deleted the chain"),
    _family("revival:{}", "string", Life.TTL, "generation:seq:count:at_ms of the chain's revivals, for back-off"),
    _family("due", "zset", Life.PERMANENT, "live chain -> due time, Redis ms: the schedule's truth"),
    _family("threads", "zset", Life.PERMANENT, "thread id -> its index in the run"),
    _family("numbers", "hash", Life.PERMANENT, "last thread number by kind, and 'index': the next thread's index"),
    _family("tombstones", "hash", Life.PERMANENT, "deleted thread -> JSON of its config and last state"),
    _family("wallets", "hash", Life.PERMANENT, "thread -> sealed key, 'v1:...'"),
    _family("swap-slot:{}:{}", "string", Life.PERMANENT, "pool and direction -> the one swap thread"),
    _family("pools", "hash", Life.PERMANENT, "pool -> JSON of its constants"),
    _family("archived-pools", "hash", Life.PERMANENT, "pool no longer used -> JSON of its constants"),
    _family("policies", "hash", Life.PERMANENT, "pool -> JSON of its administrative steps"),
    _family(
        "running:{}", "set", Life.PERMANENT, "the pool's threads that run, or still settle after a stop or an error"
    ),
    _family("eligible:{}", "set", Life.PERMANENT, "running threads not under an empty or delete order"),
    _family("outbox:{}", "hash", Life.PERMANENT, "entry id -> JSON of what is owed or in flight"),
    _family("ledger:{}", "hash", Life.PERMANENT, "field -> JSON record written whole by one owner"),
    _family("low:{}", "set", Life.PERMANENT, "'thread|reason' of wallets that need a refill"),
    _family("marks:{}", "hash", Life.PERMANENT, "name -> 'slot|value' of quantities that never fall"),
    _family("observed", "hash", Life.PERMANENT, "pool -> JSON of its amounts as a cycle saw them last, to look at"),
    _family("broken-marks", "list", Life.PERMANENT, "'name|slot|value|slot|value': marks that fell"),
    _family("sig:{}", "string", Life.TTL, "a signature that an intent uses"),
    _family("journal", "stream", Life.PERMANENT, "field e: JSON line of one operation, until it is spilled"),
    _family("sessions", "stream", Life.PERMANENT, "field e: JSON of one finished session, until it has its file"),
    _family("sealing-check", "string", Life.PERMANENT, "a sealed value that only the right sealing key opens"),
    _family("faults", "list", Life.PERMANENT, "JSON of every fault, oldest first"),
    _family("command:{}", "hash", Life.TTL_AT_END, "method, params, created_ms, answer, done_ms of a command"),
    _family("done:{}", "list", Life.TTL, "non-empty once the command is answered: what waiters block on"),
    _family("audits", "set", Life.PERMANENT, "run_audit commands that no auditor has answered yet"),
    _family("open-commands", "zset", Life.PERMANENT, "command without an answer -> time of registration, ms"),
    _family("counters:{}", "hash", Life.PERMANENT, "field -> count: events and histogram buckets, never amounts"),
    _family("run", "hash", Life.PERMANENT, "the run's seed, start and other facts of the whole run"),
    _family("epoch", "string", Life.PERMANENT, "number of times that Redis may have lost data, from 0"),
    _family("recovering", "string", Life.PERMANENT, "present while the books are compared with the chain"),
    _family("redis-run", "string", Life.PERMANENT, "the Redis run id that was seen last"),
    _family("paused", "string", Life.PERMANENT, "present while the whole service is paused"),
    _family("lease:{}", "string", Life.TTL, "holder's token of a singleton: supervisor, spiller"),
    _family("heartbeat", "hash", Life.PERMANENT, "sweep, chain -> JSON of what the supervisor did and saw last"),
    _family("metrics-targets", "hash", Life.PERMANENT, "host:port of a process' metrics -> JSON {until_ms, labels}"),
    _family(f"{RATE_LIMITS}:{{}}", "string", Life.TTL, "calls of a key or address in the current minute"),
    _family("core-reserved", "hash", Life.PERMANENT, "reservation id -> lamports of the core wallet"),
)


class Keys:
    """Every key, below one prefix. A pool key of a chain without a pool ends in ':' and is never written."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str = DEFAULT_PREFIX) -> None:
        self.prefix = prefix

    def chain(self, chain_id: ChainId | str) -> str:
        return f"{self.prefix}chain:{chain_id}"

    def farewell(self, chain_id: ChainId | str) -> str:
        return f"{self.prefix}farewell:{chain_id}"

    def revival(self, chain_id: ChainId | str) -> str:
        return f"{self.prefix}revival:{chain_id}"

    def swap_slot(self, pool_id: PoolId, direction: str) -> str:
        return f"{self.prefix}swap-slot:{pool_id}:{direction}"

    def running(self, pool_id: PoolId | str) -> str:
        return f"{self.prefix}running:{pool_id}"

    def eligible(self, pool_id: PoolId | str) -> str:
        return f"{self.prefix}eligible:{pool_id}"

    def outbox(self, pool_id: PoolId | str) -> str:
        return f"{self.prefix}outbox:{pool_id}"

    def ledger(self, pool_id: PoolId | str) -> str:
        return f"{self.prefix}ledger:{pool_id}"

    def low(self, pool_id: PoolId | str) -> str:
        return f"{self.prefix}low:{pool_id}"

    def marks(self, pool_id: PoolId | str) -> str:
        return f"{self.prefix}marks:{pool_id}"

    def signature(self, signature: Signature) -> str:
        return f"{self.prefix}sig:{signature}"

    def command(self, command_id: CommandId) -> str:
        return f"{self.prefix}command:{command_id}"

    def done(self, command_id: CommandId) -> str:
        return f"{self.prefix}done:{command_id}"

    def counters(self, name: str) -> str:
        return f"{self.prefix}counters:{name}"

    def lease(self, name: str) -> str:
        return f"{self.prefix}lease:{name}"

    def queue(self, name: str) -> str:
        """The list of a Celery queue; no family of ours: its messages belong to the broker."""
        return self.prefix + name

    def named(self, name: str) -> str:
        """A key of which there is one: ``due``, ``journal``, ``epoch`` ... (FAMILIES without an id)."""
        return self.prefix + name

    def family(self, key: str) -> Family | None:
        """The family that ``key`` belongs to; None for a key that is not ours."""
        if not key.startswith(self.prefix):
            return None
        name = key[len(self.prefix) :]
        return next((family for family in FAMILIES if family.matches(name)), None)
