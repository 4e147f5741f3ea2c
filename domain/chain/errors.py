"""Why a question to a node got no answer, or a refusal. None of these says anything about the state of the chain."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from domain.errors import StressError

NO_ANSWER_CODE: Final = -32099
"""Our own code for a call of a batch that the node left out."""


class RpcError(StressError):
    """The root of every RPC error. `endpoint` is the safe form of the URL: no credentials, no query."""

    outcome: ClassVar[str] = "unavailable"
    """How metrics count it."""

    def __init__(self, endpoint: str, message: str) -> None:
        super().__init__(f"{endpoint}: {message}")
        self.endpoint = endpoint


class RpcTimeout(RpcError):  # noqa: N818  # the names say what happened
    """No complete answer within the deadline; the node may have acted on the request all the same."""

    outcome = "timeout"


class RpcUnavailable(RpcError):  # noqa: N818
    """No usable answer: no connection, a connection cut off, or an HTTP status (`status`) that is no answer."""

    def __init__(self, endpoint: str, message: str, *, status: int | None = None) -> None:
        super().__init__(endpoint, message)
        self.status = status


class RpcMalformed(RpcUnavailable):
    """The node sent something that is not HTTP or not JSON-RPC."""


class RpcThrottled(RpcError):  # noqa: N818
    """HTTP 429 or the JSON-RPC equivalent; `retry_after_seconds` is the node's wish, where it has one."""

    outcome = "throttled"

    def __init__(self, endpoint: str, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(endpoint, message)
        self.retry_after_seconds = retry_after_seconds


class RpcErrorObject(RpcError):  # noqa: N818
    """A JSON-RPC error: the node understood and refused. In a batch it stands in the place of the call's result."""

    outcome = "error"

    def __init__(self, endpoint: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(endpoint, f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class RpcMissingAnswer(RpcErrorObject):
    """A batch's answer without an entry for this call."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, NO_ANSWER_CODE, "the node left this call of the batch unanswered")
