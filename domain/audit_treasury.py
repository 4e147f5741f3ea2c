"""Treasury and system state: I6, I13, J5 to J7 and every counter, from the transactions that touched them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from domain.audit_effects import Effects, u64
from domain.audit_findings import Findings
from domain.audit_records import Books
from domain.audit_replay import Replay
from domain.contract_errors import InstructionKind
from domain.facts import PoolState, SystemState, Treasury
from domain.ids import Address, Signature

REGISTRATION_LAMPORTS: Final = 1_150_000_000
_LIQUIDITY_OPERATION: Final = 13_000_000  # the counters divide by the default fees, whatever the pool's are (3.12)
_SWAP_OPERATION: Final = 271_500
_COUNTED: Final = (
    "total_withdrawn",
    "pool_creation_count",
    "liquidity_operation_count",
    "regular_swap_count",
    "treasury_withdrawal_count",
    "total_pool_creation_fees",
    "total_liquidity_fees",
    "total_regular_swap_fees",
    "total_consolidations_performed",
    "donation_count",
    "total_donations",
)


def check_treasury(
    books: Books, effects: Mapping[Signature, Effects], replays: Mapping[Address, Replay], found: Findings
) -> None:
    """The treasury's account. On a shared chain others use it too: there only what holds always is asked."""
    account = books.accounts.get(books.treasury)
    shown = account.decoded if account is not None else None
    found.holds("treasury-there", isinstance(shown, Treasury), "the treasury cannot be read")
    if account is None or not isinstance(shown, Treasury):
        return
    found.equal("I6", shown.total_regular_swap_fees, shown.total_swap_contract_fees, "the two swap totals differ")
    creations = REGISTRATION_LAMPORTS * shown.pool_creation_count
    found.equal("I6", creations, shown.total_pool_creation_fees, "creation fees are not fee x pools")
    found.equal("I6", (0, 0), (shown.failed_operation_count, shown.rent_exempt_minimum), "a field that stays 0")
    kept = shown.total_pool_creation_fees + shown.total_liquidity_fees + shown.total_regular_swap_fees
    kept += books.rents.treasury + shown.total_donations - shown.total_withdrawn
    found.holds("J5", account.lamports >= kept, f"the treasury holds {account.lamports} lamports, {kept} are counted")
    if not books.private or len(replays) != len(books.pools):
        found.note("the treasury is shared or a pool's beginning is unknown: its counters were not added up")
        return
    counted, outside, stale = _replay(books, effects)
    found.lamports += abs(account.lamports - kept - outside)
    found.equal("J5", kept + outside, account.lamports, "the treasury's lamports are not what was paid in")
    found.equal("J7", account.lamports - stale, shown.total_balance, "the stored balance is not the newest one")
    moved = [part for replay in replays.values() for part in replay.moved]
    counted["total_liquidity_fees"] = sum(liquidity for liquidity, _ in moved)
    counted["total_regular_swap_fees"] = sum(swap for _, swap in moved)
    counted["liquidity_operation_count"] = sum(liquidity // _LIQUIDITY_OPERATION for liquidity, _ in moved)
    counted["regular_swap_count"] = sum(swap // _SWAP_OPERATION for _, swap in moved)
    fields = asdict(shown)
    for name in _COUNTED:
        found.equal("treasury", counted.get(name, 0), fields[name], f"{name} is not what the transactions add up to")
    consolidated = 0
    for pool_id in replays:
        pool = books.accounts.get(pool_id)
        if pool is not None and isinstance(pool.decoded, PoolState):
            consolidated += pool.decoded.total_fees_consolidated
    total = shown.total_liquidity_fees + shown.total_regular_swap_fees
    found.equal("J6", consolidated, total, "the pools' CC do not add up to the treasury's totals")


def _replay(books: Books, effects: Mapping[Signature, Effects]) -> tuple[dict[str, int], int, int]:
    """Counters, lamports sent by outsiders, and those of them that came after the stored balance was written."""
    counted = dict.fromkeys(_COUNTED, 0)
    outside = stale = 0
    for tx in books.transactions_of(books.treasury):
        if tx.error is not None:
            continue
        for step in tx.steps:
            if step.program != books.program or not step.data:
                continue
            match step.data[0]:
                case InstructionKind.INITIALIZE_POOL:
                    counted["pool_creation_count"] += 1
                    counted["total_pool_creation_fees"] += REGISTRATION_LAMPORTS
                case InstructionKind.CONSOLIDATE_POOL_FEES:
                    counted["total_consolidations_performed"] += 1
                case InstructionKind.DONATE_SOL:
                    counted["donation_count"] += 1
                    counted["total_donations"] += u64(step.data, 1)
                case InstructionKind.WITHDRAW_TREASURY_FEES:
                    counted["treasury_withdrawal_count"] += 1
                    counted["total_withdrawn"] -= tx.lamport_delta(books.treasury)
                case _:
                    continue
            stale = 0
        direct = sum(
            flow.lamports
            for flow in effects[tx.signature].flows
            if flow.destination == books.treasury and flow.top != books.program
        )
        outside += direct
        stale += direct
    # Before the first of those instructions the stored balance is 0, whatever the account holds.
    touched = any(counted[name] for name in ("pool_creation_count", "total_consolidations_performed", "donation_count"))
    if not touched:
        account = books.accounts[books.treasury]
        stale = account.lamports if account else 0
    return counted, outside, stale


def check_system_state(books: Books, found: Findings) -> None:
    """I13, and the pause that the newest of our steps left."""
    account = books.accounts.get(books.system_state)
    shown = account.decoded if account is not None else None
    found.holds("system-there", isinstance(shown, SystemState), "the system state cannot be read")
    if not isinstance(shown, SystemState):
        return
    if not shown.is_paused:
        fields = (shown.pause_timestamp, shown.pause_reason_code)
        found.equal("I13", (0, 0), fields, "an unpaused system keeps a pause's time or reason")
    if not books.private:
        return
    last = list(books.system_pauses.values())[-1] if books.system_pauses else frozenset({False})
    if len(last) == 1:  # two steps within one slot: their order is not ours to say
        found.equal("system-pause", next(iter(last)), shown.is_paused, "the system's pause is not what our steps left")
