"""The invariants of the program's own two accounts, for the closing audit (CONTRACT.md 9: I6, I10, I13, J4-J7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Final

from domain.facts import PoolState, SystemState, Treasury
from domain.faults import Fault
from domain.invariants import Checked
from domain.pool import Pool

REGISTRATION_FEE_LAMPORTS: Final = 1_150_000_000
TREASURY_RENT_LAMPORTS: Final = 1_837_440
PROTECTED_LAMPORTS: Final = 3_953_280  # rent minimum of 440 bytes, which a consolidation leaves in the pool
UNREACHABLE_LAMPORTS: Final = 13_920  # of the 438-byte rent it lacks: stays pending for ever (CONTRACT.md 3.12)

# Timestamps may be set back (UnpauseSystem moves one forward), the stored balance follows withdrawals.
_MAY_FALL: Final = frozenset({"total_balance", "last_update_timestamp", "last_withdrawal_timestamp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasuryView:
    """The treasury at one slot, and what the same slot showed elsewhere.

    ``pools_consolidated`` is the sum of CC over every pool of the program, None when not all are known; ``synced``: the
    last instruction that touched it was InitializePool, ConsolidatePoolFees, DonateSol or WithdrawTreasuryFees.
    """

    treasury: Treasury
    lamports: int
    slot: int
    pools_consolidated: int | None = None
    pools_created: int | None = None
    synced: bool = False
    previous: Treasury | None = None
    rent_lamports: int = TREASURY_RENT_LAMPORTS

    @property
    def excess(self) -> int:
        book = self.treasury
        income = book.total_pool_creation_fees + book.total_liquidity_fees + book.total_regular_swap_fees
        return self.lamports - self.rent_lamports - income - book.total_donations + book.total_withdrawn


def _books(view: TreasuryView) -> Iterator[str]:
    book = view.treasury
    if book.total_regular_swap_fees != book.total_swap_contract_fees:
        yield f"swap fees {book.total_regular_swap_fees} and {book.total_swap_contract_fees} differ"
    if book.total_pool_creation_fees != REGISTRATION_FEE_LAMPORTS * book.pool_creation_count:
        yield f"{book.pool_creation_count} pools paid {book.total_pool_creation_fees} lamports"
    if view.pools_created is not None and book.pool_creation_count != view.pools_created:
        yield f"{book.pool_creation_count} pools counted, {view.pools_created} exist"
    if book.failed_operation_count or book.rent_exempt_minimum:
        yield f"failed_operation_count {book.failed_operation_count}, rent_exempt_minimum {book.rent_exempt_minimum}"


def _growing(view: TreasuryView) -> Iterator[str]:
    if view.previous is None:
        return
    for name in (entry.name for entry in fields(Treasury) if entry.name not in _MAY_FALL):
        before, now = getattr(view.previous, name), getattr(view.treasury, name)
        if now < before:
            yield f"{name} fell from {before} to {now}"


def _lamports(view: TreasuryView) -> Iterator[str]:
    if view.excess < 0:
        yield f"the treasury holds {-view.excess} lamports less than its books say"


def _consolidated(view: TreasuryView) -> Iterator[str]:
    received = view.treasury.total_liquidity_fees + view.treasury.total_regular_swap_fees
    if view.pools_consolidated is not None and received != view.pools_consolidated:
        yield f"the treasury received {received} lamports of fees, the pools gave {view.pools_consolidated}"


def _stored_balance(view: TreasuryView) -> Iterator[str]:
    if view.synced and view.treasury.total_balance != view.lamports:
        yield f"total_balance {view.treasury.total_balance} right after a sync, {view.lamports} lamports held"


_TREASURY_CHECKS: Final = (
    ("I6", _books),
    ("I10", _growing),
    ("J5", _lamports),
    ("J6", _consolidated),
    ("J7", _stored_balance),
)


def check_treasury(view: TreasuryView) -> Checked:
    """I6, I10, J5, J6, J7. ``view.excess`` above 0 is an outside action, for the audit to explain."""
    faults = []
    for name, check in _TREASURY_CHECKS:
        messages = list(check(view))
        if messages:
            evidence = {
                "treasury": {key: str(value) for key, value in asdict(view.treasury).items()},
                "lamports": str(view.lamports),
            }
            faults.append(Fault(check=name, message="; ".join(messages), slot=view.slot, evidence=evidence))
    return Checked(faults=tuple(faults), counts={name: 1 for name, _ in _TREASURY_CHECKS})


def check_system(system: SystemState, slot: int) -> Checked:
    """I13: not paused means no pause timestamp and no reason."""
    faults: tuple[Fault, ...] = ()
    if not system.is_paused and (system.pause_timestamp or system.pause_reason_code):
        message = f"not paused, but timestamp {system.pause_timestamp} and reason {system.pause_reason_code}"
        faults = (Fault(check="I13", message=message, slot=slot),)
    return Checked(faults=faults, counts={"I13": 1})


def check_consolidated(pool: Pool, state: PoolState, lamports: int, slot: int, *, outside_lamports: int = 0) -> Checked:
    """J4, right after a consolidation that moved funds: exactly the protected rent is left, 13,920 stay pending.

    With lamports sent past the program both are only bounds.
    """
    pending = state.total_fees_collected - state.total_fees_consolidated
    exact = (lamports, pending) == (PROTECTED_LAMPORTS, UNREACHABLE_LAMPORTS)
    bounded = outside_lamports > 0 and lamports >= PROTECTED_LAMPORTS and 0 <= pending <= UNREACHABLE_LAMPORTS
    faults: tuple[Fault, ...] = ()
    if not exact and not bounded:
        message = f"a consolidation left {lamports} lamports and {pending} pending"
        faults = (Fault(check="J4", message=message, pool_id=pool.pool_id, slot=slot),)
    return Checked(faults=faults, counts={"J4": 1})
