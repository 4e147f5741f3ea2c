"""Pauses, owner-only mode and fees that last one transaction: the admin's step, and what it must forbid or change.

The transaction fails as a whole, so the step is undone with it and nobody is disturbed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from domain import operations as ops
from domain.ids import Address
from domain.operations import Action
from domain.pool import Side, token_of
from domain.probes import Attempt, Probe, Scene, Stage, allowed, refused
from domain.probes_admin import FEES, SYSTEM_PAUSED, ByAdmin, admin_probe, pause, pause_system, restrict, set_fees
from domain.probes_trade import Trade, funds, trade


def atomic_probes() -> Iterator[Probe]:
    """[an admin's step, what it must forbid or change]: the step is undone with the transaction."""
    for side in Side:
        for kind in Trade:
            name = f"{kind}.{side}"
            yield admin_probe(
                f"{name}.system-paused",
                partial(_hindered, step=pause_system, kind=kind, side=side, code=SYSTEM_PAUSED),
            )
            code = "Custom(1027)" if kind is Trade.SWAP else "Custom(1035)"
            own, other = (2, 1) if kind is Trade.SWAP else (1, 2)
            for flags in (own, 3):
                step = partial(pause, flags=flags)
                yield admin_probe(
                    f"{name}.paused-{flags}", partial(_hindered, step=step, kind=kind, side=side, code=code)
                )
            step = partial(pause, flags=other)
            yield admin_probe(f"{name}.other-paused", partial(_unhindered, steps=(step,), kind=kind, side=side))
        yield admin_probe(
            f"swap.{side}.owner-only",
            partial(_hindered, step=restrict, kind=Trade.SWAP, side=side, code="Custom(1028)"),
        )
        yield admin_probe(f"swap.{side}.by-the-owner", partial(_owner_swaps, side=side))
        yield admin_probe(f"trades.{side}.pay-the-pools-fees", partial(_fees_taken, side=side))
        yield admin_probe(f"trades.{side}.pay-a-new-liquidity-fee", partial(_fees_taken, side=side, flags=1))


def _hindered(scene: Scene, *, step: ByAdmin, kind: Trade, side: Side, code: str) -> Attempt | None:
    made = trade(scene, kind, side)
    if made is None:
        return None
    stage = {"Custom(1023)": Stage.SYSTEM, "Custom(1028)": Stage.OWNER}.get(code, Stage.PAUSE)
    # The system's own pause is met by the step in front, not by the trade behind it.
    return refused(scene, [*made.before, step(scene, scene.core), made.action], code, stage)


def _unhindered(scene: Scene, *, steps: tuple[ByAdmin, ...], kind: Trade, side: Side) -> Attempt | None:
    """A trade that must work: a withdrawal and a swap find what a deposit of the same transaction brought."""
    made = trade(scene, kind, side)
    brought = _liquidity_for(scene, kind, side)
    if made is None or brought is None:
        return None
    actions = [*brought, *made.before, *(step(scene, scene.core) for step in steps), made.action]
    return allowed(scene, actions, needs={scene.core: 2 * scene.liquidity_fee + scene.swap_fee})


def _liquidity_for(scene: Scene, kind: Trade, side: Side) -> list[Action] | None:
    if kind is Trade.DEPOSIT:
        return []
    made = trade(scene, kind, side)
    if made is None:
        return None
    pays, amount = side, 1
    if isinstance(made.action, ops.Swap):
        pays, amount = side.other, made.action.expected_out
    before = funds(scene, token_of(pays), amount)
    deposit = trade(scene, Trade.DEPOSIT, pays, amount)
    if before is None or deposit is None:
        return None
    return [*before, deposit.action]


def _owner_swaps(scene: Scene, *, side: Side) -> Attempt | None:
    made = trade(scene, Trade.SWAP, side)
    brought = _liquidity_for(scene, Trade.SWAP, side)
    if made is None or brought is None:
        return None
    actions = [*brought, *made.before, restrict(scene, scene.core, scene.core), made.action]
    return allowed(scene, actions, needs={scene.core: scene.liquidity_fee + scene.swap_fee})


def _fees_taken(scene: Scene, *, side: Side, flags: int = 3) -> Attempt | None:
    """After a fee change every trade pays the new fee, and the fee that was not named stays as it was."""
    swap = trade(scene, Trade.SWAP, side)
    brought = _liquidity_for(scene, Trade.SWAP, side)
    withdraw = trade(scene, Trade.WITHDRAW, side.other)
    if swap is None or brought is None or withdraw is None:
        return None
    actions = [set_fees(scene, scene.core, flags, FEES[0], FEES[1]), *brought, *swap.before, swap.action]
    deposit = trade(scene, Trade.DEPOSIT, side.other, 1)
    if deposit is None:
        return None
    actions += [*deposit.before, deposit.action, withdraw.action]
    swap_fee: int | str = FEES[1] if flags & 2 else "swap"
    return allowed(
        scene,
        actions,
        transfers=(FEES[0], swap_fee, FEES[0], FEES[0]),
        fees_of=Address(scene.pool.pool_id),
        needs={scene.core: 4 * FEES[0] + 10_000_000},
    )
