"""Account records and their byte layouts (CONTRACT.md 4 and the SPL Token layouts)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

from tests.support.contract_model.addresses import SYSTEM_PROGRAM

U64_MAX = 2**64 - 1
ZERO_KEY = bytes(32)

FLAG_SIMPLE = 0x01
FLAG_LIQUIDITY_PAUSED = 0x02
FLAG_SWAPS_PAUSED = 0x04
FLAG_OWNER_ONLY = 0x20
FLAG_EXACT = 0x40


class LayoutError(Exception):
    """Bytes that do not parse as the wanted layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account of the chain; an absent account is one without lamports and data."""

    lamports: int = 0
    owner: bytes = SYSTEM_PROGRAM
    data: bytes = b""


def rent_minimum(data_length: int) -> int:
    """Rent-exempt lamports for a data length at the default rent."""
    return (128 + data_length) * 6960


@dataclass(slots=True, kw_only=True)
class PoolState:
    """CONTRACT.md 4.1: 438 bytes; fields in byte order."""

    owner: bytes
    token_a_mint: bytes
    token_b_mint: bytes
    token_a_vault: bytes
    token_b_vault: bytes
    lp_token_a_mint: bytes
    lp_token_b_mint: bytes
    ratio_a: int
    ratio_b: int
    total_a: int = 0
    total_b: int = 0
    bumps: bytes = bytes(5)
    flags: int = 0
    liquidity_fee: int = 13_000_000
    swap_fee: int = 271_500
    unused_token_fees: bytes = bytes(32)
    collected_liquidity: int = 0
    collected_swap: int = 0
    total_fees: int = 0
    last_consolidation: int = 0
    consolidations: int = 0
    total_consolidated: int = 0
    unused_limits: bytes = bytes(80)

    @classmethod
    def parse(cls, data: bytes) -> PoolState:
        """The pool at the start of some account data; a longer tail is ignored."""
        if len(data) < POOL_LAYOUT.size:
            raise LayoutError("pool state too short")
        values = POOL_LAYOUT.unpack_from(data)
        return cls(**dict(zip((field.name for field in fields(cls)), values, strict=True)))

    def pack(self) -> bytes:
        return POOL_LAYOUT.pack(*(getattr(self, field.name) for field in fields(self)))

    def side(self, mint: bytes) -> str:
        """'a', 'b', or '' when the mint is not in the pool."""
        return "a" if mint == self.token_a_mint else "b" if mint == self.token_b_mint else ""


POOL_LAYOUT = struct.Struct("<32s32s32s32s32s32s32sQQQQ5sBQQ32sQQQqQQ80s")


@dataclass(slots=True, kw_only=True)
class SystemState:
    """CONTRACT.md 4.2: 83 bytes with a pending admin, 51 without."""

    is_paused: bool
    pause_timestamp: int
    pause_reason: int
    admin: bytes
    pending_admin: bytes | None
    admin_change_timestamp: int

    @classmethod
    def parse(cls, data: bytes) -> SystemState:
        """The state at the start of some account data; stale bytes behind it are ignored."""
        if len(data) < 43 or data[0] > 1 or data[42] > 1:
            raise LayoutError("system state")
        offset = 75 if data[42] else 43
        if len(data) < offset + 8:
            raise LayoutError("system state")
        return cls(
            is_paused=bool(data[0]),
            pause_timestamp=int.from_bytes(data[1:9], "little", signed=True),
            pause_reason=data[9],
            admin=data[10:42],
            pending_admin=data[43:75] if data[42] else None,
            admin_change_timestamp=int.from_bytes(data[offset : offset + 8], "little", signed=True),
        )

    def pack(self) -> bytes:
        pending = b"\0" if self.pending_admin is None else b"\1" + self.pending_admin
        head = struct.pack("<?qB32s", self.is_paused, self.pause_timestamp, self.pause_reason, self.admin)
        return head + pending + struct.pack("<q", self.admin_change_timestamp)


@dataclass(slots=True, kw_only=True)
class Treasury:
    """CONTRACT.md 4.3: 17 x 8 bytes; fields in byte order."""

    total_balance: int = 0
    rent_exempt_minimum: int = 0
    total_withdrawn: int = 0
    pool_creation_count: int = 0
    liquidity_operation_count: int = 0
    regular_swap_count: int = 0
    treasury_withdrawal_count: int = 0
    failed_operation_count: int = 0
    total_pool_creation_fees: int = 0
    total_liquidity_fees: int = 0
    total_regular_swap_fees: int = 0
    total_swap_contract_fees: int = 0
    last_update_timestamp: int = 0
    total_consolidations_performed: int = 0
    last_withdrawal_timestamp: int = 0
    donation_count: int = 0
    total_donations: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Treasury:
        if len(data) != TREASURY_LAYOUT.size:
            raise LayoutError("treasury length")
        values = TREASURY_LAYOUT.unpack(data)
        return cls(**dict(zip((field.name for field in fields(cls)), values, strict=True)))

    def pack(self) -> bytes:
        return TREASURY_LAYOUT.pack(*(getattr(self, field.name) for field in fields(self)))


TREASURY_LAYOUT = struct.Struct("<12QqQqQQ")


def _option(tag: bytes) -> bool:
    if tag not in {b"\0\0\0\0", b"\1\0\0\0"}:
        raise LayoutError("option tag")
    return tag[0] == 1


TOKEN_LAYOUT = struct.Struct("<32s32sQ4s32sB4sQQ4s32s")
STATE_UNINITIALIZED, STATE_INITIALIZED, STATE_FROZEN = range(3)


@dataclass(slots=True, kw_only=True)
class TokenAccount:
    """An SPL Token account, 165 bytes."""

    mint: bytes
    owner: bytes
    amount: int = 0
    delegate: bytes | None = None
    state: int = STATE_INITIALIZED
    native_reserve: int | None = None
    delegated_amount: int = 0
    close_authority: bytes | None = None

    @classmethod
    def parse(cls, data: bytes) -> TokenAccount:
        """The first 165 bytes of the data; the caller decides what a longer or shorter length means."""
        mint, owner, amount, tag, delegate, state, native_tag, native, delegated, close_tag, close = (
            TOKEN_LAYOUT.unpack_from(data)
        )
        if state > STATE_FROZEN:
            raise LayoutError("account state")
        return cls(
            mint=mint,
            owner=owner,
            amount=amount,
            delegate=delegate if _option(tag) else None,
            state=state,
            native_reserve=native if _option(native_tag) else None,
            delegated_amount=delegated,
            close_authority=close if _option(close_tag) else None,
        )

    def pack(self) -> bytes:
        return TOKEN_LAYOUT.pack(
            self.mint,
            self.owner,
            self.amount,
            _tag(self.delegate),
            self.delegate or ZERO_KEY,
            self.state,
            _tag(self.native_reserve),
            self.native_reserve or 0,
            self.delegated_amount,
            _tag(self.close_authority),
            self.close_authority or ZERO_KEY,
        )


MINT_LAYOUT = struct.Struct("<4s32sQBB4s32s")


@dataclass(slots=True, kw_only=True)
class Mint:
    """An SPL Token mint, 82 bytes."""

    authority: bytes | None
    supply: int = 0
    decimals: int = 0
    initialized: bool = True
    freeze_authority: bytes | None = None

    @classmethod
    def parse(cls, data: bytes) -> Mint:
        """The first 82 bytes of the data."""
        tag, authority, supply, decimals, initialized, freeze_tag, freeze = MINT_LAYOUT.unpack_from(data)
        if initialized > 1:
            raise LayoutError("initialized flag")
        return cls(
            authority=authority if _option(tag) else None,
            supply=supply,
            decimals=decimals,
            initialized=bool(initialized),
            freeze_authority=freeze if _option(freeze_tag) else None,
        )

    def pack(self) -> bytes:
        return MINT_LAYOUT.pack(
            _tag(self.authority),
            self.authority or ZERO_KEY,
            self.supply,
            self.decimals,
            self.initialized,
            _tag(self.freeze_authority),
            self.freeze_authority or ZERO_KEY,
        )


def _tag(value: object) -> bytes:
    return b"\0\0\0\0" if value is None else b"\1\0\0\0"
