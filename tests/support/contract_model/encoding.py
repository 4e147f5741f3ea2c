"""Raw instructions built from CONTRACT.md 3: data bytes and account tables, with the documented privileges."""

from __future__ import annotations

import struct

from tests.support.contract_model.addresses import (
    MAIN_TREASURY,
    PROGRAM_DATA,
    RENT_SYSVAR,
    SYSTEM_PROGRAM,
    SYSTEM_STATE,
    TOKEN_PROGRAM,
    pool_address,
    pool_part,
)
from tests.support.contract_model.runtime import Instruction, Meta
from tests.support.contract_model.state import PoolState


def signer(key: bytes) -> Meta:
    """A writable signer: account 0 of everything that pays."""
    return Meta(key=key, signer=True, writable=True)


def writable(key: bytes) -> Meta:
    return Meta(key=key, writable=True)


def readonly(key: bytes) -> Meta:
    return Meta(key=key)


def pool_parts(pool: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Vault A, vault B, LP mint A, LP mint B of a pool address."""
    seeds = ("token_a_vault", "token_b_vault", "lp_token_a_mint", "lp_token_b_mint")
    vault_a, vault_b, lp_a, lp_b = (pool_part(seed, pool)[0] for seed in seeds)
    return vault_a, vault_b, lp_a, lp_b


def initialize_program(authority: bytes, admin: bytes) -> Instruction:
    metas = (
        signer(authority),
        readonly(SYSTEM_PROGRAM),
        readonly(RENT_SYSVAR),
        writable(SYSTEM_STATE),
        writable(MAIN_TREASURY),
        readonly(PROGRAM_DATA),
    )
    return Instruction(data=b"\x00" + admin, metas=metas)


def initialize_pool(
    user: bytes, first: bytes, second: bytes, ratio_a: int, ratio_b: int, flags: int = 0
) -> Instruction:
    """first and second are the mints in the order passed; the ratio is that of the ordered mints."""
    mint_a, mint_b = sorted((first, second))
    pool = pool_address(mint_a, mint_b, ratio_a, ratio_b)[0]
    vault_a, vault_b, lp_a, lp_b = pool_parts(pool)
    metas = (
        signer(user),
        readonly(SYSTEM_PROGRAM),
        readonly(SYSTEM_STATE),
        writable(pool),
        readonly(TOKEN_PROGRAM),
        writable(MAIN_TREASURY),
        readonly(RENT_SYSVAR),
        readonly(first),
        readonly(second),
        writable(vault_a),
        writable(vault_b),
        writable(lp_a),
        writable(lp_b),
    )
    return Instruction(data=struct.pack("<BQQB", 1, ratio_a, ratio_b, flags), metas=metas)


def _liquidity(
    kind: int, user: bytes, pool: bytes, mint: bytes, amount: int, source: bytes, target: bytes
) -> Instruction:
    vault_a, vault_b, lp_a, lp_b = pool_parts(pool)
    metas = (
        signer(user),
        readonly(SYSTEM_PROGRAM),
        readonly(SYSTEM_STATE),
        writable(pool),
        readonly(TOKEN_PROGRAM),
        writable(vault_a),
        writable(vault_b),
        writable(source),
        writable(target),
        writable(lp_a),
        writable(lp_b),
    )
    return Instruction(data=struct.pack("<B32sQ32s", kind, mint, amount, pool), metas=metas)


def deposit(user: bytes, pool: bytes, mint: bytes, amount: int, source: bytes, lp_target: bytes) -> Instruction:
    return _liquidity(2, user, pool, mint, amount, source, lp_target)


def withdraw(user: bytes, pool: bytes, mint: bytes, amount: int, lp_source: bytes, target: bytes) -> Instruction:
    return _liquidity(3, user, pool, mint, amount, lp_source, target)


def swap(
    user: bytes,
    pool: bytes,
    mints: tuple[bytes, bytes],
    amounts: tuple[int, int],
    source: bytes,
    target: bytes,
) -> Instruction:
    """mints and amounts are (input, output)."""
    vault_a, vault_b, _, _ = pool_parts(pool)
    metas = (
        signer(user),
        readonly(SYSTEM_PROGRAM),
        readonly(SYSTEM_STATE),
        writable(pool),
        readonly(TOKEN_PROGRAM),
        writable(vault_a),
        writable(vault_b),
        writable(source),
        writable(target),
        readonly(mints[0]),
        readonly(mints[1]),
    )
    return Instruction(data=struct.pack("<B32sQQ32s", 4, mints[0], *amounts, pool), metas=metas)


def swap_of(state: PoolState, user: bytes, pool: bytes, amounts: tuple[int, int], a_to_b: bool,
            accounts: tuple[bytes, bytes]) -> Instruction:  # fmt: skip
    """A swap in one direction; accounts are the user's (token A, token B) accounts."""
    mints = (state.token_a_mint, state.token_b_mint)
    order = (0, 1) if a_to_b else (1, 0)
    return swap(user, pool, (mints[order[0]], mints[order[1]]), amounts, accounts[order[0]], accounts[order[1]])


def pause_system(admin: bytes, reason: int) -> Instruction:
    metas = (signer(admin), writable(SYSTEM_STATE), readonly(PROGRAM_DATA))
    return Instruction(data=bytes([12, reason]), metas=metas)


def unpause_system(admin: bytes) -> Instruction:
    metas = (signer(admin), writable(SYSTEM_STATE), writable(MAIN_TREASURY), readonly(PROGRAM_DATA))
    return Instruction(data=b"\x0d", metas=metas)


def get_version() -> Instruction:
    return Instruction(data=b"\x0e", metas=())


def withdraw_treasury(admin: bytes, amount: int, target: bytes) -> Instruction:
    metas = (
        signer(admin),
        writable(MAIN_TREASURY),
        readonly(RENT_SYSVAR),
        writable(target),
        readonly(SYSTEM_STATE),
        readonly(PROGRAM_DATA),
    )
    return Instruction(data=struct.pack("<BQ", 15, amount), metas=metas)


def consolidate(admin: bytes, pools: tuple[bytes, ...]) -> Instruction:
    metas = (signer(admin), readonly(SYSTEM_STATE), writable(MAIN_TREASURY), readonly(PROGRAM_DATA))
    return Instruction(data=bytes([17, len(pools)]), metas=metas + tuple(writable(pool) for pool in pools))


def _pool_admin(admin: bytes, pool: bytes, data: bytes) -> Instruction:
    metas = (signer(admin), readonly(SYSTEM_STATE), writable(pool), readonly(PROGRAM_DATA))
    return Instruction(data=data + pool, metas=metas)


def pause_pool(admin: bytes, pool: bytes, flags: int) -> Instruction:
    return _pool_admin(admin, pool, bytes([19, flags]))


def unpause_pool(admin: bytes, pool: bytes, flags: int) -> Instruction:
    return _pool_admin(admin, pool, bytes([20, flags]))


def set_owner_only(admin: bytes, pool: bytes, enable: int, owner: bytes) -> Instruction:
    return _pool_admin(admin, pool, bytes([21, enable]) + owner)


def update_fees(admin: bytes, pool: bytes, flags: int, liquidity_fee: int, swap_fee: int) -> Instruction:
    return _pool_admin(admin, pool, struct.pack("<BBQQ", 22, flags, liquidity_fee, swap_fee))


def donate(donor: bytes, amount: int, message: bytes = b"") -> Instruction:
    metas = (signer(donor), writable(MAIN_TREASURY), readonly(SYSTEM_STATE), readonly(SYSTEM_PROGRAM))
    return Instruction(data=struct.pack("<BQI", 23, amount, len(message)) + message, metas=metas)


def process_admin_change(admin: bytes, new_admin: bytes) -> Instruction:
    metas = (signer(admin), writable(SYSTEM_STATE), readonly(PROGRAM_DATA))
    return Instruction(data=b"\x18" + new_admin, metas=metas)


def system_transfer(source: bytes, target: bytes, lamports: int) -> Instruction:
    """Lamports sent past FRT."""
    return Instruction(
        program=SYSTEM_PROGRAM, data=struct.pack("<IQ", 2, lamports), metas=(signer(source), writable(target))
    )


def token_transfer(source: bytes, target: bytes, authority: bytes, amount: int) -> Instruction:
    """Tokens sent past FRT."""
    metas = (writable(source), writable(target), Meta(key=authority, signer=True))
    return Instruction(program=TOKEN_PROGRAM, data=struct.pack("<BQ", 3, amount), metas=metas)


def token_burn(source: bytes, mint: bytes, authority: bytes, amount: int) -> Instruction:
    """LP tokens burned past FRT."""
    metas = (writable(source), writable(mint), Meta(key=authority, signer=True))
    return Instruction(program=TOKEN_PROGRAM, data=struct.pack("<BQ", 8, amount), metas=metas)
