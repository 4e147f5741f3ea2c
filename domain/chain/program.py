"""Where the Fixed Ratio Trading program lives: ids, constants, derived addresses (CONTRACT.md 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from solders.pubkey import Pubkey

LOCALNET_PROGRAM_ID: Final = Pubkey.from_string("4aeVqtWhrUh6wpX8acNj2hpWXKEQwxjA3PYb2sHhNyCn")
DEVNET_PROGRAM_ID: Final = Pubkey.from_string("9iqh69RqeG3RRrFBNZVoE77TMRvYboFUtC2sykaFVzB7")
MAINNET_PROGRAM_ID: Final = Pubkey.from_string("quXSYkeZ8ByTCtYY1J1uxQmE36UZ3LmNGgE3CYMFixD")

SYSTEM_PROGRAM_ID: Final = Pubkey.from_string("11111111111111111111111111111111")
TOKEN_PROGRAM_ID: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED_TOKEN_PROGRAM_ID: Final = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
COMPUTE_BUDGET_PROGRAM_ID: Final = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
RENT_SYSVAR_ID: Final = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
UPGRADEABLE_LOADER_ID: Final = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")

CONTRACT_VERSION: Final = "0.17.1070"

# Money the program takes or guards, in lamports.
REGISTRATION_FEE_LAMPORTS: Final = 1_150_000_000
DEFAULT_LIQUIDITY_FEE_LAMPORTS: Final = 13_000_000
DEFAULT_SWAP_FEE_LAMPORTS: Final = 271_500
MIN_LIQUIDITY_FEE_LAMPORTS: Final = 100_000
MAX_LIQUIDITY_FEE_LAMPORTS: Final = 100_000_000
MIN_SWAP_FEE_LAMPORTS: Final = 10_000
MAX_SWAP_FEE_LAMPORTS: Final = 10_000_000
MIN_DONATION_LAMPORTS: Final = 100_000_000
MIN_TREASURY_WITHDRAWAL_LAMPORTS: Final = 10_000_000
TREASURY_BASE_RATE_LAMPORTS_PER_HOUR: Final = 10_000_000_000
TREASURY_TIER_FACTOR: Final = 10
TREASURY_DRAIN_HOURS: Final = 48

# Waiting times, in seconds.
TREASURY_WITHDRAWAL_WINDOW_SECONDS: Final = 3_600
RESTART_PENALTY_SECONDS: Final = 255_600
ADMIN_CHANGE_TIMELOCK_SECONDS: Final = 259_200

MIN_POOLS_PER_CONSOLIDATION: Final = 1
MAX_POOLS_PER_CONSOLIDATION: Final = 20
CONSOLIDATION_PAUSE_REASON: Final = 15
U64_MAX: Final = 2**64 - 1

# Account sizes in bytes. The program guards the rent of 440 bytes on consolidation although 438 are allocated (3.12).
POOL_STATE_BYTES: Final = 438
CONSOLIDATION_RENT_BYTES: Final = 440
SYSTEM_STATE_BYTES: Final = 83
TREASURY_BYTES: Final = 136
TOKEN_ACCOUNT_BYTES: Final = 165
MINT_BYTES: Final = 82
PROGRAM_DATA_HEADER_BYTES: Final = 45

ACCOUNT_STORAGE_OVERHEAD_BYTES: Final = 128
DEFAULT_RENT_LAMPORTS_PER_BYTE: Final = 6_960

# Pool flags (CONTRACT.md 4.1) and the bits of PausePool / UpdatePoolFees (3.8, 3.11).
FLAG_SIMPLE_RATIO: Final = 0x01
FLAG_LIQUIDITY_PAUSED: Final = 0x02
FLAG_SWAPS_PAUSED: Final = 0x04
FLAG_WITHDRAWAL_PROTECTION: Final = 0x08
FLAG_SINGLE_LP_TOKEN: Final = 0x10
FLAG_OWNER_ONLY_SWAPS: Final = 0x20
FLAG_EXACT_EXCHANGE: Final = 0x40
PAUSE_LIQUIDITY: Final = 1
PAUSE_SWAPS: Final = 2
UPDATE_LIQUIDITY_FEE: Final = 1
UPDATE_SWAP_FEE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAddresses:
    """Every address of one pool; mints and ratios are in the pool's own order (A < B by raw bytes)."""

    program_id: Pubkey
    mint_a: Pubkey
    mint_b: Pubkey
    ratio_a: int
    ratio_b: int
    pool_state: Pubkey
    vault_a: Pubkey
    vault_b: Pubkey
    lp_mint_a: Pubkey
    lp_mint_b: Pubkey
    bumps: tuple[int, int, int, int, int]
    """Of pool state, vault A, vault B, LP mint A, LP mint B: the order of the pool account's bytes 256..260."""


def order_mints(mint_x: Pubkey, ratio_x: int, mint_y: Pubkey, ratio_y: int) -> tuple[Pubkey, Pubkey, int, int]:
    """Put two mints into the program's order and flip the ratio along with them (CONTRACT.md 5).

    Returns (mint A, mint B, ratio A, ratio B); ratios are in smallest units. Order is by raw bytes, not by base58 text.
    """
    if bytes(mint_x) < bytes(mint_y):
        return mint_x, mint_y, ratio_x, ratio_y
    return mint_y, mint_x, ratio_y, ratio_x


@lru_cache(maxsize=64)
def system_state(program_id: Pubkey) -> Pubkey:
    return _derive(program_id, b"system_state")[0]


@lru_cache(maxsize=64)
def main_treasury(program_id: Pubkey) -> Pubkey:
    return _derive(program_id, b"main_treasury")[0]


@lru_cache(maxsize=64)
def program_data(program_id: Pubkey) -> Pubkey:
    """The loader's record of the program's upgrade authority."""
    return _derive(UPGRADEABLE_LOADER_ID, bytes(program_id))[0]


@lru_cache(maxsize=4096)
def pool_addresses(program_id: Pubkey, mint_a: Pubkey, mint_b: Pubkey, ratio_a: int, ratio_b: int) -> PoolAddresses:
    """Derive the five addresses of the pool of two *ordered* mints; ratios are u64 in smallest units.

    Raises ValueError for mints out of order, equal mints, or a ratio outside 1..2^64-1: such a pool cannot exist.
    """
    if bytes(mint_a) >= bytes(mint_b):
        raise ValueError(f"mints must be in raw byte order, got {mint_a} before {mint_b}")
    for ratio in (ratio_a, ratio_b):
        if not 1 <= ratio <= U64_MAX:
            raise ValueError(f"a ratio must lie in 1..2^64-1, got {ratio}")
    ratios = ratio_a.to_bytes(8, "little"), ratio_b.to_bytes(8, "little")
    pool_state, pool_bump = _derive(program_id, b"pool_state", bytes(mint_a), bytes(mint_b), *ratios)
    pool_key = bytes(pool_state)
    vault_a, vault_a_bump = _derive(program_id, b"token_a_vault", pool_key)
    vault_b, vault_b_bump = _derive(program_id, b"token_b_vault", pool_key)
    lp_mint_a, lp_mint_a_bump = _derive(program_id, b"lp_token_a_mint", pool_key)
    lp_mint_b, lp_mint_b_bump = _derive(program_id, b"lp_token_b_mint", pool_key)
    return PoolAddresses(
        program_id=program_id,
        mint_a=mint_a,
        mint_b=mint_b,
        ratio_a=ratio_a,
        ratio_b=ratio_b,
        pool_state=pool_state,
        vault_a=vault_a,
        vault_b=vault_b,
        lp_mint_a=lp_mint_a,
        lp_mint_b=lp_mint_b,
        bumps=(pool_bump, vault_a_bump, vault_b_bump, lp_mint_a_bump, lp_mint_b_bump),
    )


@lru_cache(maxsize=16_384)
def associated_token_address(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """The associated token account of `owner` for `mint` under the legacy token program."""
    return _derive(ASSOCIATED_TOKEN_PROGRAM_ID, bytes(owner), bytes(TOKEN_PROGRAM_ID), bytes(mint))[0]


def rent_minimum_lamports(size_bytes: int, *, lamports_per_byte: int = DEFAULT_RENT_LAMPORTS_PER_BYTE) -> int:
    """Rent-exempt minimum of an account; the default is the default cluster's rate, a real cluster should be asked."""
    return (ACCOUNT_STORAGE_OVERHEAD_BYTES + size_bytes) * lamports_per_byte


def _derive(program_id: Pubkey, *seeds: bytes) -> tuple[Pubkey, int]:
    return Pubkey.find_program_address(list(seeds), program_id)
