"""Pools as the rules see them: sides, assets, the constants of one pool and what it is allowed to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.ids import Address, PoolId


class Side(StrEnum):
    """Token A or token B of a pool, after normalisation (CONTRACT.md 5)."""

    A = "A"
    B = "B"

    @property
    def other(self) -> Side:
        return Side.B if self is Side.A else Side.A


class Asset(StrEnum):
    """The four tokens of one pool."""

    TOKEN_A = "token_a"  # noqa: S105
    TOKEN_B = "token_b"  # noqa: S105
    LP_A = "lp_a"
    LP_B = "lp_b"


def token_of(side: Side) -> Asset:
    return Asset.TOKEN_A if side is Side.A else Asset.TOKEN_B


def lp_of(side: Side) -> Asset:
    return Asset.LP_A if side is Side.A else Asset.LP_B


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What never changes about a pool (CONTRACT.md 4.1, I7). Ratios are in base units."""

    pool_id: PoolId
    owner: Address  # at creation; SetSwapOwnerOnly may change the chain's
    mint_a: Address
    mint_b: Address
    vault_a: Address
    vault_b: Address
    lp_mint_a: Address
    lp_mint_b: Address
    ratio_a: int
    ratio_b: int
    decimals_a: int
    decimals_b: int
    lp_decimals_a: int
    lp_decimals_b: int
    simple_ratio: bool
    exact_exchange: bool
    bumps: tuple[int, int, int, int, int]  # pool, vault A, vault B, LP A, LP B
    created_slot: int
    created_at_ms: int
    probe_only: bool = False  # a pool of its own for boundary probes: no threads
    managed: bool = True  # this run's core wallet administers it: flags and fees follow our own steps

    def mint(self, asset: Asset) -> Address:
        return {
            Asset.TOKEN_A: self.mint_a,
            Asset.TOKEN_B: self.mint_b,
            Asset.LP_A: self.lp_mint_a,
            Asset.LP_B: self.lp_mint_b,
        }[asset]

    def vault(self, side: Side) -> Address:
        return self.vault_a if side is Side.A else self.vault_b

    def ratio(self, side: Side) -> int:
        return self.ratio_a if side is Side.A else self.ratio_b
