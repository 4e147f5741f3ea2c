"""Random FRT instructions, mostly well-formed, with boundary amounts (CONTRACT.md 3)."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.contract_cases.market import MINTS, USERS, Market
from tests.support.contract_model import encoding
from tests.support.contract_model.addresses import MAIN_TREASURY, SYSTEM_STATE, pool_address
from tests.support.contract_model.runtime import Instruction
from tests.support.contract_model.state import U64_MAX, PoolState, SystemState, Treasury
from tests.support.litesvm_world import ADMIN, AUTHORITY

Maker = Callable[[Market], Instruction]


def _admin(market: Market) -> bytes:
    """Mostly the present admin, sometimes the upgrade authority, seldom a stranger or a former admin."""
    admin = SystemState.parse(market.world.model.accounts[SYSTEM_STATE].data).admin
    return market.random.choices((admin, AUTHORITY, USERS[1], ADMIN), (30, 6, 1, 1))[0]


def _user(market: Market, pool: PoolState) -> bytes:
    return pool.owner if pool.owner in USERS and market.random.random() < 0.3 else market.random.choice(USERS)


def _side(market: Market, pool: PoolState) -> tuple[bytes, bytes]:
    """A mint of the pool with its LP mint; seldom a mint of another pool."""
    if market.random.random() < 0.02:
        return market.random.choice(MINTS), pool.lp_token_a_mint
    sides = ((pool.token_a_mint, pool.lp_token_a_mint), (pool.token_b_mint, pool.lp_token_b_mint))
    return market.random.choice(sides)


def deposit(market: Market) -> Instruction:
    key = market.random.choice(market.pools)
    pool = market.pool(key)
    user = _user(market, pool)
    mint, lp_mint = _side(market, pool)
    source = market.accounts[user, mint]
    amount = market.amount(market.balance(source))
    return encoding.deposit(user, key, mint, amount, source, market.accounts[user, lp_mint])


def withdraw(market: Market) -> Instruction:
    # Mostly of somebody who holds LP tokens, so that withdrawals happen at all.
    key = market.random.choice(market.pools)
    pool = market.pool(key)
    mint, lp_mint = _side(market, pool)
    user = market.random.choice(USERS)
    for _ in range(5):
        if market.balance(market.accounts[user, lp_mint]):
            break
        key = market.random.choice(market.pools)
        pool = market.pool(key)
        mint, lp_mint = _side(market, pool)
        user = market.random.choice(USERS)
    source = market.accounts[user, lp_mint]
    total = pool.total_a if lp_mint == pool.lp_token_a_mint else pool.total_b
    balance = market.balance(source)
    amount = market.amount(balance if market.random.random() < 0.3 else min(balance, total))
    return encoding.withdraw(user, key, mint, amount, source, market.accounts[user, mint])


def _swap_direction(market: Market) -> tuple[bytes, PoolState, bool]:
    """A pool and a direction, mostly one whose output side holds something."""
    for _ in range(4):
        key, a_to_b = market.random.choice(market.pools), market.random.random() < 0.5
        pool = market.pool(key)
        if pool.total_b if a_to_b else pool.total_a:
            break
    return key, pool, a_to_b


def swap(market: Market) -> Instruction:
    random = market.random
    key, pool, a_to_b = _swap_direction(market)
    user = _user(market, pool)
    ratio_in, ratio_out = (pool.ratio_a, pool.ratio_b) if a_to_b else (pool.ratio_b, pool.ratio_a)
    reserve = pool.total_b if a_to_b else pool.total_a
    accounts = (market.accounts[user, pool.token_a_mint], market.accounts[user, pool.token_b_mint])
    # Amounts around what the output side can pay, so that both outcomes are frequent.
    affordable = min(reserve * ratio_in // ratio_out, market.balance(accounts[0 if a_to_b else 1]))
    amount_in = market.amount(affordable)
    if random.random() < 0.3:
        amount_in = min(U64_MAX, max(1, amount_in // ratio_in) * ratio_in)
    elif random.random() < 0.3:
        least = -(-ratio_in // ratio_out)
        amount_in = min(U64_MAX, max(0, least + random.randint(-1, 2)))
    expected = min(amount_in * ratio_out // ratio_in, U64_MAX)
    if random.random() < 0.08:
        expected = min(U64_MAX, max(0, expected + random.choice((-1, 1))))
    return encoding.swap_of(pool, user, key, (amount_in, expected), a_to_b, accounts)


def initialize_pool(market: Market) -> Instruction:
    """Any ratio of any two mints, sometimes an existing pool; a success has to be adopted by the caller."""
    random = market.random
    first, second = random.sample(MINTS, 2) if random.random() < 0.9 else [random.choice(MINTS)] * 2
    ratio_a, ratio_b = (
        random.choice((0, 1, 1, 2, 10**6, 10**9, 1_500_000, U64_MAX, random.randint(1, 10**10))) for _ in "ab"
    )
    if random.random() < 0.2:
        pool = market.pool(random.choice(market.pools))
        first, second = pool.token_a_mint, pool.token_b_mint
        ratio_a, ratio_b = pool.ratio_a, pool.ratio_b
    return encoding.initialize_pool(random.choice(USERS), first, second, ratio_a, ratio_b, random.randint(0, 255))


def new_pool_of(instruction: Instruction) -> bytes:
    """The address that an InitializePool instruction creates."""
    ratio_a, ratio_b = (int.from_bytes(instruction.data[at : at + 8], "little") for at in (1, 9))
    mint_a, mint_b = sorted(meta.key for meta in instruction.metas[7:9])
    return pool_address(mint_a, mint_b, ratio_a, ratio_b)[0]


def pause_pool(market: Market) -> Instruction:
    flags = market.random.choice((0, 1, 2, 3, 3, 255))
    return encoding.pause_pool(_admin(market), market.random.choice(market.pools), flags)


def unpause_pool(market: Market) -> Instruction:
    flags = market.random.choice((1, 2, 3, 3, 3, 255))
    paused = [key for key in market.pools if market.pool(key).flags & 6] or market.pools
    return encoding.unpause_pool(_admin(market), market.random.choice(paused), flags)


def set_owner_only(market: Market) -> Instruction:
    enable = market.random.choice((0, 0, 1))
    return encoding.set_owner_only(
        _admin(market), market.random.choice(market.pools), enable, market.random.choice(USERS)
    )


def update_fees(market: Market) -> Instruction:
    liquidity = market.random.choice((0, 99_999, 100_000, 13_000_000, 100_000_000, 100_000_001, U64_MAX))
    swap_fee = market.random.choice((0, 9_999, 10_000, 271_500, 10_000_000, 10_000_001, U64_MAX))
    if market.random.random() < 0.6:
        liquidity, swap_fee = market.random.randint(100_000, 10**8), market.random.randint(10_000, 10**7)
    flags = market.random.choice((0, 1, 2, 3, 3, 4, 7))
    return encoding.update_fees(_admin(market), market.random.choice(market.pools), flags, liquidity, swap_fee)


def consolidate(market: Market) -> Instruction:
    count = market.random.choice((0, 1, 1, 2, 5, 10, 20, 21))
    pools = tuple(market.random.choice(market.pools) for _ in range(count))
    return encoding.consolidate(_admin(market), pools)


def pause_system(market: Market) -> Instruction:
    return encoding.pause_system(_admin(market), market.random.randint(0, 255))


def unpause_system(market: Market) -> Instruction:
    return encoding.unpause_system(_admin(market))


def withdraw_treasury(market: Market) -> Instruction:
    account = market.world.model.accounts[MAIN_TREASURY]
    available = account.lamports - 1_837_440
    balance = Treasury.parse(account.data).total_balance
    amounts = (0, 1, 9_999_999, 10_000_000, 10**10, 10**10 + 1, available, available + 1, balance // 3)
    target = market.random.choice((ADMIN, USERS[2], market.random.choice(market.pools)))
    return encoding.withdraw_treasury(_admin(market), max(0, market.random.choice(amounts)), target)


def donate(market: Market) -> Instruction:
    amount = market.random.choice((0, 99_999_999, 100_000_000, 10**9, 10**10, U64_MAX))
    message = market.random.choice((b"", b"thanks", "žluťoučký".encode(), b"\xff\xfe", b"\xed\xa0\x80"))
    return encoding.donate(market.random.choice(USERS), amount, message)


def process_admin_change(market: Market) -> Instruction:
    return encoding.process_admin_change(_admin(market), market.random.choice((ADMIN, ADMIN, ADMIN, AUTHORITY)))


def get_version(market: Market) -> Instruction:
    return encoding.get_version()


def initialize_program(market: Market) -> Instruction:
    return encoding.initialize_program(market.random.choice((AUTHORITY, ADMIN)), ADMIN)


WEIGHTS: dict[Maker, int] = {
    deposit: 24,
    withdraw: 20,
    swap: 40,
    initialize_pool: 3,
    pause_pool: 3,
    unpause_pool: 6,
    set_owner_only: 3,
    update_fees: 4,
    consolidate: 5,
    pause_system: 2,
    unpause_system: 2,
    withdraw_treasury: 4,
    donate: 3,
    process_admin_change: 2,
    get_version: 1,
    initialize_program: 1,
}


def next_operation(market: Market) -> Instruction:
    """A pause of the system does not last long, or it would hide everything else."""
    if SystemState.parse(market.world.model.accounts[SYSTEM_STATE].data).is_paused and market.random.random() < 0.3:
        return unpause_system(market)
    maker = market.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return maker(market)
