"""Transaction errors as RPC writes them, and what they mean per instruction (CONTRACT.md 7 and 10)."""

from __future__ import annotations

import pytest

from domain import contract_errors as errors
from domain.contract_errors import InstructionKind
from domain.facts import ChainError

FORMS = [
    (None, None),
    ({"InstructionError": [2, {"Custom": 1035}]}, ChainError(code="Custom(1035)", index=2)),
    ({"InstructionError": [0, "InvalidAccountData"]}, ChainError(code="InvalidAccountData", index=0)),
    ({"InstructionError": [1, {"BorshIoError": "Unknown"}]}, ChainError(code="BorshIoError", index=1)),
    ({"InstructionError": [1, "BorshIoError"]}, ChainError(code="BorshIoError", index=1)),
    ("BlockhashNotFound", ChainError(code="BlockhashNotFound", index=None)),
    ({"InsufficientFundsForRent": {"account_index": 0}}, ChainError(code="InsufficientFundsForRent", index=None)),
    ({"DuplicateInstruction": 3}, ChainError(code="DuplicateInstruction", index=None)),
    ({"InstructionError": [1, {"Custom": 0}]}, ChainError(code="Custom(0)", index=1)),
]


@pytest.mark.parametrize(("json_value", "expected"), FORMS)
def test_every_known_form_is_read(json_value, expected):
    assert errors.parse_error(json_value) == expected


@pytest.mark.parametrize(
    "json_value",
    [
        {},
        [],
        0,
        "",
        False,
        {"InstructionError": [0]},
        {"InstructionError": [True, "InvalidArgument"]},
        {"InstructionError": ["0", "InvalidArgument"]},
        {"InstructionError": None},
        {"a": 1, "b": 2},
    ],
)
def test_an_unheard_of_form_is_still_an_error(json_value):
    error = errors.parse_error(json_value)
    assert error is not None
    assert error.code.startswith("Unrecognised(")
    assert error.index is None


def test_a_custom_error_without_a_number_keeps_its_place():
    error = errors.parse_error({"InstructionError": [3, {"Custom": "x"}]})
    assert error == ChainError(code='Unrecognised({"Custom": "x"})', index=3)


@pytest.mark.parametrize(
    ("kind", "code", "name"),
    [
        (InstructionKind.DEPOSIT, "Custom(1035)", "PoolLiquidityPaused"),
        (InstructionKind.WITHDRAW, "Custom(1035)", "PoolLiquidityPaused"),
        (InstructionKind.SWAP, "Custom(1035)", "Custom(1035)"),
        (InstructionKind.SWAP, "Custom(1034)", "PoolIdMismatch"),
        (InstructionKind.PAUSE_POOL, "Custom(1034)", "PoolIdMismatch"),
        (InstructionKind.INITIALIZE_POOL, "Custom(1034)", "TreasuryValidationFailed"),
        (InstructionKind.WITHDRAW, "Custom(1)", "LpOrVaultShort"),
        (InstructionKind.INITIALIZE_POOL, "Custom(1)", "PayerCannotFundRent"),
        (InstructionKind.SWAP, "InsufficientFunds", "PoolLiquidityShort"),
        (InstructionKind.DEPOSIT, "InsufficientFunds", "UserTokensShort"),
        (InstructionKind.SWAP, "Custom(1047)", "AmountMismatch"),
        (InstructionKind.DEPOSIT, "Custom(4001)", "LpAccountUnusable"),
        (InstructionKind.DEPOSIT, "Custom(1031)", "InsufficientFeeBalance"),
        (InstructionKind.CONSOLIDATE_POOL_FEES, "Custom(1023)", "Custom(1023)"),
        (InstructionKind.UPDATE_POOL_FEES, "Custom(1023)", "SystemPaused"),
        (InstructionKind.UNPAUSE_SYSTEM, "Custom(1025)", "SystemNotPaused"),
        (None, "Custom(1)", "Custom(1)"),
        (None, "BlockhashNotFound", "BlockhashNotFound"),
    ],
)
def test_the_same_code_means_different_things(kind, code, name):
    assert errors.error_name(kind, code) == name


# CONTRACT.md 7.1, "raised when / by", transcribed code by code.
TRADES = {InstructionKind.DEPOSIT, InstructionKind.WITHDRAW, InstructionKind.SWAP}
POOL_ADMIN = {
    InstructionKind.PAUSE_POOL,
    InstructionKind.UNPAUSE_POOL,
    InstructionKind.SET_SWAP_OWNER_ONLY,
    InstructionKind.UPDATE_POOL_FEES,
}
CREATION = {InstructionKind.INITIALIZE_POOL, InstructionKind.INITIALIZE_PROGRAM}
RAISED_BY = {
    0: CREATION,
    1: CREATION | {InstructionKind.WITHDRAW},
    2: {InstructionKind.INITIALIZE_POOL},
    14: {InstructionKind.DEPOSIT},
    17: TRADES,
    1019: {InstructionKind.SWAP},
    1023: TRADES
    | POOL_ADMIN
    | {
        InstructionKind.INITIALIZE_POOL,
        InstructionKind.DONATE_SOL,
        InstructionKind.WITHDRAW_TREASURY_FEES,
        InstructionKind.PROCESS_ADMIN_CHANGE,
    },
    1024: {InstructionKind.PAUSE_SYSTEM},
    1025: {InstructionKind.UNPAUSE_SYSTEM},
    1027: {InstructionKind.SWAP},
    1028: {InstructionKind.SWAP},
    1031: TRADES | {InstructionKind.INITIALIZE_POOL},
    1033: TRADES | {InstructionKind.INITIALIZE_POOL},
    1034: TRADES | POOL_ADMIN | {InstructionKind.INITIALIZE_POOL},
    1035: {InstructionKind.DEPOSIT, InstructionKind.WITHDRAW},
    1036: {InstructionKind.CONSOLIDATE_POOL_FEES},
    1043: {InstructionKind.UPDATE_POOL_FEES},
    1044: {InstructionKind.UPDATE_POOL_FEES},
    1045: {InstructionKind.UPDATE_POOL_FEES},
    1047: {InstructionKind.SWAP},
    1049: {InstructionKind.INITIALIZE_POOL},
    3001: {InstructionKind.DEPOSIT},
    4001: {InstructionKind.DEPOSIT},
}


def test_the_table_holds_exactly_the_custom_codes_the_contract_can_raise():
    listed = {
        number: {kind for kind in InstructionKind if errors.custom(number) in errors.documented_errors(kind)}
        for kind in InstructionKind
        for code in errors.documented_errors(kind)
        if (number := errors.custom_number(code)) is not None
    }
    assert listed == RAISED_BY


@pytest.mark.parametrize(("code", "number"), [("Custom(7)", 7), ("Custom(x)", None), ("InvalidArgument", None)])
def test_the_number_of_a_custom_code(code, number):
    assert errors.custom_number(code) == number
