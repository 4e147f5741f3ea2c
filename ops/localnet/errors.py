"""Error objects of the JSON-RPC interface, with the codes and texts that clusters use."""

from __future__ import annotations

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
PREFLIGHT_FAILURE = -32002
SIGNATURE_FAILURE = -32003
UNSUPPORTED_VERSION = -32015
MIN_CONTEXT_SLOT = -32016


class RpcError(Exception):
    """An answer that is an error object."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def document(self) -> dict[str, Any]:
        """The error object."""
        body = {"code": self.code, "message": self.message}
        return body if self.data is None else body | {"data": self.data}


def invalid_params(message: str) -> RpcError:
    """-32602: the parameters do not fit the method."""
    return RpcError(INVALID_PARAMS, message)


def preflight_failure(reason: str, data: dict[str, Any]) -> RpcError:
    """-32002: the simulation before sending failed; data.err and data.logs say how."""
    return RpcError(PREFLIGHT_FAILURE, f"Transaction simulation failed: {reason}", data)


def signature_failure() -> RpcError:
    """-32003: a signature does not fit its transaction."""
    return RpcError(SIGNATURE_FAILURE, "Transaction signature verification failure")


def unsupported_version(version: int) -> RpcError:
    """-32015: the client did not say that it can read this version."""
    return RpcError(
        UNSUPPORTED_VERSION,
        f"Transaction version ({version}) is not supported by the requesting client. Please try the request again "
        f'with the following configuration parameter: "maxSupportedTransactionVersion": {version}',
    )


def min_context_slot_not_reached(slot: int) -> RpcError:
    """-32016: the answer would be older than the client accepts."""
    return RpcError(MIN_CONTEXT_SLOT, "Minimum context slot has not been reached", {"contextSlot": slot})
