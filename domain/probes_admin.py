"""Probes of administration: by the wrong signer, with wrong accounts and limits, and pauses that last one transaction.

The admin's own steps stand in front of what they must forbid, in one transaction that fails: nobody is disturbed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from domain import operations as ops
from domain.ids import Address
from domain.operations import Action, PlainAction, Tampered
from domain.pool import Side, token_of
from domain.probes import Attempt, Probe, Scene, Stage, allowed, refused
from domain.probes_accounts import (
    BAD_ARGUMENT,
    BAD_DATA,
    BAD_INPUT,
    BAD_PROGRAM,
    BORSH,
    NO_SIGNATURE,
    NOWHERE,
    PANIC,
    SHORT,
    WRONG_POOL,
)
from domain.probes_trade import Trade, funds, trade
from domain.swap import U64_MAX

FEES: Final = (123_456, 12_345)
NO_KEYS: Final = "NotEnoughAccountKeys"
READONLY: Final = "ReadonlyDataModified"
SYSTEM_PAUSED: Final = "Custom(1023)"
TREASURY_RENT: Final = 1_837_440

_ByAdmin = Callable[[Scene, Address], PlainAction]


def _fees(scene: Scene, admin: Address, flags: int = 3, liquidity: int = FEES[0], swap: int = FEES[1]) -> PlainAction:
    return ops.UpdatePoolFees(
        admin=admin, pool_id=scene.pool.pool_id, update_flags=flags, liquidity_fee=liquidity, swap_fee=swap
    )


def _pause(scene: Scene, admin: Address, flags: int = 3) -> PlainAction:
    return ops.PausePool(admin=admin, pool_id=scene.pool.pool_id, flags=flags)


def _unpause(scene: Scene, admin: Address) -> PlainAction:
    return ops.UnpausePool(admin=admin, pool_id=scene.pool.pool_id, flags=3)


def _restrict(scene: Scene, admin: Address, owner: Address | None = None) -> PlainAction:
    return ops.SetSwapOwnerOnly(
        admin=admin, pool_id=scene.pool.pool_id, enable=True, owner=scene.treasury if owner is None else owner
    )


def _consolidate(scene: Scene, admin: Address) -> PlainAction:
    return ops.ConsolidatePoolFees(admin=admin, pool_ids=(scene.pool.pool_id,))


def _pause_system(_: Scene, admin: Address) -> PlainAction:
    return ops.PauseSystem(admin=admin, reason_code=9)


def _unpause_system(_: Scene, admin: Address) -> PlainAction:
    return ops.UnpauseSystem(admin=admin)


def _take_treasury(scene: Scene, admin: Address, lamports: int = 10_000_000) -> PlainAction:
    return ops.WithdrawTreasuryFees(admin=admin, destination=scene.core, lamports=lamports)


def _change_admin(_: Scene, admin: Address) -> PlainAction:
    return ops.ProcessAdminChange(admin=admin, new_admin=admin)


# name -> (instruction, how many accounts are fixed, where the system state stands)
_POOL_STEPS: Final[dict[str, _ByAdmin]] = {
    "fees": _fees,
    "pause": _pause,
    "unpause": _unpause,
    "owner-only": _restrict,
}
_SYSTEM_STEPS: Final[dict[str, _ByAdmin]] = {
    "consolidate": _consolidate,
    "pause-system": _pause_system,
    "unpause-system": _unpause_system,
    "take-treasury": _take_treasury,
    "change-admin": _change_admin,
}
POOL_ID_AT: Final = {"fees": 18, "pause": 2, "unpause": 2, "owner-only": 34}


def admin_probes() -> Iterator[Probe]:
    """Everything here names the real system: only where the core wallet is its admin, or nobody could be harmed."""
    for name, step in (_POOL_STEPS | _SYSTEM_STEPS).items():
        for how in ("stranger", "unsigned"):
            yield _admin(f"{name}.{how}", partial(_by_other, step=step, how=how))
        for other in ("nowhere", "pool"):
            at = 4 if name == "take-treasury" else 1
            yield _admin(f"{name}.system-state-is-{other}", partial(_state_replaced, step=step, at=at, other=other))
        yield _admin(f"{name}.data-long", partial(_changed, step=step, code=BORSH, stage=Stage.FIRST, data_end=b"\0"))
    for name, step in _POOL_STEPS.items():
        yield from _pool_step(name, step)
    yield from _limits()
    yield from _system()
    yield from _consolidations()
    yield from _treasury()
    yield from _atomic()


def _admin(name: str, make: Callable[[Scene], Attempt | None]) -> Probe:
    return Probe(name=f"admin.{name}", make=make, admin=True)


def _by_other(scene: Scene, *, step: _ByAdmin, how: str) -> Attempt | None:
    stranger = scene.stranger()
    if stranger is None:
        return None
    action = step(scene, stranger.wallet)
    # ProcessAdminChange looks for the signature last; a stranger without one is refused as a stranger.
    late = isinstance(action, ops.ProcessAdminChange)
    # Before the state is looked at there is no system pause to be met; the pool steps look at it first.
    stage = Stage.LATE
    if isinstance(action, (ops.PauseSystem, ops.UnpauseSystem, ops.ConsolidatePoolFees)):
        stage = Stage.FIRST
    if how == "stranger":
        return refused(scene, [action], BAD_DATA, stage, signers=(stranger.wallet,))
    return refused(scene, [Tampered(action=action, signer={0: False})], BAD_DATA if late else NO_SIGNATURE, stage)


def _state_replaced(scene: Scene, *, step: _ByAdmin, at: int, other: str) -> Attempt | None:
    account = NOWHERE if other == "nowhere" else Address(scene.pool.pool_id)
    action = Tampered(action=step(scene, scene.core), accounts={at: account})
    return refused(scene, [action], BAD_DATA, Stage.FIRST)


def _changed(scene: Scene, *, step: _ByAdmin, code: str, stage: Stage = Stage.LATE, **change: Any) -> Attempt | None:
    return refused(scene, [Tampered(action=step(scene, scene.core), **change)], code, stage)


def _pool_step(name: str, step: _ByAdmin) -> Iterator[Probe]:
    at = POOL_ID_AT[name]
    too_few = NO_KEYS if name == "fees" else BAD_DATA
    yield _admin(f"{name}.account-too-few", partial(_changed, step=step, code=too_few, stage=Stage.FIRST, drop=1))
    if name != "fees":
        extra = partial(_changed, step=step, code=BAD_DATA, stage=Stage.FIRST, extra=(NOWHERE,))
        yield _admin(f"{name}.account-too-many", extra)
    yield _admin(f"{name}.pool-id-nowhere", partial(_changed, step=step, code=WRONG_POOL, data_at={at: NOWHERE}))
    yield _admin(f"{name}.pool-is-nowhere", partial(_changed, step=step, code=BAD_PROGRAM, accounts={2: NOWHERE}))
    yield _admin(f"{name}.pool-is-vault", partial(_pool_replaced, step=step, other="vault", code=BAD_PROGRAM))
    for other in ("other-pool", "treasury", "system-state"):
        yield _admin(f"{name}.pool-is-{other}", partial(_pool_replaced, step=step, other=other, code=WRONG_POOL))
    if name not in ("unpause",):
        yield _admin(f"{name}.pool-readonly", partial(_changed, step=step, code=READONLY, writable={2: False}))
    yield _admin(f"{name}.data-short", partial(_changed, step=step, code=BORSH, stage=Stage.FIRST, data_cut=1))


def _pool_replaced(scene: Scene, *, step: _ByAdmin, other: str, code: str) -> Attempt | None:
    if other == "other-pool" and scene.other_pool is None:
        return None
    account = {
        "vault": scene.pool.vault_a,
        "treasury": scene.treasury,
        "system-state": scene.system_state,
        "other-pool": Address(scene.other_pool.pool_id) if scene.other_pool else NOWHERE,
    }[other]
    return refused(scene, [Tampered(action=step(scene, scene.core), accounts={2: account})], code)


def _limits() -> Iterator[Probe]:
    cases = {
        "flags-0": (0, *FEES, "Custom(1043)"),
        "flags-4": (4, *FEES, "Custom(1043)"),
        "flags-255": (255, *FEES, "Custom(1043)"),
        "liquidity-too-low": (1, 99_999, FEES[1], "Custom(1044)"),
        "liquidity-too-high": (1, 100_000_001, FEES[1], "Custom(1044)"),
        "liquidity-zero": (3, 0, FEES[1], "Custom(1044)"),
        "liquidity-u64-max": (1, U64_MAX, FEES[1], "Custom(1044)"),
        "swap-too-low": (2, FEES[0], 9_999, "Custom(1045)"),
        "swap-too-high": (2, FEES[0], 10_000_001, "Custom(1045)"),
        "swap-zero": (3, FEES[0], 0, "Custom(1045)"),
        "swap-u64-max": (2, FEES[0], U64_MAX, "Custom(1045)"),
    }
    for name, (flags, liquidity, swap, code) in cases.items():
        yield _admin(f"fees.{name}", partial(_fee_limit, flags=flags, liquidity=liquidity, swap=swap, code=code))
    within = {
        "lowest": (3, 100_000, 10_000),
        "highest": (3, 100_000_000, 10_000_000),
        "other-ignored": (1, 200_000, 0),
        "other-ignored-swap": (2, 0, 20_000),
    }
    for name, (flags, liquidity, swap) in within.items():
        yield _admin(f"fees.{name}", partial(_fee_allowed, flags=flags, liquidity=liquidity, swap=swap))
    bad_bool = partial(_changed, step=_restrict, code=BORSH, stage=Stage.FIRST, data_at={1: b"\2"})
    yield _admin("owner-only.bad-bool", bad_bool)


def _fee_limit(scene: Scene, *, flags: int, liquidity: int, swap: int, code: str) -> Attempt | None:
    return refused(scene, [_fees(scene, scene.core, flags, liquidity, swap)], code)


def _fee_allowed(scene: Scene, *, flags: int, liquidity: int, swap: int) -> Attempt | None:
    return allowed(scene, [_fees(scene, scene.core, flags, liquidity, swap)])


def _system() -> Iterator[Probe]:
    readonly: dict[str, Any] = {"code": BAD_DATA, "stage": Stage.FIRST, "writable": {1: False}}
    yield _admin("pause-system.readonly", partial(_changed, step=_pause_system, **readonly))
    yield _admin("unpause-system.readonly", partial(_changed, step=_unpause_system, **readonly))
    yield _admin("unpause-system.not-paused", partial(_changed, step=_unpause_system, code="Custom(1025)"))
    few = partial(_changed, step=_unpause_system, code=NO_KEYS, stage=Stage.FIRST, drop=1)
    yield _admin("unpause-system.account-too-few", few)
    treasury = partial(_changed, step=_unpause_system, code=BAD_DATA, stage=Stage.FIRST, accounts={2: NOWHERE})
    yield _admin("unpause-system.treasury-is-nowhere", treasury)
    yield _admin("pause-system.twice", partial(_after, before=(_pause_system,), then=_pause_system, code="Custom(1024)"))
    yield _admin("pause-system.and-unpause", partial(_accepted, steps=(_pause_system, _unpause_system)))
    yield _admin("initialize-program.twice", _initialize_program)
    yield _admin("initialize-program.stranger", _initialize_by_stranger)
    for name, step in {**_POOL_STEPS, "take-treasury": _take_treasury, "change-admin": _change_admin}.items():
        yield _admin(f"{name}.system-paused", partial(_after, before=(_pause_system,), then=step, code=SYSTEM_PAUSED))
    yield _admin("consolidate.system-paused", partial(_accepted, steps=(_pause_system, _consolidate)))


def _after(scene: Scene, *, before: tuple[_ByAdmin, ...], then: _ByAdmin, code: str) -> Attempt | None:
    return refused(scene, [*(step(scene, scene.core) for step in before), then(scene, scene.core)], code)


def _accepted(scene: Scene, *, steps: tuple[_ByAdmin, ...]) -> Attempt | None:
    return allowed(scene, [step(scene, scene.core) for step in steps])


def _initialize_program(scene: Scene) -> Attempt | None:
    """Only the upgrade authority gets as far as the existing state; the core wallet is it on a chain of our own."""
    return refused(
        scene, [ops.InitializeProgram(authority=scene.core, admin=scene.core)], "AccountAlreadyInitialized", Stage.FIRST
    )


def _initialize_by_stranger(scene: Scene) -> Attempt | None:
    stranger = scene.stranger()
    if stranger is None:
        return None
    action = ops.InitializeProgram(authority=stranger.wallet, admin=stranger.wallet)
    return refused(scene, [action], BAD_DATA, Stage.FIRST, signers=(stranger.wallet,))


def _consolidations() -> Iterator[Probe]:
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "count-0": (BAD_ARGUMENT, {"data": b"\x11\0", "drop": 1}),
        "count-21": (BAD_ARGUMENT, {"data": b"\x11\x15"}),
        "account-too-few": (PANIC, {"data": b"\x11\2"}),
        "account-too-many": (NO_KEYS, {"extra": (NOWHERE,)}),
        "treasury-is-nowhere": (BAD_DATA, {"accounts": {2: NOWHERE}}),
        "pool-is-nowhere": (BAD_PROGRAM, {"accounts": {4: NOWHERE}}),
    }
    for name, (code, change) in cases.items():
        yield _admin(f"consolidate.{name}", partial(_changed, step=_consolidate, code=code, **change))
    yield _admin("consolidate.pool-is-treasury", _consolidate_treasury)
    yield Probe(name="admin.consolidate.open-pool", make=_consolidate_open, admin=True)


def _consolidate_treasury(scene: Scene) -> Attempt | None:
    action = Tampered(action=_consolidate(scene, scene.core), accounts={4: scene.treasury})
    return refused(scene, [action], BAD_DATA)


def _consolidate_open(scene: Scene) -> Attempt | None:
    """A pool of which no part is paused keeps its fees inside one transaction: what it held still pays afterwards."""
    made = trade(scene, Trade.DEPOSIT, Side.A)
    if made is None:
        return None
    steps: list[Action] = [*made.before, made.action, _consolidate(scene, scene.core)]
    return allowed(scene, steps, needs=made.needs)


def _treasury() -> Iterator[Probe]:
    below = partial(_take, lamports=9_999_999, code=BAD_INPUT)
    yield _admin("take-treasury.too-little", below)
    yield _admin("take-treasury.too-much", partial(_take, lamports=U64_MAX, code=SHORT))
    rent = partial(_changed, step=_take_treasury, code=BAD_ARGUMENT, accounts={2: NOWHERE})
    yield _admin("take-treasury.rent-is-nowhere", rent)
    nowhere = partial(_changed, step=_take_treasury, code=BAD_DATA, stage=Stage.FIRST, accounts={1: NOWHERE})
    yield _admin("take-treasury.treasury-is-nowhere", nowhere)
    readonly = partial(_changed, step=_take_treasury, code=BAD_DATA, stage=Stage.FIRST, writable={1: False})
    yield _admin("take-treasury.readonly", readonly)
    donations: dict[str, tuple[int, str, Stage, dict[str, Any]]] = {
        "zero": (0, BAD_ARGUMENT, Stage.FIRST, {}),
        "too-little": (99_999_999, BAD_ARGUMENT, Stage.FIRST, {}),
        "too-much": (U64_MAX, SHORT, Stage.FIRST, {}),
        "treasury-is-nowhere": (100_000_000, BAD_DATA, Stage.FIRST, {"accounts": {1: NOWHERE}}),
        "system-state-is-nowhere": (100_000_000, BAD_DATA, Stage.FIRST, {"accounts": {2: NOWHERE}}),
        "system-program-is-nowhere": (100_000_000, BAD_PROGRAM, Stage.FIRST, {"accounts": {3: NOWHERE}}),
        "treasury-readonly": (100_000_000, BAD_DATA, Stage.FIRST, {"writable": {1: False}}),
        "account-too-many": (100_000_000, BAD_DATA, Stage.FIRST, {"extra": (NOWHERE,)}),
        "text-too-long": (100_000_000, BORSH, Stage.FIRST, {"data_end": b"!"}),
        "text-broken": (100_000_000, BORSH, Stage.FIRST, {"data_cut": 1, "data_end": b"\xc3"}),
    }
    for name, (lamports, code, stage, change) in donations.items():
        make = partial(_donate, lamports=lamports, code=code, stage=stage, change=change)
        yield _admin(f"donate.{name}", make)
    yield _admin("donate.system-paused", partial(_donate, lamports=100_000_000, code=SYSTEM_PAUSED, paused=True))


def _take(scene: Scene, *, lamports: int, code: str) -> Attempt | None:
    return refused(scene, [_take_treasury(scene, scene.core, lamports)], code)


def _donate(
    scene: Scene,
    *,
    lamports: int,
    code: str,
    stage: Stage = Stage.LATE,
    change: dict[str, Any] | None = None,
    paused: bool = False,
) -> Attempt | None:
    gift = Tampered(action=ops.DonateSol(donor=scene.core, lamports=lamports, message="probe"), **(change or {}))
    before = [_pause_system(scene, scene.core)] if paused else []
    needs = {scene.core: 100_000_000} if lamports <= 100_000_000 else {}
    return refused(scene, [*before, gift], code, stage, needs=needs)


def _atomic() -> Iterator[Probe]:
    """[an admin's step, what it must forbid or change]: the step is undone with the transaction."""
    for side in Side:
        for kind in Trade:
            name = f"{kind}.{side}"
            yield _admin(f"{name}.system-paused", partial(_hindered, step=_pause_system, kind=kind, side=side, code=SYSTEM_PAUSED))
            code = "Custom(1027)" if kind is Trade.SWAP else "Custom(1035)"
            own, other = (2, 1) if kind is Trade.SWAP else (1, 2)
            for flags in (own, 3):
                step = partial(_pause, flags=flags)
                yield _admin(f"{name}.paused-{flags}", partial(_hindered, step=step, kind=kind, side=side, code=code))
            step = partial(_pause, flags=other)
            yield _admin(f"{name}.other-paused", partial(_unhindered, steps=(step,), kind=kind, side=side))
        yield _admin(
            f"swap.{side}.owner-only", partial(_hindered, step=_restrict, kind=Trade.SWAP, side=side, code="Custom(1028)")
        )
        yield _admin(f"swap.{side}.by-the-owner", partial(_owner_swaps, side=side))
        yield _admin(f"trades.{side}.pay-the-pools-fees", partial(_fees_taken, side=side))
        yield _admin(f"trades.{side}.pay-a-new-liquidity-fee", partial(_fees_taken, side=side, flags=1))


def _hindered(scene: Scene, *, step: _ByAdmin, kind: Trade, side: Side, code: str) -> Attempt | None:
    made = trade(scene, kind, side)
    if made is None:
        return None
    stage = {"Custom(1023)": Stage.SYSTEM, "Custom(1028)": Stage.OWNER}.get(code, Stage.PAUSE)
    # The system's own pause is met by the step in front, not by the trade behind it.
    return refused(scene, [*made.before, step(scene, scene.core), made.action], code, stage)


def _unhindered(scene: Scene, *, steps: tuple[_ByAdmin, ...], kind: Trade, side: Side) -> Attempt | None:
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
    actions = [*brought, *made.before, _restrict(scene, scene.core, scene.core), made.action]
    return allowed(scene, actions, needs={scene.core: scene.liquidity_fee + scene.swap_fee})


def _fees_taken(scene: Scene, *, side: Side, flags: int = 3) -> Attempt | None:
    """After a fee change every trade pays the new fee, and the fee that was not named stays as it was."""
    swap = trade(scene, Trade.SWAP, side)
    brought = _liquidity_for(scene, Trade.SWAP, side)
    withdraw = trade(scene, Trade.WITHDRAW, side.other)
    if swap is None or brought is None or withdraw is None:
        return None
    actions = [_fees(scene, scene.core, flags, FEES[0], FEES[1]), *brought, *swap.before, swap.action]
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
