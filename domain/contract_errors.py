"""What a failed transaction means: the RPC's error JSON read into a record, named per instruction (CONTRACT.md 7).

The same code means different things per instruction, so a name needs the kind of the instruction that failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from domain.facts import ChainError


class InstructionKind(IntEnum):
    """The program's instructions; the value is the discriminator byte (CONTRACT.md 3.0)."""

    INITIALIZE_PROGRAM = 0
    INITIALIZE_POOL = 1
    DEPOSIT = 2
    WITHDRAW = 3
    SWAP = 4
    GET_POOL_STATE_PDA = 5
    GET_TOKEN_VAULT_PDAS = 6
    GET_POOL_INFO = 7
    GET_POOL_PAUSE_STATUS = 8
    GET_LIQUIDITY_INFO = 9
    GET_FEE_INFO = 10
    GET_POOL_SOL_BALANCE = 11
    PAUSE_SYSTEM = 12
    UNPAUSE_SYSTEM = 13
    GET_VERSION = 14
    WITHDRAW_TREASURY_FEES = 15
    GET_TREASURY_INFO = 16
    CONSOLIDATE_POOL_FEES = 17
    GET_CONSOLIDATION_STATUS = 18
    PAUSE_POOL = 19
    UNPAUSE_POOL = 20
    SET_SWAP_OWNER_ONLY = 21
    UPDATE_POOL_FEES = 22
    DONATE_SOL = 23
    PROCESS_ADMIN_CHANGE = 24


SYSTEM_PAUSED: Final = "SystemPaused"
POOL_ID_MISMATCH: Final = "PoolIdMismatch"

# What any instruction of the program can end with: malformed data, runtime rules, exhausted limits.
_ANYWHERE: Final = {
    "InvalidInstructionData": "InvalidInstructionData",
    "BorshIoError": "MalformedInstructionData",
    "InvalidAccountData": "InvalidAccountData",
    "MissingRequiredSignature": "MissingRequiredSignature",
    "PrivilegeEscalation": "PrivilegeEscalation",
    "MissingAccount": "MissingAccount",
    "ReadonlyDataModified": "ReadonlyDataModified",
    "ReadonlyLamportChange": "ReadonlyLamportChange",
    "ProgramFailedToComplete": "ProgramFailedToComplete",
    "ComputationalBudgetExceeded": "ComputationalBudgetExceeded",
}
_SYSTEM_CHECK: Final = {"UninitializedAccount": "ProgramNotInitialized", "Custom(1023)": SYSTEM_PAUSED}
_POOL_CHECK: Final = {"IncorrectProgramId": "PoolMissingOrForeignProgram", "Custom(1034)": POOL_ID_MISMATCH}
_FEE: Final = {"Custom(1031)": "InsufficientFeeBalance", "Custom(1033)": "FeeValidationFailed"}
_POOL_ADMIN: Final = {**_ANYWHERE, **_SYSTEM_CHECK, **_POOL_CHECK}
_TRADE: Final = {
    **_POOL_ADMIN,
    **_FEE,
    # System state or one of the user's token accounts: the code alone does not tell which.
    "UninitializedAccount": "AccountMissing",
    "InvalidArgument": "InvalidArgument",
    "ArithmeticOverflow": "LiquidityCounterOverflow",
}

# Per instruction: every code the contract documents for it, with what the code means there.
_NAMES: Final[Mapping[InstructionKind, Mapping[str, str]]] = {
    InstructionKind.INITIALIZE_PROGRAM: {
        **_ANYWHERE,
        "InvalidArgument": "WrongRentSysvar",
        "AccountAlreadyInitialized": "ProgramAlreadyInitialized",
        "Custom(0)": "AddressAlreadyFunded",
        "Custom(1)": "PayerCannotFundRent",
    },
    InstructionKind.INITIALIZE_POOL: {
        **_ANYWHERE,
        **_SYSTEM_CHECK,
        **_FEE,
        "InvalidArgument": "InvalidPoolArgument",
        "IncorrectProgramId": "MintOrTokenProgramUnsupported",
        "AccountAlreadyInitialized": "PoolAlreadyExists",
        "Custom(0)": "AddressAlreadyFunded",
        "Custom(1)": "PayerCannotFundRent",
        "Custom(2)": "MintNotInitialized",
        "Custom(1034)": "TreasuryValidationFailed",
        "Custom(1049)": "UnsupportedRatioType",
    },
    InstructionKind.DEPOSIT: {
        **_TRADE,
        "InvalidArgument": "ZeroAmount",
        "InsufficientFunds": "UserTokensShort",
        "Custom(14)": "LpSupplyOverflow",
        "Custom(17)": "AccountFrozen",
        "Custom(1035)": "PoolLiquidityPaused",
        "Custom(3001)": "LpDeltaMismatch",
        "Custom(4001)": "LpAccountUnusable",
    },
    InstructionKind.WITHDRAW: {
        **_TRADE,
        "ArithmeticOverflow": "LiquidityCounterShort",
        "Custom(1)": "LpOrVaultShort",
        "Custom(17)": "AccountFrozen",
        "Custom(1035)": "PoolLiquidityPaused",
    },
    InstructionKind.SWAP: {
        **_TRADE,
        "InsufficientFunds": "PoolLiquidityShort",
        "Custom(17)": "AccountFrozen",
        "Custom(1019)": "OutputOverflow",
        "Custom(1027)": "PoolSwapsPaused",
        "Custom(1028)": "SwapAccessRestricted",
        "Custom(1047)": "AmountMismatch",
    },
    InstructionKind.PAUSE_SYSTEM: {
        **_ANYWHERE,
        "UninitializedAccount": "ProgramNotInitialized",
        "Custom(1024)": "SystemAlreadyPaused",
    },
    InstructionKind.UNPAUSE_SYSTEM: {
        **_ANYWHERE,
        "UninitializedAccount": "ProgramNotInitialized",
        "NotEnoughAccountKeys": "NotEnoughAccountKeys",
        "Custom(1025)": "SystemNotPaused",
    },
    InstructionKind.WITHDRAW_TREASURY_FEES: {
        **_ANYWHERE,
        **_SYSTEM_CHECK,
        "InvalidArgument": "WrongRentSysvar",
        "InsufficientFunds": "TreasuryShort",
        "InvalidInstructionData": "WithdrawalTooSmallOrTooSoon",
    },
    InstructionKind.CONSOLIDATE_POOL_FEES: {
        **_ANYWHERE,
        "UninitializedAccount": "ProgramNotInitialized",
        "IncorrectProgramId": "PoolMissingOrForeignProgram",
        "InvalidArgument": "PoolCountOutOfRange",
        "NotEnoughAccountKeys": "PoolCountMismatch",
        "Custom(1036)": "InvalidSystemStateDeserialization",
    },
    InstructionKind.PAUSE_POOL: _POOL_ADMIN,
    InstructionKind.UNPAUSE_POOL: _POOL_ADMIN,
    InstructionKind.SET_SWAP_OWNER_ONLY: _POOL_ADMIN,
    InstructionKind.UPDATE_POOL_FEES: {
        **_POOL_ADMIN,
        "NotEnoughAccountKeys": "NotEnoughAccountKeys",
        "Custom(1043)": "InvalidFeeUpdateFlags",
        "Custom(1044)": "InvalidLiquidityFee",
        "Custom(1045)": "InvalidSwapFee",
    },
    InstructionKind.DONATE_SOL: {
        **_ANYWHERE,
        **_SYSTEM_CHECK,
        "InvalidArgument": "DonationTooSmall",
        "InsufficientFunds": "DonorShort",
        "IncorrectProgramId": "WrongSystemProgram",
    },
    InstructionKind.PROCESS_ADMIN_CHANGE: {**_ANYWHERE, **_SYSTEM_CHECK},
}


def documented_errors(kind: InstructionKind) -> Mapping[str, str]:
    """Every code that the contract documents for an instruction, with its name there (CONTRACT.md 3 and 7)."""
    return _NAMES.get(kind, _ANYWHERE)


def error_name(kind: InstructionKind | None, code: str) -> str:
    """What `code` means when it comes from `kind`; the code itself where it has no better name.

    Transaction-level errors and those of other programs' instructions have no kind (None).
    """
    return code if kind is None else documented_errors(kind).get(code, code)


def custom(number: int) -> str:
    """The text form of a custom program error."""
    return f"Custom({number})"


def custom_number(code: str) -> int | None:
    """The number in "Custom(n)", or None for any other code."""
    inner = code.removeprefix("Custom(").removesuffix(")")
    return int(inner) if code.startswith("Custom(") and inner.isdecimal() else None


def parse_error(err: object) -> ChainError | None:
    """A transaction's error from the JSON value of `err` in any RPC answer; None when there was none.

    An unheard-of shape becomes code "Unrecognised(<json>)", because a failed transaction must never look like a
    successful one.
    """
    if err is None:
        return None
    if isinstance(err, dict) and len(err) == 1 and "InstructionError" in err:
        body = err["InstructionError"]
        if isinstance(body, list) and len(body) == 2 and type(body[0]) is int:
            return ChainError(code=_code(body[1]), index=body[0])
        return ChainError(code=_unrecognised(err), index=None)
    return ChainError(code=_code(err), index=None)


def _code(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((name, detail),) = value.items()
        if name == "Custom":
            return custom(detail) if type(detail) is int else _unrecognised(value)
        # {"BorshIoError": "Unknown"} is how older nodes spell "BorshIoError"; an index in others is of no use to us.
        return str(name)
    return _unrecognised(value)


def _unrecognised(value: object) -> str:
    return f"Unrecognised({json.dumps(value, sort_keys=True, default=str)})"
