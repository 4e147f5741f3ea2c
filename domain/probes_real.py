"""The probe chain's own small operations, which stay: its accounts and tokens, and the boundary amounts (1, smallest).

They move tokens, so the intent and the journal say what they move: ``flow`` (signed amounts as decimal strings).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from domain.amounts import smallest_swap
from domain.ids import Address
from domain.operations import Action, CreateTokenAccount
from domain.pool import Asset, Side, lp_of, token_of
from domain.probes import OK, Attempt, Gate, Probe, Scene, gates_of
from domain.probes_trade import deposit, mint, swap, withdraw
from domain.swap import U64_MAX, quote, ratio_of

SETUP: Final = "setup"
STOCK: Final = 1_000_000
LP_STOCK: Final = 1_000
_LIMIT: Final = 2**60  # what one pool's probes may mint of a token that others hold too


def real_probes() -> Iterator[Probe]:
    for side in Side:
        yield Probe(name=f"real.{side}.deposit-1", make=partial(_deposit, side=side, amount=1))
        yield Probe(name=f"real.{side}.withdraw-1", make=partial(_withdraw, side=side, amount=1))
        yield Probe(name=f"real.{side}.smallest-swap", make=partial(_smallest_swap, side=side))


def setup(scene: Scene, missing: set[Asset]) -> Attempt | None:
    """Creates the accounts that are missing, and mints where a balance is low; None where nothing is to be done."""
    accounts = [
        CreateTokenAccount(payer=scene.core, owner=scene.core, mint=scene.pool.mint(asset)) for asset in sorted(missing)
    ]
    minted = {}
    for side in Side:
        asset, wanted = token_of(side), stock(scene, side)
        if scene.is_minter and scene.balances[asset] < wanted and scene.supplies[asset] + 2 * wanted < _LIMIT * 8:
            minted[asset] = 2 * wanted
    actions: list[Action] = [*accounts, *(mint(scene, asset, amount) for asset, amount in minted.items())]
    if not actions:
        return None
    tokens = {scene.own[asset]: amount for asset, amount in minted.items()}
    return replace(_done(scene, actions, tokens), minted=True)


def stock(scene: Scene, side: Side) -> int:
    """What the core wallet should hold of a side's token: some deposits, and the smallest swaps of both directions."""
    smallest = smallest_swap(*ratio_of(scene.pool, side), exact=scene.pool.exact_exchange)
    back = quote(
        smallest_swap(*ratio_of(scene.pool, side.other), exact=scene.pool.exact_exchange),
        *ratio_of(scene.pool, side.other),
    )[0]
    return min(_LIMIT, max(STOCK, 4 * smallest, 4 * back))


def stocked(scene: Scene, side: Side) -> Attempt | None:
    """A first deposit, so that there are LP tokens to try things with."""
    if scene.balances[lp_of(side)] >= LP_STOCK // 2:
        return None
    return _deposit(scene, side=side, amount=LP_STOCK)


def flow_of(attempt: Attempt, scene: Scene) -> dict[str, str]:
    """Signed change per asset of the core wallet's accounts, "minted_..." where it was minted; decimal strings.

    Only the trades' part concerns the pool: a vault gained what a token account lost, an LP supply what LP gained.
    """
    prefix = "minted_" if attempt.minted else ""
    names = {address: prefix + asset.value for asset, address in scene.own.items()}
    return {names[account]: str(amount) for account, amount in attempt.tokens.items() if account in names and amount}


def _done(
    scene: Scene,
    actions: list[Action],
    tokens: dict[Address, int],
    fee_kind: str = "",
    holds: dict[Address, int] | None = None,
) -> Attempt:
    gates = gates_of(tuple(actions), scene)
    fee = {"": 20_000_000, "liquidity": scene.liquidity_fee, "swap": scene.swap_fee}[fee_kind]
    return Attempt(
        actions=tuple(actions),
        gates=(*gates, Gate.NONE),
        at=len(actions),
        code=OK,
        user=scene.core,
        tokens=tokens,
        fee_kind=fee_kind,
        fees_of=Address(scene.pool.pool_id) if fee_kind else None,
        needs={scene.core: fee + 1_000_000},
        holds=holds or {},
    )


def _deposit(scene: Scene, *, side: Side, amount: int) -> Attempt | None:
    token, lp = token_of(side), lp_of(side)
    if scene.balances[token] < amount or scene.supplies[lp] + amount > U64_MAX // 2:
        return None
    tokens = {scene.own[token]: -amount, scene.own[lp]: amount, scene.pool.vault(side): amount}
    return _done(scene, [deposit(scene, side, amount)], tokens, "liquidity")


def _withdraw(scene: Scene, *, side: Side, amount: int) -> Attempt | None:
    token, lp = token_of(side), lp_of(side)
    if scene.balances[lp] < amount:
        return None
    tokens = {scene.own[token]: amount, scene.own[lp]: -amount, scene.pool.vault(side): -amount}
    holds = {scene.own[lp]: amount, scene.pool.vault(side): amount}
    return _done(scene, [withdraw(scene, side, amount)], tokens, "liquidity", holds)


def _smallest_swap(scene: Scene, *, side: Side) -> Attempt | None:
    ratio = ratio_of(scene.pool, side)
    amount = smallest_swap(*ratio, exact=scene.pool.exact_exchange)
    output, _ = quote(amount, *ratio)
    source, target = scene.own[token_of(side)], scene.own[token_of(side.other)]
    if scene.balances[token_of(side)] < amount or not 1 <= output <= U64_MAX:
        return None
    tokens = {
        source: -amount,
        target: output,
        scene.pool.vault(side): amount,
        scene.pool.vault(side.other): -output,
    }
    holds = {source: amount, scene.pool.vault(side.other): output}
    return _done(scene, [swap(scene, side, amount)], tokens, "swap", holds)
