"""What the closing audit compares: transactions as the chain tells them, and our own books (DESIGN.md 6).

Amounts are base units or lamports, as integers. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from domain.facts import Account
from domain.ids import Address, ChainId, OperationId, PoolId, Signature, ThreadId
from domain.operations import OperationKind, Outcome
from domain.pool import Pool
from domain.state import ThreadState
from domain.thread import ThreadConfig

_PAUSES: Final = {b"\x0c": True, b"\x0d": False}  # PauseSystem, UnpauseSystem


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One executed instruction in order of execution; ``within``: the program that called it, for an inner one."""

    program: Address
    accounts: tuple[Address, ...]
    data: bytes
    within: Address | None = None

    @property
    def top(self) -> Address:
        """Whose doing it is: the caller's, or the program's own where the transaction itself called it."""
        return self.within or self.program


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMove:
    """A token account in one transaction's meta; 0 where the meta has no entry."""

    mint: Address
    owner: Address
    before: int
    after: int

    @property
    def delta(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTx:
    """A finalized transaction. ``signers[0]`` paid the network fee.

    ``lamports``: accounts whose lamports changed, before and after. ``tokens``: every token account of the meta.
    """

    signature: Signature
    slot: int
    fee: int
    error: str | None
    signers: tuple[Address, ...]
    lamports: Mapping[Address, tuple[int, int]]
    tokens: Mapping[Address, TokenMove]
    steps: tuple[Step, ...]
    compute_units: int | None = None

    @property
    def payer(self) -> Address:
        return self.signers[0]

    def lamport_delta(self, address: Address) -> int:
        before, after = self.lamports.get(address, (0, 0))
        return after - before

    def token_delta(self, account: Address) -> int:
        move = self.tokens.get(account)
        return move.delta if move else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What the books say came of an operation; amounts are None where the line has none."""

    outcome: Outcome
    slot: int | None
    error: str
    spent: int | None
    received: int | None
    fee: int | None
    pool_fee: int | None
    compute_units: int | None

    @property
    def succeeded(self) -> bool:
        return self.outcome is Outcome.CONFIRMED or (self.outcome is Outcome.RECOVERED and not self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOp:
    """One operation of the journal; ``settled`` None: it is still open."""

    operation_id: OperationId
    number: int
    kind: OperationKind
    pool_id: PoolId | None
    signature: Signature
    inputs: Mapping[str, Any]
    settled: Settled | None

    @property
    def chain_id(self) -> ChainId:
        return ChainId(self.operation_id.rpartition("/")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """``broken``: (operation id, what is wrong with its lines)."""

    operations: tuple[JournalOp, ...]
    broken: tuple[tuple[str, str], ...] = ()
    unknown_events: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadBook:
    """A thread's document, also of a deleted one."""

    config: ThreadConfig
    state: ThreadState
    deleted: bool = False

    @property
    def thread_id(self) -> ThreadId:
        return self.config.thread_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBook:
    """A pool's constants, its ledger (field -> record) and what its outbox still owes (entry id -> entry)."""

    pool: Pool
    ledger: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outbox: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentBook:
    """The document of a share or refill chain: transactions by outcome, and volume by asset."""

    chain_id: ChainId
    totals: Mapping[str, int]
    volume: Mapping[str, int]
    operation_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rents:
    """Rent-exempt minimums in lamports; defaults of the default rate (CONTRACT.md 4.4)."""

    pool_state: int = 3_939_360  # 438 bytes
    protected: int = 3_953_280  # 440 bytes, what a consolidation leaves
    treasury: int = 1_837_440


@dataclass(frozen=True, kw_only=True)
class Books:
    """Everything the audit looks at.

    ``history``: signatures per address, oldest first. ``private``: a chain of our own, so nobody else acts on it and
    every history starts at its beginning. ``rollbacks``: how often Redis lost data. Transactions before ``from_slot``
    are older than the journal.
    """

    journal: Journal
    transactions: Mapping[Signature, ChainTx]
    history: Mapping[Address, tuple[Signature, ...]]
    accounts: Mapping[Address, Account | None]
    pools: tuple[PoolBook, ...]
    threads: tuple[ThreadBook, ...]
    payments: tuple[PaymentBook, ...]
    core: Address
    program: Address
    treasury: Address
    system_state: Address
    private: bool = True
    throttled: bool = False
    rollbacks: int = 0
    from_slot: int = 0
    rents: Rents = field(default_factory=Rents)

    @cached_property
    def wallets(self) -> frozenset[Address]:
        """Every wallet whose key is ours, deleted threads included."""
        return frozenset({self.core, *(book.config.wallet for book in self.threads)})

    @cached_property
    def listed(self) -> dict[Address, frozenset[Signature]]:
        """The histories as sets."""
        return {address: frozenset(signatures) for address, signatures in self.history.items()}

    @cached_property
    def threads_by_id(self) -> dict[str, ThreadBook]:
        return {book.thread_id: book for book in self.threads}

    @cached_property
    def pools_by_id(self) -> dict[Address, PoolBook]:
        return {Address(book.pool.pool_id): book for book in self.pools}

    @cached_property
    def mints(self) -> frozenset[Address]:
        """The underlying and LP mints of every pool."""
        pools = [book.pool for book in self.pools]
        return frozenset(m for p in pools for m in (p.mint_a, p.mint_b, p.lp_mint_a, p.lp_mint_b))

    @cached_property
    def known_accounts(self) -> frozenset[Address]:
        """Token accounts that a configuration or an operation names, or that a wallet, a pool or a guest owns."""
        owners = self.wallets | {Address(pool) for pool in self.pools_by_id}
        if self.rollbacks:  # a wallet that Redis has forgotten; the journal names it where it was set up
            owners |= self.named_wallets
        owners |= guests_of(self.journal, self.transactions, self.wallets)
        known = {account for book in self.threads for account in book.config.accounts.values()}
        known |= {vault for book in self.pools for vault in (book.pool.vault_a, book.pool.vault_b)}
        for field_name in ("deltas", "accounts"):
            known |= {Address(name) for op in self.journal.operations for name in op.inputs.get(field_name) or ()}
        for tx in self.transactions.values():
            known |= {account for account, move in tx.tokens.items() if move.owner in owners}
        return frozenset(known)

    @cached_property
    def named_wallets(self) -> frozenset[Address]:
        """Where lamports may go because an operation of the journal says so."""
        named = {Address(name) for op in self.journal.operations for name in op.inputs.get("lamports") or ()}
        named |= {Address(name) for op in self.journal.operations for name in op.inputs.get("wallets") or ()}
        return frozenset(named) | self.wallets

    @cached_property
    def system_pauses(self) -> dict[int, frozenset[bool]]:
        """By slot, oldest first: whether the system's pauses and unpauses in it were either, or both."""
        found: dict[int, set[bool]] = {}
        for tx in self.transactions.values():
            for step in tx.steps if tx.error is None else ():
                if step.program == self.program and step.data[:1] in _PAUSES:
                    found.setdefault(tx.slot, set()).add(_PAUSES[step.data[:1]])
        return {slot: frozenset(found[slot]) for slot in sorted(found)}

    def system_paused_at(self, slot: int) -> bool | None:
        """None where our steps cannot tell: others may act on it, or two steps, or one in this slot, have no order."""
        if not self.private or slot in self.system_pauses:
            return None
        before = [states for at, states in self.system_pauses.items() if at < slot]
        newest = before[-1] if before else frozenset({False})
        return next(iter(newest)) if len(newest) == 1 else None

    def transactions_of(self, address: Address) -> list[ChainTx]:
        """The address' transactions, oldest first."""
        return [self.transactions[s] for s in self.history.get(address, ()) if s in self.transactions]


def guests_of(
    journal: Journal, transactions: Mapping[Signature, ChainTx], wallets: frozenset[Address]
) -> frozenset[Address]:
    """Strangers to whom a command minted tokens, and whoever holds what they handed on in transactions of their own.

    Where tokens went that the chain shows a guest giving away is known, however often they changed hands since.
    """
    guests = {Address(name) for op in journal.operations for name in op.inputs.get("recipients") or ()} - wallets
    known = 0
    while known < len(guests):
        known = len(guests)
        for tx in transactions.values():
            if guests.intersection(tx.signers) and not wallets.intersection(tx.signers):
                guests |= {move.owner for move in tx.tokens.values() if move.delta > 0}
    return frozenset(guests)
