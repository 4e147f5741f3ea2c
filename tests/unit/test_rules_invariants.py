"""The invariants: honest histories break none, every kind of corruption breaks exactly the one that names it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cycle import operation_for
from domain.facts import Account
from domain.ids import Address
from domain.invariants import CHECKS, check_snapshot
from domain.pool import Asset, Side
from domain.thread import ThreadKind
from tests.support.rules import make_intent, make_policy, make_pool, make_step, make_world

ALL_CHECKS = {name for name, _, _ in CHECKS} | {"I10"}


def ids(checked):
    return sorted(fault.check for fault in checked.faults)


def check(world, *steps, seen=None):
    return check_snapshot(world.pool, seen or world.seen(), make_policy(*steps))


def marks(checked):
    return {mark.name: mark.value for mark in checked.marks}


actions = st.lists(st.tuples(st.sampled_from(ThreadKind), st.sampled_from(Side), st.integers(7, 10**9)), max_size=12)


@given(actions, st.sampled_from([(10**9, 160_000_000), (3, 7), (1, 1)]))
def test_an_honest_history_breaks_nothing_and_no_mark_falls(history, ratio):
    world = make_world(ThreadKind.DEPOSIT, pool=make_pool(*ratio))
    before = marks(check(world))
    surplus = 0
    for kind, side, amount in history:
        world.config = make_world(kind, side).config
        world.held = dict.fromkeys(Asset, 10**12)
        world.execute(make_intent(operation_for(world.config, world.pool, world.seen(), world.state(), amount)))
        if kind is ThreadKind.SWAP:
            surplus += amount * world.pool.ratio(side.other) % world.pool.ratio(side)
        checked = check(world)
        assert (checked.faults, checked.outside) == ((), ())
        assert set(checked.counts) == ALL_CHECKS
        after = marks(checked)
        assert all(after[name] >= before[name] for name in before)
        assert after["I4-G"] == surplus
        assert {mark.slot for mark in checked.marks} == {world.slot}
        before = after


STATE_CORRUPTIONS = [
    ("I1", {"collected_liquidity_fees": 1}),
    ("I1", {"collected_swap_fees": 1}),
    ("I7", {"mint_a": "other"}),
    ("I7", {"mint_b": "other"}),
    ("I7", {"vault_a": "other"}),
    ("I7", {"vault_b": "other"}),
    ("I7", {"lp_mint_a": "other"}),
    ("I7", {"lp_mint_b": "other"}),
    ("I7", {"ratio_a": 1}),
    ("I7", {"ratio_b": 1}),
    ("I7", {"bumps": (1, 2, 3, 4, 5)}),
    ("I7", {"flags": 0x00}),
    ("I7", {"flags": 0x09}),
    ("I7", {"flags": 0x11}),
    ("I7", {"flags": 0x41}),
    ("I7", {"flags": 0x81}),
    ("I7", {"zero_token_fees": bytes(31) + b"\x01"}),
    ("I7", {"zero_tail": b"\x01" + bytes(79)}),
    ("I8", {"flags": 0x03}),
    ("I8", {"flags": 0x05}),
    ("I8", {"flags": 0x21}),
    ("I8", {"owner": "other"}),
    ("I9", {"liquidity_fee": 13_000_001}),
    ("I9", {"swap_fee": 271_501}),
]


@pytest.mark.parametrize(("name", "change"), STATE_CORRUPTIONS)
def test_a_corrupted_pool_account_breaks_its_invariant(name, change):
    world = make_world(ThreadKind.DEPOSIT)
    assert ids(check(world)) == []
    assert ids(check(world, seen=world.seen(pool=replace(world.state(), **change)))) == [name]


@pytest.mark.parametrize(
    ("address", "change"),
    [
        ("vault_a", {"owner": "thief"}),
        ("vault_b", {"mint": "mint_a"}),
        ("vault_a", {"state": 0}),
        ("vault_b", {"delegate": "thief"}),
        ("vault_a", {"close_authority": "thief"}),
        ("lp_mint_a", {"mint_authority": "thief"}),
        ("lp_mint_b", {"mint_authority": None}),
        ("lp_mint_a", {"freeze_authority": "thief"}),
        ("lp_mint_b", {"decimals": 9}),
        ("lp_mint_a", {"initialized": False}),
    ],
)
def test_a_corrupted_vault_or_lp_mint_breaks_i11(address, change):
    world = make_world(ThreadKind.DEPOSIT)
    content = world.seen().accounts[Address(address)].decoded
    assert ids(check(world, seen=world.seen(**{address: replace(content, **change)}))) == ["I11"]


def test_a_vault_that_is_gone_breaks_i11_and_one_not_asked_for_nothing():
    world = make_world(ThreadKind.DEPOSIT)
    assert ids(check(world, seen=world.seen(vault_a=None))) == ["I11"]
    assert ids(check(world, seen=world.seen(vault_a=world.lp_mint(Side.A)))) == ["I11"]
    seen = world.seen()
    accounts = {name: account for name, account in seen.accounts.items() if name != "vault_a"}
    checked = check(world, seen=replace(seen, accounts=accounts))
    assert checked.faults == ()
    assert set(checked.counts) == ALL_CHECKS - {"I4", "I11", "J1"}
    assert set(marks(checked)) == {"I10-CT", "I10-CC", "I10-consolidations", "J3-excess"}


def test_a_pool_that_is_gone_is_a_fault_only_after_its_creation():
    world = make_world(ThreadKind.DEPOSIT)
    assert ids(check(world, seen=world.seen(pool=None))) == ["I7"]
    world.pool = replace(world.pool, created_slot=world.slot + 1)
    assert ids(check(world, seen=world.seen(pool=None))) == []
    assert check(world, seen=replace(world.seen(), accounts={})).counts == {}


@pytest.mark.parametrize("side", Side)
def test_value_that_left_the_pool_breaks_i4(side):
    world = make_world(ThreadKind.SWAP)
    world.liquidity[side] -= 1
    assert ids(check(world)) == ["I4"]
    assert "I4-G" not in marks(check(world))


@pytest.mark.parametrize("side", Side)
def test_a_vault_below_its_counter_is_always_a_fault_above_it_an_outside_action(side):
    world = make_world(ThreadKind.SWAP)
    world.excess[side] = -1
    assert ids(check(world)) == ["J1"]
    world.excess[side] = 5
    checked = check(world)
    assert checked.faults == ()
    assert [(o.kind, o.excess, o.slot) for o in checked.outside] == [(f"vault_{side.value.lower()}", 5, world.slot)]
    assert marks(checked)[f"J1-excess-{side.value}"] == 5


def test_lamports_below_the_formula_are_a_fault_above_it_an_outside_action():
    world = make_world(ThreadKind.SWAP, extra_lamports=-1)
    assert ids(check(world)) == ["J3"]
    world.extra_lamports = 9
    checked = check(world)
    assert checked.faults == ()
    assert [(o.kind, o.excess) for o in checked.outside] == [("pool_lamports", 9)]


def test_fees_that_were_never_collected_break_i1_or_j3():
    world = make_world(ThreadKind.SWAP)
    state = replace(world.state(), total_fees_consolidated=7)
    (fault,) = check(world, seen=world.seen(pool=state)).faults
    assert fault.check == "I1"
    assert "CC 7 is above CT 0" in fault.message
    state = replace(world.state(), total_fees_collected=7, collected_swap_fees=7)
    assert ids(check(world, seen=world.seen(pool=state))) == ["J3"]


def test_burned_lp_may_raise_an_exact_pools_surplus():
    world = make_world(ThreadKind.SWAP, pool=make_pool(3, 2, exact=True))
    world.supply[Side.A] -= 5
    assert ids(check(world)) == []


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("flags", 0x06, 0x02),
        ("owner", "boss", "thief"),
        ("liquidity_fee", 100_000, 99_999),
        ("swap_fee", 10_000, 9_999),
    ],
)
def test_administrative_values_follow_our_own_steps(field, value, wrong):
    world = make_world(ThreadKind.SWAP, **{field: value})
    for slot in (world.slot - 1, world.slot, None):
        assert ids(check(world, make_step(), make_step(name="s", slot=slot, **{field: value}))) == []
    name = "I8" if field in ("flags", "owner") else "I9"
    assert ids(check(world, make_step(), make_step(name="s", slot=world.slot + 1, **{field: value}))) == [name]
    assert ids(
        check(world, make_step(), make_step(name="s", slot=5, **{field: value}), make_step(name="t", slot=6))
    ) == [name]
    assert ids(check(world, make_step(), make_step(name="s", slot=5, **{field: wrong}))) == [name]


def test_two_open_steps_may_land_in_either_order():
    steps = (make_step(), make_step(name="a", flags=0x02, slot=None), make_step(name="b", flags=0x06, slot=None))
    for flags in (0x00, 0x02, 0x04, 0x06):
        assert ids(check(make_world(ThreadKind.SWAP, flags=flags), *steps)) == []
    assert ids(check(make_world(ThreadKind.SWAP, flags=0x20), *steps)) == ["I8"]


def test_a_foreign_pool_may_have_any_flags_and_fees_within_the_limits():
    world = make_world(ThreadKind.SWAP, pool=make_pool(managed=False), flags=0x26, owner="x", swap_fee=10_000_000)
    assert ids(check(world)) == []
    world.swap_fee = 10_000_001
    assert ids(check(world)) == ["I9"]


def test_a_fault_holds_the_raw_accounts():
    world = make_world(ThreadKind.SWAP, extra_lamports=-1)
    (fault,) = check(world).faults
    assert (fault.pool_id, fault.slot) == ("pool", world.slot)
    assert fault.evidence["accounts"]["pool"] == {"lamports": "3939359", "owner": "x", "data": "cmF3"}
    assert isinstance(world.seen().accounts[Address("pool")], Account)
