"""What the chain told us: plain values, decoded, with the slot they belong to. No decision is made here."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.ids import Address, Signature

POOL_FLAG_SIMPLE = 0x01
POOL_FLAG_LIQUIDITY_PAUSED = 0x02
POOL_FLAG_SWAPS_PAUSED = 0x04
POOL_FLAG_OWNER_ONLY = 0x20
POOL_FLAG_EXACT = 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """The 438 bytes of a pool account (CONTRACT.md 4.1). Addresses are base58, fees are lamports."""

    owner: Address
    mint_a: Address
    mint_b: Address
    vault_a: Address
    vault_b: Address
    lp_mint_a: Address
    lp_mint_b: Address
    ratio_a: int
    ratio_b: int
    liquidity_a: int  # T_A
    liquidity_b: int  # T_B
    bumps: tuple[int, int, int, int, int]
    flags: int
    liquidity_fee: int
    swap_fee: int
    collected_liquidity_fees: int  # CL
    collected_swap_fees: int  # CS
    total_fees_collected: int  # CT
    last_consolidation_at: int
    consolidations: int
    total_fees_consolidated: int  # CC
    zero_token_fees: bytes  # bytes 278..310, always zero (I7)
    zero_tail: bytes  # bytes 358..438, always zero (I7)

    @property
    def liquidity_paused(self) -> bool:
        return bool(self.flags & POOL_FLAG_LIQUIDITY_PAUSED)

    @property
    def swaps_paused(self) -> bool:
        return bool(self.flags & POOL_FLAG_SWAPS_PAUSED)

    @property
    def owner_only(self) -> bool:
        return bool(self.flags & POOL_FLAG_OWNER_ONLY)

    @property
    def exact_exchange(self) -> bool:
        return bool(self.flags & POOL_FLAG_EXACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemState:
    """CONTRACT.md 4.2; the stale tail is ignored."""

    is_paused: bool
    pause_timestamp: int
    pause_reason_code: int
    admin: Address
    pending_admin: Address | None
    admin_change_timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Treasury:
    """CONTRACT.md 4.3, 17 fields in order of the account."""

    total_balance: int
    rent_exempt_minimum: int
    total_withdrawn: int
    pool_creation_count: int
    liquidity_operation_count: int
    regular_swap_count: int
    treasury_withdrawal_count: int
    failed_operation_count: int
    total_pool_creation_fees: int
    total_liquidity_fees: int
    total_regular_swap_fees: int
    total_swap_contract_fees: int
    last_update_timestamp: int
    total_consolidations_performed: int
    last_withdrawal_timestamp: int
    donation_count: int
    total_donations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAccount:
    """An SPL token account (165 bytes)."""

    mint: Address
    owner: Address
    amount: int
    state: int  # 0 uninitialised, 1 initialised, 2 frozen
    delegate: Address | None = None
    delegated_amount: int = 0
    close_authority: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """An SPL mint (82 bytes)."""

    mint_authority: Address | None
    supply: int
    decimals: int
    initialized: bool
    freeze_authority: Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account at one slot: lamports and, when its content is known to us, the decoded content.

    ``decoded`` is None for an account without content or of an unexpected shape; ``raw`` keeps the bytes for a fault.
    """

    address: Address
    lamports: int
    owner: Address
    raw: bytes
    decoded: PoolState | SystemState | Treasury | TokenAccount | Mint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainError:
    """A transaction's error. ``code`` is "Custom(1035)", "InvalidAccountData", "InsufficientFundsForRent" ...

    ``index`` is the failing instruction (compute-budget instructions count) or None for a transaction-level error.
    """

    code: str
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChange:
    """One token account in a transaction's meta: amounts before and after (0 where the meta has no entry)."""

    account: Address
    mint: Address
    owner: Address
    before: int
    after: int

    @property
    def delta(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerTransfer:
    """A system-program transfer made from inside an instruction."""

    source: Address
    destination: Address
    lamports: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A confirmed transaction as getTransaction tells it. Amounts by account, never by position."""

    signature: Signature
    slot: int
    block_time: int | None
    error: ChainError | None
    fee: int
    compute_units: int | None
    lamports: dict[Address, tuple[int, int]]  # every account of the transaction: before, after
    tokens: dict[Address, TokenChange]  # by token account
    inner_transfers: tuple[InnerTransfer, ...]
    logs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureStatus:
    """getSignatureStatuses' entry. It answers from the processed bank."""

    slot: int
    confirmation: str  # processed | confirmed | finalized
    error: ChainError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What one batched request said about one signature.

    ``asked`` is False when the node could not answer (an error, a null meta, history that starts too late): then
    nothing may be concluded. ``status_slot`` is the context slot of the status answer.
    """

    asked: bool
    status: SignatureStatus | None = None
    receipt: Receipt | None = None
    status_slot: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One batched read. All ``accounts`` stem from one slot (getMultipleAccounts), at confirmed commitment."""

    endpoint: str
    slot: int
    block_height: int  # confirmed height, from getEpochInfo
    height_slot: int  # the slot that height belongs to
    accounts: dict[Address, Account | None] = field(default_factory=dict)  # None: a valid answer that it is not there
    lookups: dict[Signature, Lookup] = field(default_factory=dict)

    def lamports(self, address: Address) -> int:
        account = self.accounts[address]
        return account.lamports if account else 0

    def tokens(self, address: Address) -> int:
        """The amount in a token account; 0 where the account does not exist."""
        account = self.accounts[address]
        if account is None or not isinstance(account.decoded, TokenAccount):
            return 0
        return account.decoded.amount

    def is_token_account(self, address: Address) -> bool:
        account = self.accounts[address]
        return account is not None and isinstance(account.decoded, TokenAccount)

    def pool(self, address: Address) -> PoolState | None:
        account = self.accounts.get(address)
        return account.decoded if account and isinstance(account.decoded, PoolState) else None

    def supply(self, mint: Address) -> int | None:
        account = self.accounts.get(mint)
        return account.decoded.supply if account and isinstance(account.decoded, Mint) else None
