"""The shared checks of CONTRACT.md 3.1, each in its stated order."""

from __future__ import annotations

from tests.support.contract_model.addresses import (
    LOADER,
    PROGRAM_DATA,
    PROGRAM_ID,
    SYSTEM_STATE,
    TOKEN_PROGRAM,
)
from tests.support.contract_model.callees import system_transfer
from tests.support.contract_model.runtime import PANIC, Frame, ProgramError, custom
from tests.support.contract_model.state import (
    STATE_FROZEN,
    U64_MAX,
    ZERO_KEY,
    LayoutError,
    Mint,
    PoolState,
    SystemState,
    TokenAccount,
)


def require(condition: bool, error: str) -> None:
    """Fail with the named error unless the condition holds."""
    if not condition:
        raise ProgramError(error)


def check_signer(frame: Frame, key: bytes) -> None:
    require(key in frame.signers, "MissingRequiredSignature")


def load_system(frame: Frame, key: bytes) -> SystemState:
    """The key and the parse; the pause is not looked at."""
    require(key == SYSTEM_STATE, "InvalidAccountData")
    data = frame[key].data
    require(bool(data), "UninitializedAccount")
    try:
        return SystemState.parse(data)
    except LayoutError:
        raise ProgramError("InvalidAccountData") from None


def check_system(frame: Frame, key: bytes) -> SystemState:
    """CHK_SYSTEM."""
    state = load_system(frame, key)
    require(not state.is_paused, "Custom(1023)")
    return state


def check_pool(frame: Frame, key: bytes, pool_id: bytes | None) -> PoolState:
    """CHK_POOL; pool_id None accepts any pool."""
    account = frame[key]
    require(account.owner == PROGRAM_ID, "IncorrectProgramId")
    require(pool_id in {None, key}, "Custom(1034)")
    try:
        pool = PoolState.parse(account.data)
    except LayoutError:
        raise ProgramError("InvalidAccountData") from None
    require(ZERO_KEY not in {pool.token_a_mint, pool.token_b_mint}, "InvalidAccountData")
    require(pool.ratio_a > 0 and pool.ratio_b > 0, "InvalidAccountData")
    return pool


def check_token(
    frame: Frame, key: bytes, *, owner: bytes | None = None, mint: bytes | None = None, reject_delegate: bool = False
) -> TokenAccount:
    """CHK_TOKEN."""
    account = frame[key]
    require(bool(account.data), "UninitializedAccount")
    require(account.owner == TOKEN_PROGRAM, "IncorrectProgramId")
    require(len(account.data) >= 165, PANIC)
    try:
        token = TokenAccount.parse(account.data)
    except LayoutError:
        raise ProgramError("InvalidAccountData") from None
    require(token.state != STATE_FROZEN, "InvalidAccountData")
    delegated = token.delegate is not None and token.delegated_amount > 0
    require(not (reject_delegate and delegated), "InvalidAccountData")
    require(owner in {None, token.owner}, "InvalidAccountData")
    require(mint in {None, token.mint}, "InvalidAccountData")
    return token


def check_lp_mint(frame: Frame, key: bytes, pool: bytes) -> None:
    """CHK_LPMINT."""
    account = frame[key]
    require(account.owner == TOKEN_PROGRAM, "IncorrectProgramId")
    require(len(account.data) == 82, "InvalidAccountData")
    try:
        mint = Mint.parse(account.data)
    except LayoutError:
        raise ProgramError("InvalidAccountData") from None
    require(mint.initialized and mint.authority == pool, "InvalidAccountData")


def is_upgrade_authority(frame: Frame, signer: bytes, program_data: bytes) -> bool:
    """Steps 5 and 6 of CHK_ADMIN: the stored upgrade authority of the real ProgramData account."""
    account = frame[program_data]
    data = account.data
    if program_data != PROGRAM_DATA or account.owner != LOADER or len(data) < 45:
        return False
    return data[:4] == b"\3\0\0\0" and data[12] == 1 and data[13:45] == signer


def check_admin(frame: Frame, signer: bytes, system_key: bytes, program_data: bytes) -> SystemState:
    """CHK_ADMIN."""
    check_signer(frame, signer)
    state = load_system(frame, system_key)
    require(
        signer == state.admin or is_upgrade_authority(frame, signer, program_data),
        "InvalidAccountData",
    )
    return state


def take_fee(frame: Frame, user: bytes, pool_key: bytes, pool_id: bytes, *, swap: bool) -> PoolState:
    """TAKE_FEE; the pool with its collected fees raised, already stored."""
    pool = PoolState.parse(frame[pool_key].data)
    fee = pool.swap_fee if swap else pool.liquidity_fee
    if frame[user].lamports < fee:
        raise custom(1031)
    if pool_key not in frame.writable:
        raise custom(1033)
    check_pool(frame, pool_key, pool_id)
    system_transfer(frame, user, pool_key, fee)
    if swap:
        pool.collected_swap += fee
    else:
        pool.collected_liquidity += fee
    pool.total_fees += fee
    if max(pool.collected_swap, pool.collected_liquidity, pool.total_fees) > U64_MAX:
        raise custom(1033)
    frame.store(pool_key, pool.pack())
    return pool
