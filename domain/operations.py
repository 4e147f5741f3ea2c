"""Operations: the actions we can ask of the chain, an operation made of them, and the intent that records it.

An ``Operation`` is decided in pure code; the chain gateway turns it into signed bytes; the ``Intent`` with those bytes
is stored before anything is sent (DESIGN.md 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from domain.ids import Address, OperationId, PoolId, Signature
from domain.pool import Side


class OperationKind(StrEnum):
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    SWAP = "swap"
    SHARE = "share"
    REFILL = "refill"
    PROBE = "probe"
    BURN = "burn"
    SWEEP = "sweep"
    SETUP = "setup"  # pools, thread wallets, the program itself
    ADMIN = "admin"  # fees, pauses, owner-only, consolidation
    FUND = "fund"  # a person's mint or transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """CONTRACT.md 3.4. ``amount`` in base units of the side's token."""

    user: Address
    pool_id: PoolId
    side: Side
    amount: int
    user_token: Address
    user_lp: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """CONTRACT.md 3.5. ``amount`` in base units of the side's LP token."""

    user: Address
    pool_id: PoolId
    side: Side
    amount: int
    user_lp: Address
    user_token: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """CONTRACT.md 3.6. ``expected_out`` is an equality, not a minimum."""

    user: Address
    pool_id: PoolId
    side_in: Side
    amount_in: int
    expected_out: int
    user_in: Address
    user_out: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """SPL Transfer between two token accounts of one mint."""

    owner: Address
    source: Address
    destination: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MintTo:
    """SPL MintTo; ``authority`` is the core wallet."""

    authority: Address
    mint: Address
    destination: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """SPL Burn: the supply falls (EMP-09)."""

    owner: Address
    account: Address
    mint: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SolTransfer:
    source: Address
    destination: Address
    lamports: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTokenAccount:
    """Associated token account, idempotent."""

    payer: Address
    owner: Address
    mint: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTokenAccount:
    owner: Address
    account: Address
    destination: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMint:
    """A fresh legacy SPL mint without freeze authority; ``mint`` signs."""

    payer: Address
    mint: Address
    decimals: int
    authority: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class InitializeProgram:
    authority: Address
    admin: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class InitializePool:
    """CONTRACT.md 3.3; mints already in normalised order."""

    payer: Address
    mint_a: Address
    mint_b: Address
    ratio_a: int
    ratio_b: int
    flags: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PausePool:
    admin: Address
    pool_id: PoolId
    flags: int  # 1 liquidity, 2 swaps


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpausePool:
    admin: Address
    pool_id: PoolId
    flags: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSwapOwnerOnly:
    admin: Address
    pool_id: PoolId
    enable: bool
    owner: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePoolFees:
    admin: Address
    pool_id: PoolId
    update_flags: int  # 1 liquidity, 2 swap
    liquidity_fee: int
    swap_fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolidatePoolFees:
    admin: Address
    pool_ids: tuple[PoolId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSystem:
    admin: Address
    reason_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpauseSystem:
    admin: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class DonateSol:
    donor: Address
    lamports: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawTreasuryFees:
    """CONTRACT.md 3.13. ``lamports`` 0 means all that is available."""

    admin: Address
    destination: Address
    lamports: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAdminChange:
    admin: Address
    new_admin: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """SPL Approve: ``delegate`` may move ``amount`` base units out of ``account``."""

    owner: Address
    account: Address
    delegate: Address
    amount: int


PlainAction = (
    Deposit
    | Withdraw
    | Swap
    | Transfer
    | MintTo
    | Burn
    | SolTransfer
    | CreateTokenAccount
    | CloseTokenAccount
    | CreateMint
    | InitializeProgram
    | InitializePool
    | PausePool
    | UnpausePool
    | SetSwapOwnerOnly
    | UpdatePoolFees
    | ConsolidatePoolFees
    | PauseSystem
    | UnpauseSystem
    | DonateSol
    | WithdrawTreasuryFees
    | ProcessAdminChange
    | Approve
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampered:
    """A probe's action: an ordinary one with accounts, flags or data changed (DESIGN.md 6, net 4).

    ``accounts``: index -> another address. ``signer`` / ``writable``: index -> forced flag. ``data`` replaces the data;
    then ``data_at`` overwrites it (offset -> bytes, or the 32 bytes of an address), ``data_cut`` takes bytes off its
    end and ``data_end`` is appended. ``drop`` / ``extra``: fewer or more accounts at the end.
    """

    action: PlainAction
    accounts: dict[int, Address] = field(default_factory=dict)
    signer: dict[int, bool] = field(default_factory=dict)
    writable: dict[int, bool] = field(default_factory=dict)
    data: bytes | None = None
    data_at: dict[int, bytes | Address] = field(default_factory=dict)
    data_cut: int = 0
    data_end: bytes = b""
    drop: int = 0
    extra: tuple[Address, ...] = ()


Action = PlainAction | Tampered


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One transaction to be: its actions, who pays the network fee, and what we want to remember about it.

    ``inputs`` is plain JSON data (amounts as decimal strings) and goes into the intent and the journal as it is.
    ``signers`` are wallet addresses whose keys the keyring must supply; the payer is always one of them.
    """

    kind: OperationKind
    actions: tuple[Action, ...]
    payer: Address
    signers: tuple[Address, ...]
    inputs: dict[str, Any]
    compute_units: int = 400_000
    pool_id: PoolId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An operation that is signed and stored, and whose outcome is not yet known.

    ``wire`` is the signed transaction in base64: a signature executes at most once, so sending it again is safe.
    ``past_expiry_slot`` is the slot S of DESIGN.md 5: the first snapshot whose confirmed height was above
    ``last_valid_height``, together with the endpoint that said so; a later answer of that endpoint may prove expiry.
    """

    operation_id: OperationId
    number: int
    kind: OperationKind
    pool_id: PoolId | None
    signature: Signature
    wire: str
    last_valid_height: int
    compute_limit: int
    inputs: dict[str, Any]
    prepared_at_ms: int
    prepared_slot: int
    past_expiry_slot: int | None = None
    past_expiry_endpoint: str | None = None
    recovered: bool = False  # Redis lost it, bytes and all: if it landed, it counts as recovered

    def expired_seen(self, slot: int, endpoint: str) -> Intent:
        return replace(self, past_expiry_slot=slot, past_expiry_endpoint=endpoint)

    def to_json(self) -> dict[str, Any]:
        doc = {
            "id": self.operation_id,
            "n": self.number,
            "kind": self.kind.value,
            "pool": self.pool_id,
            "sig": self.signature,
            "wire": self.wire,
            "height": self.last_valid_height,
            "cu": self.compute_limit,
            "in": self.inputs,
            "ms": self.prepared_at_ms,
            "slot": self.prepared_slot,
            "s": self.past_expiry_slot,
            "e": self.past_expiry_endpoint,
        }
        if self.recovered:
            doc["r"] = True
        return doc

    @classmethod
    def from_json(cls, doc: dict[str, Any]) -> Intent:
        return cls(
            operation_id=doc["id"],
            number=doc["n"],
            kind=OperationKind(doc["kind"]),
            pool_id=doc["pool"],
            signature=doc["sig"],
            wire=doc["wire"],
            last_valid_height=doc["height"],
            compute_limit=doc["cu"],
            inputs=doc["in"],
            prepared_at_ms=doc["ms"],
            prepared_slot=doc["slot"],
            past_expiry_slot=doc["s"],
            past_expiry_endpoint=doc["e"],
            recovered=doc.get("r", False),
        )


class Outcome(StrEnum):
    """How an operation ended (report.json ``operations``)."""

    CONFIRMED = "confirmed"
    FAILED_EXPECTED = "failed_expected"
    FAILED_UNEXPECTED = "failed_unexpected"
    EXPIRED = "expired"
    RECOVERED = "recovered"
