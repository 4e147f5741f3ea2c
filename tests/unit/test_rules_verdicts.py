"""The table of verdicts."""

from __future__ import annotations

import pytest

from domain.contract_errors import InstructionKind, documented_errors
from domain.operations import OperationKind
from domain.verdicts import INSTRUCTIONS, PAYMENTS, Category, Verdict, expired_judgement, judge, judge_transport

EXPECTED = {
    OperationKind.DEPOSIT: {
        "InsufficientFunds",
        "Custom(14)",
        "Custom(1023)",
        "Custom(1031)",
        "Custom(1035)",
        "InsufficientFundsForRent",
    },
    OperationKind.WITHDRAWAL: {
        "Custom(1)",
        "ArithmeticOverflow",
        "Custom(1023)",
        "Custom(1031)",
        "Custom(1035)",
        "InsufficientFundsForRent",
    },
    OperationKind.SWAP: {
        "InsufficientFunds",
        "InvalidAccountData",
        "Custom(1023)",
        "Custom(1027)",
        "Custom(1028)",
        "Custom(1031)",
        "InsufficientFundsForRent",
    },
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_exactly_the_listed_errors_of_a_trade_may_be_expected(kind):
    documented = documented_errors(INSTRUCTIONS[kind])
    found = {
        code for code in [*documented, "InsufficientFundsForRent"] if judge(kind, code).verdict is Verdict.EXPECTED
    }
    assert found == EXPECTED[kind]
    for code in [*documented, "InsufficientFundsForRent", "Custom(9999)", "Unrecognised(1)"]:
        judgement = judge(kind, code)
        assert (judgement.reason is not None) == (judgement.verdict is Verdict.EXPECTED)
        assert judgement.name == documented.get(code, code)
        assert judgement.recovery_action
        if code not in EXPECTED[kind]:
            assert judgement.verdict is Verdict.FAULT


def test_the_same_code_means_different_things():
    assert judge(OperationKind.SWAP, "InsufficientFunds").name == "PoolLiquidityShort"
    assert judge(OperationKind.DEPOSIT, "InsufficientFunds").name == "UserTokensShort"
    assert judge(OperationKind.WITHDRAWAL, "InsufficientFunds").verdict is Verdict.FAULT
    assert INSTRUCTIONS[OperationKind.SWAP] is InstructionKind.SWAP


@pytest.mark.parametrize("kind", sorted(PAYMENTS))
def test_payments_and_commands_have_their_own_rows(kind):
    assert judge(kind, "Custom(1)").verdict is Verdict.EXPECTED
    assert judge(kind, "Custom(1047)").verdict is Verdict.FAULT
    assert judge(OperationKind.ADMIN, "Custom(1)").verdict is Verdict.STOP


def test_what_was_not_executed_is_asked_again():
    assert judge(OperationKind.SWAP, "BlockhashNotFound").verdict is Verdict.RETRY
    for status, name in ((None, "NoAnswer"), (429, "RateLimited"), (-32016, "NodeBehind"), (418, "RpcError(418)")):
        judgement = judge_transport(status)
        assert (judgement.verdict, judgement.category, judgement.name) == (Verdict.RETRY, Category.NETWORK, name)
    assert (expired_judgement().verdict, expired_judgement().name) == (Verdict.EXPECTED, "BlockhashExpired")
