"""Pauses, owner-only mode, fees, consolidation and the treasury (CONTRACT.md 3.7 - 3.13)."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.contract_model.addresses import MAIN_TREASURY, PROGRAM_ID, RENT_SYSVAR, SYSTEM_PROGRAM
from tests.support.contract_model.callees import system_transfer
from tests.support.contract_model.checks import (
    check_admin,
    check_pool,
    check_signer,
    check_system,
    is_upgrade_authority,
    require,
)
from tests.support.contract_model.runtime import Frame, ProgramError
from tests.support.contract_model.state import (
    FLAG_LIQUIDITY_PAUSED,
    FLAG_OWNER_ONLY,
    FLAG_SWAPS_PAUSED,
    LayoutError,
    PoolState,
    Treasury,
    rent_minimum,
)

RESTART_PENALTY_SECONDS = 255_600
WITHDRAWAL_WINDOW_SECONDS = 3_600
ADMIN_TIMELOCK_SECONDS = 259_200
HOURLY_LIMIT = 10_000_000_000
DRAIN_HOURS = 48
PROTECTED_POOL_LAMPORTS = rent_minimum(440)


def pause_system(frame: Frame, reason: int) -> None:
    admin, system, program_data = frame.keys[:3]
    require(system in frame.writable, "InvalidAccountData")
    state = check_admin(frame, admin, system, program_data)
    require(not state.is_paused, "Custom(1024)")
    state.is_paused, state.pause_timestamp, state.pause_reason = True, frame.now, reason
    frame.store(system, state.pack())


def unpause_system(frame: Frame) -> None:
    admin, system, treasury, program_data = frame.keys[:4]
    require(system in frame.writable, "InvalidAccountData")
    require(treasury in frame.writable, "InvalidAccountData")
    state = check_admin(frame, admin, system, program_data)
    require(treasury == MAIN_TREASURY, "InvalidAccountData")
    require(state.is_paused, "Custom(1025)")
    state.is_paused, state.pause_timestamp, state.pause_reason = False, 0, 0
    frame.store(system, state.pack())
    totals = Treasury.parse(frame[treasury].data)
    totals.last_withdrawal_timestamp = frame.now + RESTART_PENALTY_SECONDS
    totals.last_update_timestamp = frame.now
    frame.store(treasury, totals.pack())


def process_admin_change(frame: Frame, new_admin: bytes) -> None:
    """Propose a new admin, or confirm the proposal after three days."""
    admin, system, program_data = frame.keys
    state = check_system(frame, system)
    require(admin == state.admin or is_upgrade_authority(frame, admin, program_data), "InvalidAccountData")
    check_signer(frame, admin)
    waited = frame.now - state.admin_change_timestamp
    if state.pending_admin == new_admin and waited >= ADMIN_TIMELOCK_SECONDS:
        state.admin, state.pending_admin, state.admin_change_timestamp = new_admin, None, 0
    else:
        state.pending_admin, state.admin_change_timestamp = new_admin, frame.now
    frame.store(system, state.pack())


def _change_pool(frame: Frame, pool_id: bytes, change: Callable[[PoolState], None]) -> None:
    """The common frame of the pool's administrative instructions, without their argument checks."""
    pool_key = frame.keys[2]
    pool = check_pool(frame, pool_key, pool_id)
    change(pool)
    frame.store(pool_key, pool.pack())


def _authorize(frame: Frame) -> None:
    admin, system, _, program_data = frame.keys[:4]
    check_system(frame, system)
    check_admin(frame, admin, system, program_data)


def _pause_bits(flags: int) -> int:
    return (FLAG_LIQUIDITY_PAUSED if flags & 1 else 0) | (FLAG_SWAPS_PAUSED if flags & 2 else 0)


def pause_pool(frame: Frame, flags: int, pool_id: bytes) -> None:
    def change(pool: PoolState) -> None:
        pool.flags |= _pause_bits(flags)

    _authorize(frame)
    _change_pool(frame, pool_id, change)


def unpause_pool(frame: Frame, flags: int, pool_id: bytes) -> None:
    def change(pool: PoolState) -> None:
        pool.flags &= ~_pause_bits(flags)

    _authorize(frame)
    _change_pool(frame, pool_id, change)


def set_swap_owner_only(frame: Frame, enable: bool, owner: bytes, pool_id: bytes) -> None:
    def change(pool: PoolState) -> None:
        pool.flags &= ~FLAG_OWNER_ONLY
        if enable:
            pool.flags |= FLAG_OWNER_ONLY
            pool.owner = owner

    _authorize(frame)
    _change_pool(frame, pool_id, change)


def update_pool_fees(frame: Frame, flags: int, liquidity_fee: int, swap_fee: int, pool_id: bytes) -> None:
    def change(pool: PoolState) -> None:
        if flags & 1:
            pool.liquidity_fee = liquidity_fee
        if flags & 2:
            pool.swap_fee = swap_fee

    _authorize(frame)
    require(flags in {1, 2, 3}, "Custom(1043)")
    require(not flags & 1 or 100_000 <= liquidity_fee <= 100_000_000, "Custom(1044)")
    require(not flags & 2 or 10_000 <= swap_fee <= 10_000_000, "Custom(1045)")
    _change_pool(frame, pool_id, change)


def _consolidate_pool(frame: Frame, pool_key: bytes, *, system_paused: bool) -> tuple[int, int]:
    """Move one pool's fees out of it; (liquidity part, swap part) in lamports."""
    pool = check_pool(frame, pool_key, None)
    both = FLAG_LIQUIDITY_PAUSED | FLAG_SWAPS_PAUSED
    pending = pool.total_fees - pool.total_consolidated
    available = min(max(0, frame[pool_key].lamports - PROTECTED_POOL_LAMPORTS), pending)
    if not (system_paused or pool.flags & both == both) or pending <= 0 or not available:
        return 0, 0
    if available == pending:
        liquidity, swap = pool.collected_liquidity, pool.collected_swap
    else:
        liquidity, liquidity_rest = divmod(available * pool.collected_liquidity, pending)
        swap, swap_rest = divmod(available * pool.collected_swap, pending)
        rest = available - liquidity - swap
        if liquidity_rest >= swap_rest:
            liquidity += rest
        else:
            swap += rest
    pool.collected_liquidity -= liquidity
    pool.collected_swap -= swap
    pool.total_consolidated += available
    pool.last_consolidation = frame.now
    pool.consolidations += 1
    frame.store(pool_key, pool.pack())
    frame.add_lamports(pool_key, -available)
    frame.add_lamports(MAIN_TREASURY, available)
    return liquidity, swap


def consolidate_pool_fees(frame: Frame) -> None:
    admin, system, treasury, program_data, *pools = frame.keys
    require(treasury == MAIN_TREASURY, "InvalidAccountData")
    state = check_admin(frame, admin, system, program_data)
    require(frame[system].owner == PROGRAM_ID, "IncorrectProgramId")
    parts = [_consolidate_pool(frame, key, system_paused=state.is_paused) for key in pools]
    try:
        totals = Treasury.parse(frame[treasury].data)
    except LayoutError:
        raise ProgramError("BorshIoError") from None
    swaps = sum(swap for _, swap in parts)
    totals.total_liquidity_fees += sum(liquidity for liquidity, _ in parts)
    totals.total_regular_swap_fees += swaps
    totals.total_swap_contract_fees += swaps
    totals.liquidity_operation_count += sum(liquidity // 13_000_000 for liquidity, _ in parts)
    totals.regular_swap_count += sum(swap // 271_500 for _, swap in parts)
    totals.total_consolidations_performed += 1
    totals.last_update_timestamp = frame.now
    totals.total_balance = frame[treasury].lamports
    frame.store(treasury, totals.pack())


def _is_rate_limited(totals: Treasury, amount: int, now: int) -> bool:
    if totals.last_withdrawal_timestamp > now:
        return True
    limit = HOURLY_LIMIT
    while totals.total_balance - totals.rent_exempt_minimum > DRAIN_HOURS * limit:
        limit *= 10
    recent = totals.last_withdrawal_timestamp and now - totals.last_withdrawal_timestamp < WITHDRAWAL_WINDOW_SECONDS
    return amount > limit or bool(recent)


def withdraw_treasury_fees(frame: Frame, amount: int) -> None:
    admin, treasury, rent, target, system, program_data = frame.keys[:6]
    require(treasury in frame.writable and target in frame.writable, "InvalidAccountData")
    require(treasury == MAIN_TREASURY, "InvalidAccountData")
    check_system(frame, system)
    check_admin(frame, admin, system, program_data)
    require(rent == RENT_SYSVAR, "InvalidArgument")
    available = max(0, frame[treasury].lamports - rent_minimum(136))
    wanted = amount or available
    require(wanted > 0, "InsufficientFunds")
    require(not 0 < amount < 10_000_000, "InvalidInstructionData")
    require(wanted <= available, "InsufficientFunds")
    totals = Treasury.parse(frame[treasury].data)
    require(not _is_rate_limited(totals, wanted, frame.now), "InvalidInstructionData")
    frame.add_lamports(treasury, -wanted)
    frame.add_lamports(target, wanted)
    totals.treasury_withdrawal_count += 1
    totals.total_withdrawn += wanted
    totals.last_update_timestamp = totals.last_withdrawal_timestamp = frame.now
    totals.total_balance = frame[treasury].lamports
    frame.store(treasury, totals.pack())


def donate_sol(frame: Frame, amount: int) -> None:
    donor, treasury, system, system_program = frame.keys
    check_signer(frame, donor)
    require(donor in frame.writable and treasury in frame.writable, "InvalidAccountData")
    require(system_program == SYSTEM_PROGRAM, "IncorrectProgramId")
    require(amount >= 100_000_000, "InvalidArgument")
    require(frame[donor].lamports >= amount, "InsufficientFunds")
    require(treasury == MAIN_TREASURY, "InvalidAccountData")
    check_system(frame, system)
    system_transfer(frame, donor, treasury, amount)
    totals = Treasury.parse(frame[treasury].data)
    totals.donation_count += 1
    totals.total_donations += amount
    totals.last_update_timestamp = frame.now
    totals.total_balance = frame[treasury].lamports
    frame.store(treasury, totals.pack())
