"""Deposit, Withdraw and Swap (CONTRACT.md 3.4 - 3.6), check by check."""

from __future__ import annotations

from tests.support.contract_model.addresses import TOKEN_PROGRAM, pool_part
from tests.support.contract_model.callees import burn, mint_to, token_transfer
from tests.support.contract_model.checks import (
    check_lp_mint,
    check_pool,
    check_signer,
    check_system,
    check_token,
    require,
    take_fee,
)
from tests.support.contract_model.runtime import PANIC, Frame, ProgramError, custom
from tests.support.contract_model.state import (
    FLAG_EXACT,
    FLAG_LIQUIDITY_PAUSED,
    FLAG_OWNER_ONLY,
    FLAG_SWAPS_PAUSED,
    U64_MAX,
    PoolState,
    TokenAccount,
)


def _change_total(pool: PoolState, side: str, amount: int) -> None:
    total = getattr(pool, f"total_{side}") + amount
    require(0 <= total <= U64_MAX, "ArithmeticOverflow")
    setattr(pool, f"total_{side}", total)


def _remembered_problem(frame: Frame, key: bytes, owner: bytes) -> bool:
    """Whether the LP destination is unusable; an abort cannot be remembered and ends the program at once."""
    try:
        check_token(frame, key, owner=owner, reject_delegate=True)
    except ProgramError as error:
        if str(error) == PANIC:
            raise
        return True
    return False


def deposit(frame: Frame, mint: bytes, amount: int, pool_id: bytes) -> None:
    user, _, system, pool_key, token_program, vault_a, vault_b, source, lp_target, lp_a, lp_b = frame.keys
    check_signer(frame, user)
    check_system(frame, system)
    require(amount > 0, "InvalidArgument")
    pool = check_pool(frame, pool_key, pool_id)
    require(not pool.flags & FLAG_LIQUIDITY_PAUSED, "Custom(1035)")
    side = pool.side(mint)
    require(side != "", "InvalidInstructionData")
    vault, lp_mint = (vault_a, lp_a) if side == "a" else (vault_b, lp_b)
    require(lp_mint == pool_part(f"lp_token_{side}_mint", pool_key)[0], "InvalidAccountData")
    payer = check_token(frame, source, owner=user, reject_delegate=True)
    unusable = _remembered_problem(frame, lp_target, user)
    require(payer.mint == mint, "InvalidInstructionData")
    require(vault == pool_part(f"token_{side}_vault", pool_key)[0], "InvalidAccountData")
    check_token(frame, vault, owner=pool_key, mint=mint)
    check_lp_mint(frame, lp_mint, pool_key)
    require(not unusable, "Custom(4001)")
    require(TokenAccount.parse(frame[lp_target].data).mint == lp_mint, "InvalidAccountData")
    require(payer.amount >= amount, "InsufficientFunds")
    pool = take_fee(frame, user, pool_key, pool_id, swap=False)
    require(token_program == TOKEN_PROGRAM, "IncorrectProgramId")
    token_transfer(frame, source, vault, user, amount)
    _change_total(pool, side, amount)
    frame.store(pool_key, pool.pack())
    mint_to(frame, lp_mint, lp_target, pool_key, amount, frozenset({pool_key}))


def withdraw(frame: Frame, mint: bytes, amount: int, pool_id: bytes) -> None:
    user, _, system, pool_key, token_program, vault_a, vault_b, lp_source, target, lp_a, lp_b = frame.keys
    require(amount > 0, "InvalidArgument")
    check_signer(frame, user)
    check_system(frame, system)
    pool = check_pool(frame, pool_key, pool_id)
    require(not pool.flags & FLAG_LIQUIDITY_PAUSED, "Custom(1035)")
    require(lp_a == pool_part("lp_token_a_mint", pool_key)[0], "InvalidAccountData")
    require(lp_b == pool_part("lp_token_b_mint", pool_key)[0], "InvalidAccountData")
    receiver = check_token(frame, target, owner=user, reject_delegate=True)
    burned = check_token(frame, lp_source, owner=user, reject_delegate=True)
    require(receiver.mint == mint, "InvalidInstructionData")
    side = pool.side(mint)
    require(side != "", "InvalidArgument")
    vault, lp_mint = (vault_a, lp_a) if side == "a" else (vault_b, lp_b)
    require(burned.mint == lp_mint, "InvalidAccountData")
    require(vault == getattr(pool, f"token_{side}_vault"), "InvalidAccountData")
    check_token(frame, vault, owner=pool_key, mint=mint)
    check_lp_mint(frame, lp_mint, pool_key)
    pool = take_fee(frame, user, pool_key, pool_id, swap=False)
    require(token_program == TOKEN_PROGRAM, "IncorrectProgramId")
    burn(frame, lp_source, lp_mint, user, amount)
    token_transfer(frame, vault, target, pool_key, amount, frozenset({pool_key}))
    _change_total(pool, side, -amount)
    frame.store(pool_key, pool.pack())


def swap_output(amount_in: int, ratio_in: int, ratio_out: int, *, exact: bool) -> int:
    """Output of a swap by CONTRACT.md 6; raises the error the program gives for an amount it refuses."""
    output, remainder = divmod(amount_in * ratio_out, ratio_in)
    if exact and remainder:
        raise custom(1047)
    if output > U64_MAX:
        raise custom(1019)
    require(output > 0, "InvalidArgument")
    return output


def swap(frame: Frame, amount_in: int, expected_out: int, pool_id: bytes) -> None:
    user, _, system, pool_key, token_program, vault_a, vault_b, source, target, mint_in, mint_out = frame.keys
    require(amount_in > 0, "InvalidArgument")
    check_signer(frame, user)
    check_system(frame, system)
    pool = check_pool(frame, pool_key, pool_id)
    require(not pool.flags & FLAG_SWAPS_PAUSED, "Custom(1027)")
    require(not pool.flags & FLAG_OWNER_ONLY or user == pool.owner, "Custom(1028)")
    payer = check_token(frame, source, owner=user, reject_delegate=True)
    receiver = check_token(frame, target, owner=user, reject_delegate=True)
    side = pool.side(payer.mint)
    require(side != "", "InvalidArgument")
    require((vault_a, vault_b) == (pool.token_a_vault, pool.token_b_vault), "InvalidAccountData")
    other = "b" if side == "a" else "a"
    vault_in, vault_out = (vault_a, vault_b) if side == "a" else (vault_b, vault_a)
    wanted_out = getattr(pool, f"token_{other}_mint")
    check_token(frame, vault_in, owner=pool_key, mint=payer.mint)
    check_token(frame, vault_out, owner=pool_key, mint=wanted_out)
    require(payer.amount >= amount_in, "InvalidAccountData")
    require(receiver.mint == wanted_out, "InvalidAccountData")
    require(token_program == TOKEN_PROGRAM, "IncorrectProgramId")
    require(mint_in == payer.mint, "InvalidAccountData")
    require(mint_out == receiver.mint, "InvalidAccountData")
    output = swap_output(
        amount_in,
        getattr(pool, f"ratio_{side}"),
        getattr(pool, f"ratio_{other}"),
        exact=bool(pool.flags & FLAG_EXACT),
    )
    require(output == expected_out, "Custom(1047)")
    require(output <= getattr(pool, f"total_{other}"), "InsufficientFunds")
    pool = take_fee(frame, user, pool_key, pool_id, swap=True)
    token_transfer(frame, source, vault_in, user, amount_in)
    token_transfer(frame, vault_out, target, pool_key, output, frozenset({pool_key}))
    _change_total(pool, side, amount_in)
    _change_total(pool, other, -output)
    frame.store(pool_key, pool.pack())
