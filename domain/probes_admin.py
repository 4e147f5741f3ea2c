"""Probes of administration: by the wrong signer, with wrong accounts, arguments and limits (CONTRACT.md 3.7-3.13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from domain import operations as ops
from domain.ids import Address
from domain.operations import Action, PlainAction, Tampered
from domain.pool import Side
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
from domain.probes_trade import Trade, trade
from domain.swap import U64_MAX

FEES: Final = (123_456, 12_345)
NO_KEYS: Final = "NotEnoughAccountKeys"
READONLY: Final = "ReadonlyDataModified"
SYSTEM_PAUSED: Final = "Custom(1023)"
TREASURY_RENT: Final = 1_837_440

ByAdmin = Callable[[Scene, Address], PlainAction]


def set_fees(
    scene: Scene, admin: Address, flags: int = 3, liquidity: int = FEES[0], swap: int = FEES[1]
) -> PlainAction:
    return ops.UpdatePoolFees(
        admin=admin, pool_id=scene.pool.pool_id, update_flags=flags, liquidity_fee=liquidity, swap_fee=swap
    )


def pause(scene: Scene, admin: Address, flags: int = 3) -> PlainAction:
    return ops.PausePool(admin=admin, pool_id=scene.pool.pool_id, flags=flags)


def _unpause(scene: Scene, admin: Address) -> PlainAction:
    return ops.UnpausePool(admin=admin, pool_id=scene.pool.pool_id, flags=3)


def restrict(scene: Scene, admin: Address, owner: Address | None = None) -> PlainAction:
    return ops.SetSwapOwnerOnly(
        admin=admin, pool_id=scene.pool.pool_id, enable=True, owner=scene.treasury if owner is None else owner
    )


def _consolidate(scene: Scene, admin: Address) -> PlainAction:
    return ops.ConsolidatePoolFees(admin=admin, pool_ids=(scene.pool.pool_id,))


def pause_system(_: Scene, admin: Address) -> PlainAction:
    return ops.PauseSystem(admin=admin, reason_code=9)


def _unpause_system(_: Scene, admin: Address) -> PlainAction:
    return ops.UnpauseSystem(admin=admin)


def _take_treasury(scene: Scene, admin: Address, lamports: int = 10_000_000) -> PlainAction:
    return ops.WithdrawTreasuryFees(admin=admin, destination=scene.core, lamports=lamports)


def _change_admin(_: Scene, admin: Address) -> PlainAction:
    return ops.ProcessAdminChange(admin=admin, new_admin=admin)


# name -> (instruction, how many accounts are fixed, where the system state stands)
_POOL_STEPS: Final[dict[str, ByAdmin]] = {
    "fees": set_fees,
    "pause": pause,
    "unpause": _unpause,
    "owner-only": restrict,
}
_SYSTEM_STEPS: Final[dict[str, ByAdmin]] = {
    "consolidate": _consolidate,
    "pause-system": pause_system,
    "unpause-system": _unpause_system,
    "take-treasury": _take_treasury,
    "change-admin": _change_admin,
}
POOL_ID_AT: Final = {"fees": 18, "pause": 2, "unpause": 2, "owner-only": 34}


def admin_probes() -> Iterator[Probe]:
    """Everything here names the real system: only where the core wallet is its admin, or nobody could be harmed."""
    for name, step in (_POOL_STEPS | _SYSTEM_STEPS).items():
        for how in ("stranger", "unsigned"):
            yield admin_probe(f"{name}.{how}", partial(_by_other, step=step, how=how))
        for other in ("nowhere", "pool"):
            at = 4 if name == "take-treasury" else 1
            yield admin_probe(
                f"{name}.system-state-is-{other}", partial(_state_replaced, step=step, at=at, other=other)
            )
        yield admin_probe(
            f"{name}.data-long", partial(_changed, step=step, code=BORSH, stage=Stage.FIRST, data_end=b"\0")
        )
    for name, step in _POOL_STEPS.items():
        yield from _pool_step(name, step)
    yield from _limits()
    yield from _system()
    yield from _consolidations()
    yield from _treasury()


def admin_probe(name: str, make: Callable[[Scene], Attempt | None]) -> Probe:
    return Probe(name=f"admin.{name}", make=make, admin=True)


def _by_other(scene: Scene, *, step: ByAdmin, how: str) -> Attempt | None:
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


def _state_replaced(scene: Scene, *, step: ByAdmin, at: int, other: str) -> Attempt | None:
    account = NOWHERE if other == "nowhere" else Address(scene.pool.pool_id)
    action = Tampered(action=step(scene, scene.core), accounts={at: account})
    return refused(scene, [action], BAD_DATA, Stage.FIRST)


def _changed(scene: Scene, *, step: ByAdmin, code: str, stage: Stage = Stage.LATE, **change: Any) -> Attempt | None:
    return refused(scene, [Tampered(action=step(scene, scene.core), **change)], code, stage)


def _readonly(scene: Scene, *, step: ByAdmin) -> Attempt | None:
    """The runtime refuses what changed, not what was written: pausing a paused pool writes what stands there.

    So does naming the owner that a pool has already: nobody is its owner but here.
    """
    moot = ("liquidity_paused", "swaps_paused") if step is pause else ()
    plain = restrict(scene, scene.core, NOWHERE) if step is restrict else step(scene, scene.core)
    action = Tampered(action=plain, writable={2: False})
    return refused(scene, [action], READONLY, moot=moot)


def _pool_step(name: str, step: ByAdmin) -> Iterator[Probe]:
    at = POOL_ID_AT[name]
    too_few = NO_KEYS if name == "fees" else BAD_DATA
    yield admin_probe(f"{name}.account-too-few", partial(_changed, step=step, code=too_few, stage=Stage.FIRST, drop=1))
    if name != "fees":
        extra = partial(_changed, step=step, code=BAD_DATA, stage=Stage.FIRST, extra=(NOWHERE,))
        yield admin_probe(f"{name}.account-too-many", extra)
    yield admin_probe(f"{name}.pool-id-nowhere", partial(_changed, step=step, code=WRONG_POOL, data_at={at: NOWHERE}))
    yield admin_probe(f"{name}.pool-is-nowhere", partial(_changed, step=step, code=BAD_PROGRAM, accounts={2: NOWHERE}))
    yield admin_probe(f"{name}.pool-is-vault", partial(_pool_replaced, step=step, other="vault", code=BAD_PROGRAM))
    for other in ("other-pool", "treasury", "system-state"):
        yield admin_probe(f"{name}.pool-is-{other}", partial(_pool_replaced, step=step, other=other, code=WRONG_POOL))
    if name != "unpause":
        yield admin_probe(f"{name}.pool-readonly", partial(_readonly, step=step))
    yield admin_probe(f"{name}.data-short", partial(_changed, step=step, code=BORSH, stage=Stage.FIRST, data_cut=1))


def _pool_replaced(scene: Scene, *, step: ByAdmin, other: str, code: str) -> Attempt | None:
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
        yield admin_probe(f"fees.{name}", partial(_fee_limit, flags=flags, liquidity=liquidity, swap=swap, code=code))
    within = {
        "lowest": (3, 100_000, 10_000),
        "highest": (3, 100_000_000, 10_000_000),
        "other-ignored": (1, 200_000, 0),
        "other-ignored-swap": (2, 0, 20_000),
    }
    for name, (flags, liquidity, swap) in within.items():
        yield admin_probe(f"fees.{name}", partial(_fee_allowed, flags=flags, liquidity=liquidity, swap=swap))
    bad_bool = partial(_changed, step=restrict, code=BORSH, stage=Stage.FIRST, data_at={1: b"\2"})
    yield admin_probe("owner-only.bad-bool", bad_bool)


def _fee_limit(scene: Scene, *, flags: int, liquidity: int, swap: int, code: str) -> Attempt | None:
    return refused(scene, [set_fees(scene, scene.core, flags, liquidity, swap)], code)


def _fee_allowed(scene: Scene, *, flags: int, liquidity: int, swap: int) -> Attempt | None:
    return allowed(scene, [set_fees(scene, scene.core, flags, liquidity, swap)])


def _system() -> Iterator[Probe]:
    readonly: dict[str, Any] = {"code": BAD_DATA, "stage": Stage.FIRST, "writable": {1: False}}
    yield admin_probe("pause-system.readonly", partial(_changed, step=pause_system, **readonly))
    yield admin_probe("unpause-system.readonly", partial(_changed, step=_unpause_system, **readonly))
    yield admin_probe("unpause-system.not-paused", partial(_changed, step=_unpause_system, code="Custom(1025)"))
    few = partial(_changed, step=_unpause_system, code=NO_KEYS, stage=Stage.FIRST, drop=1)
    yield admin_probe("unpause-system.account-too-few", few)
    treasury = partial(_changed, step=_unpause_system, code=BAD_DATA, stage=Stage.FIRST, accounts={2: NOWHERE})
    yield admin_probe("unpause-system.treasury-is-nowhere", treasury)
    yield admin_probe(
        "pause-system.twice", partial(_after, before=(pause_system,), then=pause_system, code="Custom(1024)")
    )
    yield admin_probe("pause-system.and-unpause", partial(_accepted, steps=(pause_system, _unpause_system)))
    yield admin_probe("initialize-program.twice", _initialize_program)
    yield admin_probe("initialize-program.stranger", _initialize_by_stranger)
    for name, step in {**_POOL_STEPS, "take-treasury": _take_treasury, "change-admin": _change_admin}.items():
        yield admin_probe(
            f"{name}.system-paused", partial(_after, before=(pause_system,), then=step, code=SYSTEM_PAUSED)
        )
    yield admin_probe("consolidate.system-paused", partial(_accepted, steps=(pause_system, _consolidate)))


def _after(scene: Scene, *, before: tuple[ByAdmin, ...], then: ByAdmin, code: str) -> Attempt | None:
    return refused(scene, [*(step(scene, scene.core) for step in before), then(scene, scene.core)], code)


def _accepted(scene: Scene, *, steps: tuple[ByAdmin, ...]) -> Attempt | None:
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
        yield admin_probe(f"consolidate.{name}", partial(_changed, step=_consolidate, code=code, **change))
    yield admin_probe("consolidate.pool-is-treasury", _consolidate_treasury)
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
    yield admin_probe("take-treasury.too-little", below)
    yield admin_probe("take-treasury.too-much", partial(_take, lamports=U64_MAX, code=SHORT))
    rent = partial(_changed, step=_take_treasury, code=BAD_ARGUMENT, accounts={2: NOWHERE})
    yield admin_probe("take-treasury.rent-is-nowhere", rent)
    nowhere = partial(_changed, step=_take_treasury, code=BAD_DATA, stage=Stage.FIRST, accounts={1: NOWHERE})
    yield admin_probe("take-treasury.treasury-is-nowhere", nowhere)
    readonly = partial(_changed, step=_take_treasury, code=BAD_DATA, stage=Stage.FIRST, writable={1: False})
    yield admin_probe("take-treasury.readonly", readonly)
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
        yield admin_probe(f"donate.{name}", make)
    yield admin_probe("donate.system-paused", partial(_donate, lamports=100_000_000, code=SYSTEM_PAUSED, paused=True))


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
    before = [pause_system(scene, scene.core)] if paused else []
    needs = {scene.core: 100_000_000} if lamports <= 100_000_000 else {}
    return refused(scene, [*before, gift], code, stage, needs=needs)
