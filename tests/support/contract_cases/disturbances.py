"""What makes a random history hard: damaged instructions, and actions past the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.support.contract_cases.market import MINTS, USERS, Market, key_of
from tests.support.contract_model import encoding
from tests.support.contract_model.addresses import (
    MAIN_TREASURY,
    PROGRAM_DATA,
    RENT_SYSVAR,
    SYSTEM_PROGRAM,
    SYSTEM_STATE,
    TOKEN_PROGRAM,
)
from tests.support.contract_model.model import MODELLED
from tests.support.contract_model.runtime import Instruction, Meta
from tests.support.contract_model.state import (
    STATE_FROZEN,
    STATE_INITIALIZED,
    STATE_UNINITIALIZED,
    U64_MAX,
    Account,
    TokenAccount,
)
from tests.support.litesvm_world import ADMIN, AUTHORITY, World

MISSING = key_of(0x90, 0)
SHORT_TOKEN = key_of(0x90, 1)
LONG_TOKEN = key_of(0x90, 2)
FOREIGN_TOKEN = key_of(0x90, 3)
BROKEN_TOKEN = key_of(0x90, 4)
DELEGATE = key_of(0x90, 6)
FOREIGN_POOL = key_of(0x90, 5)
FIXED_KEYS = (
    SYSTEM_STATE,
    MAIN_TREASURY,
    PROGRAM_DATA,
    RENT_SYSVAR,
    SYSTEM_PROGRAM,
    TOKEN_PROGRAM,
    ADMIN,
    AUTHORITY,
    MISSING,
    SHORT_TOKEN,
    LONG_TOKEN,
    FOREIGN_TOKEN,
    BROKEN_TOKEN,
    FOREIGN_POOL,
    *USERS,
    *MINTS,
)


def place_decoys(world: World) -> None:
    """Accounts that look like others: short, long, foreign-owned or broken token accounts, a copied pool."""
    good = TokenAccount(mint=MINTS[0], owner=USERS[0]).pack()
    broken = good[:108] + b"\x03" + good[109:]
    for key, owner, data in (
        (SHORT_TOKEN, TOKEN_PROGRAM, good[:164]),
        (LONG_TOKEN, TOKEN_PROGRAM, good + bytes(5)),
        (FOREIGN_TOKEN, RENT_SYSVAR, good),
        (BROKEN_TOKEN, TOKEN_PROGRAM, broken),
        (FOREIGN_POOL, TOKEN_PROGRAM, bytes(438)),
    ):
        world.put(key, Account(lamports=10**9, owner=owner, data=data))


def damage(market: Market, instruction: Instruction) -> Instruction:
    """One random fault in the accounts, the privileges or the data."""
    kinds: tuple[Callable[[Market, Instruction], Instruction], ...] = (
        _replace_account,
        _replace_account,
        _replace_account,
        _exchange_accounts,
        _change_privileges,
        _change_privileges,
        _change_account_count,
        _change_data,
        _change_data,
    )
    if not instruction.metas:
        return _change_data(market, instruction)
    return market.random.choice(kinds)(market, instruction)


def _any_key(market: Market) -> bytes:
    pool = market.random.choice(market.pools)
    groups = (FIXED_KEYS, list(market.accounts.values()), (pool, *encoding.pool_parts(pool)))
    return market.random.choice(market.random.choice(groups))


def _replace_account(market: Market, instruction: Instruction) -> Instruction:
    metas = list(instruction.metas)
    index = market.random.randrange(len(metas))
    metas[index] = replace(metas[index], key=_any_key(market))
    return replace(instruction, metas=tuple(metas))


def _exchange_accounts(market: Market, instruction: Instruction) -> Instruction:
    metas = list(instruction.metas)
    i, j = market.random.choices(range(len(metas)), k=2)
    metas[i], metas[j] = replace(metas[i], key=metas[j].key), replace(metas[j], key=metas[i].key)
    return replace(instruction, metas=tuple(metas))


def _change_privileges(market: Market, instruction: Instruction) -> Instruction:
    metas = list(instruction.metas)
    index = 0 if market.random.random() < 0.5 else market.random.randrange(len(metas))
    meta = metas[index]
    metas[index] = market.random.choice((replace(meta, signer=False), replace(meta, writable=not meta.writable)))
    return replace(instruction, metas=tuple(metas))


def _change_account_count(market: Market, instruction: Instruction) -> Instruction:
    if market.random.random() < 0.5:
        return replace(instruction, metas=instruction.metas[: market.random.randrange(len(instruction.metas))])
    return replace(instruction, metas=(*instruction.metas, Meta(key=_any_key(market))))


def _change_data(market: Market, instruction: Instruction) -> Instruction:
    random, data = market.random, bytearray(instruction.data)
    kind = random.randrange(4)
    if kind == 0 and data:
        del data[random.randrange(len(data)) :]
    elif kind == 1:
        data += random.randbytes(random.randint(1, 3))
    elif kind == 2 and len(data) > 1:
        data[random.randrange(1, len(data))] = random.choice((0, 1, 2, 255))
    elif len(data) >= 32:
        data[-32:] = _any_key(market)
    if data and data[0] not in MODELLED:
        raise AssertionError("a damaged discriminator is not modelled")
    return replace(instruction, data=bytes(data))


def outside_action(market: Market) -> Instruction | None:
    """Something that anyone, or time, does around the program; an instruction, or a direct change of both sides."""
    actions: tuple[tuple[Callable[[Market], Instruction | None], int], ...] = (
        (_send_to_vault, 2),
        (_burn_lp, 1),
        (_send_lp, 4),
        (_send_lamports, 2),
        (_refill_lamports, 6),
        (_drain_lamports, 2),
        (_change_token_account, 3),
        (_restore_token_accounts, 5),
        (_pass_time, 6),
    )
    return market.random.choices([action for action, _ in actions], [weight for _, weight in actions])[0](market)


def _send_to_vault(market: Market) -> Instruction:
    key = market.random.choice(market.pools)
    pool, user = market.pool(key), market.random.choice(USERS)
    mint, vault = market.random.choice(
        ((pool.token_a_mint, pool.token_a_vault), (pool.token_b_mint, pool.token_b_vault))
    )
    source = market.accounts[user, mint]
    return encoding.token_transfer(source, vault, user, market.random.randint(0, 1 + market.balance(source) // 50))


def _burn_lp(market: Market) -> Instruction:
    lp_mint = market.random.choice(encoding.pool_parts(market.random.choice(market.pools))[2:])
    user = market.random.choice(USERS)
    source = market.accounts[user, lp_mint]
    return encoding.token_burn(source, lp_mint, user, market.random.randint(0, 1 + market.balance(source) // 50))


def _send_lp(market: Market) -> Instruction:
    lp_mint = market.random.choice(encoding.pool_parts(market.random.choice(market.pools))[2:])
    giver, taker = market.random.choice(USERS), market.random.choice(USERS)
    source = market.accounts[giver, lp_mint]
    return encoding.token_transfer(
        source, market.accounts[taker, lp_mint], giver, market.random.randint(0, 1 + market.balance(source))
    )


def _send_lamports(market: Market) -> Instruction:
    target = market.random.choice((MAIN_TREASURY, market.random.choice(market.pools)))
    return encoding.system_transfer(ADMIN, target, market.random.choice((1, 13_919, 13_920, 10**6, 10**9)))


def _refill_lamports(market: Market) -> None:
    for user in (*USERS, ADMIN, AUTHORITY):
        market.world.put_lamports(user, 10**12)


def _drain_lamports(market: Market) -> None:
    """Leave a user around the fees: too little, exactly enough, enough but below rent afterwards."""
    pool = market.pool(market.random.choice(market.pools))
    fee = market.random.choice((pool.liquidity_fee, pool.swap_fee, 1_150_000_000, 1_160_941_120))
    lamports = fee + market.random.choice((-1, 0, 1, 890_879, 890_880))
    market.world.put_lamports(market.random.choice(USERS), max(890_880, lamports))


def _change_token_account(market: Market) -> None:
    """Freeze, delegate, close, or mark as uninitialized one token account of a user, seldom a vault."""
    random, key = market.random, market.random.choice(list(market.accounts.values()))
    if random.random() < 0.1:
        key = random.choice(encoding.pool_parts(random.choice(market.pools))[:2])
        token = market.token(key)
        if token:
            token.state = STATE_FROZEN
            market.world.put_token(key, token)
        return
    token = market.token(key)
    if token is None:
        return
    change = random.randrange(6)
    if change == 0:
        token.state = STATE_FROZEN
    elif change in {1, 2}:
        token.delegate = DELEGATE
        token.delegated_amount = random.choice((0, 1, U64_MAX))
    elif change == 3:
        token.close_authority = USERS[2]
    elif change == 4 and token.amount == 0:
        market.world.put(key, Account())
        return
    else:
        token.state = STATE_UNINITIALIZED
    market.world.put_token(key, token)


def _restore_token_accounts(market: Market) -> None:
    """Make every token account usable again, vaults included; amounts stay."""
    for (user, mint), key in market.accounts.items():
        amount = market.balance(key)
        market.world.put_token(key, TokenAccount(mint=mint, owner=user, amount=amount))
    for pool in market.pools:
        for vault in encoding.pool_parts(pool)[:2]:
            token = market.token(vault)
            if token and token.state == STATE_FROZEN:
                token.state = STATE_INITIALIZED
                market.world.put_token(vault, token)


def _pass_time(market: Market) -> None:
    seconds = market.random.choice((1, 3_599, 3_600, 86_400, 255_600, 259_200))
    market.world.set_time(market.world.model.now + seconds)


def describe(instruction: Instruction) -> str:
    """One line with everything needed to send the instruction again."""
    metas = " ".join(f"{meta.key.hex()}{'S' * meta.signer}{'W' * meta.writable}" for meta in instruction.metas)
    return f"program {instruction.program.hex()[:8]} data {instruction.data.hex()} accounts {metas}"
