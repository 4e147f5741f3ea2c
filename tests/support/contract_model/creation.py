"""InitializeProgram, InitializePool and the ratio classification (CONTRACT.md 3.2, 3.3, 5)."""

from __future__ import annotations

from tests.support.contract_model.addresses import (
    MAIN_TREASURY,
    PROGRAM_ID,
    RENT_SYSVAR,
    SYSTEM_STATE,
    TOKEN_PROGRAM,
    pool_address,
    pool_part,
)
from tests.support.contract_model.callees import (
    create_account,
    initialize_mint,
    initialize_token_account,
    system_transfer,
)
from tests.support.contract_model.checks import check_signer, check_system, is_upgrade_authority, require
from tests.support.contract_model.runtime import PANIC, Frame, ProgramError, custom
from tests.support.contract_model.state import FLAG_SIMPLE, U64_MAX, LayoutError, Mint, PoolState, SystemState, Treasury

REGISTRATION_FEE = 1_150_000_000
KEPT_FLAGS = 0x60


def initialize_program(frame: Frame, admin: bytes) -> None:
    authority, _, rent, system, treasury, program_data = frame.keys
    require(rent == RENT_SYSVAR, "InvalidArgument")
    check_signer(frame, authority)
    require(is_upgrade_authority(frame, authority, program_data), "InvalidAccountData")
    require(system == SYSTEM_STATE, "InvalidAccountData")
    require(not frame[system].data, "AccountAlreadyInitialized")
    require(treasury == MAIN_TREASURY, "InvalidAccountData")
    create_account(frame, authority, system, 83, PROGRAM_ID)
    state = SystemState(
        is_paused=False,
        pause_timestamp=0,
        pause_reason=0,
        admin=admin,
        pending_admin=admin,
        admin_change_timestamp=frame.now,
    )
    frame.store(system, state.pack())
    create_account(frame, authority, treasury, 136, PROGRAM_ID)
    frame.store(treasury, Treasury().pack())


def classify(ratio_a: int, ratio_b: int, decimals_a: int, decimals_b: int) -> str:
    """Simple, Decimal or Engineering; a mint of 64 or more decimals aborts the program."""
    factors = (pow(10, decimals_a, 2**64), pow(10, decimals_b, 2**64))
    if 0 in factors:
        raise ProgramError(PANIC)
    sides = []
    for ratio, factor in zip((ratio_a, ratio_b), factors, strict=True):
        display_unit = factor > 1 and ratio < factor and ratio % factor != 0
        sides.append((min(ratio * factor, U64_MAX) if display_unit else ratio, factor))
    if not any(value // factor == 1 for value, factor in sides):
        return "Engineering"
    return "Simple" if all(value % factor == 0 for value, factor in sides) else "Decimal"


def _read_mint(frame: Frame, key: bytes) -> Mint:
    data = frame[key].data
    require(len(data) >= 82, PANIC)
    try:
        return Mint.parse(data)
    except LayoutError:
        raise ProgramError("InvalidAccountData") from None


def _take_registration_fee(frame: Frame, user: bytes, treasury: bytes) -> None:
    if frame[user].lamports < REGISTRATION_FEE:
        raise custom(1031)
    require(treasury == MAIN_TREASURY, "Custom(1034)")
    require(treasury in frame.writable, "Custom(1033)")
    system_transfer(frame, user, treasury, REGISTRATION_FEE)
    account = frame[treasury]
    totals = Treasury.parse(account.data)
    totals.pool_creation_count += 1
    totals.total_pool_creation_fees += REGISTRATION_FEE
    totals.last_update_timestamp = frame.now
    totals.total_balance = account.lamports
    frame.store(treasury, totals.pack())


def initialize_pool(frame: Frame, ratio_a: int, ratio_b: int, flags: int) -> None:
    user, _, system, pool_key, token_program, treasury, rent, first, second, vault_a, vault_b, lp_a, lp_b = frame.keys
    check_signer(frame, user)
    check_system(frame, system)
    require(rent == RENT_SYSVAR, "InvalidArgument")
    first_decimals = _read_mint(frame, first).decimals
    second_decimals = _read_mint(frame, second).decimals
    require(ratio_a > 0 and ratio_b > 0, "InvalidArgument")
    require(first != second, "InvalidArgument")
    require(frame[first].owner == TOKEN_PROGRAM == frame[second].owner, "IncorrectProgramId")
    require(token_program == TOKEN_PROGRAM, "IncorrectProgramId")
    _take_registration_fee(frame, user, treasury)
    mint_a, mint_b = sorted((first, second))
    address, bump = pool_address(mint_a, mint_b, ratio_a, ratio_b)
    require(pool_key == address, "InvalidAccountData")
    require(not frame[pool_key].data, "AccountAlreadyInitialized")
    parts = [pool_part(seed, pool_key) for seed in ("token_a_vault", "token_b_vault")]
    parts += [pool_part(seed, pool_key) for seed in ("lp_token_a_mint", "lp_token_b_mint")]
    require([vault_a, vault_b, lp_a, lp_b] == [part[0] for part in parts], "InvalidAccountData")
    create_account(frame, user, pool_key, 438, PROGRAM_ID)
    for vault, mint in ((vault_a, mint_a), (vault_b, mint_b)):
        create_account(frame, user, vault, 165, TOKEN_PROGRAM)
        initialize_token_account(frame, vault, mint, pool_key)
    # The decimals follow the order in which the caller passed the mints: a faithful quirk.
    for lp_mint, decimals in ((lp_a, first_decimals), (lp_b, second_decimals)):
        create_account(frame, user, lp_mint, 82, TOKEN_PROGRAM)
        initialize_mint(frame, lp_mint, decimals, pool_key)
    places = {first: first_decimals, second: second_decimals}
    kind = classify(ratio_a, ratio_b, places[mint_a], places[mint_b])
    require(kind != "Engineering", "Custom(1049)")
    pool = PoolState(
        owner=user,
        token_a_mint=mint_a,
        token_b_mint=mint_b,
        token_a_vault=vault_a,
        token_b_vault=vault_b,
        lp_token_a_mint=lp_a,
        lp_token_b_mint=lp_b,
        ratio_a=ratio_a,
        ratio_b=ratio_b,
        bumps=bytes([bump, *(part[1] for part in parts)]),
        flags=(FLAG_SIMPLE if kind == "Simple" else 0) | (flags & KEPT_FLAGS),
    )
    frame.store(pool_key, pool.pack())
