"""A thread's status as get_thread_status and get_all_threads show it (design sections 3.3 and 3.4, MON-01..98). Pure.

The documented summary form with all sections of the full form inside it. Statistics are the current session's, which a
manual start begins anew; ``lifetime`` holds the same sums over the thread's whole life.
"""

from __future__ import annotations

from typing import Any

from api.status_facts import Facts, failed, mean, successful
from api.status_health import error_monitoring, health_monitoring, operation_counts, timing_stats
from api.status_sections import cost_tracking, pool_integration, specific
from domain.flows import Flows
from domain.pool import Asset, Side, lp_of
from domain.session import iso
from domain.state import Totals
from domain.thread import ThreadConfig, ThreadKind, ThreadStatus


def thread_status(facts: Facts) -> dict[str, Any]:
    """The documented object. Amounts are integers of base units or lamports; averages are rounded down."""
    config, state = facts.config, facts.state
    return {
        "thread_id": config.thread_id,
        "type": config.kind.value,
        "status": facts.status.value,
        "pool_id": config.pool_id,
        "token_type": config.side.value,
        "direction": config.direction,
        "wallet_address": config.wallet,
        "created_at": iso(config.created_at_ms),
        "balances": _balances(facts),
        "statistics": _statistics(config.kind, state.session)
        | {"operation_counts": operation_counts(state.session), "timing_stats": timing_stats(facts)},
        "verification_totals": verification_totals(config, state.session, facts.session_flows),
        "recent_errors": [
            {"timestamp": iso(note.at_ms), "error": note.message, "operation_type": note.operation_type}
            for note in state.errors
        ],
        "thread_identity": _identity(facts),
        "wallet_data": _wallet_data(facts),
        "cost_tracking": cost_tracking(facts),
        f"{config.kind.value}_specific": specific(facts),
        "error_monitoring": error_monitoring(facts),
        "health_monitoring": health_monitoring(facts),
        "pool_integration": pool_integration(facts),
        "session": {
            "started_at": iso(state.session_started_at_ms),
            "start_reason": state.session_reason or None,
            "stopped_at": iso(state.stopped_at_ms),
            "stop_reason": state.stop_reason or None,
        },
        "lifetime": _lifetime(facts),
    }


def _balances(facts: Facts) -> dict[str, Any]:
    return {
        "sol": facts.held("sol"),
        "token_a": facts.held(Asset.TOKEN_A.value),
        "token_b": facts.held(Asset.TOKEN_B.value),
        "lp_tokens": facts.own_lp,
        "lp_token_a": facts.held(lp_of(Side.A).value),
        "lp_token_b": facts.held(lp_of(Side.B).value),
        "read_at": iso(facts.state.balances_at_ms),
    }


def _identity(facts: Facts) -> dict[str, Any]:
    config, state = facts.config, facts.state
    return {
        "thread_id": config.thread_id,
        "thread_type": config.kind.value,
        "pool_id": config.pool_id,
        "token_type": config.side.value,
        "status": facts.status.value,
        "created_at": iso(config.created_at_ms),
        "started_at": iso(state.session_started_at_ms),
        "last_operation_at": iso(state.last_operation_at_ms),
    }


def _wallet_data(facts: Facts) -> dict[str, Any]:
    return {
        "wallet_address": facts.config.wallet,
        "balances": {
            "sol_balance": facts.held("sol"),
            "token_a_balance": facts.held(Asset.TOKEN_A.value),
            "token_b_balance": facts.held(Asset.TOKEN_B.value),
            "lp_token_balance": facts.own_lp,
            "lp_token_a": facts.held(lp_of(Side.A).value),
            "lp_token_b": facts.held(lp_of(Side.B).value),
        },
        "last_balance_check": iso(facts.state.balances_at_ms),
        "balance_slot": facts.state.balances_slot or None,
    }


def _statistics(kind: ThreadKind, totals: Totals) -> dict[str, Any]:
    def of(wanted: ThreadKind) -> int:
        return successful(totals) if kind is wanted else 0

    return {
        "successful_deposits": of(ThreadKind.DEPOSIT),
        "successful_withdrawals": of(ThreadKind.WITHDRAWAL),
        "successful_swaps": of(ThreadKind.SWAP),
        "failed_operations": failed(totals),
        "total_volume_processed": totals.spent,
        "empty_operations": totals.empties,
        "failed_empty_operations": totals.empties_failed,
    }


def verification_totals(config: ThreadConfig, totals: Totals, flows: Flows) -> dict[str, int]:
    """MON-09..14 of one session, or of a life: totals and flows must be of the same span."""
    shared, kept, received = flows.paid, totals.kept + flows.retained, flows.received
    match config.kind:
        case ThreadKind.DEPOSIT:
            own = {
                "tokens_deposited": totals.spent,
                "lp_tokens_received": totals.received,
                "lp_tokens_shared": shared,
                "lp_tokens_retained": kept,
                "tokens_received": received,
            }
        case ThreadKind.WITHDRAWAL:
            own = {
                "lp_tokens_used": totals.spent,
                "tokens_withdrawn": totals.received,
                "tokens_received": totals.received,
                "tokens_shared": shared,
                "tokens_retained": kept,
                "lp_tokens_received": received,
            }
        case ThreadKind.SWAP:
            own = {
                "tokens_swapped_in": totals.spent,
                "tokens_swapped_out": totals.received,
                "tokens_shared": shared,
                "tokens_retained": kept,
                "tokens_received": received,
            }
    funded = {f"funded_{name}": flows.funded.get(name, 0) for name in ("sol", *config.accounts)}
    return own | {
        "tokens_refilled": flows.tokens_refilled,
        "times_refilled": flows.times_refilled,
        "sol_refilled": flows.sol_refilled,
        "pool_fees_paid": totals.pool_fees,
        "network_fees_paid": totals.network_fees,
        "total_sol_spent": totals.pool_fees + totals.network_fees,
        "payment_fees_paid": flows.fees,
        **funded,
    }


def _lifetime(facts: Facts) -> dict[str, Any]:
    config, state = facts.config, facts.state
    totals = state.lifetime
    return {
        "statistics": _statistics(config.kind, totals) | {"operation_counts": operation_counts(totals)},
        "verification_totals": verification_totals(config, totals, facts.flows),
        "average_operation": mean(totals.spent, successful(totals)),
        "largest_operation": totals.largest,
        "smallest_operation": totals.smallest,
        "burned": {asset.value: getattr(totals, f"burned_{asset.value}") for asset in Asset},
        "total_active_time_seconds": (state.past_active_ms + state.session_ms(facts.now_ms)) // 1000,
        "errors_by_name": dict(state.error_counts),
    }


def summary(statuses: list[dict[str, Any]]) -> dict[str, int]:
    """API-19, over the status objects it stands beside: operations are the sessions' successful and failed ones."""

    def count(status: ThreadStatus) -> int:
        return sum(1 for one in statuses if one["status"] == status.value)

    return {
        "total_threads": len(statuses),
        "running_threads": count(ThreadStatus.RUNNING),
        "stopped_threads": count(ThreadStatus.STOPPED),
        "created_threads": count(ThreadStatus.CREATED),
        "error_threads": count(ThreadStatus.ERROR),
        "total_operations": sum(one["statistics"]["operation_counts"]["total_attempts"] for one in statuses),
    }
