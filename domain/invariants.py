"""The invariants of CONTRACT.md 9 on one snapshot, whose accounts all stem from one slot (DESIGN.md 6, net 2).

Every check is a small function in a table; it yields a message per broken statement and nothing when all hold.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from domain.chains import Mark
from domain.facts import Account, Mint, Observation, PoolState, TokenAccount
from domain.faults import Fault
from domain.ids import Address, PoolId
from domain.justify import LIQUIDITY_FEE_LIMITS, SWAP_FEE_LIMITS
from domain.policy import ADMIN_FLAGS, Policy, PolicyStep
from domain.pool import Pool, Side, lp_of
from domain.swap import surplus

POOL_RENT_LAMPORTS: Final = 3_939_360  # R438 at the default rent

_SIMPLE_FLAG: Final = 0x01
_EXACT_FLAG: Final = 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """More than the rules account for: somebody sent tokens or lamports past the program. The audit must explain it."""

    pool_id: PoolId
    kind: str  # "vault_a", "vault_b" (base units) or "pool_lamports"
    excess: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The result of one round: ``counts`` has the number of runs per check id, ``marks`` go into the commit."""

    faults: tuple[Fault, ...] = ()
    marks: tuple[Mark, ...] = ()
    outside: tuple[Outside, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A pool's accounts at one slot. ``vaults`` and ``lp_mints`` are complete or the snapshot is checked in part."""

    pool: Pool
    slot: int
    lamports: int
    state: PoolState
    vaults: dict[Side, TokenAccount]
    lp_mints: dict[Side, Mint]
    steps: tuple[PolicyStep, ...]

    @property
    def liquidity(self) -> tuple[int, int]:
        return self.state.liquidity_a, self.state.liquidity_b

    @property
    def surplus(self) -> int:
        return surplus(self.pool, self.liquidity, (self.lp_mints[Side.A].supply, self.lp_mints[Side.B].supply))

    def vault_excess(self, side: Side) -> int:
        return self.vaults[side].amount - self.liquidity[0 if side is Side.A else 1]

    @property
    def lamport_excess(self) -> int:
        return self.lamports - POOL_RENT_LAMPORTS - self.state.total_fees_collected + self.state.total_fees_consolidated


Messages = Iterator[str]
Check = Callable[[Snapshot], Messages]


def _fee_counters(snapshot: Snapshot) -> Messages:
    state = snapshot.state
    pending = state.total_fees_collected - state.total_fees_consolidated
    held = state.collected_liquidity_fees + state.collected_swap_fees
    if pending < 0:
        yield f"CC {state.total_fees_consolidated} is above CT {state.total_fees_collected}"
    if held != pending:
        yield f"CL + CS = {held} but CT - CC = {pending}"


def _surplus(snapshot: Snapshot) -> Messages:
    if snapshot.surplus < 0:
        yield f"G is {snapshot.surplus}: value left the pool"


def _immutables(snapshot: Snapshot) -> Messages:
    pool, state = snapshot.pool, snapshot.state
    wanted_flags = (_SIMPLE_FLAG if pool.simple_ratio else 0) | (_EXACT_FLAG if pool.exact_exchange else 0)
    pairs: tuple[tuple[str, object, object], ...] = (
        ("mint_a", state.mint_a, pool.mint_a),
        ("mint_b", state.mint_b, pool.mint_b),
        ("vault_a", state.vault_a, pool.vault_a),
        ("vault_b", state.vault_b, pool.vault_b),
        ("lp_mint_a", state.lp_mint_a, pool.lp_mint_a),
        ("lp_mint_b", state.lp_mint_b, pool.lp_mint_b),
        ("ratio_a", state.ratio_a, pool.ratio_a),
        ("ratio_b", state.ratio_b, pool.ratio_b),
        ("bumps", state.bumps, pool.bumps),
        ("flags that nobody may change", state.flags & ~ADMIN_FLAGS, wanted_flags),
        ("bytes 278..310", any(state.zero_token_fees), False),
        ("bytes 358..438", any(state.zero_tail), False),
    )
    for name, shown, wanted in pairs:
        if shown != wanted:
            yield f"{name}: {shown!r} instead of {wanted!r}"


def _administered(snapshot: Snapshot) -> Messages:
    """Flags bit by bit and the owner, each as some step possible at the slot left it; steps may land in any order."""
    state, steps = snapshot.state, snapshot.steps
    for bit in (1 << n for n in range(8) if ADMIN_FLAGS >> n & 1):
        if steps and state.flags & bit not in {step.flags & bit for step in steps}:
            yield f"flag {bit:#04x} is {'set' if state.flags & bit else 'clear'} without a step that did it"
    if steps and state.owner not in {step.owner for step in steps}:
        yield f"owner {state.owner} was set by no step"


def _fees(snapshot: Snapshot) -> Messages:
    state, steps = snapshot.state, snapshot.steps
    for name, fee, (low, high) in (
        ("liquidity_fee", state.liquidity_fee, LIQUIDITY_FEE_LIMITS),
        ("swap_fee", state.swap_fee, SWAP_FEE_LIMITS),
    ):
        if not low <= fee <= high:
            yield f"{name} {fee} is outside {low}..{high}"
        if steps and fee not in {getattr(step, name) for step in steps}:
            yield f"{name} {fee} was set by no step"


def _tokens(snapshot: Snapshot) -> Messages:
    pool = snapshot.pool
    for side in Side:
        vault, lp_mint = snapshot.vaults[side], snapshot.lp_mints[side]
        mint = pool.mint_a if side is Side.A else pool.mint_b
        decimals = pool.lp_decimals_a if side is Side.A else pool.lp_decimals_b
        pairs: tuple[tuple[str, object, object], ...] = (
            ("owner of vault", vault.owner, pool.pool_id),
            ("mint of vault", vault.mint, mint),
            ("vault initialised", vault.state != 0, True),
            ("delegate of vault", vault.delegate, None),
            ("close authority of vault", vault.close_authority, None),
            ("authority of LP mint", lp_mint.mint_authority, pool.pool_id),
            ("freeze authority of LP mint", lp_mint.freeze_authority, None),
            ("decimals of LP mint", lp_mint.decimals, decimals),
            ("LP mint initialised", lp_mint.initialized, True),
        )
        for name, shown, wanted in pairs:
            if shown != wanted:
                yield f"{name} {side.value}: {shown!r} instead of {wanted!r}"


def _vaults(snapshot: Snapshot) -> Messages:
    for side in Side:
        excess = snapshot.vault_excess(side)
        if excess < 0:
            yield f"vault {side.value} holds {-excess} less than the pool's counter says"


def _lamports(snapshot: Snapshot) -> Messages:
    if snapshot.lamport_excess < 0:
        yield f"the pool account holds {-snapshot.lamport_excess} lamports less than R438 + CT - CC"


# id, the check, does it need the vaults and LP mints?
CHECKS: Final[tuple[tuple[str, Check, bool], ...]] = (
    ("I1", _fee_counters, False),
    ("I4", _surplus, True),
    ("I7", _immutables, False),
    ("I8", _administered, False),
    ("I9", _fees, False),
    ("I11", _tokens, True),
    ("J1", _vaults, True),
    ("J3", _lamports, False),
)


def check_snapshot(pool: Pool, seen: Observation, policy: Policy | None) -> Checked:
    """All checks that this observation allows; what was not asked for is not judged.

    I5 is no check of a snapshot: burned LP may raise G, and only a swap's own remainder tells (settle, the audit).
    Excesses are never faults here, but outside actions to be explained; as marks they may not fall either.
    """
    address = Address(pool.pool_id)
    if address not in seen.accounts or seen.slot < pool.created_slot:
        return Checked()
    state, account = seen.pool(address), seen.accounts[address]
    if state is None or account is None:
        return Checked(faults=(_fault(pool, seen, "I7", "the pool account is gone or no pool any more"),))
    vaults, lp_mints, broken = _token_parts(pool, seen)
    snapshot = Snapshot(
        pool=pool,
        slot=seen.slot,
        lamports=account.lamports,
        state=state,
        vaults=vaults,
        lp_mints=lp_mints,
        steps=policy.allowed_at(seen.slot) if policy is not None and pool.managed else (),
    )
    complete = len(vaults) == len(lp_mints) == len(Side)
    faults = [_fault(pool, seen, "I11", message) for message in broken]
    counts: dict[str, int] = {}
    for name, check, needs_tokens in CHECKS:
        if needs_tokens and not complete:
            continue
        counts[name] = 1
        messages = list(check(snapshot))
        if messages:
            faults.append(_fault(pool, seen, name, "; ".join(messages)))
    counts["I10"] = 1
    return Checked(
        faults=tuple(faults),
        marks=tuple(_marks(snapshot, complete)),
        outside=tuple(_outside(snapshot, complete)),
        counts=counts,
    )


def _token_parts(pool: Pool, seen: Observation) -> tuple[dict[Side, TokenAccount], dict[Side, Mint], list[str]]:
    vaults: dict[Side, TokenAccount] = {}
    lp_mints: dict[Side, Mint] = {}
    broken = []
    for side in Side:
        for address in (pool.vault(side), pool.mint(lp_of(side))):
            if address not in seen.accounts:
                continue
            decoded = _decoded(seen.accounts[address])
            if isinstance(decoded, TokenAccount) and address == pool.vault(side):
                vaults[side] = decoded
            elif isinstance(decoded, Mint) and address != pool.vault(side):
                lp_mints[side] = decoded
            else:
                broken.append(f"{address} of side {side.value} is gone or of another kind")
    return vaults, lp_mints, broken


def _decoded(account: Account | None) -> object:
    return None if account is None else account.decoded


def _marks(snapshot: Snapshot, complete: bool) -> Iterator[Mark]:
    """Quantities that never fall (I4, I10); the excesses too, because no instruction pays them out."""
    state = snapshot.state
    values = {
        "I10-CT": state.total_fees_collected,
        "I10-CC": state.total_fees_consolidated,
        "I10-consolidations": state.consolidations,
        "J3-excess": snapshot.lamport_excess,
    }
    if complete:
        values["I4-G"] = snapshot.surplus
        values["J1-excess-A"] = snapshot.vault_excess(Side.A)
        values["J1-excess-B"] = snapshot.vault_excess(Side.B)
    for name, value in values.items():
        if value >= 0:
            yield Mark(name=name, slot=snapshot.slot, value=value)


def _outside(snapshot: Snapshot, complete: bool) -> Iterator[Outside]:
    found = [("pool_lamports", snapshot.lamport_excess)]
    if complete:
        found.append(("vault_a", snapshot.vault_excess(Side.A)))
        found.append(("vault_b", snapshot.vault_excess(Side.B)))
    for kind, excess in found:
        if excess > 0:
            yield Outside(pool_id=snapshot.pool.pool_id, kind=kind, excess=excess, slot=snapshot.slot)


def _fault(pool: Pool, seen: Observation, check: str, message: str) -> Fault:
    addresses = (Address(pool.pool_id), pool.vault_a, pool.vault_b, pool.lp_mint_a, pool.lp_mint_b)
    accounts = {address: _raw(seen.accounts[address]) for address in addresses if address in seen.accounts}
    return Fault(
        check=check,
        message=message,
        pool_id=pool.pool_id,
        slot=seen.slot,
        evidence={"accounts": accounts, "endpoint": seen.endpoint},
    )


def _raw(account: Account | None) -> dict[str, Any] | None:
    if account is None:
        return None
    return {"lamports": str(account.lamports), "owner": account.owner, "data": b64encode(account.raw).decode()}
