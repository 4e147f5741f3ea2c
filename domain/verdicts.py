"""What an error means for the thread that met it: one table over kind of operation and error (DESIGN.md 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.contract_errors import InstructionKind, error_name
from domain.operations import OperationKind


class Verdict(StrEnum):
    EXPECTED = "expected"  # log, count, go on; settle still asks for the justification
    RETRY = "retry"  # the same intent, later
    STOP = "stop"  # the thread goes to error, a person restarts it
    FAULT = "fault"  # the program broke its rules


class Category(StrEnum):
    """ERR-01..04."""

    NETWORK = "network"
    TRANSACTION = "transaction"
    LOGIC = "logic"
    SYSTEM = "system"


class Reason(StrEnum):
    """What the failed transaction's own balances, or the pool's policy, must show for an expected error."""

    LIQUIDITY = "liquidity"  # the output side holds less than the swap's output
    LP_OR_VAULT = "lp_or_vault"  # LP balance or vault below the amount
    COUNTER = "counter"  # the vault has enough, the counter has not: somebody sent tokens to the vault
    OWN_TOKENS = "own_tokens"  # the user's balance below the amount
    FEE = "fee"  # lamports below the pool's fee, after the network fee
    RENT = "rent"  # 1..890_879 lamports would be left
    LIQUIDITY_PAUSED = "liquidity_paused"
    SWAPS_PAUSED = "swaps_paused"
    OWNER_ONLY = "owner_only"
    SYSTEM_PAUSED = "system_paused"
    LP_SUPPLY = "lp_supply"  # the LP supply was near u64
    ACCOUNT_GONE = "account_gone"  # an account of the payment does not exist any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """``reason`` is set exactly for EXPECTED errors of landed transactions; unjustified they become faults."""

    verdict: Verdict
    category: Category
    name: str
    recovery_action: str
    reason: Reason | None = None


INSTRUCTIONS: Final = {
    OperationKind.DEPOSIT: InstructionKind.DEPOSIT,
    OperationKind.WITHDRAWAL: InstructionKind.WITHDRAW,
    OperationKind.SWAP: InstructionKind.SWAP,
}
PAYMENTS: Final = frozenset({OperationKind.SHARE, OperationKind.REFILL, OperationKind.BURN, OperationKind.SWEEP})

_REFILL_SOL: Final = "the refill cycle tops the wallet up"
_WAIT_LIQUIDITY: Final = "waits until others bring liquidity"
_WAIT_PAUSE: Final = "waits until the pause ends"
_STOPPED: Final = "the thread stopped; look at the fault, then start it again"

_Entry = tuple[Category, Reason, str]
_SOL: Final[dict[str, _Entry]] = {
    "Custom(1031)": (Category.TRANSACTION, Reason.FEE, _REFILL_SOL),
    "InsufficientFundsForRent": (Category.TRANSACTION, Reason.RENT, _REFILL_SOL),
}
_TRADE: Final[dict[str, _Entry]] = {
    **_SOL,
    "Custom(1023)": (Category.LOGIC, Reason.SYSTEM_PAUSED, _WAIT_PAUSE),
}
_PAYMENT: Final[dict[str, _Entry]] = {
    "InsufficientFundsForRent": (Category.TRANSACTION, Reason.RENT, _REFILL_SOL),
    "Custom(1)": (Category.TRANSACTION, Reason.OWN_TOKENS, "the amount is owed again"),
    "InvalidAccountData": (Category.TRANSACTION, Reason.ACCOUNT_GONE, "the amount is owed again and tried alone"),
    "UninitializedAccount": (Category.TRANSACTION, Reason.ACCOUNT_GONE, "the amount is owed again and tried alone"),
}

# (kind, code) -> why it may happen to honest traffic. Every other error of a landed transaction is a fault.
_EXPECTED: Final[dict[OperationKind, dict[str, _Entry]]] = {
    OperationKind.DEPOSIT: {
        **_TRADE,
        "InsufficientFunds": (Category.TRANSACTION, Reason.OWN_TOKENS, "the next cycle reads the balance again"),
        "Custom(14)": (Category.LOGIC, Reason.LP_SUPPLY, "waits until LP is withdrawn"),
        "Custom(1035)": (Category.LOGIC, Reason.LIQUIDITY_PAUSED, _WAIT_PAUSE),
    },
    OperationKind.WITHDRAWAL: {
        **_TRADE,
        "Custom(1)": (Category.TRANSACTION, Reason.LP_OR_VAULT, _WAIT_LIQUIDITY),
        "ArithmeticOverflow": (Category.TRANSACTION, Reason.COUNTER, _WAIT_LIQUIDITY),
        "Custom(1035)": (Category.LOGIC, Reason.LIQUIDITY_PAUSED, _WAIT_PAUSE),
    },
    OperationKind.SWAP: {
        **_TRADE,
        "InsufficientFunds": (Category.TRANSACTION, Reason.LIQUIDITY, _WAIT_LIQUIDITY),
        "InvalidAccountData": (Category.TRANSACTION, Reason.OWN_TOKENS, "the next cycle reads the balance again"),
        "Custom(1027)": (Category.LOGIC, Reason.SWAPS_PAUSED, _WAIT_PAUSE),
        "Custom(1028)": (Category.LOGIC, Reason.OWNER_ONLY, "waits until swaps are open to all"),
    },
    **dict.fromkeys(PAYMENTS, _PAYMENT),
}

# Errors that a node answers about a transaction it did not execute: nothing landed, the intent goes on.
_NOT_EXECUTED: Final = frozenset(
    {"AlreadyProcessed", "BlockhashNotFound", "AccountInUse", "ClusterMaintenance", "TooManyAccountLocks"}
)
_TRANSPORT: Final = {
    408: "RequestTimeout",
    429: "RateLimited",
    500: "NodeError",
    502: "NodeError",
    503: "NodeUnavailable",
    504: "NodeTimeout",
    -32004: "BlockNotAvailable",
    -32005: "NodeBehind",
    -32007: "SlotSkipped",
    -32014: "BlockStatusNotAvailable",
    -32016: "NodeBehind",
    -32603: "NodeError",
}
RETRY_ACTION: Final = "asks again in the next cycle"


def judge(kind: OperationKind, code: str) -> Judgement:
    """The verdict on a landed transaction that failed with ``code`` ("Custom(1035)", "InsufficientFunds" ...).

    A command's transaction (setup, administration, funding) answers to the person who asked: STOP, never a fault.
    """
    name = error_name(INSTRUCTIONS.get(kind), code)
    entry = _EXPECTED.get(kind, {}).get(code)
    if entry is not None:
        category, reason, action = entry
        return Judgement(verdict=Verdict.EXPECTED, category=category, name=name, recovery_action=action, reason=reason)
    if code in _NOT_EXECUTED:
        return Judgement(verdict=Verdict.RETRY, category=Category.NETWORK, name=name, recovery_action=RETRY_ACTION)
    if kind not in _EXPECTED:
        return Judgement(
            verdict=Verdict.STOP,
            category=Category.TRANSACTION,
            name=name,
            recovery_action="the command answers with the program's error",
        )
    return unjustified(name)


def unjustified(name: str) -> Judgement:
    """An error that nothing on the chain explains."""
    return Judgement(verdict=Verdict.FAULT, category=Category.SYSTEM, name=name, recovery_action=_STOPPED)


def judge_transport(status: int | None) -> Judgement:
    """The verdict on a request without a usable answer: HTTP status, JSON-RPC error code, or None for no answer."""
    name = "NoAnswer" if status is None else _TRANSPORT.get(status, f"RpcError({status})")
    return Judgement(verdict=Verdict.RETRY, category=Category.NETWORK, name=name, recovery_action=RETRY_ACTION)


def expired_judgement() -> Judgement:
    """A transaction that never landed: expected under load, the next cycle draws a new one."""
    return Judgement(
        verdict=Verdict.EXPECTED,
        category=Category.NETWORK,
        name="BlockhashExpired",
        recovery_action="the next cycle submits a new operation",
    )
