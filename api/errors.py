"""Errors of one JSON-RPC call, with the codes of the specification beside those of domain/errors.py."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from domain.errors import CommandError


class RpcCode(IntEnum):
    """JSON-RPC 2.0, section 5.1; from -32000 on downwards the codes are left to a server."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    STORE_UNAVAILABLE = -32000
    UNAUTHORISED = -32001  # HTTP 401: no API key, or one that is not known
    FORBIDDEN = -32002  # HTTP 403: a read-only key and a method that changes something; an address, a host name
    TOO_MANY_REQUESTS = -32003  # HTTP 429, with Retry-After


class RpcError(Exception):
    """Answers one call. The message and ``data`` are ours: no exception's text, no value the caller did not know."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = int(code)
        self.message = message
        self.data = data or {}

    def to_json(self) -> dict[str, Any]:
        """The error object of the answer; ``data`` only when there is something in it."""
        document: dict[str, Any] = {"code": self.code, "message": self.message}
        return document | {"data": self.data} if self.data else document


class InvalidParams(RpcError):  # noqa: N818  the specification's name
    """Parameters that do not fit: ``data["errors"]`` has field and text of each, ``data["field"]`` is the first."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        listed = [{"field": field, "message": text} for field, text in errors]
        text = "; ".join(f"{field}: {reason}" for field, reason in errors)
        super().__init__(RpcCode.INVALID_PARAMS, f"Invalid params: {text}", {"field": errors[0][0], "errors": listed})


def from_command(error: CommandError) -> RpcError:
    return RpcError(error.code, str(error), dict(error.data))
