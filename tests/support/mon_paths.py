"""Where each row of the monitoring list stands in get_thread_status' answer, by kind of thread. Written by hand."""

from __future__ import annotations

from typing import Any

DEPOSIT, WITHDRAWAL, SWAP = ("deposit",), ("withdrawal",), ("swap",)
ALL = (*DEPOSIT, *WITHDRAWAL, *SWAP)

_D, _W, _S = "deposit_specific", "withdrawal_specific", "swap_specific"
_STATS, _COST = "statistics", "cost_tracking"
_ERRORS, _HEALTH, _POOL = "error_monitoring", "health_monitoring", "pool_integration"

# id -> kinds of thread, paths; "[]" stands for every element of a list, of which the test makes sure there is one
MON_PATHS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "MON-01": (ALL, ("thread_id", "type", "status", "pool_id", "token_type")),
    "MON-02": (ALL, ("wallet_address",)),
    "MON-03": (ALL, ("balances.sol", "balances.token_a", "balances.token_b", "balances.lp_tokens")),
    "MON-04": (ALL, ("statistics.successful_deposits",)),
    "MON-05": (ALL, ("statistics.successful_withdrawals",)),
    "MON-06": (ALL, ("statistics.successful_swaps",)),
    "MON-07": (ALL, ("statistics.failed_operations",)),
    "MON-08": (ALL, ("statistics.total_volume_processed",)),
    "MON-09": (DEPOSIT, ("verification_totals.tokens_deposited",)),
    "MON-10": (DEPOSIT, ("verification_totals.lp_tokens_received",)),
    "MON-11": (DEPOSIT, ("verification_totals.lp_tokens_shared",)),
    "MON-12": (
        WITHDRAWAL,
        tuple(
            f"verification_totals.{name}"
            for name in ("lp_tokens_used", "tokens_withdrawn", "tokens_received", "tokens_shared")
        ),
    ),
    "MON-13": (ALL, ("verification_totals.pool_fees_paid",)),
    "MON-14": (ALL, ("verification_totals.network_fees_paid", "verification_totals.total_sol_spent")),
    "MON-15": (ALL, ("recent_errors.[].timestamp", "recent_errors.[].error", "recent_errors.[].operation_type")),
    "MON-16": (
        ALL,
        tuple(f"thread_identity.{name}" for name in ("thread_id", "thread_type", "pool_id", "token_type", "status")),
    ),
    "MON-17": (ALL, ("thread_identity.created_at",)),
    "MON-18": (ALL, ("thread_identity.started_at",)),
    "MON-19": (ALL, ("thread_identity.last_operation_at",)),
    "MON-20": (ALL, ("wallet_data.wallet_address",)),
    "MON-21": (ALL, ("wallet_data.balances.sol_balance",)),
    "MON-22": (ALL, ("wallet_data.balances.token_a_balance",)),
    "MON-23": (ALL, ("wallet_data.balances.token_b_balance",)),
    "MON-24": (
        ALL,
        (
            "wallet_data.balances.lp_token_balance",
            "wallet_data.balances.lp_token_a",
            "wallet_data.balances.lp_token_b",
        ),
    ),
    "MON-25": (ALL, ("wallet_data.last_balance_check",)),
    "MON-26": (ALL, (f"{_STATS}.operation_counts.successful_operations",)),
    "MON-27": (ALL, (f"{_STATS}.operation_counts.failed_operations",)),
    "MON-28": (ALL, (f"{_STATS}.operation_counts.total_attempts",)),
    "MON-29": (ALL, (f"{_STATS}.operation_counts.success_rate_percentage",)),
    "MON-30": (ALL, (f"{_STATS}.timing_stats.operations_per_minute",)),
    "MON-31": (ALL, (f"{_STATS}.timing_stats.average_operation_interval_ms",)),
    "MON-32": (ALL, (f"{_STATS}.timing_stats.last_operation_duration_ms",)),
    "MON-33": (ALL, (f"{_STATS}.timing_stats.total_active_time_seconds",)),
    "MON-34": (ALL, (f"{_COST}.network_fees.total_sol_spent",)),
    "MON-35": (ALL, (f"{_COST}.network_fees.average_fee_per_transaction",)),
    "MON-36": (ALL, (f"{_COST}.network_fees.fee_trend_last_10_ops",)),
    "MON-37": (ALL, (f"{_COST}.pool_fees.total_pool_fees_paid",)),
    "MON-38": (ALL, (f"{_COST}.pool_fees.average_pool_fee_per_op",)),
    "MON-39": (DEPOSIT, (f"{_D}.deposit_stats.total_tokens_deposited",)),
    "MON-40": (DEPOSIT, (f"{_D}.deposit_stats.total_lp_tokens_received",)),
    "MON-41": (DEPOSIT, (f"{_D}.deposit_stats.average_deposit_size",)),
    "MON-42": (DEPOSIT, (f"{_D}.deposit_stats.largest_deposit", f"{_D}.deposit_stats.smallest_deposit")),
    "MON-43": (DEPOSIT, (f"{_D}.funding_info.initial_amount",)),
    "MON-44": (DEPOSIT, (f"{_D}.funding_info.auto_refill_enabled",)),
    "MON-45": (DEPOSIT, (f"{_D}.funding_info.refill_threshold_amount",)),
    "MON-46": (DEPOSIT, (f"{_D}.funding_info.times_refilled",)),
    "MON-47": (DEPOSIT, (f"{_D}.funding_info.tokens_from_refills",)),
    "MON-48": (DEPOSIT, (f"{_D}.funding_info.tokens_from_sharing",)),
    "MON-49": (DEPOSIT, (f"{_D}.lp_sharing.share_lp_tokens_enabled",)),
    "MON-50": (DEPOSIT, (f"{_D}.lp_sharing.total_lp_tokens_shared",)),
    "MON-51": (DEPOSIT, (f"{_D}.lp_sharing.sharing_recipients_count",)),
    "MON-52": (DEPOSIT, (f"{_D}.lp_sharing.last_sharing_amount", f"{_D}.lp_sharing.last_sharing_timestamp")),
    "MON-53": (WITHDRAWAL, (f"{_W}.withdrawal_stats.total_lp_tokens_used",)),
    "MON-54": (WITHDRAWAL, (f"{_W}.withdrawal_stats.total_tokens_withdrawn",)),
    "MON-55": (
        WITHDRAWAL,
        tuple(
            f"{_W}.withdrawal_stats.{name}"
            for name in ("average_withdrawal_size", "largest_withdrawal", "smallest_withdrawal")
        ),
    ),
    "MON-56": (WITHDRAWAL, (f"{_W}.lp_token_sources.lp_tokens_from_deposits",)),
    "MON-57": (WITHDRAWAL, (f"{_W}.lp_token_sources.current_lp_balance",)),
    "MON-58": (
        WITHDRAWAL,
        tuple(
            f"{_W}.lp_token_sources.lp_sharing_sources.[].{name}" for name in ("source_thread_id", "tokens_received")
        ),
    ),
    "MON-59": (WITHDRAWAL, (f"{_W}.token_sharing.total_tokens_shared",)),
    "MON-60": (WITHDRAWAL, (f"{_W}.token_sharing.sharing_recipients_count",)),
    "MON-61": (
        WITHDRAWAL,
        (f"{_W}.token_sharing.last_sharing_amount", f"{_W}.token_sharing.last_sharing_timestamp"),
    ),
    "MON-62": (SWAP, (f"{_S}.swap_stats.swap_direction",)),
    "MON-63": (SWAP, (f"{_S}.swap_stats.total_input_tokens",)),
    "MON-64": (SWAP, (f"{_S}.swap_stats.total_output_tokens",)),
    "MON-65": (SWAP, (f"{_S}.swap_stats.total_price_impact",)),
    "MON-66": (
        SWAP,
        (f"{_S}.swap_stats.average_swap_size", f"{_S}.swap_stats.largest_swap", f"{_S}.swap_stats.smallest_swap"),
    ),
    "MON-67": (
        SWAP,
        tuple(f"{_S}.price_analysis.{name}_price_impact_percentage" for name in ("average", "best", "worst")),
    ),
    "MON-68": (SWAP, (f"{_S}.price_analysis.price_impact_trend",)),
    "MON-69": (SWAP, (f"{_S}.token_flow.input_token_type", f"{_S}.token_flow.output_token_type")),
    "MON-70": (SWAP, (f"{_S}.token_flow.tokens_sent_to_opposite_thread",)),
    "MON-71": (SWAP, (f"{_S}.token_flow.opposite_thread_id",)),
    "MON-72": (SWAP, (f"{_S}.token_flow.tokens_received_from_opposite",)),
    "MON-73": (SWAP, (f"{_S}.token_flow.current_input_balance",)),
    "MON-74": (ALL, (f"{_ERRORS}.recent_errors.[].timestamp", f"{_ERRORS}.recent_errors.[].error_message")),
    "MON-75": (ALL, (f"{_ERRORS}.recent_errors.[].error_type",)),
    "MON-76": (ALL, (f"{_ERRORS}.recent_errors.[].operation_details.attempted_amount",)),
    "MON-77": (ALL, (f"{_ERRORS}.recent_errors.[].operation_details.available_balance",)),
    "MON-78": (ALL, (f"{_ERRORS}.recent_errors.[].operation_details.operation_type",)),
    "MON-79": (ALL, (f"{_ERRORS}.recent_errors.[].recovery_action",)),
    "MON-80": (ALL, (f"{_ERRORS}.error_trends.errors_last_hour",)),
    "MON-81": (ALL, (f"{_ERRORS}.error_trends.most_common_error",)),
    "MON-82": (ALL, (f"{_ERRORS}.error_trends.error_rate_percentage",)),
    "MON-83": (ALL, (f"{_HEALTH}.operational_status",)),
    "MON-84": (ALL, (f"{_HEALTH}.performance_indicators.operations_behind_schedule",)),
    "MON-85": (ALL, (f"{_HEALTH}.performance_indicators.consecutive_failures",)),
    "MON-86": (
        ALL,
        tuple(
            f"{_HEALTH}.performance_indicators.{name}"
            for name in ("last_successful_operation", "time_since_last_success_seconds")
        ),
    ),
    "MON-87": (ALL, (f"{_HEALTH}.resource_status.sol_sufficient",)),
    "MON-88": (ALL, (f"{_HEALTH}.resource_status.tokens_sufficient",)),
    "MON-89": (ALL, (f"{_HEALTH}.resource_status.lp_tokens_sufficient",)),
    "MON-90": (ALL, (f"{_HEALTH}.resource_status.next_scheduled_operation",)),
    "MON-91": (ALL, (f"{_POOL}.pool_info.pool_address",)),
    "MON-92": (ALL, (f"{_POOL}.pool_info.token_a_mint", f"{_POOL}.pool_info.token_b_mint")),
    "MON-93": (ALL, (f"{_POOL}.pool_info.lp_token_mint",)),
    "MON-94": (ALL, (f"{_POOL}.pool_impact.thread_contribution_to_pool_volume",)),
    "MON-95": (ALL, (f"{_POOL}.pool_impact.estimated_pool_fee_contribution",)),
    "MON-96": (ALL, (f"{_POOL}.pool_impact.thread_liquidity_share",)),
    # MON-97 and MON-98 speak of the whole: read twice during a run, the answer has moved on (test_status_run.py)
}


def values_at(document: Any, path: str) -> list[Any]:
    """Every value the path names. KeyError where a name is missing, AssertionError for a list without elements."""
    found = [document]
    for name in path.split("."):
        if name == "[]":
            assert all(found), f"{path}: nothing in the list"
            found = [element for each in found for element in each]
        else:
            found = [each[name] for each in found]
    return found
