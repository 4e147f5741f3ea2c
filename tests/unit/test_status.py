"""A thread's status: documented names, amounts to the unit, session against lifetime, and what is only judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.status import summary, thread_status
from api.status_facts import Facts
from api.status_sections import trend_of
from domain.flows import Flows, errors_since
from domain.ids import Address, PoolId, ThreadId
from domain.observed import ObservedPool
from domain.pool import Pool, Side
from domain.session import iso
from domain.state import ErrorNote, ThreadState, Totals
from domain.thread import ThreadConfig, ThreadKind, ThreadStatus
from tests.support.store_kit import sample_pool

BIG = 2**64 - 1
AT_MS = 1_736_937_045_123  # 2025-01-15T10:30:45Z

SESSION = Totals(
    submitted=20,
    confirmed=11,
    failed_expected=3,
    failed_unexpected=2,
    expired=1,
    spent=BIG,
    received=777,
    network_fees=5_000,
    pool_fees=13_000_000,
    kept=9,
    empties=4,
    empties_failed=1,
)
LEDGER = {
    "share:t_1": json.dumps(
        {
            "paid": {"lp_b": str(BIG), "token_a": "1"},
            "paid_to": {"w_1": "5"},
            "received": {"w_1": "30", "w_2": "12"},
            "retained": {"lp_b": "6"},
            "last_amount": "5",
            "last_at_ms": AT_MS,
            "fees": "20000",
            "fee_payments": 3,
        }
    ),
    "refill:t_1": json.dumps({"times": 2, "tokens": str(BIG), "sol": "400"}),
    "fund:t_1": json.dumps({"sol": "100", "token_b": "5"}),
    "session:t_1": json.dumps(
        {
            "paid": "1",
            "retained": "2",
            "received": {"w_1": "29", "w_2": "12"},
            "fees": "5000",
            "fee_payments": 1,
            "times": 1,
            "tokens": "5",
            "sol": "100",
            "errors": {"InsufficientFunds": 7, "Old": 1},
            "funded": {"sol": "30"},
        }
    ),
    "share:t_10": json.dumps({"paid": {"lp_b": "999"}, "received": {}, "retained": {}}),
}


def config(kind: ThreadKind, side: Side = Side.B) -> ThreadConfig:
    return ThreadConfig(
        thread_id=ThreadId("t_1"),
        kind=kind,
        pool_id=PoolId("P"),
        side=side,
        initial_amount=5,
        auto_refill=False,
        share=True,
        wallet=Address("W"),
        accounts={},
        index=0,
        created_at_ms=AT_MS,
    )


def state(**changes: Any) -> ThreadState:
    balances = {"sol": 1_500_000_000, "token_b": BIG, "lp_b": 3}
    return ThreadState(
        session=SESSION, lifetime=Totals(confirmed=99_999, spent=1), balances=balances, balances_at_ms=AT_MS, **changes
    )


def shown_of(
    of: ThreadConfig, status: ThreadStatus, state: ThreadState, ledger: dict[str, str], **more: Any
) -> dict[str, Any]:
    flows = Flows.of(of.thread_id, ledger)
    facts = Facts(
        config=of,
        status=status,
        state=state,
        flows=flows,
        session_flows=flows.since(of.thread_id, ledger),
        session_errors=errors_since(of.thread_id, ledger, state.error_counts),
        **{"now_ms": AT_MS} | more,
    )
    return thread_status(facts)


def status(kind: ThreadKind, **changes: Any) -> dict[str, Any]:
    return shown_of(config(kind), ThreadStatus.RUNNING, state(**changes), LEDGER)


def test_identity_and_balances() -> None:
    shown = status(ThreadKind.DEPOSIT)
    head = {name: shown[name] for name in ("thread_id", "type", "status", "pool_id", "token_type", "wallet_address")}
    assert head == {
        "thread_id": "t_1",
        "type": "deposit",
        "status": "running",
        "pool_id": "P",
        "token_type": "B",
        "wallet_address": "W",
    }
    assert shown["direction"] is None
    assert shown["created_at"] == "2025-01-15T10:30:45Z"
    documented = {"sol": 1_500_000_000, "token_a": 0, "token_b": BIG, "lp_tokens": 3}
    assert documented.items() <= shown["balances"].items()
    assert shown["balances"]["lp_token_a"] == 0
    assert shown["balances"]["lp_token_b"] == 3


def test_lp_tokens_are_those_of_the_own_side() -> None:
    balances = {"lp_a": 1, "lp_b": 2}
    for side, wanted in ((Side.A, 1), (Side.B, 2)):
        shown = shown_of(
            config(ThreadKind.WITHDRAWAL, side),
            ThreadStatus.STOPPED,
            ThreadState(balances=balances, balances_at_ms=1),
            {},
        )
        assert shown["balances"]["lp_tokens"] == wanted


def test_a_balance_nobody_has_read_is_unknown_and_not_zero() -> None:
    shown = shown_of(config(ThreadKind.DEPOSIT), ThreadStatus.CREATED, ThreadState(), {})
    assert set(shown["balances"].values()) == {None}
    numbers = {value for value in shown["statistics"].values() if not isinstance(value, dict)}
    assert numbers == {0}
    assert shown["wallet_data"]["balances"]["sol_balance"] is None
    assert shown["statistics"]["operation_counts"]["success_rate_percentage"] is None
    assert set(shown["verification_totals"].values()) == {0}
    assert shown["recent_errors"] == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ThreadKind.DEPOSIT, "successful_deposits"),
        (ThreadKind.WITHDRAWAL, "successful_withdrawals"),
        (ThreadKind.SWAP, "successful_swaps"),
    ],
)
def test_statistics_are_the_sessions(kind: ThreadKind, name: str) -> None:
    statistics = status(kind)["statistics"]
    successes = ("successful_deposits", "successful_withdrawals", "successful_swaps")
    assert {one: statistics[one] for one in successes} == {one: 11 if one == name else 0 for one in successes}
    assert statistics["failed_operations"] == 6
    assert statistics["total_volume_processed"] == BIG
    assert (statistics["empty_operations"], statistics["failed_empty_operations"]) == (4, 1)


FEES = {
    "pool_fees_paid": 13_000_000,
    "network_fees_paid": 5_000,
    "total_sol_spent": 13_005_000,
    "payment_fees_paid": 15_000,
    "funded_sol": 70,
}
REFILLS = {"times_refilled": 1, "tokens_refilled": BIG - 5, "sol_refilled": 300}


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (
            ThreadKind.DEPOSIT,
            {
                "tokens_deposited": BIG,
                "lp_tokens_received": 777,
                "lp_tokens_shared": BIG,
                "lp_tokens_retained": 13,
                "tokens_received": 1,
            },
        ),
        (
            ThreadKind.WITHDRAWAL,
            {
                "lp_tokens_used": BIG,
                "tokens_withdrawn": 777,
                "tokens_received": 777,
                "tokens_shared": BIG,
                "tokens_retained": 13,
                "lp_tokens_received": 1,
            },
        ),
        (
            ThreadKind.SWAP,
            {
                "tokens_swapped_in": BIG,
                "tokens_swapped_out": 777,
                "tokens_shared": BIG,
                "tokens_retained": 13,
                "tokens_received": 1,
            },
        ),
    ],
)
def test_verification_totals_by_kind(kind: ThreadKind, own: dict[str, int]) -> None:
    assert status(kind)["verification_totals"] == own | FEES | REFILLS


def test_lifetime_totals_stand_beside_the_sessions() -> None:
    shown = status(ThreadKind.DEPOSIT)["lifetime"]
    assert shown["statistics"]["successful_deposits"] == 99_999
    assert shown["statistics"]["total_volume_processed"] == 1
    totals = shown["verification_totals"]
    assert (totals["tokens_deposited"], totals["lp_tokens_shared"], totals["tokens_received"]) == (1, BIG + 1, 42)
    assert (totals["payment_fees_paid"], totals["times_refilled"]) == (20_000, 2)


def test_a_swap_thread_shows_its_direction() -> None:
    assert status(ThreadKind.SWAP)["direction"] == "b_to_a"
    shown = shown_of(config(ThreadKind.SWAP, Side.A), ThreadStatus.CREATED, ThreadState(), {})
    assert (shown["direction"], shown["token_type"]) == ("a_to_b", "A")


def test_recent_errors() -> None:
    note = ErrorNote(
        at_ms=AT_MS,
        error="InsufficientFunds",
        message="Insufficient funds for deposit",
        category="transaction",
        operation_type="deposit",
        attempted_amount="5",
        available_balance="4",
        recovery_action="waiting_for_funding",
    )
    assert status(ThreadKind.DEPOSIT, errors=(note,))["recent_errors"] == [
        {"timestamp": "2025-01-15T10:30:45Z", "error": "Insufficient funds for deposit", "operation_type": "deposit"}
    ]


def test_flows_of_a_thread_without_records_are_zero() -> None:
    assert Flows.of("t_2", LEDGER) == Flows()
    assert Flows.of("t_10", LEDGER).paid == 999


def test_every_amount_is_a_json_integer() -> None:
    shown = json.loads(json.dumps(status(ThreadKind.DEPOSIT)))
    numbers = [value for value in shown["statistics"].values() if not isinstance(value, dict)]
    numbers += shown["verification_totals"].values()
    numbers += [value for name, value in shown["balances"].items() if name != "read_at"]
    assert {type(number) for number in numbers} == {int}


def test_the_summary_adds_up_what_is_listed() -> None:
    listed = [
        shown_of(config(kind), one, state(), {})
        for kind, one in (
            (ThreadKind.DEPOSIT, ThreadStatus.RUNNING),
            (ThreadKind.SWAP, ThreadStatus.RUNNING),
            (ThreadKind.WITHDRAWAL, ThreadStatus.STOPPED),
            (ThreadKind.DEPOSIT, ThreadStatus.ERROR),
            (ThreadKind.DEPOSIT, ThreadStatus.CREATED),
        )
    ]
    assert summary(listed) == {
        "total_threads": 5,
        "running_threads": 2,
        "stopped_threads": 1,
        "created_threads": 1,
        "error_threads": 1,
        "total_operations": 5 * 17,
    }
    assert set(summary([]).values()) == {0}


POOL: Pool = sample_pool("P", ratio_a=3, ratio_b=2, exact_exchange=False)
OBSERVED = ObservedPool(
    slot=9,
    liquidity_a=100,
    liquidity_b=300,
    lp_supply_a=0,
    lp_supply_b=0,
    surplus=0,
    fees_held=0,
    liquidity_fee=13_000_000,
    swap_fee=271_500,
    flags=0,
)


def healthy(kind: ThreadKind, **changes: Any) -> dict[str, Any]:
    facts = {"pool": POOL, "observed": OBSERVED, "due_ms": AT_MS + 1_000, "now_ms": AT_MS + 45_999}
    balances = {"sol": 10**9, "token_b": 5, "lp_b": 3}
    document = ThreadState(balances=balances, balances_at_ms=AT_MS, last_success_at_ms=AT_MS)
    document = document.evolved(**{name: value for name, value in changes.items() if name not in (*facts, "status")})
    facts |= {name: value for name, value in changes.items() if name in facts}
    one = shown_of(config(kind), changes.get("status", ThreadStatus.RUNNING), document, {}, **facts, cadence_ms=50_000)
    return one["health_monitoring"]


@pytest.mark.parametrize("kind", list(ThreadKind))
def test_a_thread_that_works_is_healthy(kind: ThreadKind) -> None:
    shown = healthy(kind)
    assert shown["operational_status"] == "healthy"
    assert shown["performance_indicators"] == {
        "operations_behind_schedule": 0,
        "consecutive_failures": 0,
        "last_successful_operation": "2025-01-15T10:30:45Z",
        "time_since_last_success_seconds": 45,
    }
    assert shown["resource_status"] == {
        "sol_sufficient": True,
        "tokens_sufficient": True,
        "lp_tokens_sufficient": True,
        "next_scheduled_operation": "2025-01-15T10:30:46Z",
    }


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"consecutive_failures": 3}, "warning"),
        ({"consecutive_failures": 2}, "healthy"),
        ({"due_ms": AT_MS - 4_000}, "healthy"),
        ({"due_ms": AT_MS - 4_001, "now_ms": AT_MS + 100_000}, "warning"),
        ({"balances": {"sol": 5, "token_b": 5}}, "warning"),
        ({"balances": {"sol": 10**9}}, "warning"),
        ({"waiting": "paused", "waiting_since_ms": AT_MS - 14_001}, "healthy"),
        ({"waiting": "paused", "waiting_since_ms": AT_MS - 14_002}, "warning"),
        ({"status": ThreadStatus.STOPPED}, "stopped"),
        ({"status": ThreadStatus.CREATED}, "stopped"),
        ({"status": ThreadStatus.ERROR}, "error"),
    ],
)
def test_the_operational_status(changes: dict[str, Any], name: str) -> None:
    assert healthy(ThreadKind.DEPOSIT, **changes)["operational_status"] == name


def test_cycles_behind_schedule_are_counted_for_running_threads() -> None:
    late = {"due_ms": AT_MS - 110_000, "now_ms": AT_MS}
    assert healthy(ThreadKind.SWAP, **late)["performance_indicators"]["operations_behind_schedule"] == 2
    stopped = healthy(ThreadKind.SWAP, status=ThreadStatus.STOPPED, **late)
    assert stopped["performance_indicators"]["operations_behind_schedule"] == 0


def test_a_thread_that_does_not_run_has_nothing_scheduled_and_waits_for_nothing() -> None:
    """Its chain may still settle, and its last wait is over."""
    changes = {"waiting": "paused", "waiting_since_ms": AT_MS}
    running, stopped = (
        healthy(ThreadKind.DEPOSIT, status=status, **changes) for status in (ThreadStatus.RUNNING, ThreadStatus.STOPPED)
    )
    assert (running["waiting"], running["waiting_since"]) == ("paused", "2025-01-15T10:30:45Z")
    assert (stopped["waiting"], stopped["waiting_since"]) == (None, None)
    assert running["resource_status"]["next_scheduled_operation"] is not None
    assert stopped["resource_status"]["next_scheduled_operation"] is None


def test_resources_nobody_has_read_are_unknown() -> None:
    shown = healthy(ThreadKind.SWAP, balances_at_ms=0)
    known = ("sol_sufficient", "tokens_sufficient", "lp_tokens_sufficient")
    assert [shown["resource_status"][name] for name in known] == [None, None, True]
    assert shown["operational_status"] == "healthy"


def test_a_swap_thread_needs_its_smallest_input() -> None:
    """Ratio 2 of B gives 3 of A: one unit of B is enough. The other way round it takes one of 3 for 2."""
    assert healthy(ThreadKind.SWAP, balances={"sol": 10**9, "token_b": 1})["resource_status"]["tokens_sufficient"]
    short = healthy(ThreadKind.SWAP, balances={"sol": 10**9})
    assert short["resource_status"]["tokens_sufficient"] is False


def test_the_trend_of_rounding_losses() -> None:
    assert trend_of(()) == trend_of((1, 9, 99)) == "stable"
    assert trend_of((10, 10, 11, 11)) == "stable"
    assert trend_of((10, 10, 12, 11)) == "increasing"
    assert trend_of((10, 10, 8, 9)) == "decreasing"
    assert trend_of((10, 0, 10, 0, 10)) == "increasing"  # 5 on average, then 6 2/3
    assert trend_of((0, 0, 0, 0)) == "stable"


def test_price_analysis_is_the_rounding_loss() -> None:
    totals = Totals(
        confirmed=2, spent=9, received=3, rounding_loss_nano=10**9, least_loss_pico=0, most_loss_pico=10**12 // 4
    )
    shown = shown_of(config(ThreadKind.SWAP), ThreadStatus.RUNNING, ThreadState(session=totals), {})["swap_specific"]
    assert shown["price_analysis"] == {
        "average_price_impact_percentage": 25.0,
        "best_price_impact_percentage": 0.0,
        "worst_price_impact_percentage": 25.0,
        "price_impact_trend": "stable",
    }
    assert shown["swap_stats"]["total_price_impact"] == 10**9


def test_the_part_of_the_pool() -> None:
    document = ThreadState(
        lifetime=Totals(spent=40, pool_fees=250), balances={"sol": 1, "lp_b": 90, "token_b": 9}, balances_at_ms=1
    )
    facts = {"pool": POOL, "observed": OBSERVED, "pool_fees": 1_000, "pool_volume": 480}
    shown = shown_of(config(ThreadKind.WITHDRAWAL), ThreadStatus.RUNNING, document, {}, **facts)["pool_integration"]
    assert shown["pool_impact"] == {
        "thread_contribution_to_pool_volume": 25.0,  # 40 * ratio_a of 480
        "estimated_pool_fee_contribution": 25.0,
        "thread_liquidity_share": 24.5455,  # 90 * 3 of 100 * 2 + 300 * 3
    }
    assert shown["pool_info"]["lp_token_mint"] == POOL.lp_mint_b
    nothing = shown_of(config(ThreadKind.SWAP), ThreadStatus.RUNNING, ThreadState(), {})["pool_integration"]
    assert set(nothing["pool_impact"].values()) == {None}


def test_errors_of_the_last_hour_and_of_the_session() -> None:
    def note(at_ms: int, error: str) -> ErrorNote:
        return ErrorNote(
            at_ms=at_ms,
            error=error,
            message=f"{error} in t_1/3",
            category="transaction",
            operation_type="deposit",
            attempted_amount="5",
            available_balance="",
            recovery_action="waits",
        )

    minute = 60_000
    document = ThreadState(session=Totals(confirmed=3, failed_expected=1))
    for number in range(130):
        document = document.noted(note(AT_MS + number * minute, "InsufficientFunds"), 4)
    document = document.noted(note(AT_MS + 129 * minute, "Old"), 4)
    assert len(document.error_minutes) == 61
    shown = shown_of(
        config(ThreadKind.DEPOSIT), ThreadStatus.RUNNING, document, LEDGER, now_ms=AT_MS + 129 * minute + 30_000
    )["error_monitoring"]
    assert shown["error_trends"] == {
        "errors_last_hour": 61,
        "most_common_error": "InsufficientFunds",
        "error_rate_percentage": 25.0,
    }
    assert len(shown["recent_errors"]) == 4
    assert shown["recent_errors"][-1] == {
        "timestamp": iso(AT_MS + 129 * minute),
        "error_type": "transaction",
        "error_name": "Old",
        "error_message": "Old in t_1/3",
        "operation_details": {"attempted_amount": 5, "available_balance": None, "operation_type": "deposit"},
        "recovery_action": "waits",
    }
    later = shown_of(config(ThreadKind.DEPOSIT), ThreadStatus.RUNNING, document, LEDGER, now_ms=AT_MS + 300 * minute)[
        "error_monitoring"
    ]
    assert later["error_trends"]["errors_last_hour"] == 0


def test_timing_of_a_session_and_of_a_life() -> None:
    document = ThreadState().session_begun(AT_MS, reason="manual")
    document = document.evolved(stopped_at_ms=AT_MS + 10_500).session_begun(AT_MS + 60_000, reason="manual")
    document = document.evolved(
        session=Totals(submitted=4, confirmed=2, failed_expected=1),
        first_operation_at_ms=AT_MS + 61_000,
        last_operation_at_ms=AT_MS + 65_501,
        last_confirm_ms=850,
    )
    shown = shown_of(config(ThreadKind.DEPOSIT), ThreadStatus.RUNNING, document, {}, now_ms=AT_MS + 80_000)
    assert shown["statistics"]["timing_stats"] == {
        "operations_per_minute": 9.0,
        "average_operation_interval_ms": 1_500,
        "last_operation_duration_ms": 850,
        "total_active_time_seconds": 20,
    }
    assert shown["lifetime"]["total_active_time_seconds"] == 30
    restarted = document.session_begun(AT_MS + 90_000, reason="manual")
    assert restarted.session_ms(AT_MS + 90_500) == 500
    assert restarted.past_active_ms == 40_500
    assert ThreadState.from_text(document.to_text()) == document


def test_timestamps() -> None:
    assert iso(0) is None
    assert iso(1) == "1970-01-01T00:00:00Z"
