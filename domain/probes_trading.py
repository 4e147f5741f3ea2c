"""Probes of deposit, withdrawal and swap other than replaced accounts: signers, flags, data, amounts, delegates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from domain.ids import Address
from domain.operations import Action, Approve, Swap, Tampered
from domain.pool import Side, lp_of, token_of
from domain.probes import Attempt, Probe, Scene, Stage, Stranger, allowed, refused
from domain.probes_accounts import (
    BAD_ARGUMENT,
    BAD_DATA,
    BAD_INPUT,
    BORSH,
    NO_LP,
    NO_SIGNATURE,
    NOWHERE,
    SHORT,
    WRONG_POOL,
)
from domain.probes_trade import Trade, TradeAction, funds, swap, trade, two_units
from domain.swap import U64_MAX, exact_step, quote, ratio_of, smallest_useful_input

POOL_ID_AT: Final = {Trade.DEPOSIT: 41, Trade.WITHDRAW: 41, Trade.SWAP: 49}
MINT_AT: Final = 1
AMOUNT_MISMATCH: Final = "Custom(1047)"


def trading_probes() -> Iterator[Probe]:
    for kind, side in zip(Trade, (Side.A, Side.B, Side.A), strict=True):
        yield from _of_kind(kind, side)
    for side in Side:
        yield from _deposit_and_withdraw(side)
        yield from _swap(side)
        yield from _delegates(side)


def _of_kind(kind: Trade, side: Side) -> Iterator[Probe]:
    def probe(name: str, code: str, stage: Stage, **change: Any) -> Probe:
        return Probe(
            name=f"{kind}.{side}.{name}",
            make=partial(_spoilt, kind=kind, side=side, change=change, code=code, stage=stage),
        )

    yield probe("account-too-few", BAD_DATA, Stage.FIRST, drop=1)
    yield probe("account-too-many", BAD_DATA, Stage.FIRST, extra=(NOWHERE,))
    yield probe("no-accounts", BAD_DATA, Stage.FIRST, drop=11)
    yield probe("data-short", BORSH, Stage.FIRST, data_cut=1)
    yield probe("data-long", BORSH, Stage.FIRST, data_end=b"\0")
    yield probe("data-without-pool-id", BORSH, Stage.FIRST, data_cut=32)
    yield probe("data-empty", BAD_INPUT, Stage.FIRST, data=b"")
    yield probe("data-unknown", BORSH, Stage.FIRST, data_at={0: b"\x19"})
    yield probe("data-unknown-255", BORSH, Stage.FIRST, data_at={0: b"\xff"})
    yield probe("pool-id-nowhere", WRONG_POOL, Stage.POOL, data_at={POOL_ID_AT[kind]: NOWHERE})
    yield probe("pool-id-zero", WRONG_POOL, Stage.POOL, data_at={POOL_ID_AT[kind]: bytes(32)})
    yield probe("pool-readonly", "Custom(1033)", Stage.LATE, writable={3: False})
    yield Probe(name=f"{kind}.{side}.pool-id-other", make=partial(_other_pool_id, kind=kind, side=side))
    for how in ("unsigned", "foreign-signer", *(() if kind is Trade.SWAP else ("readonly-user",))):
        yield Probe(name=f"{kind}.{side}.{how}", make=partial(_other_user, kind=kind, side=side, how=how))


def _spoilt(
    scene: Scene, *, kind: Trade, side: Side, change: dict[str, Any], code: str, stage: Stage
) -> Attempt | None:
    made = trade(scene, kind, side)
    if made is None:
        return None
    action = Tampered(action=made.action, **change)
    holds = made.holds if "writable" in change else {}
    return refused(scene, [*made.before, action], code, stage, needs=made.needs, holds=holds)


def _other_pool_id(scene: Scene, *, kind: Trade, side: Side) -> Attempt | None:
    if scene.other_pool is None:
        return None
    change = {"data_at": {POOL_ID_AT[kind]: Address(scene.other_pool.pool_id)}}
    return _spoilt(scene, kind=kind, side=side, change=change, code=WRONG_POOL, stage=Stage.POOL)


def _other_user(scene: Scene, *, kind: Trade, side: Side, how: str) -> Attempt | None:
    """A stress thread's wallet as the user: not signing, signing for the core wallet's accounts, or not writable."""
    assets = (token_of(side), token_of(side.other) if kind is Trade.SWAP else lp_of(side))
    rich = scene.stranger(*assets)
    stranger = rich or scene.stranger()
    made = trade(scene, kind, side)
    if stranger is None or made is None:
        return None
    if how == "unsigned":
        action = Tampered(action=_as_user(made.action, stranger, rich is not None), signer={0: False})
        return refused(scene, [action], NO_SIGNATURE, Stage.FIRST, user=stranger.wallet)
    signing: dict[str, Any] = {"user": stranger.wallet, "signers": (stranger.wallet,)}
    if how == "foreign-signer":
        mine = _as_user(made.action, stranger, own_accounts=False)
        return refused(scene, [*made.before, mine], BAD_DATA, **signing)
    if rich is None:
        return None
    action = Tampered(action=_as_user(made.action, rich, own_accounts=True), writable={0: False})
    fee = {rich.wallet: scene.liquidity_fee}
    holds = {rich.accounts[assets[0]]: 1} if kind is Trade.DEPOSIT else {}
    return refused(scene, [action], "PrivilegeEscalation", needs=fee, holds=holds, **signing)


def _as_user(action: TradeAction, stranger: Stranger, own_accounts: bool) -> TradeAction:
    """The action with the stranger as its user, and with the stranger's accounts where it has them."""
    if not own_accounts:
        return replace(action, user=stranger.wallet)
    if isinstance(action, Swap):
        source, target = token_of(action.side_in), token_of(action.side_in.other)
        return replace(
            action, user=stranger.wallet, user_in=stranger.accounts[source], user_out=stranger.accounts[target]
        )
    token, lp = stranger.accounts[token_of(action.side)], stranger.accounts[lp_of(action.side)]
    return replace(action, user=stranger.wallet, user_token=token, user_lp=lp)


def _deposit_and_withdraw(side: Side) -> Iterator[Probe]:
    amounts: list[tuple[Trade, str, int, str, Stage]] = [
        (Trade.DEPOSIT, "zero", 0, BAD_ARGUMENT, Stage.POOL),
        (Trade.DEPOSIT, "u64-max", U64_MAX, SHORT, Stage.LATE),
        (Trade.WITHDRAW, "zero", 0, BAD_ARGUMENT, Stage.FIRST),
        (Trade.WITHDRAW, "u64-max", U64_MAX, "Custom(1)", Stage.LATE),
        (Trade.SWAP, "zero", 0, BAD_ARGUMENT, Stage.FIRST),
        (Trade.SWAP, "u64-max", U64_MAX, BAD_DATA, Stage.LATE),
    ]
    for kind, name, amount, code, stage in amounts:
        yield Probe(
            name=f"{kind}.{side}.amount-{name}",
            make=partial(_amount, kind=kind, side=side, amount=amount, code=code, stage=stage),
        )
    mints: list[tuple[Trade, str, str]] = [
        (Trade.DEPOSIT, "other", BAD_INPUT),
        (Trade.DEPOSIT, "lp", BAD_INPUT),
        (Trade.DEPOSIT, "nowhere", BAD_INPUT),
        (Trade.WITHDRAW, "other", BAD_INPUT),
        (Trade.WITHDRAW, "nowhere", BAD_INPUT),
        (Trade.WITHDRAW, "lp-to-lp", BAD_ARGUMENT),
    ]
    for kind, which, code in mints:
        yield Probe(
            name=f"{kind}.{side}.mint-argument-{which}",
            make=partial(_mint_argument, kind=kind, side=side, which=which, code=code),
        )


def _amount(scene: Scene, *, kind: Trade, side: Side, amount: int, code: str, stage: Stage) -> Attempt | None:
    """Amounts that need no balance: nothing, and more than anybody can hold."""
    made = trade(scene, kind, side)
    if made is None or scene.balances[token_of(side)] >= amount > 0:
        return None
    action = made.action
    changed = replace(action, amount_in=amount) if isinstance(action, Swap) else replace(action, amount=amount)
    return refused(scene, [changed], code, stage, needs=made.needs)


def _mint_argument(scene: Scene, *, kind: Trade, side: Side, which: str, code: str) -> Attempt | None:
    made = trade(scene, kind, side)
    if made is None:
        return None
    mint = {
        "other": scene.pool.mint(token_of(side.other)),
        "lp": scene.pool.mint(lp_of(side)),
        "lp-to-lp": scene.pool.mint(lp_of(side)),
        "nowhere": NOWHERE,
    }[which]
    accounts = {8: scene.own[lp_of(side)]} if which == "lp-to-lp" else {}
    action = Tampered(action=made.action, data_at={MINT_AT: mint}, accounts=accounts)
    return refused(scene, [*made.before, action], code)


def _swap(side: Side) -> Iterator[Probe]:
    for name, offset in (("one-more", 1), ("one-less", -1), ("twice", 2)):
        yield Probe(name=f"swap.{side}.expected-{name}", make=partial(_expected, side=side, offset=offset))
    yield Probe(name=f"swap.{side}.expected-zero", make=partial(_expected, side=side, offset=None))
    yield Probe(name=f"swap.{side}.expected-u64-max", make=partial(_expected, side=side, offset=U64_MAX))
    yield Probe(name=f"swap.{side}.output-zero", make=partial(_zero_output, side=side))
    yield Probe(name=f"swap.{side}.inexact", make=partial(_inexact, side=side))


def _expected(scene: Scene, *, side: Side, offset: int | None) -> Attempt | None:
    amount = two_units(scene.pool, side)
    before = funds(scene, token_of(side), amount)
    output, _ = quote(amount, *ratio_of(scene.pool, side))
    wanted = output + offset if offset in (1, -1) else output * 2 if offset == 2 else offset or 0
    if before is None or not 0 <= wanted <= U64_MAX or wanted == output or output > U64_MAX:
        return None
    return refused(scene, [*before, swap(scene, side, amount, wanted)], AMOUNT_MISMATCH)


def _zero_output(scene: Scene, *, side: Side) -> Attempt | None:
    """One unit less than the smallest useful input; an exact pool sees the remainder first (CONTRACT.md 6)."""
    amount = smallest_useful_input(*ratio_of(scene.pool, side)) - 1
    before = funds(scene, token_of(side), amount)
    if amount < 1 or before is None:
        return None
    code = AMOUNT_MISMATCH if scene.pool.exact_exchange else BAD_ARGUMENT
    return refused(scene, [*before, swap(scene, side, amount, 0)], code)


def _inexact(scene: Scene, *, side: Side) -> Attempt | None:
    step = exact_step(*ratio_of(scene.pool, side))
    if not scene.pool.exact_exchange or step == 1:
        return None
    amount = two_units(scene.pool, side) + 1
    before = funds(scene, token_of(side), amount)
    if before is None:
        return None
    return refused(scene, [*before, swap(scene, side, amount)], AMOUNT_MISMATCH)


def _delegates(side: Side) -> Iterator[Probe]:
    """An account with an active delegate is refused; one whose delegate may move nothing is not."""
    for kind, role, code in (
        (Trade.DEPOSIT, "source", BAD_DATA),
        (Trade.DEPOSIT, "target", NO_LP),
        (Trade.WITHDRAW, "source", BAD_DATA),
        (Trade.WITHDRAW, "target", BAD_DATA),
        (Trade.SWAP, "source", BAD_DATA),
        (Trade.SWAP, "target", BAD_DATA),
    ):
        yield Probe(
            name=f"{kind}.{side}.delegated-{role}", make=partial(_delegated, kind=kind, side=side, role=role, code=code)
        )
    yield Probe(name=f"deposit.{side}.empty-delegate", make=partial(_empty_delegate, side=side))


def _delegated(scene: Scene, *, kind: Trade, side: Side, role: str, code: str) -> Attempt | None:
    made = trade(scene, kind, side)
    if made is None:
        return None
    actions: list[Action] = [*made.before, _approve(scene, _account(scene, kind, side, role), 1), made.action]
    return refused(scene, actions, code)


def _account(scene: Scene, kind: Trade, side: Side, role: str) -> Address:
    if kind is Trade.SWAP:
        return scene.own[token_of(side if role == "source" else side.other)]
    holds_lp = (kind is Trade.WITHDRAW) is (role == "source")
    return scene.own[lp_of(side) if holds_lp else token_of(side)]


def _empty_delegate(scene: Scene, *, side: Side) -> Attempt | None:
    made = trade(scene, Trade.DEPOSIT, side)
    if made is None:
        return None
    approval = _approve(scene, scene.own[token_of(side)], 0)
    return allowed(scene, [*made.before, approval, made.action], needs=made.needs)


def _approve(scene: Scene, account: Address, amount: int) -> Approve:
    return Approve(owner=scene.core, account=account, delegate=scene.treasury, amount=amount)
