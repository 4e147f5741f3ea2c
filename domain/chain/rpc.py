"""A synchronous JSON-RPC client for one endpoint: keep-alive connections, batches matched by id, total deadlines."""

from __future__ import annotations

import os
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from threading import BoundedSemaphore
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import orjson

from domain.chain.connection import Connection, HttpAnswer, HttpFormatError, StaleConnectionError, Target
from domain.chain.errors import (
    RpcError,
    RpcErrorObject,
    RpcMalformed,
    RpcMissingAnswer,
    RpcThrottled,
    RpcTimeout,
    RpcUnavailable,
)

__all__ = ["Call", "RpcClient", "RpcErrorObject", "safe_url"]

DEFAULT_TIMEOUT_SECONDS: Final = 5.0
DEFAULT_MAX_CONNECTIONS: Final = 32
THROTTLE_CODES: Final = frozenset({429, -32429})
UNREPEATABLE_METHODS: Final = frozenset({"requestAirdrop"})
"""Everything else may be asked twice: reads change nothing and a signature executes at most once."""

_ID_STEP: Final = 100_000
_Result = TypeVar("_Result")

RequestObserver = Callable[[str, str, float, str], None]
"""Called after each request: endpoint, method ("batch" for mixed ones), seconds, outcome (as in domain/ports.py)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a batch. `id` is the caller's own name for it; on the wire it gets a number of ours."""

    id: str
    method: str
    params: Sequence[Any] = ()


def safe_url(url: str) -> str:
    """A URL for logs and labels: scheme, host and port. Users, passwords, paths and queries carry API keys."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    except ValueError:
        return "(not a URL)"
    return f"{parts.scheme}://{host}{port}{'/...' if parts.path.strip('/') else ''}"


def may_repeat(methods: Sequence[str]) -> bool:
    """Whether a request may go out twice without a different outcome."""
    return UNREPEATABLE_METHODS.isdisjoint(methods)


class RpcClient:
    """One endpoint. Thread-safe: each request has a connection of its own, kept alive and bounded in number.

    `timeout_seconds` bounds a whole request: waiting for a free connection, connecting, sending, the whole answer.
    Looking up the host's name is the exception; the system bounds that.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        observer: RequestObserver | None = None,
        tls_context: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is connected yet. Raises ValueError for a URL that is none."""
        self.endpoint = safe_url(url)
        self.timeout_seconds = timeout_seconds
        self.max_connections = max_connections
        self._target = Target.of(url)
        self._tls_context = (tls_context or ssl.create_default_context()) if self._target.tls else None
        self._observer = observer
        self._monotonic = monotonic
        self._numbers = count(1)
        self._open_pool()

    def __repr__(self) -> str:
        return f"RpcClient({self.endpoint})"

    def call(self, method: str, params: Sequence[Any] = (), *, timeout_seconds: float | None = None) -> Any:
        """The result of one call. Raises RpcErrorObject for a refusal, or another RpcError for no answer."""
        return self._observed(method, lambda: self._call(method, params, timeout_seconds))

    def batch(self, calls: Sequence[Call], *, timeout_seconds: float | None = None) -> list[Any]:
        """The results in the order of `calls`, whatever order the node answered in.

        A refused call's place holds its RpcErrorObject, a left-out one's an RpcMissingAnswer. Raises RpcErrorObject
        when the node refused the batch as a whole, another RpcError when there was no usable answer.
        """
        if not calls:
            return []
        return self._observed(_label(calls), lambda: self._batch(calls, timeout_seconds))

    def close(self) -> None:
        """Close the idle connections; the client can still be used and will open new ones."""
        while self._idle:
            self._idle.pop().close()

    def _call(self, method: str, params: Sequence[Any], timeout_seconds: float | None) -> Any:
        number = next(self._numbers) * _ID_STEP
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answer = self._ask(request, [method], timeout_seconds)
        # A refusal of what the node could not even parse comes without an id.
        if not isinstance(answer, dict) or (answer.get("id") != number and answer.get("error") is None):
            raise RpcMalformed(self.endpoint, "the answer is not one JSON-RPC object with our id")
        result = self._result(answer)
        if isinstance(result, RpcErrorObject):
            raise result
        return result

    def _batch(self, calls: Sequence[Call], timeout_seconds: float | None) -> list[Any]:
        base = next(self._numbers) * _ID_STEP
        request = [
            {"jsonrpc": "2.0", "id": base + index, "method": call.method, "params": call.params}
            for index, call in enumerate(calls)
        ]
        answer = self._ask(request, [call.method for call in calls], timeout_seconds)
        if isinstance(answer, dict):
            refusal = self._result(answer)
            if isinstance(refusal, RpcErrorObject):
                raise refusal
        if not isinstance(answer, list):
            raise RpcMalformed(self.endpoint, "the answer to a batch is not a list")
        return self._in_order(answer, base, len(calls))

    def _observed(self, method: str, work: Callable[[], _Result]) -> _Result:
        if self._observer is None:
            return work()
        started = self._monotonic()
        outcome = "broken"
        try:
            result = work()
            outcome = "ok"
        except RpcError as error:
            outcome = error.outcome
            raise
        finally:
            self._observer(self.endpoint, method, self._monotonic() - started, outcome)
        return result

    def _in_order(self, answers: list[Any], base: int, size: int) -> list[Any]:
        results: list[Any] = [None] * size
        missing = set(range(size))
        for answer in answers:
            if not isinstance(answer, dict):
                raise RpcMalformed(self.endpoint, "an entry of the batch's answer is not an object")
            number = answer.get("id")
            index = number - base if type(number) is int else -1
            if not 0 <= index < size:
                continue
            if index not in missing:
                raise RpcMalformed(self.endpoint, "a call of the batch was answered twice")
            missing.remove(index)
            results[index] = self._result(answer)
        for index in missing:
            results[index] = RpcMissingAnswer(self.endpoint)
        return results

    def _result(self, answer: dict[str, Any]) -> Any:
        error = answer.get("error")
        if error is None:
            if "result" not in answer:
                raise RpcMalformed(self.endpoint, "an answer has neither a result nor an error")
            return answer["result"]
        if not isinstance(error, dict) or type(error.get("code")) is not int:
            raise RpcMalformed(self.endpoint, "an error without a code")
        return RpcErrorObject(self.endpoint, error["code"], str(error.get("message", "")), error.get("data"))

    def _ask(self, request: object, methods: Sequence[str], timeout_seconds: float | None) -> Any:
        deadline = self._monotonic() + (self.timeout_seconds if timeout_seconds is None else timeout_seconds)
        answer = self._post(orjson.dumps(request), deadline, repeatable=may_repeat(methods))
        if answer.status == 429:
            raise RpcThrottled(
                self.endpoint, "too many requests (HTTP 429)", retry_after_seconds=_retry_after(answer.headers)
            )
        if not 200 <= answer.status < 300:
            raise RpcUnavailable(self.endpoint, f"HTTP status {answer.status}", status=answer.status)
        try:
            parsed = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise RpcMalformed(self.endpoint, f"{len(answer.body)} bytes that are not JSON") from None
        if isinstance(parsed, dict) and isinstance(parsed.get("error"), dict):
            code = parsed["error"].get("code")
            if code in THROTTLE_CODES:
                raise RpcThrottled(self.endpoint, f"too many requests (code {code})")
        return parsed

    def _post(self, body: bytes, deadline: float, *, repeatable: bool) -> HttpAnswer:
        if os.getpid() != self._pid:
            # A forked child must not use its parent's sockets: both would read from one stream.
            self.close()
            self._open_pool()
        slots = self._slots
        if not slots.acquire(timeout=max(deadline - self._monotonic(), 0.0)):
            raise RpcTimeout(self.endpoint, f"all {self.max_connections} connections are busy")
        try:
            try:
                return self._post_once(body, deadline, fresh=False)
            except StaleConnectionError:
                if not repeatable:
                    raise RpcUnavailable(self.endpoint, "closed before an answer; not sent again") from None
                return self._post_once(body, deadline, fresh=True)
        except TimeoutError:
            raise RpcTimeout(self.endpoint, "no complete answer within the deadline") from None
        except HttpFormatError as error:
            raise RpcMalformed(self.endpoint, str(error)) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise RpcUnavailable(self.endpoint, f"connection failed: {reason}") from error
        finally:
            slots.release()

    def _post_once(self, body: bytes, deadline: float, *, fresh: bool) -> HttpAnswer:
        connection = None if fresh else self._idle_connection()
        if connection is None:
            connection = Connection(
                self._target, deadline=deadline, tls_context=self._tls_context, monotonic=self._monotonic
            )
        answer = None
        try:
            answer = connection.post(body, deadline=deadline)
        finally:
            if answer is not None and answer.reusable:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def _idle_connection(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_quiet():
                return connection
            connection.close()

    def _open_pool(self) -> None:
        self._pid = os.getpid()
        self._idle: deque[Connection] = deque()
        self._slots = BoundedSemaphore(self.max_connections)


def _label(calls: Sequence[Call]) -> str:
    """A batch of one kind goes by its method's name: what takes long in the others cannot be told apart."""
    first = calls[0].method
    return first if all(call.method == first for call in calls) else "batch"


def _retry_after(headers: dict[bytes, bytes]) -> float | None:
    """Seconds from a Retry-After header; its other form, a date, is left to our own back-off."""
    text = headers.get(b"retry-after", b"")
    return float(text) if text.isdigit() else None
