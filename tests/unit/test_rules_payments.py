"""Settling payments: transfers, mints, burns and what commands send."""

from __future__ import annotations

import pytest

from domain.ids import Address
from domain.operations import Operation, OperationKind, Outcome, SolTransfer
from domain.settle import Settlement, apply_settlement, settle_payment, settle_thread_operation
from domain.state import ThreadState
from domain.thread import ThreadKind
from domain.verdicts import Verdict
from tests.support.rules import NETWORK_FEE, make_intent, make_policy, make_pool, make_receipt, make_world


def checks(settlement):
    return sorted(fault.check for fault in settlement.faults)


def payment(kind=OperationKind.SHARE, **inputs):
    action = SolTransfer(source=Address("payer"), destination=Address("x"), lamports=1)
    return make_intent(
        Operation(kind=kind, actions=(action,), payer=Address("payer"), signers=(), inputs=inputs, compute_units=10**5)
    )


SHARE = {"deltas": {"s": "-5", "t": "3", "u": "2"}}
PAID = {"s": (9, 4), "t": (0, 3), "u": (1, 3), "v": (8, 8)}
LAMPORTS = {"payer": (10**6, 10**6 - NETWORK_FEE), "x": (7, 7)}


def test_a_payment_moves_exactly_what_it_names():
    assert settle_payment(payment(**SHARE), make_receipt(PAID, LAMPORTS), None).faults == ()
    for tokens in ({**PAID, "t": (0, 2)}, {**PAID, "v": (8, 9)}, {key: PAID[key] for key in "stv"}):
        settlement = settle_payment(payment(**SHARE), make_receipt(tokens, LAMPORTS), make_pool())
        assert checks(settlement) == ["PAY-tokens"]
        assert (settlement.outcome, settlement.own) == (Outcome.CONFIRMED, False)


def test_a_payments_lamports_are_accounted_for():
    refill = payment(OperationKind.REFILL, deltas={}, lamports={"x": "100", "y": "20"})
    good = {"payer": (10**6, 10**6 - NETWORK_FEE - 120), "x": (7, 107), "y": (0, 20), "z": (4, 4)}
    assert settle_payment(refill, make_receipt({}, good), None).faults == ()
    for wrong in ({"payer": (10**6, 10**6)}, {"x": (7, 106)}, {"z": (4, 5)}):
        assert checks(settle_payment(refill, make_receipt({}, good | wrong), None)) == ["PAY-lamports"]
    setup = payment(OperationKind.SETUP, lamports={"x": "100"})
    rents = {"payer": (10**7, 10**6), "x": (0, 100), "new": (0, 2_039_280)}
    assert settle_payment(setup, make_receipt(PAID, rents), None).faults == ()
    assert checks(settle_payment(setup, make_receipt(PAID, rents | {"x": (0, 99)}), None)) == ["PAY-lamports"]


@pytest.mark.parametrize(
    ("error", "tokens", "payer", "expected"),
    [
        ("Custom(1)", {**PAID, "s": (4, 4)}, 10**6, True),
        ("Custom(1)", {**PAID, "s": (5, 5)}, 10**6, False),
        ("InvalidAccountData", {"s": (9, 9), "t": (0, 0)}, 10**6, True),
        ("InvalidAccountData", {"s": (9, 9), "t": (0, 0), "u": (1, 1)}, 10**6, False),
        ("InsufficientFundsForRent", PAID, 890_879 + NETWORK_FEE, True),
        ("InsufficientFundsForRent", PAID, 890_880 + NETWORK_FEE, False),
        ("Custom(17)", PAID, 10**6, False),
    ],
)
def test_a_failed_payment_is_explained_by_its_balances(error, tokens, payer, expected):
    unchanged = {name: (before, before) for name, (before, _) in tokens.items()}
    receipt = make_receipt(unchanged, {"payer": (payer, payer - NETWORK_FEE)}, error=error)
    settlement = settle_payment(payment(**SHARE), receipt, None)
    assert settlement.outcome is (Outcome.FAILED_EXPECTED if expected else Outcome.FAILED_UNEXPECTED)
    assert checks(settlement) == ([] if expected else ["PAY-failure"])


@pytest.mark.parametrize(
    ("error", "left", "expected"),
    [
        ("Custom(1)", -1, True),
        ("Custom(1)", 0, False),
        ("InsufficientFundsForRent", 1, True),
        ("InsufficientFundsForRent", 890_879, True),
        ("InsufficientFundsForRent", 890_880, False),
    ],
)
def test_a_refill_that_the_core_wallet_cannot_pay_is_explained_by_its_lamports(error, left, expected):
    refill = payment(OperationKind.REFILL, deltas={}, lamports={"x": "2000000", "y": "500000"})
    payer = 2_500_000 + NETWORK_FEE + left
    receipt = make_receipt({}, {"payer": (payer, payer - NETWORK_FEE), "x": (10**6, 10**6)}, error=error)
    settlement = settle_payment(refill, receipt, None)
    assert settlement.outcome is (Outcome.FAILED_EXPECTED if expected else Outcome.FAILED_UNEXPECTED)
    assert checks(settlement) == ([] if expected else ["PAY-failure"])


def test_a_commands_refusal_is_the_persons_business_and_no_fault():
    receipt = make_receipt({}, {"payer": (10**6, 10**6 - NETWORK_FEE)}, error="Custom(1024)")
    settlement = settle_payment(payment(OperationKind.ADMIN, deltas={}), receipt, None)
    assert (settlement.outcome, settlement.verdict) == (Outcome.FAILED_UNEXPECTED, Verdict.STOP)
    assert settlement.faults == ()


def test_burns_of_a_thread_are_payments_and_change_no_total():
    world = make_world(ThreadKind.DEPOSIT)
    burn = payment(OperationKind.BURN, deltas={"s": "-9"})
    settlement = settle_thread_operation(
        world.config, world.pool, burn, make_receipt({"s": (9, 0)}, LAMPORTS), make_policy()
    )
    assert (settlement.faults, settlement.outcome) == ((), Outcome.CONFIRMED)
    assert apply_settlement(ThreadState(), world.config, settlement, 5) == ThreadState()
    assert not Settlement.expired(burn).own
