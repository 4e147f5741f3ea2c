"""The summary form of a thread's status (design section 3.3, MON-01..15), from what Redis holds about it. Pure.

Statistics and operation totals are the current session's, which a manual start begins anew. What the pool's own chains
book for a thread (payments of the outbox, refills) is kept in the pool's ledger over the thread's whole life.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from domain.pool import Asset, Side, lp_of
from domain.state import ErrorNote, ThreadState, Totals
from domain.thread import ThreadConfig, ThreadKind, ThreadStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """One thread's records in its pool's ledger. Base units; ``sol_refilled`` in lamports."""

    paid: int = 0  # to other threads
    received: int = 0  # from other threads
    retained: int = 0  # nobody could take it
    times_refilled: int = 0
    tokens_refilled: int = 0
    sol_refilled: int = 0

    @classmethod
    def of(cls, thread_id: str, ledger: Mapping[str, str]) -> Self:
        """From the fields ``share:<thread>`` and ``refill:<thread>``; absent ones are zero."""
        share: dict[str, Any] = json.loads(ledger.get(f"share:{thread_id}", "{}"))
        refill: dict[str, Any] = json.loads(ledger.get(f"refill:{thread_id}", "{}"))
        return cls(
            paid=_sum(share.get("paid", {})),
            received=_sum(share.get("received", {})),
            retained=_sum(share.get("retained", {})),
            times_refilled=int(refill.get("times", 0)),
            tokens_refilled=int(refill.get("tokens", "0")),
            sol_refilled=int(refill.get("sol", "0")),
        )


def _sum(amounts: Mapping[str, str]) -> int:
    return sum(int(amount) for amount in amounts.values())


def timestamp(at_ms: int) -> str | None:
    """Unix milliseconds as ISO 8601 in UTC, to the second; None for never (0)."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_ms else None


def thread_status(
    config: ThreadConfig, status: ThreadStatus, state: ThreadState, ledger: Mapping[str, str]
) -> dict[str, Any]:
    """The documented object. Amounts are integers of base units or lamports."""
    return {
        "thread_id": config.thread_id,
        "type": config.kind.value,
        "status": status.value,
        "pool_id": config.pool_id,
        "token_type": config.side.value,
        "direction": config.direction,
        "wallet_address": config.wallet,
        "created_at": timestamp(config.created_at_ms),
        "balances": _balances(config, state),
        "statistics": _statistics(config.kind, state.session),
        "verification_totals": _verification(config, state.session, Flows.of(config.thread_id, ledger)),
        "recent_errors": [_error(note) for note in state.errors],
    }


def _balances(config: ThreadConfig, state: ThreadState) -> dict[str, Any]:
    """Of the last snapshot. Before the first one nothing was read yet, and unknown is null, not zero.

    A token that the thread has no account for is zero.
    """
    known = bool(state.balances_at_ms)

    def held(name: str) -> int | None:
        return state.balances.get(name, 0) if known else None

    return {
        "sol": held("sol"),
        "token_a": held(Asset.TOKEN_A.value),
        "token_b": held(Asset.TOKEN_B.value),
        "lp_tokens": held(lp_of(config.side).value),
        "lp_token_a": held(lp_of(Side.A).value),
        "lp_token_b": held(lp_of(Side.B).value),
        "read_at": timestamp(state.balances_at_ms),
    }


def _statistics(kind: ThreadKind, totals: Totals) -> dict[str, int]:
    def successful(wanted: ThreadKind) -> int:
        return totals.confirmed if kind is wanted else 0

    return {
        "successful_deposits": successful(ThreadKind.DEPOSIT),
        "successful_withdrawals": successful(ThreadKind.WITHDRAWAL),
        "successful_swaps": successful(ThreadKind.SWAP),
        "failed_operations": failed(totals),
        "total_volume_processed": totals.spent,
        "empty_operations": totals.empties,
        "failed_empty_operations": totals.empties_failed,
    }


def failed(totals: Totals) -> int:
    """Operations that did not do what they were to do, whatever the reason (MON-07)."""
    return totals.failed_expected + totals.failed_unexpected + totals.expired


def _verification(config: ThreadConfig, totals: Totals, flows: Flows) -> dict[str, int]:
    match config.kind:
        case ThreadKind.DEPOSIT:
            own = {
                "tokens_deposited": totals.spent,
                "lp_tokens_received": totals.received,
                "lp_tokens_shared": flows.paid,
                "lp_tokens_retained": totals.kept + flows.retained,
                "tokens_received": flows.received,
            }
        case ThreadKind.WITHDRAWAL:
            own = {
                "lp_tokens_used": totals.spent,
                "tokens_withdrawn": totals.received,
                "tokens_received": totals.received,
                "tokens_shared": flows.paid,
                "tokens_retained": totals.kept + flows.retained,
                "lp_tokens_received": flows.received,
            }
        case ThreadKind.SWAP:
            own = {
                "tokens_swapped_in": totals.spent,
                "tokens_swapped_out": totals.received,
                "tokens_shared": flows.paid,
                "tokens_retained": totals.kept + flows.retained,
                "tokens_received": flows.received,
            }
    return own | {
        "tokens_refilled": flows.tokens_refilled,
        "times_refilled": flows.times_refilled,
        "sol_refilled": flows.sol_refilled,
        "pool_fees_paid": totals.pool_fees,
        "network_fees_paid": totals.network_fees,
        "total_sol_spent": totals.pool_fees + totals.network_fees,
    }


def _error(note: ErrorNote) -> dict[str, Any]:
    return {"timestamp": timestamp(note.at_ms), "error": note.message, "operation_type": note.operation_type}


def summary(statuses: list[dict[str, Any]]) -> dict[str, int]:
    """API-19, over the status objects it stands beside: operations are the successful and the failed ones."""

    def count(status: ThreadStatus) -> int:
        return sum(1 for one in statuses if one["status"] == status.value)

    counted = ("successful_deposits", "successful_withdrawals", "successful_swaps", "failed_operations")
    return {
        "total_threads": len(statuses),
        "running_threads": count(ThreadStatus.RUNNING),
        "stopped_threads": count(ThreadStatus.STOPPED),
        "created_threads": count(ThreadStatus.CREATED),
        "error_threads": count(ThreadStatus.ERROR),
        "total_operations": sum(one["statistics"][name] for one in statuses for name in counted),
    }
