"""A client of the service: standard library only, so this one file can be copied into another project.

    with Client("http://127.0.0.1:8080") as service:
        pool = service.create_pool(token_a_decimals=9, token_b_decimals=6, ratio_whole_number=160,
                                   ratio_direction="a_to_b")
        thread = service.create_deposit_thread(pool["pool_id"], "A", 10**9)
        service.start_thread(thread["thread_id"])

A command carries an id of its own, so it acts once however often it has to be sent; where the service answers that it
is still running, the client asks for its end. One client belongs to one thread of the caller.
"""

from __future__ import annotations

import http.client
import json
import selectors
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self, TypedDict
from urllib.parse import urlsplit

STORE_UNAVAILABLE: Final = -32000
TOO_MANY_REQUESTS: Final = -32003
STILL_RUNNING: Final = -1009
AGAIN: Final = frozenset({STORE_UNAVAILABLE, TOO_MANY_REQUESTS})  # the same command later
POLL_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0

Side = Literal["A", "B"]
Direction = Literal["a_to_b", "b_to_a"]
Funding = Literal["sol", "token_a", "token_b", "lp_tokens"]


class CreatedPool(TypedDict):
    """Of create_pool. The ratio is in base units."""

    pool_id: str
    token_a_mint: str
    token_a_decimals: int
    token_b_mint: str
    token_b_decimals: int
    ratio_a_numerator: int
    ratio_b_denominator: int
    exact_exchange: bool
    transaction_signature: str


class CreatedThread(TypedDict):
    """Of the three create_..._thread methods."""

    thread_id: str
    wallet_address: str
    status: str
    pool_id: str


class ThreadState(TypedDict):
    """Of start_thread and stop_thread."""

    thread_id: str
    status: str


class ClientError(Exception):
    """A call did not bring a result."""


class NoAnswer(ClientError):  # noqa: N818  says what there is not
    """Nobody answered, or not in JSON-RPC. Whether a command was taken is unknown."""


class CallError(ClientError):
    """The service's own error: ``code`` (-1001 to -1009, -32xxx), ``message``, ``data``; ``method`` was called."""

    def __init__(self, method: str, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message
        self.data: dict[str, Any] = dict(data or {})


class Client:
    """``timeout_s``: of one HTTP request, above the service's own request timeout. ``wait_s``: of a whole command."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        wait_s: float = 600.0,
        tls: ssl.SSLContext | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// or https:// address")
        if parts.username is not None or parts.query or parts.fragment:  # not shown: it may hold a secret
            raise ValueError("the address may hold neither a user nor a query; a key is given by itself")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key has characters that no header can hold")
        self._url = url.rstrip("/")
        self._path = f"{parts.path.rstrip('/')}/rpc"
        self._headers = {"Content-Type": "application/json"} | ({"X-API-Key": api_key} if api_key else {})
        self._wait_s = wait_s
        self._pause = pause
        self._number = 0
        if parts.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout_s, context=tls or ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        self._connection.close()

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """The result of one call, sent once. Raises CallError, NoAnswer. For what changes something: ``command``."""
        request = self._request(method, params)
        return _result(method, self._answers([request])[request["id"]])

    def batch(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
        """Several calls in one request: results and CallErrors, in the order of the calls. Raises NoAnswer."""
        requests = [self._request(method, params) for method, params in calls]
        answers = self._answers(requests) if requests else {}
        found: list[Any] = []
        for request in requests:
            try:
                found.append(_result(request["method"], answers[request["id"]]))
            except CallError as error:
                found.append(error)
        return found

    def command(self, method: str, params: Mapping[str, Any] | None = None, *, wait_s: float | None = None) -> Any:
        """The result of a command that acts once: sent again under the same id while nobody answers.

        Raises CallError: the command's own, or -1009 when it runs for longer than ``wait_s``; NoAnswer after as long.
        """
        given = dict(params or {})
        given.setdefault("command_id", uuid.uuid4().hex)
        deadline_s = time.monotonic() + (self._wait_s if wait_s is None else wait_s)
        pause_s = 0.1
        while True:
            try:
                return self.call(method, given)
            except CallError as error:
                if error.code == STILL_RUNNING:
                    return self.wait_for(given["command_id"], deadline_s - time.monotonic())
                if error.code not in AGAIN or time.monotonic() + pause_s > deadline_s:
                    raise
            except NoAnswer:
                if time.monotonic() + pause_s > deadline_s:
                    raise
            self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def wait_for(self, command_id: str, wait_s: float | None = None) -> Any:
        """The result of a command that was sent before. Raises as ``command`` does."""
        deadline_s = time.monotonic() + (self._wait_s if wait_s is None else wait_s)
        while True:
            late = time.monotonic() + POLL_S > deadline_s
            try:
                found = self.call("get_command", {"command_id": command_id})
            except (CallError, NoAnswer) as error:
                if late or (isinstance(error, CallError) and error.code not in AGAIN):
                    raise
            else:
                if found["error"] is not None:
                    raise CallError(found["method"], **found["error"])
                if found["status"] == "done":
                    return found["result"]
                if late:
                    data = {"command_id": command_id, "method": found["method"]}
                    raise CallError(found["method"], STILL_RUNNING, f"Command {command_id} is still running", data)
            self._pause(POLL_S)

    def _request(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        self._number += 1
        return {"jsonrpc": "2.0", "id": self._number, "method": method, "params": dict(params or {})}

    def _answers(self, requests: Sequence[dict[str, Any]]) -> dict[int, Any]:
        """The answer to each request by its id; an error of the HTTP request as a whole answers all of them."""
        answer = self._post(json.dumps(requests[0] if len(requests) == 1 else requests).encode())
        for one in answer if isinstance(answer, list) else [answer]:
            if not isinstance(one, dict) or one.get("jsonrpc") != "2.0" or ("result" in one) == ("error" in one):
                raise NoAnswer(f"{self._url} did not answer in JSON-RPC; is it this service?")
        if isinstance(answer, dict) and answer.get("id") is None:
            return {request["id"]: answer for request in requests}
        found = {one["id"]: one for one in (answer if isinstance(answer, list) else [answer])}
        if any(request["id"] not in found for request in requests):
            raise NoAnswer(f"{self._url} left a call without an answer")
        return found

    def _post(self, body: bytes) -> Any:
        try:
            data = self._exchange(body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"no service answers at {self._url}: {error or type(error).__name__}") from error
        try:
            return json.loads(data)
        except ValueError as error:
            raise NoAnswer(f"{self._url} did not answer in JSON; is it this service?") from error

    def _exchange(self, body: bytes) -> bytes:
        """One request, sent once: over the open connection, or over a new one when the server has closed it."""
        if self._connection.sock is not None:
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._connection.sock, selectors.EVENT_READ)
                ended = waiting.select(0)  # nothing is awaited, so what there is to read is its end
            if ended:
                self.close()
        self._connection.request("POST", self._path, body, self._headers)
        return self._connection.getresponse().read()

    # The documented methods, with types. Every other one goes through ``call`` or ``command``.

    def create_pool(self, **params: Any) -> CreatedPool:
        """``token_a_decimals``, ``token_b_decimals``, ``ratio_whole_number`` and ``ratio_direction``; see README."""
        made: CreatedPool = self.command("create_pool", params)
        return made

    def create_deposit_thread(
        self, pool_id: str, token_type: Side, initial_amount: int, *, auto_refill: bool = False, share: bool = True
    ) -> CreatedThread:
        params = {"pool_id": pool_id, "token_type": token_type, "initial_amount": initial_amount}
        made: CreatedThread = self.command(
            "create_deposit_thread", params | {"auto_refill": auto_refill, "share_lp_tokens": share}
        )
        return made

    def create_withdrawal_thread(self, pool_id: str, token_type: Side, *, share: bool = True) -> CreatedThread:
        params = {"pool_id": pool_id, "token_type": token_type, "share_tokens": share}
        made: CreatedThread = self.command("create_withdrawal_thread", params)
        return made

    def create_swap_thread(self, pool_id: str, direction: Direction, initial_amount: int) -> CreatedThread:
        params = {"pool_id": pool_id, "direction": direction, "initial_amount": initial_amount}
        made: CreatedThread = self.command("create_swap_thread", params)
        return made

    def start_thread(self, thread_id: str) -> ThreadState:
        state: ThreadState = self.command("start_thread", {"thread_id": thread_id})
        return state

    def stop_thread(self, thread_id: str) -> ThreadState:
        state: ThreadState = self.command("stop_thread", {"thread_id": thread_id})
        return state

    def empty_thread(self, thread_id: str) -> dict[str, Any]:
        return dict(self.command("empty_thread", {"thread_id": thread_id}))

    def delete_thread(self, thread_id: str) -> dict[str, Any]:
        return dict(self.command("delete_thread", {"thread_id": thread_id}))

    def fund_thread(self, thread_id: str, funding_type: Funding, amount: int) -> dict[str, Any]:
        params = {"thread_id": thread_id, "funding_type": funding_type, "amount": amount}
        return dict(self.command("fund_thread", params))

    def list_pools(self) -> list[dict[str, Any]]:
        return list(self.call("list_pools")["pools"])

    def get_thread_status(self, thread_id: str) -> dict[str, Any]:
        return dict(self.call("get_thread_status", {"thread_id": thread_id}))

    def get_all_threads(self) -> dict[str, Any]:
        return dict(self.call("get_all_threads"))

    def faults(self) -> Iterator[dict[str, Any]]:
        """Every fault, oldest first."""
        offset: int | None = 0
        while offset is not None:
            page = self.call("get_faults", {"order": "oldest", "offset": offset})
            yield from page["faults"]
            offset = page["next_offset"]

    def journal(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every entry that fits (``thread_id``, ``pool_id``, ``kind``, ``event``), oldest first."""
        params = {**filters, "order": "oldest", "limit": 1_000}
        while True:
            page = self.call("get_journal", params)
            yield from page["entries"]
            if not page["more"]:
                return
            params["cursor"] = page["next_cursor"]


def _result(method: str, answer: Mapping[str, Any]) -> Any:
    if "error" in answer:
        error = answer["error"]
        raise CallError(method, error["code"], error["message"], error.get("data"))
    return answer["result"]
