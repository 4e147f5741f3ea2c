"""Probes of what reaches the treasury, to the lamport: it is emptied first, so that a withdrawal shows what came in.

A withdrawal above the content is InsufficientFunds; one within it meets the next check, the rate limit
(CONTRACT.md 3.13).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from domain import operations as ops
from domain.ids import Address
from domain.operations import Action
from domain.pool import Side
from domain.probes import Attempt, Probe, Sandbox, Scene, refused
from domain.probes_accounts import BAD_INPUT, SHORT
from domain.probes_sandbox import (
    EVEN,
    LIQUIDITY_FEE,
    SWAP_FEE,
    Step,
    account,
    consolidate,
    create,
    deposit,
    minted,
    pause,
    play,
    swap,
)
from domain.probes_trade import Trade, trade

RATE_LIMITED: Final = BAD_INPUT
REGISTRATION_FEE: Final = 1_150_000_000
GIFT: Final = 100_000_000
# The program protects the rent of 440 bytes, but the pool was created with that of 438 (CONTRACT.md 3.12).
HELD_BACK: Final = 13_920
ENOUGH: Final = 10_000_000  # the smallest withdrawal


def take(lamports: int) -> Step:
    return lambda scene, _: ops.WithdrawTreasuryFees(admin=scene.core, destination=scene.core, lamports=lamports)


def grant(lamports: int) -> Step:
    """SOL straight to the pool: more than it needs, but no fee."""
    return lambda scene, box: ops.SolTransfer(
        source=scene.core, destination=Address(box.pool.pool_id), lamports=lamports
    )


def donate(scene: Scene, _: Sandbox) -> Action:
    return ops.DonateSol(donor=scene.core, lamports=GIFT, message="probe")


def treasury_probes() -> Iterator[Probe]:
    for x in Side:
        yield from _consolidated(x)
    for lamports, code in ((GIFT, RATE_LIMITED), (GIFT + 1, SHORT)):
        yield _probe(f"donation-{code}", code, (take(0), donate, take(lamports)))
    for lamports, code in ((REGISTRATION_FEE, RATE_LIMITED), (REGISTRATION_FEE + 1, SHORT)):
        yield _probe(f"registration-{code}", code, (take(0), create(), take(lamports)))
    yield _probe(f"all-twice-{SHORT}", SHORT, (take(0), take(0)))
    for side in Side:
        yield Probe(name=f"treasury.{side}.open-pool-keeps-its-fees", make=partial(_open_pool, side=side), admin=True)


def _probe(name: str, code: str, steps: tuple[Step, ...]) -> Probe:
    return Probe(name=f"treasury.{name}", make=partial(_play, steps=steps, code=code), admin=True, sandbox=True)


def _consolidated(x: Side) -> Iterator[Probe]:
    y = x.other
    traded = (create(), account(x), minted(x, 10), deposit(x, 10), minted(y, 5), swap(y, 5, 5), take(0))
    fees = LIQUIDITY_FEE + SWAP_FEE
    arrives = fees - HELD_BACK
    for lamports, code in ((arrives, RATE_LIMITED), (arrives + 1, SHORT)):
        yield _probe(f"{x}.consolidated-{code}", code, (*traded, pause(3), consolidate, take(lamports)))
    # Once the pool holds more than its fees, what was held back follows, and nothing comes twice.
    again = (*traded, pause(3), consolidate, grant(3 * fees), consolidate)
    for lamports, code in ((fees, RATE_LIMITED), (fees + 1, SHORT)):
        yield _probe(f"{x}.consolidated-again-{code}", code, (*again, take(lamports)))
    for flags in (1, 2):
        yield _probe(
            f"{x}.half-paused-{flags}-keeps-its-fees", SHORT, (*traded, pause(flags), consolidate, take(ENOUGH))
        )
    yield _probe(f"{x}.open-keeps-its-fees", SHORT, (*traded, consolidate, take(ENOUGH)))


def _play(scene: Scene, *, steps: tuple[Step, ...], code: str) -> Attempt | None:
    if not scene.treasury_open:
        return None
    attempt = play(scene, kind=EVEN, steps=steps, code=code)
    if attempt is None:
        return None
    emptied = next(
        index
        for index, action in enumerate(attempt.actions)
        if isinstance(action, ops.WithdrawTreasuryFees) and action.lamports == 0
    )
    return replace(attempt, prelude=(emptied,))


def _open_pool(scene: Scene, *, side: Side) -> Attempt | None:
    made = trade(scene, Trade.DEPOSIT, side)
    if made is None or not scene.treasury_open:
        return None
    empty = ops.WithdrawTreasuryFees(admin=scene.core, destination=scene.core, lamports=0)
    actions: list[Action] = [
        empty,
        *made.before,
        made.action,
        ops.ConsolidatePoolFees(admin=scene.core, pool_ids=(scene.pool.pool_id,)),
        replace(empty, lamports=ENOUGH),
    ]
    return refused(scene, actions, SHORT, needs=made.needs, prelude=(0,))
