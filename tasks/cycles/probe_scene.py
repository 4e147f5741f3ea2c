"""What the probes of a pool may name, read from the chain and the store: own, foreign and sandbox accounts."""

from __future__ import annotations

from functools import lru_cache

from domain.chain import program
from domain.chain.build import Builder, token_address
from domain.errors import CommandError
from domain.facts import Account, Mint, Observation, SystemState, Treasury
from domain.ids import Address, PoolId, ThreadId
from domain.pool import Asset, Pool
from domain.probes import Sandbox, Scene, Stranger
from domain.probes_sandbox import sandbox_ratios
from tasks.runtime import Runtime

STRANGERS = 8


def addresses_of(runtime: Runtime, pool: Pool) -> tuple[Address, ...]:
    """Core wallet, system state, treasury, pool, its mints, and the core wallet's token accounts."""
    core = runtime.chain.keyring.core_address
    own = own_accounts(core, pool)
    mints = (pool.mint(asset) for asset in Asset)
    return (core, runtime.chain.system_state, runtime.chain.treasury, Address(pool.pool_id), *mints, *own.values())


@lru_cache(maxsize=4096)
def own_accounts(core: Address, pool: Pool) -> dict[Asset, Address]:
    """The core wallet's associated token accounts; not to be changed by the caller."""
    return {asset: token_address(core, pool.mint(asset)) for asset in Asset}


def sandboxes_of(builder: Builder, core: Address, pool: Pool) -> dict[str, Sandbox]:
    boxes = {}
    for name, (ratio_a, ratio_b) in sandbox_ratios(pool).items():
        passing = builder.passing_pool(pool, ratio_a, ratio_b)
        boxes[name] = Sandbox(pool=passing, accounts=own_accounts(core, passing))
    return boxes


def scene_of(runtime: Runtime, pool: Pool, seen: Observation, running: list[ThreadId], other: PoolId) -> Scene | None:
    """None while the pool cannot be read."""
    shown = seen.pool(Address(pool.pool_id))
    if shown is None:
        return None
    chain, core = runtime.chain, runtime.chain.keyring.core_address
    own = own_accounts(core, pool)
    system = seen.accounts.get(chain.system_state)
    state = system.decoded if system is not None else None
    admin = state.admin if isinstance(state, SystemState) else None
    underlying = [seen.accounts.get(pool.mint(asset)) for asset in (Asset.TOKEN_A, Asset.TOKEN_B)]
    return Scene(
        pool=pool,
        core=core,
        own=own,
        balances={asset: seen.tokens(address) for asset, address in own.items()},
        supplies={asset: seen.supply(pool.mint(asset)) or 0 for asset in Asset},
        core_lamports=seen.lamports(core),
        liquidity_fee=shown.liquidity_fee,
        swap_fee=shown.swap_fee,
        strangers=_strangers(runtime, running),
        other_pool=_other_pool(runtime, other),
        sandboxes=sandboxes_of(chain.builder, core, pool),
        system_state=chain.system_state,
        treasury=chain.treasury,
        program_data=Address(str(program.program_data(chain.program_id))),
        is_admin=pool.managed and runtime.settings.local_chain and admin == core,
        is_minter=all(
            mint is not None and isinstance(mint.decoded, Mint) and mint.decoded.mint_authority == core
            for mint in underlying
        ),
        treasury_open=treasury_open(seen.accounts.get(chain.treasury)),
    )


def treasury_open(account: Account | None) -> bool:
    """May one withdrawal take everything? Not above the hourly limit, nor after an earlier one or an unpause."""
    if account is None or not isinstance(account.decoded, Treasury):
        return False
    most = program.TREASURY_BASE_RATE_LAMPORTS_PER_HOUR - 2 * program.REGISTRATION_FEE_LAMPORTS
    rent = program.rent_minimum_lamports(program.TREASURY_BYTES)
    return rent < account.lamports < most and account.decoded.last_withdrawal_timestamp == 0


def _other_pool(runtime: Runtime, pool_id: PoolId) -> Pool | None:
    try:
        return runtime.pool(pool_id) if pool_id else None
    except CommandError:  # archived meanwhile
        return None


def _strangers(runtime: Runtime, running: list[ThreadId]) -> tuple[Stranger, ...]:
    """Running threads of the pool: at most one of each set of accounts, so that all kinds are there."""
    found: dict[tuple[Asset, ...], Stranger] = {}
    for thread_id in running:
        try:
            config = runtime.thread(thread_id)
        except CommandError:
            continue
        found.setdefault(tuple(sorted(config.accounts)), Stranger(wallet=config.wallet, accounts=dict(config.accounts)))
        if len(found) == STRANGERS:
            break
    return tuple(found.values())
