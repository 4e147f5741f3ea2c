"""A new pool is compared with what was ordered: every field that the program fills in at its creation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.facts import PoolState
from domain.pool import Pool
from domain.thread import ThreadKind
from tasks.control.pools import _shape_faults
from tests.support.rules import OWNER, make_pool, make_world

ZEROS = bytes(80)


def created(**changes: Any) -> tuple[Pool, PoolState]:
    pool = make_pool(3, 2, exact=True)
    state = make_world(ThreadKind.SWAP, pool=pool).state()
    fresh = replace(state, flags=0x41, liquidity_a=0, liquidity_b=0, zero_token_fees=bytes(32), zero_tail=ZEROS)
    return pool, replace(fresh, **changes)


def test_a_pool_as_ordered_has_no_fault():
    pool, state = created()
    assert _shape_faults(pool, state, OWNER) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"flags": 0x40},  # not classified as simple
        {"flags": 0x43},  # paused from birth
        {"flags": 0x61},
        {"flags": 0x01},
        {"collected_swap_fees": 1},
        {"total_fees_consolidated": 1},
        {"consolidations": 1},
        {"zero_tail": ZEROS[:-1] + b"\x01"},
        {"liquidity_a": 1},
        {"swap_fee": 1},
        {"owner": "somebody"},
    ],
)
def test_any_other_field_is_a_fault(changes):
    pool, state = created(**changes)
    (fault,) = _shape_faults(pool, state, OWNER)
    assert fault.check == "POOL-shape"
    assert fault.evidence["wanted"] != fault.evidence["shown"]
