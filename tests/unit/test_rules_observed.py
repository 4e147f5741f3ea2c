"""What people see of a pool is what the snapshot said, and nothing when the snapshot is not whole."""

from __future__ import annotations

import pytest

from domain.invariants import check_snapshot
from domain.observed import ObservedPool
from domain.pool import Side
from domain.thread import ThreadKind
from tests.support.rules import make_policy, make_pool, make_world

BIG = 2**64 - 1


def test_amounts_beyond_doubles_come_through_and_g_is_the_one_that_is_checked():
    world = make_world(ThreadKind.SWAP, pool=make_pool(BIG, 3))
    world.liquidity = {Side.A: BIG, Side.B: BIG - 1}
    world.supply = {Side.A: BIG - 7, Side.B: BIG - 2}
    seen = ObservedPool.of(world.pool, world.seen())
    assert seen is not None
    assert (seen.liquidity_a, seen.lp_supply_b) == (BIG, BIG - 2)
    assert seen.surplus == 7 * 3 + BIG
    marks = {mark.name: mark.value for mark in check_snapshot(world.pool, world.seen(), make_policy()).marks}
    assert seen.surplus == marks["I4-G"]
    assert ObservedPool.from_text(seen.to_text()) == seen


@pytest.mark.parametrize("missing", ["pool", "lp_mint_a", "lp_mint_b"])
def test_a_part_of_a_pool_is_no_pool(missing):
    world = make_world(ThreadKind.DEPOSIT)
    address = "pool" if missing == "pool" else getattr(world.pool, missing)
    assert ObservedPool.of(world.pool, world.seen(**{address: None})) is None
