"""A pool as a cycle saw it last, for people who watch: nothing is decided or audited by it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Self

from domain.facts import Observation
from domain.ids import Address
from domain.pool import Pool, Side, lp_of
from domain.swap import surplus


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPool:
    """Base units and lamports at one slot. ``surplus`` is G of I4, in value units; below 0 value has left the pool."""

    slot: int
    liquidity_a: int
    liquidity_b: int
    lp_supply_a: int
    lp_supply_b: int
    surplus: int
    fees_held: int  # collected and not yet consolidated
    liquidity_fee: int
    swap_fee: int
    flags: int

    @classmethod
    def of(cls, pool: Pool, seen: Observation) -> Self | None:
        """None when the observation does not hold the whole pool."""
        state = seen.pool(Address(pool.pool_id))
        supply_a, supply_b = (seen.supply(pool.mint(lp_of(side))) for side in Side)
        if state is None or supply_a is None or supply_b is None:
            return None
        liquidity = (state.liquidity_a, state.liquidity_b)
        return cls(
            slot=seen.slot,
            liquidity_a=state.liquidity_a,
            liquidity_b=state.liquidity_b,
            lp_supply_a=supply_a,
            lp_supply_b=supply_b,
            surplus=surplus(pool, liquidity, (supply_a, supply_b)),
            fees_held=state.collected_liquidity_fees + state.collected_swap_fees,
            liquidity_fee=state.liquidity_fee,
            swap_fee=state.swap_fee,
            flags=state.flags,
        )

    def to_text(self) -> str:
        """JSON; every number is decimal text."""
        return json.dumps({name: str(value) for name, value in asdict(self).items()}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        doc = json.loads(text)
        return cls(**{field.name: int(doc[field.name]) for field in fields(cls)})
