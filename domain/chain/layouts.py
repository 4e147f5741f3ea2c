"""The bytes of accounts and the records they hold, in both directions (CONTRACT.md 4). Lengths are strict.

No account of the program carries a tag: owner, address and length say what it is.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache
from struct import Struct
from typing import Final

from solders.pubkey import Pubkey

from domain.chain import program
from domain.errors import StressError
from domain.facts import Mint, PoolState, SystemState, TokenAccount, Treasury
from domain.ids import Address

_POOL_NUMBERS: Final = Struct("<4Q6B2Q32s3Qq2Q80s")
_POOL_KEYS_BYTES: Final = 224
_SYSTEM_HEAD: Final = Struct("<BqB32sB")
_TIMESTAMP: Final = Struct("<q")
_TREASURY: Final = Struct("<12QqQq2Q")
# A COption is a u32 tag and a value that is present, as zeros, also without it.
_TOKEN_ACCOUNT: Final = Struct("<64sQI32sBIQQI32s")
_MINT: Final = Struct("<I32sQBBI32s")
_PROGRAM_DATA: Final = Struct("<IQB32s")
_PROGRAM_DATA_TAG: Final = 3
_NO_KEY: Final = bytes(32)
_NATIVE_TAG_BYTE: Final = 109


class LayoutError(StressError):
    """Account data that is not what it is said to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramData:
    """The loader's record of a deployed program; without an authority it can never be upgraded."""

    slot: int
    upgrade_authority: Address | None


def decode_pool_state(data: bytes) -> PoolState:
    """PoolState from its 438 bytes. Raises LayoutError for any other length."""
    _check_length("pool state", data, program.POOL_STATE_BYTES)
    owner, mint_a, mint_b, vault_a, vault_b, lp_mint_a, lp_mint_b = _addresses(data[:_POOL_KEYS_BYTES])
    numbers = _POOL_NUMBERS.unpack_from(data, _POOL_KEYS_BYTES)
    return PoolState(
        owner=owner,
        mint_a=mint_a,
        mint_b=mint_b,
        vault_a=vault_a,
        vault_b=vault_b,
        lp_mint_a=lp_mint_a,
        lp_mint_b=lp_mint_b,
        ratio_a=numbers[0],
        ratio_b=numbers[1],
        liquidity_a=numbers[2],
        liquidity_b=numbers[3],
        bumps=numbers[4:9],
        flags=numbers[9],
        liquidity_fee=numbers[10],
        swap_fee=numbers[11],
        zero_token_fees=numbers[12],
        collected_liquidity_fees=numbers[13],
        collected_swap_fees=numbers[14],
        total_fees_collected=numbers[15],
        last_consolidation_at=numbers[16],
        consolidations=numbers[17],
        total_fees_consolidated=numbers[18],
        zero_tail=numbers[19],
    )


def encode_pool_state(pool: PoolState) -> bytes:
    keys = (pool.owner, pool.mint_a, pool.mint_b, pool.vault_a, pool.vault_b, pool.lp_mint_a, pool.lp_mint_b)
    return b"".join(_key(address) for address in keys) + _POOL_NUMBERS.pack(
        pool.ratio_a,
        pool.ratio_b,
        pool.liquidity_a,
        pool.liquidity_b,
        *pool.bumps,
        pool.flags,
        pool.liquidity_fee,
        pool.swap_fee,
        pool.zero_token_fees,
        pool.collected_liquidity_fees,
        pool.collected_swap_fees,
        pool.total_fees_collected,
        pool.last_consolidation_at,
        pool.consolidations,
        pool.total_fees_consolidated,
        pool.zero_tail,
    )


def decode_system_state(data: bytes) -> SystemState:
    """SystemState from its 83 bytes; without a pending admin the last 32 are leftovers and are not looked at."""
    _check_length("system state", data, program.SYSTEM_STATE_BYTES)
    paused, pause_timestamp, reason, admin, pending_tag = _SYSTEM_HEAD.unpack_from(data)
    if paused > 1 or pending_tag > 1:
        raise LayoutError(f"system state: flag bytes must be 0 or 1, got paused {paused}, pending tag {pending_tag}")
    position = _SYSTEM_HEAD.size
    pending = None
    if pending_tag:
        pending = _address(data[position : position + 32])
        position += 32
    return SystemState(
        is_paused=bool(paused),
        pause_timestamp=pause_timestamp,
        pause_reason_code=reason,
        admin=_address(admin),
        pending_admin=pending,
        admin_change_timestamp=_TIMESTAMP.unpack_from(data, position)[0],
    )


def encode_system_state(state: SystemState, *, previous: bytes = bytes(program.SYSTEM_STATE_BYTES)) -> bytes:
    """83 bytes; what the shorter form without a pending admin does not cover keeps the `previous` content."""
    head = _SYSTEM_HEAD.pack(
        state.is_paused,
        state.pause_timestamp,
        state.pause_reason_code,
        _key(state.admin),
        state.pending_admin is not None,
    )
    pending = _key(state.pending_admin) if state.pending_admin is not None else b""
    written = head + pending + _TIMESTAMP.pack(state.admin_change_timestamp)
    return written + previous[len(written) :]


def decode_treasury(data: bytes) -> Treasury:
    """Treasury from its 136 bytes, 17 numbers in the account's order."""
    _check_length("treasury", data, program.TREASURY_BYTES)
    numbers = _TREASURY.unpack(data)
    return Treasury(**dict(zip(_TREASURY_FIELDS, numbers, strict=True)))


def encode_treasury(treasury: Treasury) -> bytes:
    return _TREASURY.pack(*astuple(treasury))


_TREASURY_FIELDS: Final = (
    "total_balance",
    "rent_exempt_minimum",
    "total_withdrawn",
    "pool_creation_count",
    "liquidity_operation_count",
    "regular_swap_count",
    "treasury_withdrawal_count",
    "failed_operation_count",
    "total_pool_creation_fees",
    "total_liquidity_fees",
    "total_regular_swap_fees",
    "total_swap_contract_fees",
    "last_update_timestamp",
    "total_consolidations_performed",
    "last_withdrawal_timestamp",
    "donation_count",
    "total_donations",
)


def decode_token_account(data: bytes) -> TokenAccount:
    """An SPL token account from its 165 bytes. `is_native` is not part of the record; see `is_native_account`."""
    _check_length("token account", data, program.TOKEN_ACCOUNT_BYTES)
    keys, amount, delegate_tag, delegate, state, native_tag, _, delegated, close_tag, close = _TOKEN_ACCOUNT.unpack(
        data
    )
    if state > 2 or native_tag > 1:
        raise LayoutError(f"token account: state {state} or native tag {native_tag} does not exist")
    mint, owner = _addresses(keys)
    return TokenAccount(
        mint=mint,
        owner=owner,
        amount=amount,
        state=state,
        delegate=_optional("token account's delegate", delegate_tag, delegate),
        delegated_amount=delegated,
        close_authority=_optional("token account's close authority", close_tag, close),
    )


def encode_token_account(account: TokenAccount, *, native_reserve_lamports: int | None = None) -> bytes:
    """165 bytes; a wrapped-SOL account names its rent reserve."""
    return _TOKEN_ACCOUNT.pack(
        _key(account.mint) + _key(account.owner),
        account.amount,
        *_tagged(account.delegate),
        account.state,
        native_reserve_lamports is not None,
        native_reserve_lamports or 0,
        account.delegated_amount,
        *_tagged(account.close_authority),
    )


def is_native_account(data: bytes) -> bool:
    """Whether a token account holds wrapped SOL, so that its amount follows its lamports."""
    _check_length("token account", data, program.TOKEN_ACCOUNT_BYTES)
    return data[_NATIVE_TAG_BYTE] == 1


def decode_mint(data: bytes) -> Mint:
    """An SPL mint from its 82 bytes."""
    _check_length("mint", data, program.MINT_BYTES)
    authority_tag, authority, supply, decimals, initialized, freeze_tag, freeze = _MINT.unpack(data)
    if initialized > 1:
        raise LayoutError(f"mint: the initialized byte must be 0 or 1, got {initialized}")
    return Mint(
        mint_authority=_optional("mint's authority", authority_tag, authority),
        supply=supply,
        decimals=decimals,
        initialized=bool(initialized),
        freeze_authority=_optional("mint's freeze authority", freeze_tag, freeze),
    )


def encode_mint(mint: Mint) -> bytes:
    return _MINT.pack(
        *_tagged(mint.mint_authority),
        mint.supply,
        mint.decimals,
        mint.initialized,
        *_tagged(mint.freeze_authority),
    )


def decode_program_data(data: bytes) -> ProgramData:
    """The first 45 bytes of a ProgramData account; the program's ELF follows."""
    if len(data) < program.PROGRAM_DATA_HEADER_BYTES:
        raise LayoutError(f"program data: expected at least {program.PROGRAM_DATA_HEADER_BYTES} bytes, got {len(data)}")
    tag, slot, authority_tag, authority = _PROGRAM_DATA.unpack_from(data)
    if tag != _PROGRAM_DATA_TAG:
        raise LayoutError(f"program data: loader state {tag} is not ProgramData ({_PROGRAM_DATA_TAG})")
    return ProgramData(slot=slot, upgrade_authority=_optional("program data's authority", authority_tag, authority))


def encode_program_data_header(record: ProgramData) -> bytes:
    """45 bytes, in front of the ELF."""
    return _PROGRAM_DATA.pack(_PROGRAM_DATA_TAG, record.slot, *_tagged(record.upgrade_authority))


def _check_length(name: str, data: bytes, expected: int) -> None:
    if len(data) != expected:
        raise LayoutError(f"{name}: expected {expected} bytes, got {len(data)}")


@lru_cache(maxsize=8192)
def _addresses(keys: bytes) -> tuple[Address, ...]:
    """Base58 of consecutive keys, remembered: an account's keys hardly ever change and base58 is the slow part."""
    return tuple(_address(keys[start : start + 32]) for start in range(0, len(keys), 32))


def _address(key: bytes) -> Address:
    return Address(str(Pubkey.from_bytes(key)))


def _key(address: Address) -> bytes:
    return bytes(Pubkey.from_string(address))


def _optional(name: str, tag: int, key: bytes) -> Address | None:
    if tag > 1:
        raise LayoutError(f"{name}: an option's tag must be 0 or 1, got {tag}")
    return _address(key) if tag else None


def _tagged(address: Address | None) -> tuple[int, bytes]:
    return (0, _NO_KEY) if address is None else (1, _key(address))
