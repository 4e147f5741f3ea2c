"""The sections of a status that follow the money: costs, what each kind of thread did, its part of the pool. Pure."""

from __future__ import annotations

from typing import Any, Final

from api.status_facts import Facts, landed, mean, percentage, successful
from domain.pool import Asset, lp_of
from domain.refill import LOW_PERCENT
from domain.session import iso
from domain.swap import NANO
from domain.thread import ThreadKind

PICO_OF_A_PERCENT: Final = 10**10
TREND_NEEDS: Final = 4  # swaps before a trend is called one
TREND_PERCENT: Final = 10  # the later half must differ by more than this
IMPACT_DIGITS: Final = 10  # a rounding loss is below one base unit: a tiny part of most outputs


def cost_tracking(facts: Facts) -> dict[str, Any]:
    """MON-34..38, of operations; pool fees are lamports. ``total_sol_spent`` is both fees, as in the summary.

    What the wallet paid for transactions of the pool's outbox stands apart, as ``payment_fees_paid``.
    """
    totals, trend = facts.state.session, facts.state.fee_trend
    return {
        "network_fees": {
            "total_sol_spent": totals.network_fees + totals.pool_fees,
            "network_fees_paid": totals.network_fees,
            "average_fee_per_transaction": mean(totals.network_fees, landed(totals)),
            "fee_trend_last_10_ops": mean(sum(trend), len(trend)),
            "payment_fees_paid": facts.session_flows.fees,
        },
        "pool_fees": {
            "total_pool_fees_paid": totals.pool_fees,
            "average_pool_fee_per_op": mean(totals.pool_fees, successful(totals)),
        },
    }


def specific(facts: Facts) -> dict[str, Any]:
    """The section of the thread's own kind, MON-39..73."""
    match facts.config.kind:
        case ThreadKind.DEPOSIT:
            return _deposit(facts)
        case ThreadKind.WITHDRAWAL:
            return _withdrawal(facts)
        case ThreadKind.SWAP:
            return _swap(facts)


def _deposit(facts: Facts) -> dict[str, Any]:
    config, totals, flows = facts.config, facts.state.session, facts.session_flows
    return {
        "deposit_stats": {
            "total_tokens_deposited": totals.spent,
            "total_lp_tokens_received": totals.received,
            "average_deposit_size": mean(totals.spent, successful(totals)),
            "largest_deposit": totals.largest,
            "smallest_deposit": totals.smallest,
        },
        "funding_info": {
            "initial_amount": config.initial_amount,
            "auto_refill_enabled": config.auto_refill,
            "refill_threshold_amount": config.initial_amount * LOW_PERCENT // 100,
            "times_refilled": flows.times_refilled,
            "tokens_from_refills": flows.tokens_refilled,
            "tokens_from_sharing": flows.received,
        },
        "lp_sharing": {
            "share_lp_tokens_enabled": config.share,
            "total_lp_tokens_shared": flows.paid,
            "sharing_recipients_count": facts.takers,
            **_last_sharing(facts),
        },
    }


def _withdrawal(facts: Facts) -> dict[str, Any]:
    totals, flows = facts.state.session, facts.session_flows
    return {
        "withdrawal_stats": {
            "total_lp_tokens_used": totals.spent,
            "total_tokens_withdrawn": totals.received,
            "average_withdrawal_size": mean(totals.spent, successful(totals)),
            "largest_withdrawal": totals.largest,
            "smallest_withdrawal": totals.smallest,
        },
        "lp_token_sources": {
            "lp_tokens_from_deposits": flows.received,
            "current_lp_balance": facts.own_lp,
            "lp_sharing_sources": [
                {"source_thread_id": source, "tokens_received": amount}
                for source, amount in sorted(flows.sources.items())
            ],
        },
        "token_sharing": {
            "total_tokens_shared": flows.paid,
            "sharing_recipients_count": facts.takers,
            **_last_sharing(facts),
        },
    }


def _last_sharing(facts: Facts) -> dict[str, Any]:
    return {
        "last_sharing_amount": facts.flows.last_amount,
        "last_sharing_timestamp": iso(facts.flows.last_at_ms),
    }


def _swap(facts: Facts) -> dict[str, Any]:
    config, totals, flows = facts.config, facts.state.session, facts.session_flows
    return {
        "swap_stats": {
            "swap_direction": config.direction,
            "total_input_tokens": totals.spent,
            "total_output_tokens": totals.received,
            "total_price_impact": totals.rounding_loss_nano,
            "average_swap_size": mean(totals.spent, successful(totals)),
            "largest_swap": totals.largest,
            "smallest_swap": totals.smallest,
        },
        "price_analysis": _price_analysis(facts),
        "token_flow": {
            "input_token_type": config.side.value,
            "output_token_type": config.side.other.value,
            "tokens_sent_to_opposite_thread": flows.paid,
            "opposite_thread_id": facts.opposite,
            "tokens_received_from_opposite": flows.received,
            "current_input_balance": facts.held(config.spends.value),
        },
    }


def _price_analysis(facts: Facts) -> dict[str, Any]:
    """A fixed ratio has no price impact (SWP-17): these are parts of the unrounded output that were rounded off.

    The average is over all outputs together.
    """
    totals = facts.state.session
    some = successful(totals) > 0
    lost = totals.rounding_loss_nano
    return {
        "average_price_impact_percentage": percentage(lost, totals.received * NANO + lost, IMPACT_DIGITS),
        "best_price_impact_percentage": totals.least_loss_pico / PICO_OF_A_PERCENT if some else None,
        "worst_price_impact_percentage": totals.most_loss_pico / PICO_OF_A_PERCENT if some else None,
        "price_impact_trend": trend_of(facts.state.loss_trend),
    }


def trend_of(losses: tuple[int, ...]) -> str:
    """The later half of the last swaps' rounding losses against the earlier one."""
    half = len(losses) // 2
    if len(losses) < TREND_NEEDS:
        return "stable"
    before, after = sum(losses[:half]) * (len(losses) - half), sum(losses[half:]) * half
    if after * 100 > before * (100 + TREND_PERCENT):
        return "increasing"
    return "decreasing" if after * 100 < before * (100 - TREND_PERCENT) else "stable"


def pool_integration(facts: Facts) -> dict[str, Any]:
    """MON-91..96. The parts are over the thread's whole life, as the pool's own numbers are."""
    config, pool, observed = facts.config, facts.pool, facts.observed
    liquidity = claim = None
    if pool and observed and facts.state.balances_at_ms:
        liquidity = observed.liquidity_a * pool.ratio_b + observed.liquidity_b * pool.ratio_a
        claim = (facts.held(Asset.LP_A.value) or 0) * pool.ratio_b + (facts.held(Asset.LP_B.value) or 0) * pool.ratio_a
    fees = facts.state.lifetime.pool_fees
    # The pool's number may be one snapshot older than the thread's.
    pool_fees = None if facts.pool_fees is None else max(fees, facts.pool_fees)
    return {
        "pool_info": {
            "pool_address": config.pool_id,
            "token_a_mint": pool.mint_a if pool else None,
            "token_b_mint": pool.mint_b if pool else None,
            "lp_token_mint": pool.mint(lp_of(config.side)) if pool else None,
            "lp_token_a_mint": pool.lp_mint_a if pool else None,
            "lp_token_b_mint": pool.lp_mint_b if pool else None,
        },
        "pool_impact": {
            "thread_contribution_to_pool_volume": percentage(facts.volume, facts.pool_volume),
            "estimated_pool_fee_contribution": percentage(fees, pool_fees),
            "thread_liquidity_share": percentage(claim or 0, liquidity),
        },
    }
