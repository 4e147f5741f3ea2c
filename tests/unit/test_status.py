"""The summary form of a thread's status: documented names, amounts to the unit, session against lifetime."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.status import Flows, summary, thread_status, timestamp
from domain.ids import Address, PoolId, ThreadId
from domain.pool import Side
from domain.state import ErrorNote, ThreadState, Totals
from domain.thread import ThreadConfig, ThreadKind, ThreadStatus

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
        }
    ),
    "refill:t_1": json.dumps({"times": 2, "tokens": str(BIG), "sol": "400"}),
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


def status(kind: ThreadKind, **changes: Any) -> dict[str, Any]:
    return thread_status(config(kind), ThreadStatus.RUNNING, state(**changes), LEDGER)


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
        shown = thread_status(
            config(ThreadKind.WITHDRAWAL, side),
            ThreadStatus.STOPPED,
            ThreadState(balances=balances, balances_at_ms=1),
            {},
        )
        assert shown["balances"]["lp_tokens"] == wanted


def test_a_balance_nobody_has_read_is_unknown_and_not_zero() -> None:
    shown = thread_status(config(ThreadKind.DEPOSIT), ThreadStatus.CREATED, ThreadState(), {})
    assert set(shown["balances"].values()) == {None}
    assert set(shown["statistics"].values()) == {0}
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


FEES = {"pool_fees_paid": 13_000_000, "network_fees_paid": 5_000, "total_sol_spent": 13_005_000}
REFILLS = {"times_refilled": 2, "tokens_refilled": BIG, "sol_refilled": 400}


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (
            ThreadKind.DEPOSIT,
            {
                "tokens_deposited": BIG,
                "lp_tokens_received": 777,
                "lp_tokens_shared": BIG + 1,
                "lp_tokens_retained": 15,
                "tokens_received": 42,
            },
        ),
        (
            ThreadKind.WITHDRAWAL,
            {
                "lp_tokens_used": BIG,
                "tokens_withdrawn": 777,
                "tokens_received": 777,
                "tokens_shared": BIG + 1,
                "tokens_retained": 15,
                "lp_tokens_received": 42,
            },
        ),
        (
            ThreadKind.SWAP,
            {
                "tokens_swapped_in": BIG,
                "tokens_swapped_out": 777,
                "tokens_shared": BIG + 1,
                "tokens_retained": 15,
                "tokens_received": 42,
            },
        ),
    ],
)
def test_verification_totals_by_kind(kind: ThreadKind, own: dict[str, int]) -> None:
    assert status(kind)["verification_totals"] == own | FEES | REFILLS


def test_a_swap_thread_shows_its_direction() -> None:
    assert status(ThreadKind.SWAP)["direction"] == "b_to_a"
    shown = thread_status(config(ThreadKind.SWAP, Side.A), ThreadStatus.CREATED, ThreadState(), {})
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
    numbers = [*shown["statistics"].values(), *shown["verification_totals"].values()]
    numbers += [value for name, value in shown["balances"].items() if name != "read_at"]
    assert {type(number) for number in numbers} == {int}


def test_the_summary_adds_up_what_is_listed() -> None:
    listed = [
        thread_status(config(kind), one, state(), {})
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


def test_timestamps() -> None:
    assert timestamp(0) is None
    assert timestamp(1) == "1970-01-01T00:00:00Z"
