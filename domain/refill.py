"""When a wallet is low and what it gets: the full initial amount again, SOL up to a target (DEP-20..24, SOL-01..06)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.facts import Observation, PoolState, TokenAccount
from domain.ids import Address
from domain.pool import Pool
from domain.swap import U64_MAX
from domain.thread import ThreadConfig, ThreadKind

LOW_TOKEN: Final = "token"  # noqa: S105  # a reason, not a secret
LOW_SOL: Final = "sol"
LOW_PERCENT: Final = 5
OPERATIONS_AHEAD: Final = 20
TARGET_THRESHOLDS: Final = 3  # a top-up brings a wallet to three times the threshold
RESERVE_LAMPORTS: Final = 890_880  # a wallet may hold exactly 0 or at least this much (CONTRACT.md 7.3)
NETWORK_FEES_LAMPORTS: Final = 10_000  # an operation's signature, and one for sharing what it brought


@dataclass(frozen=True, slots=True, kw_only=True)
class Refill:
    """What one wallet needs; 0 and 0 when nothing."""

    tokens: int = 0  # base units of what the thread spends
    lamports: int = 0


def pool_fee(kind: ThreadKind, state: PoolState) -> int:
    """Lamports that the pool charges for one operation now."""
    return state.swap_fee if kind is ThreadKind.SWAP else state.liquidity_fee


def sol_threshold(kind: ThreadKind, state: PoolState, override: int | None) -> int:
    """Below this many lamports a wallet is low: 20 operations at the pool's fees, or the setting."""
    if override:
        return override
    return OPERATIONS_AHEAD * (pool_fee(kind, state) + NETWORK_FEES_LAMPORTS) + RESERVE_LAMPORTS


def sol_target(kind: ThreadKind, state: PoolState, override: int | None) -> int:
    """A new wallet gets this many lamports, a low one is topped up to it."""
    return TARGET_THRESHOLDS * sol_threshold(kind, state, override)


def tokens_low(config: ThreadConfig, balance: int) -> bool:
    """Under 5 % of the initial amount, with refilling on and an initial amount to refill (DEP-20, DEP-22, DEP-23)."""
    refillable = config.auto_refill and config.initial_amount > 0 and config.kind is not ThreadKind.WITHDRAWAL
    return refillable and balance * 100 < config.initial_amount * LOW_PERCENT


def refill_for(config: ThreadConfig, pool: Pool, seen: Observation, override: int | None) -> Refill:
    """What the wallet needs by this snapshot. A balance that was not read, or cannot be, is not zero: it needs nothing.

    A wallet without an account holds 0 lamports and is topped up; a missing token account cannot be minted to, nor can
    a mint whose supply would leave u64.
    """
    tokens = lamports = 0
    spends = seen.accounts.get(config.accounts[config.spends])
    if spends is not None and isinstance(spends.decoded, TokenAccount) and tokens_low(config, spends.decoded.amount):
        supply = seen.supply(pool.mint(config.spends)) or 0
        tokens = config.initial_amount if supply + config.initial_amount <= U64_MAX else 0
    state = seen.pool(Address(pool.pool_id))
    if state is not None and config.wallet in seen.accounts:
        held = seen.lamports(config.wallet)
        if held < sol_threshold(config.kind, state, override):
            lamports = sol_target(config.kind, state, override) - held
    return Refill(tokens=tokens, lamports=lamports)


def needs(config: ThreadConfig, pool: Pool, seen: Observation, override: int | None) -> set[str]:
    """The reasons to flag the wallet as low: "token", "sol"."""
    refill = refill_for(config, pool, seen, override)
    flags = {LOW_TOKEN} if refill.tokens else set()
    return flags | ({LOW_SOL} if refill.lamports else set())
