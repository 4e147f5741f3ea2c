"""The root of every error of ours, and the error codes that commands answer with (DESIGN.md 11)."""

from __future__ import annotations

from enum import IntEnum


class StressError(Exception):
    """Something in the stress tester went wrong in a way we understand."""


class CommandCode(IntEnum):
    """JSON-RPC error codes of the service (DESIGN.md 11)."""

    SWAP_DIRECTION_TAKEN = -1001
    POOL_NOT_FOUND = -1002
    THREAD_IN_ERROR = -1003
    THREAD_NOT_FOUND = -1004
    WRONG_STATE = -1005
    CHAIN_UNREACHABLE = -1006
    CORE_WALLET_SHORT = -1007
    CONTRACT_REFUSED = -1008
    STILL_RUNNING = -1009
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603


class CommandError(StressError):
    """A command cannot be carried out; the message is meant for the caller.

    ``data`` may name the field, the limit or the contract's code; it never holds a secret.
    """

    def __init__(self, code: CommandCode, message: str, data: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data or {}
