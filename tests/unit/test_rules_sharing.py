"""Sharing and refilling: equal splits without loss, packing, thresholds."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.ids import OperationId, ThreadId
from domain.pool import Asset, Side
from domain.refill import Refill, needs, refill_for, sol_target, sol_threshold
from domain.sharing import Owed, Payment, Taker, kind_of, may_take, pack, split, within
from domain.thread import ThreadKind
from tests.support.rules import make_config, make_world

THREADS = [
    make_config(kind, side, number=10 * n + (1 if side is Side.A else 2))
    for kind in ThreadKind
    for side in Side
    for n in range(2)
]
BY_ID = {config.thread_id: config for config in THREADS}
TAKERS = [Taker(thread_id=config.thread_id, spends=config.spends) for config in THREADS]

entries = st.lists(st.tuples(st.sampled_from(THREADS), st.integers(1, 2**64 - 1) | st.integers(1, 5)), max_size=12).map(
    lambda rows: [
        Owed(entry_id=OperationId(f"e{n}"), owner=config.thread_id, asset=config.receives, amount=amount)
        for n, (config, amount) in enumerate(rows)
    ]
)
running = st.lists(st.sampled_from(TAKERS), unique=True)


def sums(items):
    total: dict[tuple[str, Asset], int] = defaultdict(int)
    for item in items:
        total[item.owner, item.asset] += item.amount
    return total


@given(entries, running)
def test_payments_remainders_and_retained_are_exactly_what_was_taken(owed, takers):
    result = split(owed, takers)
    taken = [entry for entry in owed if entry.entry_id in result.taken]
    assert sums(taken) == sums([*result.payments, *result.remainders, *result.retained])
    assert {entry for payment in result.payments for entry in payment.entries} <= result.taken


@given(entries, running)
def test_every_taker_gets_the_same_and_only_what_it_may_take(owed, takers):
    result = split(owed, takers)
    per_owner = defaultdict(list)
    for payment in result.payments:
        per_owner[payment.owner, payment.asset].append(payment)
    for (owner, asset), payments in per_owner.items():
        allowed = {taker.thread_id for taker in takers if may_take(taker, owner, asset)}
        assert {payment.taker for payment in payments} == allowed
        assert len({payment.amount for payment in payments}) == 1
        assert payments[0].amount >= 1
        rest = sum(item.amount for item in result.remainders if (item.owner, item.asset) == (owner, asset))
        assert rest < len(payments)


@given(entries, running)
def test_retained_is_only_what_nobody_may_take(owed, takers):
    result = split(owed, takers)
    for entry in owed:
        somebody = any(may_take(taker, entry.owner, entry.asset) for taker in takers)
        kept = (entry.owner, entry.asset) in sums(result.retained)
        assert kept is not somebody


def test_each_kind_pays_its_counterpart_and_no_other():
    pairs = {
        (kind_of(owner.thread_id).value, kind_of(taker.thread_id).value)
        for owner in THREADS
        for taker in TAKERS
        if may_take(taker, owner.thread_id, owner.receives)
    }
    assert pairs == {("deposit", "withdrawal"), ("withdrawal", "deposit"), ("swap", "swap")}
    deposit = make_config(ThreadKind.DEPOSIT, Side.A, number=1)
    takers = [taker.thread_id for taker in TAKERS if may_take(taker, deposit.thread_id, deposit.receives)]
    assert sorted(takers) == ["withdrawal_1", "withdrawal_11"]
    swap = make_config(ThreadKind.SWAP, Side.A, number=1)
    takers = [taker.thread_id for taker in TAKERS if may_take(taker, swap.thread_id, swap.receives)]
    assert sorted(takers) == ["swap_12", "swap_2"]


def test_a_thread_never_pays_itself():
    me = ThreadId("swap_1")
    assert not may_take(Taker(thread_id=me, spends=Asset.TOKEN_A), me, Asset.TOKEN_A)


def test_remainders_join_the_next_split():
    takers = [Taker(thread_id=ThreadId(f"withdrawal_{n}"), spends=Asset.LP_A) for n in range(3)]

    def owe(*amounts):
        return [
            Owed(entry_id=OperationId(f"e{n}"), owner=ThreadId("deposit_1"), asset=Asset.LP_A, amount=amount)
            for n, amount in enumerate(amounts)
        ]

    first = split(owe(7, 1), takers)
    assert [payment.amount for payment in first.payments] == [2, 2, 2]
    assert [rest.amount for rest in first.remainders] == [2]
    alone = split(owe(2), takers)
    assert (alone.payments, alone.remainders, alone.taken) == ((), (), frozenset())
    assert [payment.amount for payment in split(owe(2, 1), takers).payments] == [1, 1, 1]


@given(entries, running, st.integers(1, 5), st.sets(st.sampled_from([f"e{n}" for n in range(12)])))
def test_packing_keeps_every_payment_within_the_limit(owed, takers, limit, singles):
    payments = split(owed, takers).payments
    groups = pack(payments, lambda batch: len(batch) <= limit, singles)
    assert Counter(payment for group in groups for payment in group) == Counter(payments)
    for group in groups:
        assert 1 <= len(group) <= limit
        assert len(group) == 1 or not any(singles & set(payment.entries) for payment in group)
    plain = [payment for payment in payments if not singles & set(payment.entries)]
    assert len(groups) == -(-len(plain) // limit) + len(payments) - len(plain)


def test_a_payment_that_alone_is_too_much_is_not_dropped():
    payment = Payment(owner=ThreadId("deposit_1"), taker=ThreadId("withdrawal_1"), asset=Asset.LP_A, amount=1)
    assert pack([payment, payment], lambda _: False) == [[payment], [payment]]


@pytest.mark.parametrize("kind", ThreadKind)
def test_the_default_threshold_is_twenty_operations_ahead(kind):
    world = make_world(kind, liquidity_fee=100_000_000, swap_fee=10_000_000)
    fee = 10_000_000 if kind is ThreadKind.SWAP else 100_000_000
    threshold = sol_threshold(kind, world.state(), None)
    assert threshold >= 20 * (fee + 5_000) + 890_880
    assert sol_threshold(kind, world.state(), 10**9) == 10**9
    assert sol_target(kind, world.state(), 10**9) > 10**9


@pytest.mark.parametrize("override", [None, 10**9])
def test_a_wallet_below_the_threshold_is_topped_up_to_the_target(override):
    world = make_world(ThreadKind.SWAP)
    threshold = sol_threshold(ThreadKind.SWAP, world.state(), override)
    for sol in (0, threshold - 1):
        world.sol = sol
        refill = refill_for(world.config, world.pool, world.seen(), override)
        assert sol + refill.lamports == sol_target(ThreadKind.SWAP, world.state(), override)
        assert needs(world.config, world.pool, world.seen(), override) == {"sol"}
    world.sol = threshold
    assert refill_for(world.config, world.pool, world.seen(), override) == Refill()
    assert needs(world.config, world.pool, world.seen(), override) == set()


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans(), st.sampled_from(ThreadKind))
@example(5, 100, True, ThreadKind.DEPOSIT)
@example(4, 100, True, ThreadKind.SWAP)
def test_the_full_initial_amount_comes_under_five_percent_of_it(balance, initial, auto_refill, kind):
    world = make_world(kind)
    world.config = replace(world.config, initial_amount=initial, auto_refill=auto_refill)
    world.held[world.config.spends] = balance
    low = auto_refill and kind is not ThreadKind.WITHDRAWAL and balance * 20 < initial
    refill = refill_for(world.config, world.pool, world.seen(), 1)
    assert refill == Refill(tokens=initial if low else 0)
    assert ("token" in needs(world.config, world.pool, world.seen(), 1)) == low


def test_a_mint_is_never_asked_for_more_than_its_u64():
    world = make_world(ThreadKind.DEPOSIT)
    world.config = replace(world.config, initial_amount=100, auto_refill=True)
    world.held[Asset.TOKEN_A] = 0
    seen, address = world.seen(), world.pool.mint_a
    lp_mint = seen.accounts[world.pool.lp_mint_a]
    for supply, tokens in ((2**64 - 101, 100), (2**64 - 100, 0), (2**64 - 1, 0)):
        mint = replace(lp_mint, address=address, decoded=replace(lp_mint.decoded, supply=supply))
        shown = replace(seen, accounts=seen.accounts | {address: mint})
        assert refill_for(world.config, world.pool, shown, 1).tokens == tokens


def test_what_was_not_read_is_not_zero():
    world = make_world(ThreadKind.DEPOSIT, sol=0)
    world.config = replace(world.config, initial_amount=100, auto_refill=True)
    world.held[Asset.TOKEN_A] = 0
    assert needs(world.config, world.pool, world.seen(), None) == {"sol", "token"}
    account = world.config.accounts[Asset.TOKEN_A]
    assert needs(world.config, world.pool, world.seen(**{account: None}), None) == {"sol"}
    assert needs(world.config, world.pool, world.seen(pool=None), None) == {"token"}
    seen = world.seen()
    unread = replace(seen, accounts={"pool": seen.accounts["pool"]})
    assert needs(world.config, world.pool, unread, None) == set()


@given(owed=entries, takers=running, room=st.integers(1, 6), turn=st.integers(0, 99), size=st.integers(1, 4))
def test_what_is_let_through_fits_and_every_owner_has_its_turn(owed, takers, room, turn, size):
    def fits(batch):
        return len(batch) <= size

    chosen = within(owed, takers, fits, frozenset(), room=room, turn=turn)
    owners = {(entry.owner, entry.asset) for entry in chosen}
    # whole owners: a part of an owner's sum would be divided otherwise than the whole
    assert {e.entry_id for e in chosen} == {e.entry_id for e in owed if (e.owner, e.asset) in owners}
    payments = split(chosen, takers).payments
    assert len(pack(payments, fits)) <= room or len({(payment.owner, payment.asset) for payment in payments}) == 1
    if len(pack(split(owed, takers).payments, fits)) <= room:
        assert owners == {(entry.owner, entry.asset) for entry in owed}
    everybody = {(entry.owner, entry.asset) for entry in owed}
    served = set()
    for later in range(len(everybody)):
        now = within(owed, takers, fits, frozenset(), room=room, turn=later)
        served |= {(entry.owner, entry.asset) for entry in now}
    assert served == everybody


def test_nothing_is_let_through_without_room():
    config = next(c for c in THREADS if c.kind is ThreadKind.DEPOSIT)
    owed = [Owed(entry_id=OperationId("e"), owner=config.thread_id, asset=config.receives, amount=9)]
    assert within(owed, TAKERS, lambda _: True, frozenset(), room=0, turn=0) == []
