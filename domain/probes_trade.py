"""The ordinary deposit, withdrawal or swap that a probe spoils: the core wallet's, as small as the ratio allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from domain.ids import Address
from domain.operations import Action, Deposit, MintTo, Swap, Withdraw
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.probes import Scene
from domain.swap import U64_MAX, exact_step, quote, ratio_of, smallest_useful_input


class Trade(StrEnum):
    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    SWAP = "swap"


TradeAction = Deposit | Withdraw | Swap


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """``before``: what must stand before the action so that it would succeed. ``needs``, ``holds``: see Attempt."""

    action: TradeAction
    before: tuple[Action, ...] = ()
    needs: dict[Address, int] = field(default_factory=dict)
    holds: dict[Address, int] = field(default_factory=dict)


def trade(scene: Scene, kind: Trade, side: Side, amount: int | None = None) -> Made | None:
    """None where the core wallet cannot get hold of the tokens. ``side`` is a swap's input side."""
    if kind is Trade.SWAP:
        return _swap(scene, side, amount)
    amount = 1 if amount is None else amount
    fee = {scene.core: scene.liquidity_fee}
    if kind is Trade.WITHDRAW:
        return Made(action=withdraw(scene, side, amount), needs=fee)
    before = funds(scene, token_of(side), amount)
    if before is None:
        return None
    return Made(action=deposit(scene, side, amount), before=before, needs=fee)


def _swap(scene: Scene, side: Side, amount: int | None) -> Made | None:
    if amount is None:
        amount = two_units(scene.pool, side)
    before = funds(scene, token_of(side), amount)
    output, _ = quote(amount, *ratio_of(scene.pool, side))
    if before is None or output > U64_MAX:
        return None
    return Made(
        action=swap(scene, side, amount),
        before=before,
        needs={scene.core: scene.swap_fee},
        holds={scene.pool.vault(side.other): output},
    )


def two_units(pool: Pool, side: Side) -> int:
    """The smallest input whose output is at least two units, so that one less is still an output."""
    ratio_in, ratio_out = ratio_of(pool, side)
    if pool.exact_exchange:
        return 2 * exact_step(ratio_in, ratio_out)
    return smallest_useful_input(2 * ratio_in, ratio_out)


def funds(scene: Scene, asset: Asset, amount: int) -> tuple[Action, ...] | None:
    """What gives the core wallet ``amount`` of a token inside the transaction; None where nothing can."""
    if scene.balances[asset] >= amount:
        return ()
    if not scene.is_minter or scene.supplies[asset] + amount > U64_MAX // 2:
        return None
    return (mint(scene, asset, amount),)


def mint(scene: Scene, asset: Asset, amount: int) -> MintTo:
    return MintTo(authority=scene.core, mint=scene.pool.mint(asset), destination=scene.own[asset], amount=amount)


def deposit(scene: Scene, side: Side, amount: int) -> Deposit:
    return Deposit(
        user=scene.core,
        pool_id=scene.pool.pool_id,
        side=side,
        amount=amount,
        user_token=scene.own[token_of(side)],
        user_lp=scene.own[lp_of(side)],
    )


def withdraw(scene: Scene, side: Side, amount: int) -> Withdraw:
    return Withdraw(
        user=scene.core,
        pool_id=scene.pool.pool_id,
        side=side,
        amount=amount,
        user_lp=scene.own[lp_of(side)],
        user_token=scene.own[token_of(side)],
    )


def swap(scene: Scene, side: Side, amount: int, expected_out: int | None = None) -> Swap:
    output, _ = quote(amount, *ratio_of(scene.pool, side))
    return Swap(
        user=scene.core,
        pool_id=scene.pool.pool_id,
        side_in=side,
        amount_in=amount,
        expected_out=output if expected_out is None else expected_out,
        user_in=scene.own[token_of(side)],
        user_out=scene.own[token_of(side.other)],
    )
