"""The sections of a status that say how a thread fares: counts, timing, errors, health. Pure."""

from __future__ import annotations

from typing import Any, Final

from api.status_facts import Facts, attempts, failed, mean, percentage, successful
from domain.amounts import smallest_swap
from domain.cycle import can_pay
from domain.session import iso
from domain.state import ErrorNote, ThreadState, Totals
from domain.swap import ratio_of
from domain.thread import ThreadKind, ThreadStatus

MINUTE_MS: Final = 60_000
FAILURES_TO_WARN: Final = 3
WAIT_TO_WARN_MS: Final = 60_000


def operation_counts(totals: Totals) -> dict[str, Any]:
    """MON-26..29. What was submitted and has no outcome yet is no attempt."""
    total = attempts(totals)
    return {
        "successful_operations": successful(totals),
        "failed_operations": failed(totals),
        "total_attempts": total,
        "success_rate_percentage": percentage(successful(totals), total),
        "failed_expected": totals.failed_expected,
        "failed_unexpected": totals.failed_unexpected,
        "expired": totals.expired,
        "recovered": totals.recovered,
    }


def timing_stats(facts: Facts) -> dict[str, Any]:
    """MON-30..33 of the session. The interval is between operations that follow each other; None with fewer than two.

    The duration is from the last operation's signing to the cycle that settled it. Active is who looked at the wallet
    in the last minute: while the service is down nobody is.
    """
    state, active_ms = facts.state, facts.state.session_ms(facts.now_ms)
    total = attempts(state.session)
    gaps = state.session.submitted - 1
    interval = mean(state.last_operation_at_ms - state.first_operation_at_ms, gaps) if gaps > 0 else None
    return {
        "operations_per_minute": round(total * MINUTE_MS / active_ms, 2) if active_ms else 0.0,
        "average_operation_interval_ms": interval,
        "last_operation_duration_ms": state.last_confirm_ms or None,
        "total_active_time_seconds": active_ms // 1000,
    }


def error_monitoring(facts: Facts) -> dict[str, Any]:
    """MON-74..82."""
    state, errors = facts.state, facts.session_errors
    return {
        "recent_errors": [_error(note) for note in state.errors],
        "error_trends": {
            "errors_last_hour": state.errors_since_an_hour(facts.now_ms),
            "most_common_error": min(errors, key=lambda name: (-errors[name], name)) if errors else None,
            "error_rate_percentage": percentage(failed(state.session), attempts(state.session)),
        },
    }


def _error(note: ErrorNote) -> dict[str, Any]:
    return {
        "timestamp": iso(note.at_ms),
        "error_type": note.category,
        "error_name": note.error,
        "error_message": note.message,
        "operation_details": {
            "attempted_amount": int(note.attempted_amount),
            "available_balance": int(note.available_balance) if note.available_balance else None,
            "operation_type": note.operation_type,
        },
        "recovery_action": note.recovery_action,
    }


def health_monitoring(facts: Facts) -> dict[str, Any]:
    """MON-83..90."""
    state, running = facts.state, facts.status is ThreadStatus.RUNNING
    waiting = state.waiting if running else ""  # who does not run waits for nothing
    behind = _behind(facts)
    resources = {
        "sol_sufficient": _sol_sufficient(facts),
        "tokens_sufficient": _tokens_sufficient(facts),
        "lp_tokens_sufficient": _lp_sufficient(facts),
    }
    since_ms = facts.now_ms - state.last_success_at_ms if state.last_success_at_ms else None
    return {
        "operational_status": _operational(facts, behind, short=False in resources.values()),
        "performance_indicators": {
            "operations_behind_schedule": behind,
            "consecutive_failures": state.consecutive_failures,
            "last_successful_operation": iso(state.last_success_at_ms),
            "time_since_last_success_seconds": None if since_ms is None else max(0, since_ms) // 1000,
        },
        # A stopped thread's chain may still have to settle, which is no operation.
        "resource_status": {**resources, "next_scheduled_operation": iso(facts.due_ms) if running else None},
        "waiting": waiting or None,
        "waiting_since": iso(state.waiting_since_ms) if waiting else None,
    }


def _operational(facts: Facts, behind: int, *, short: bool) -> str:
    """Of a running thread "warning": it is late, keeps failing, has waited for a minute, or lacks what it needs."""
    if facts.status is ThreadStatus.ERROR:
        return "error"
    if facts.status is not ThreadStatus.RUNNING:
        return "stopped"
    failing = facts.state.consecutive_failures >= FAILURES_TO_WARN
    return "warning" if behind or failing or short or _waits_long(facts.state, facts.now_ms) else "healthy"


def _waits_long(state: ThreadState, now_ms: int) -> bool:
    return bool(state.waiting) and now_ms - state.waiting_since_ms > WAIT_TO_WARN_MS


def _behind(facts: Facts) -> int:
    """Cycles that should have begun by now, each at the longest pause after the one before."""
    if facts.due_ms is None or facts.status is not ThreadStatus.RUNNING:
        return 0
    return max(0, facts.now_ms - facts.due_ms) // facts.cadence_ms


def _sol_sufficient(facts: Facts) -> bool | None:
    """Could the wallet pay the fees of one operation, by the pool's fee as it was seen last?"""
    held, observed = facts.held("sol"), facts.observed
    if held is None or observed is None:
        return None
    return can_pay(held, observed.swap_fee if facts.config.kind is ThreadKind.SWAP else observed.liquidity_fee)


def _tokens_sufficient(facts: Facts) -> bool | None:
    """Enough tokens for the smallest operation; a thread that spends none lacks none."""
    config, pool = facts.config, facts.pool
    if config.kind is ThreadKind.WITHDRAWAL:
        return True
    held = facts.held(config.spends.value)
    if held is None or config.kind is ThreadKind.DEPOSIT:
        return None if held is None else held >= 1
    return None if pool is None else held >= smallest_swap(*ratio_of(pool, config.side), exact=pool.exact_exchange)


def _lp_sufficient(facts: Facts) -> bool | None:
    if facts.config.kind is not ThreadKind.WITHDRAWAL:
        return True
    return None if facts.own_lp is None else facts.own_lp >= 1
