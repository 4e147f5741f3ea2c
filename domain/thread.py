"""Stress threads: kinds, states, and the transitions a person or an error may cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.ids import Address, PoolId, ThreadId
from domain.pool import Asset, Side, lp_of, token_of


class ThreadKind(StrEnum):
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    SWAP = "swap"


class ThreadStatus(StrEnum):
    """LIF-17. ``deleted`` marks the tombstone that the audit reads."""

    CREATED = "created"
    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"
    DELETED = "deleted"


class OrderKind(StrEnum):
    """What a person asked of a thread; carried out by the thread's own chain of cycles."""

    START = "start"
    STOP = "stop"
    EMPTY = "empty"
    DELETE = "delete"


# order -> {status it is accepted in: status it sets}. Delete keeps the thread stopped until its wallet is swept.
TRANSITIONS: dict[OrderKind, dict[ThreadStatus, ThreadStatus]] = {
    OrderKind.START: {
        ThreadStatus.CREATED: ThreadStatus.RUNNING,
        ThreadStatus.STOPPED: ThreadStatus.RUNNING,
        ThreadStatus.ERROR: ThreadStatus.RUNNING,
    },
    OrderKind.STOP: {ThreadStatus.RUNNING: ThreadStatus.STOPPED},
    OrderKind.EMPTY: {
        ThreadStatus.CREATED: ThreadStatus.CREATED,
        ThreadStatus.RUNNING: ThreadStatus.RUNNING,
        ThreadStatus.STOPPED: ThreadStatus.STOPPED,
    },
    OrderKind.DELETE: {
        ThreadStatus.CREATED: ThreadStatus.STOPPED,
        ThreadStatus.STOPPED: ThreadStatus.STOPPED,
        ThreadStatus.ERROR: ThreadStatus.STOPPED,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadConfig:
    """What a thread was created with; never changes. Amounts in base units.

    ``side`` is the token type of a deposit or withdrawal thread and the *input* side of a swap thread.
    """

    thread_id: ThreadId
    kind: ThreadKind
    pool_id: PoolId
    side: Side
    initial_amount: int
    auto_refill: bool
    share: bool
    wallet: Address
    accounts: dict[Asset, Address]  # the wallet's token accounts: what it spends and what it receives
    index: int  # position in the run; with the run's seed it fixes every random decision
    created_at_ms: int

    @property
    def spends(self) -> Asset:
        return lp_of(self.side) if self.kind is ThreadKind.WITHDRAWAL else token_of(self.side)

    @property
    def receives(self) -> Asset:
        match self.kind:
            case ThreadKind.DEPOSIT:
                return lp_of(self.side)
            case ThreadKind.WITHDRAWAL:
                return token_of(self.side)
            case ThreadKind.SWAP:
                return token_of(self.side.other)

    @property
    def direction(self) -> str | None:
        """A swap thread's "a_to_b" or "b_to_a", else None."""
        if self.kind is not ThreadKind.SWAP:
            return None
        return "a_to_b" if self.side is Side.A else "b_to_a"

    def may_take(self, asset: Asset) -> bool:
        """May a payment of ``asset`` from the pool's outbox go to this thread? (DEP-25, WDR-12, SWP-09)"""
        return asset is self.spends
