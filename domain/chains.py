"""What a chain of cycles is, how one cycle of it begins, and everything its commit writes in one atomic step.

A *chain* is one self-rescheduling sequence of tasks: a stress thread, a pool's share, refill or probe, or a command.
The store keeps one record per chain: read with ``begin``, written whole with ``commit`` (DESIGN.md 3, 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.ids import ChainId, CommandId, PoolId, Signature, ThreadId
from domain.thread import ThreadStatus


class ChainKind(StrEnum):
    """Task names are ``cycle.<kind>``; commands run as ``control.<kind>`` on the control queue."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    SWAP = "swap"
    SHARE = "share"
    REFILL = "refill"
    PROBE = "probe"
    COMMAND = "command"

    @property
    def is_thread(self) -> bool:
        return self in (ChainKind.DEPOSIT, ChainKind.WITHDRAWAL, ChainKind.SWAP)


def pool_chain_id(kind: ChainKind, pool_id: PoolId) -> ChainId:
    return ChainId(f"{kind.value}:{pool_id}")


def command_chain_id(command_id: CommandId) -> ChainId:
    return ChainId(f"command:{command_id}")


class Refusal(StrEnum):
    """Why a begin or a commit was refused. None of them is an error: the delivery or the worker is simply too late."""

    SUPERSEDED = "superseded"  # another generation or seq is current: a twin or a zombie
    STOPPED = "stopped"  # the chain is not live
    BUSY = "busy"  # a live lease is held by another delivery
    EPOCH = "epoch"  # Redis lost data since this process last looked
    LEASE = "lease"  # commit only: the token is not the current one
    SIGNATURE = "signature"  # commit only: a new intent's signature was used before
    OUTBOX = "outbox"  # commit only: an owed entry is not there any more, or changed
    MEMBERS = "members"  # commit only: a required thread is no longer eligible
    OCCUPIED = "occupied"  # commit only: the chain may not end, its pool has a running thread or unpaid entries
    POLICY = "policy"  # commit only: the pool's policy is not the expected one


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A cycle that may run: lease token, Redis TIME, the record as it stands. JSON texts are the caller's own."""

    chain_id: ChainId
    kind: ChainKind
    generation: int
    seq: int
    epoch: int
    token: str
    now_ms: int  # Redis TIME
    due_ms: int
    status: ThreadStatus
    pool_id: PoolId | None
    config: str
    state: str
    intents: str
    order: str  # "" or the JSON of an Order (state.py)
    policy: str  # "" or the JSON of the pool's Policy (policy.py); read with every begin
    journal_length: int  # entries not yet spilled
    service_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    reason: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The message of the next cycle, pushed by the commit script itself. ``queue`` is the full list key."""

    queue: str
    message: bytes
    countdown_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A quantity that never falls, as (slot, value), compared in slot order inside the script (DESIGN.md 6, net 2)."""

    name: str
    slot: int
    value: int  # >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenMark:
    """A mark that fell: what was stored and what was offered."""

    name: str
    stored_slot: int
    stored_value: int
    slot: int
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One atomic step. Everything is checked before the first write; amounts are text the script never reads.

    ``next`` None ends the chain (it leaves the due set). ``status`` sets a thread's status, raising the generation.
    """

    begun: Begun
    state: str
    intents: str
    order: str = ""
    status: ThreadStatus | None = None
    next: Next | None = None
    end_only_if_pool_idle: bool = False  # pool chains: refused OCCUPIED while a thread runs or an entry is owed
    journal: tuple[str, ...] = ()  # JSON lines, appended to the stream
    faults: tuple[str, ...] = ()  # JSON, appended to the faults list
    signatures: tuple[Signature, ...] = ()  # of new intents; refused when used before
    outbox_put: tuple[tuple[str, str], ...] = ()  # entry id -> JSON
    outbox_take: tuple[tuple[str, str], ...] = ()  # entry id -> the exact JSON expected there
    require_eligible: tuple[ThreadId, ...] = ()  # must be members of the pool's eligible set
    records: tuple[tuple[str, str], ...] = ()  # field -> JSON in the pool's ledger, written whole by one owner
    policy: str | None = None  # the pool's policy document (administrative commands only)
    policy_expected: str | None = None  # compare-and-set for it
    marks: tuple[Mark, ...] = ()
    observed: str | None = None  # JSON of the pool as this cycle saw it (observed.py), unless another just stored it
    low: tuple[str, ...] = ()  # reasons ("sol", "token") to flag this thread low; refill removes
    low_served: tuple[str, ...] = ()  # members of the pool's low set to remove (refill)
    counts: tuple[tuple[str, str, int], ...] = ()  # (histogram or counter name, field, increment): never amounts
    answer: tuple[CommandId, str] | None = None  # finishes a command: its id and the JSON answer
    session: str | None = None  # JSON of the session that ends with this commit, for its file
    delete_thread: bool = False  # leaves a tombstone, frees the swap slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """``marks_broken`` were recorded as they are; the caller turns them into faults of the next commit."""

    generation: int
    seq: int
    marks_broken: tuple[BrokenMark, ...] = ()
