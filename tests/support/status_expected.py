"""What a thread's status must say: path -> value, from the chain and the journal (status_book.py)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.support.status_book import TRADES, Book, Member, Span, balances_at, last_sharing, mean, span_of

# What the program answers to honest traffic here -> name, class. The contract's document has the reasons.
ERRORS: dict[tuple[str, int | str | None], tuple[str, str]] = {
    ("deposit", 1035): ("PoolLiquidityPaused", "logic"),
    ("withdrawal", 1): ("LpOrVaultShort", "transaction"),
    ("withdrawal", 1035): ("PoolLiquidityPaused", "logic"),
    ("swap", 1027): ("PoolSwapsPaused", "logic"),
    ("swap", "InsufficientFunds"): ("PoolLiquidityShort", "transaction"),
}


def iso(at_ms: int | None) -> str | None:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_ms else None


def expected(book: Book, member: Member, *, slot: int, error_limit: int) -> dict[str, Any]:
    """Path -> value. ``slot``: of the balances that the status shows."""
    now, life = span_of(book, member, book.session_from), span_of(book, member, 0)
    held = balances_at(book, member, slot)
    return {
        **_identity(book, member),
        **_balances(member, held),
        **_counts(member, now),
        **_verification(member, now, "verification_totals"),
        **_verification(member, life, "lifetime.verification_totals"),
        **_timing(book, member, now),
        **_fees(now),
        **{"deposit": _deposit, "withdrawal": _withdrawal, "swap": _swap}[member.kind](book, member, now, held),
        **_errors(book, member, now, life, error_limit),
        **_pool(book, member, held),
        "lifetime.statistics.total_volume_processed": life.spent,
        "lifetime.statistics.operation_counts.total_attempts": len(life.own),
    }


def _identity(book: Book, member: Member) -> dict[str, Any]:
    status = "running" if member.thread_id in book.running else "stopped"
    own = [doc["at_ms"] for _, doc in book.submitted if doc["op"].rpartition("/")[0] == member.thread_id]
    head = {"thread_id": member.thread_id, "pool_id": book.pool_id, "token_type": member.side, "status": status}
    return {
        **head,
        "type": member.kind,
        "wallet_address": member.wallet,
        **{f"thread_identity.{name}": value for name, value in head.items()},
        "thread_identity.thread_type": member.kind,
        "thread_identity.last_operation_at": iso(own[-1] if own else None),
        "wallet_data.wallet_address": member.wallet,
    }


def _balances(member: Member, held: dict[str, int]) -> dict[str, Any]:
    own_lp = held[f"lp_{member.side.lower()}"]
    parts = {"sol": held["sol"], "token_a": held["token_a"], "token_b": held["token_b"]}
    return {
        **{f"balances.{name}": amount for name, amount in parts.items()},
        "balances.lp_tokens": own_lp,
        **{f"wallet_data.balances.{name}_balance": amount for name, amount in parts.items()},
        "wallet_data.balances.lp_token_balance": own_lp,
        "wallet_data.balances.lp_token_a": held["lp_a"],
        "wallet_data.balances.lp_token_b": held["lp_b"],
    }


def _counts(member: Member, now: Span) -> dict[str, Any]:
    names = {"deposit": "successful_deposits", "withdrawal": "successful_withdrawals", "swap": "successful_swaps"}
    return {
        **{f"statistics.{name}": now.good if kind == member.kind else 0 for kind, name in names.items()},
        "statistics.failed_operations": now.bad,
        "statistics.total_volume_processed": now.spent,
        "statistics.operation_counts.successful_operations": now.good,
        "statistics.operation_counts.failed_operations": now.bad,
        "statistics.operation_counts.total_attempts": len(now.own),
        "statistics.operation_counts.success_rate_percentage": round(100 * now.good / len(now.own), 4),
    }


def _verification(member: Member, did: Span, where: str) -> dict[str, Any]:
    received = sum(did.sources.values())
    own = {
        "deposit": {
            "tokens_deposited": did.spent,
            "lp_tokens_received": did.received,
            "lp_tokens_shared": did.paid,
            "tokens_received": received,
        },
        "withdrawal": {
            "lp_tokens_used": did.spent,
            "tokens_withdrawn": did.received,
            "tokens_received": did.received,
            "tokens_shared": did.paid,
            "lp_tokens_received": received,
        },
        "swap": {
            "tokens_swapped_in": did.spent,
            "tokens_swapped_out": did.received,
            "tokens_shared": did.paid,
            "tokens_received": received,
        },
    }[member.kind]
    own |= {
        "pool_fees_paid": did.pool_fees,
        "network_fees_paid": did.network_fees,
        "total_sol_spent": did.pool_fees + did.network_fees,
        "payment_fees_paid": did.payment_fees,
        "times_refilled": did.times_refilled,
        "tokens_refilled": did.tokens_refilled,
        "sol_refilled": did.sol_refilled,
    }
    return {f"{where}.{name}": value for name, value in own.items()}


def _timing(book: Book, member: Member, now: Span) -> dict[str, Any]:
    session = [
        doc["at_ms"]
        for place, doc in book.submitted
        if place >= book.session_from and doc["op"].rpartition("/")[0] == member.thread_id and doc["kind"] in TRADES
    ]
    last = book.own(member, 0)[-1]
    good = [one.settled_ms for one in book.own(member, 0) if one.succeeded]
    return {
        "statistics.timing_stats.average_operation_interval_ms": (session[-1] - session[0]) // (len(session) - 1),
        "statistics.timing_stats.last_operation_duration_ms": last.settled_ms - last.submitted_ms,
        "health_monitoring.performance_indicators.last_successful_operation": iso(good[-1]),
    }


def _fees(now: Span) -> dict[str, Any]:
    trend = [one.tx.fee for one in now.own][-10:]
    return {
        "cost_tracking.network_fees.total_sol_spent": now.network_fees + now.pool_fees,
        "cost_tracking.network_fees.average_fee_per_transaction": mean(now.network_fees, len(now.own)),
        "cost_tracking.network_fees.fee_trend_last_10_ops": mean(sum(trend), len(trend)),
        "cost_tracking.pool_fees.total_pool_fees_paid": now.pool_fees,
        "cost_tracking.pool_fees.average_pool_fee_per_op": mean(now.pool_fees, now.good),
    }


def _sharing(book: Book, member: Member, where: str) -> dict[str, Any]:
    amount, at_ms = last_sharing(book, member)
    return {
        f"{where}.sharing_recipients_count": sum(
            member.pays(other) for other in book.members if other.thread_id in book.running
        ),
        f"{where}.last_sharing_amount": amount,
        f"{where}.last_sharing_timestamp": iso(at_ms),
    }


def _deposit(book: Book, member: Member, now: Span, _: dict[str, int]) -> dict[str, Any]:
    first = book.chain.history(book.spends(member))[0]
    funded = first.gained(book.spends(member))
    stats, funding, sharing = (f"deposit_specific.{name}" for name in ("deposit_stats", "funding_info", "lp_sharing"))
    return {
        f"{stats}.total_tokens_deposited": now.spent,
        f"{stats}.total_lp_tokens_received": now.received,
        f"{stats}.average_deposit_size": mean(now.spent, now.good),
        f"{stats}.largest_deposit": max(now.sizes, default=0),
        f"{stats}.smallest_deposit": min(now.sizes, default=0),
        f"{funding}.initial_amount": funded,
        f"{funding}.auto_refill_enabled": member.auto_refill,
        f"{funding}.refill_threshold_amount": funded // 20,
        f"{funding}.times_refilled": now.times_refilled,
        f"{funding}.tokens_from_refills": now.tokens_refilled,
        f"{funding}.tokens_from_sharing": sum(now.sources.values()),
        f"{sharing}.share_lp_tokens_enabled": True,
        f"{sharing}.total_lp_tokens_shared": now.paid,
        **_sharing(book, member, sharing),
    }


def _withdrawal(book: Book, member: Member, now: Span, held: dict[str, int]) -> dict[str, Any]:
    stats, sources, sharing = (
        f"withdrawal_specific.{name}" for name in ("withdrawal_stats", "lp_token_sources", "token_sharing")
    )
    return {
        f"{stats}.total_lp_tokens_used": now.spent,
        f"{stats}.total_tokens_withdrawn": now.received,
        f"{stats}.average_withdrawal_size": mean(now.spent, now.good),
        f"{stats}.largest_withdrawal": max(now.sizes, default=0),
        f"{stats}.smallest_withdrawal": min(now.sizes, default=0),
        f"{sources}.lp_tokens_from_deposits": sum(now.sources.values()),
        f"{sources}.current_lp_balance": held[f"lp_{member.side.lower()}"],
        f"{sources}.lp_sharing_sources": [
            {"source_thread_id": name, "tokens_received": amount} for name, amount in sorted(now.sources.items())
        ],
        f"{sharing}.total_tokens_shared": now.paid,
        **_sharing(book, member, sharing),
    }


def _swap(book: Book, member: Member, now: Span, held: dict[str, int]) -> dict[str, Any]:
    ratio_in, ratio_out = book.ratio(member)
    other = "B" if member.side == "A" else "A"
    opposite = next(one.thread_id for one in book.members if member.pays(one))
    losses = [size * ratio_out % ratio_in for size in now.sizes]
    nano = [loss * 10**9 // ratio_in for loss in losses]
    parts = [loss * 10**12 // (size * ratio_out) for loss, size in zip(losses, now.sizes, strict=True)]
    stats, price, flow = (f"swap_specific.{name}" for name in ("swap_stats", "price_analysis", "token_flow"))
    return {
        f"{stats}.swap_direction": "a_to_b" if member.side == "A" else "b_to_a",
        f"{stats}.total_input_tokens": now.spent,
        f"{stats}.total_output_tokens": now.received,
        f"{stats}.total_price_impact": sum(nano),
        f"{stats}.average_swap_size": mean(now.spent, now.good),
        f"{stats}.largest_swap": max(now.sizes),
        f"{stats}.smallest_swap": min(now.sizes),
        f"{price}.average_price_impact_percentage": round(100 * sum(nano) / (now.received * 10**9 + sum(nano)), 10),
        f"{price}.best_price_impact_percentage": min(parts) / 10**10,
        f"{price}.worst_price_impact_percentage": max(parts) / 10**10,
        f"{price}.price_impact_trend": _trend(nano[-10:]),
        f"{flow}.input_token_type": member.side,
        f"{flow}.output_token_type": other,
        f"{flow}.tokens_sent_to_opposite_thread": now.paid,
        f"{flow}.opposite_thread_id": opposite,
        f"{flow}.tokens_received_from_opposite": sum(now.sources.values()),
        f"{flow}.current_input_balance": held[f"token_{member.side.lower()}"],
    }


def _trend(losses: list[int]) -> str:
    middle = len(losses) // 2
    if len(losses) < 4:
        return "stable"
    before, after = losses[:middle], losses[middle:]
    earlier, later = sum(before) / len(before), sum(after) / len(after)
    return "increasing" if later > 1.1 * earlier else "decreasing" if later < 0.9 * earlier else "stable"


def _errors(book: Book, member: Member, now: Span, life: Span, limit: int) -> dict[str, Any]:
    failed = [one for one in life.own if not one.succeeded]
    named = Counter(ERRORS[member.kind, one.tx.code][0] for one in now.own if not one.succeeded)
    most = min(named, key=lambda name: (-named[name], name)) if named else None
    row = 0
    for one in reversed(now.own):
        if one.succeeded:
            break
        row += 1
    shown = failed[-limit:]
    details = [
        {
            "attempted_amount": one.amount,
            "available_balance": one.tx.tokens[book.spends(member)][0],
            "operation_type": member.kind,
        }
        for one in shown
    ]
    return {
        "recent_errors.[].timestamp": [iso(one.settled_ms) for one in shown],
        "recent_errors.[].operation_type": [member.kind for _ in shown],
        "error_monitoring.recent_errors.[].timestamp": [iso(one.settled_ms) for one in shown],
        "error_monitoring.recent_errors.[].error_name": [ERRORS[member.kind, one.tx.code][0] for one in shown],
        "error_monitoring.recent_errors.[].error_type": [ERRORS[member.kind, one.tx.code][1] for one in shown],
        "error_monitoring.recent_errors.[].operation_details": details,
        "error_monitoring.error_trends.errors_last_hour": len(failed),
        "error_monitoring.error_trends.most_common_error": most,
        "error_monitoring.error_trends.error_rate_percentage": round(100 * now.bad / len(now.own), 4),
        "health_monitoring.performance_indicators.consecutive_failures": row,
    }


def _pool(book: Book, member: Member, held: dict[str, int]) -> dict[str, Any]:
    pool = book.pool
    weights = {"A": pool.ratio_b, "B": pool.ratio_a}
    volumes = {one.thread_id: span_of(book, one, 0).spent * weights[one.side] for one in book.members}
    claim = held["lp_a"] * weights["A"] + held["lp_b"] * weights["B"]
    liquidity = pool.liquidity_a * weights["A"] + pool.liquidity_b * weights["B"]
    fees = span_of(book, member, 0).pool_fees
    impact = "pool_integration.pool_impact"
    return {
        "pool_integration.pool_info.pool_address": book.pool_id,
        "pool_integration.pool_info.token_a_mint": pool.mint_a,
        "pool_integration.pool_info.token_b_mint": pool.mint_b,
        "pool_integration.pool_info.lp_token_mint": pool.lp_mint_a if member.side == "A" else pool.lp_mint_b,
        f"{impact}.thread_contribution_to_pool_volume": round(
            100 * volumes[member.thread_id] / sum(volumes.values()), 4
        ),
        f"{impact}.estimated_pool_fee_contribution": round(100 * fees / pool.fees_collected, 4),
        f"{impact}.thread_liquidity_share": round(100 * claim / liquidity, 4),
    }
