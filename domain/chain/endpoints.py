"""Several endpoints as one: rotation over the healthy, back-off for the others, failing over within one deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from threading import Condition
from typing import Any, Final

from domain.chain.errors import RpcError, RpcErrorObject, RpcThrottled, RpcTimeout, RpcUnavailable
from domain.chain.rpc import THROTTLE_CODES, Call, RpcClient, may_repeat
from domain.in_flight import InFlightLimit

FAILURES_BEFORE_BACKOFF: Final = 5
THROTTLES_BEFORE_BACKOFF: Final = 3
QUIET_SECONDS_BEFORE_BACKOFF: Final = 1.0
"""An endpoint that answered anybody within this time is alive: single failures are its noise, not its death."""

BASE_BACKOFF_SECONDS: Final = 0.25
MAX_BACKOFF_SECONDS: Final = 30.0
NODE_UNHEALTHY_CODE: Final = -32005
MIN_CONTEXT_SLOT_NOT_REACHED: Final = -32016
SLOW_SHARE_OF_TIMEOUT: Final = 0.25
"""An answer within this share of the request's timeout is never slow (domain/in_flight.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """A batch's results in the order of the calls, and who gave them."""

    endpoint: str
    results: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How one endpoint is doing; `backoff_seconds` is 0 when it takes requests."""

    endpoint: str
    in_flight: int
    in_flight_limit: int
    latency_seconds: float | None  # smoothed; None before the first answer
    consecutive_failures: int
    consecutive_throttles: int
    backoff_seconds: float
    last_error: str | None


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    """One endpoint's state, changed only under the lock of its Endpoints."""

    label: str
    client: RpcClient
    last_success: float
    limit: InFlightLimit
    in_flight: int = 0
    failures: int = 0
    throttles: int = 0
    backoffs: int = 0
    resume_at: float = 0.0
    throttled: bool = False
    last_error: str | None = None


class Endpoints:
    """Thread-safe. A request goes to one endpoint; another one is asked only where asking twice is harmless.

    Endpoints are named by safe URL, with a number behind it when two would have the same name.
    """

    def __init__(
        self, clients: Sequence[RpcClient], *, rng: Random, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if not clients:
            raise ValueError("at least one endpoint is needed")
        self._rng = rng
        self._monotonic = monotonic
        self._lock = Condition()
        self._waiting = 0
        self._next = 0
        self._endpoints: list[_Endpoint] = []
        names: dict[str, int] = {}
        for client in clients:
            names[client.endpoint] = nth = names.get(client.endpoint, 0) + 1
            label = client.endpoint if nth == 1 else f"{client.endpoint}#{nth}"
            limit = InFlightLimit(client.max_connections, SLOW_SHARE_OF_TIMEOUT * client.timeout_seconds)
            self._endpoints.append(_Endpoint(label=label, client=client, last_success=monotonic(), limit=limit))
        self._by_label = {endpoint.label: endpoint for endpoint in self._endpoints}

    def __repr__(self) -> str:
        return f"Endpoints({', '.join(self._by_label)})"

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self._by_label)

    def call(
        self,
        method: str,
        params: Sequence[Any] = (),
        *,
        endpoint: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """One call's result; see `batch`. Raises RpcErrorObject for a refusal."""

        def ask(client: RpcClient, seconds: float) -> Any:
            return client.call(method, params, timeout_seconds=seconds)

        return self._run(ask, [method], endpoint, timeout_seconds)[1]

    def batch(
        self, calls: Sequence[Call], *, endpoint: str | None = None, timeout_seconds: float | None = None
    ) -> BatchAnswer:
        """All calls in one request to one endpoint; `endpoint` insists on that one, without failing over.

        A node that refuses a call for want of health, of room or of the call's minContextSlot is passed over as if it
        had not answered, while there is another. `timeout_seconds` bounds everything, failing over included. Raises
        RpcTimeout, RpcThrottled, RpcUnavailable, or RpcErrorObject of such a node, when nobody gave a usable answer:
        the last endpoint's, or why none was asked.
        """

        def ask(client: RpcClient, seconds: float) -> list[Any]:
            return client.batch(calls, timeout_seconds=seconds)

        label, results = self._run(ask, [call.method for call in calls], endpoint, timeout_seconds)
        return BatchAnswer(endpoint=label, results=results)

    def takes_requests(self, endpoint: str) -> bool:
        """Is there such an endpoint, and is it not backing off?"""
        each = self._by_label.get(endpoint)
        return each is not None and each.resume_at <= self._monotonic()

    def health(self) -> tuple[EndpointHealth, ...]:
        now = self._monotonic()
        with self._lock:
            return tuple(
                EndpointHealth(
                    endpoint=each.label,
                    in_flight=each.in_flight,
                    in_flight_limit=each.limit.limit,
                    latency_seconds=each.limit.latency_seconds,
                    consecutive_failures=each.failures,
                    consecutive_throttles=each.throttles,
                    backoff_seconds=max(0.0, each.resume_at - now),
                    last_error=each.last_error,
                )
                for each in self._endpoints
            )

    def probe(self, endpoint: str, *, timeout_seconds: float) -> str | None:
        """Ask one endpoint for getHealth, also in back-off: an answer brings it back at once. Why it is not well."""
        each = self._by_label[endpoint]
        with self._lock:
            each.in_flight += 1
        try:
            self._ask(each, lambda client, limit: client.call("getHealth", timeout_seconds=limit), timeout_seconds)
        except RpcErrorObject as error:
            return str(error) if _blames_the_node(error) else None
        except RpcError as error:
            return str(error)
        return None

    def close(self) -> None:
        for each in self._endpoints:
            each.client.close()

    def _run(
        self,
        ask: Callable[[RpcClient, float], Any],
        methods: Sequence[str],
        wanted: str | None,
        timeout_seconds: float | None,
    ) -> tuple[str, Any]:
        started = self._monotonic()
        tried: set[str] = set()
        failover = wanted is None and may_repeat(methods)
        last: RpcError | None = None
        while True:
            chosen = self._choose(wanted, tried, last, started, timeout_seconds)
            tried.add(chosen.label)
            limit = chosen.client.timeout_seconds if timeout_seconds is None else timeout_seconds
            try:
                result = self._ask(chosen, ask, limit - (self._monotonic() - started))
            except RpcError as error:
                if isinstance(error, RpcErrorObject) and not _others_may_answer(error):
                    raise
                result, last = None, error
            else:
                last = _first(_others_may_answer, result)
            late = self._monotonic() - started >= limit
            alone = not failover or late or len(tried) == len(self._endpoints)
            if last is None or (alone and result is not None):
                return chosen.label, result
            if alone:
                raise last

    def _choose(
        self,
        wanted: str | None,
        tried: set[str],
        last: RpcError | None,
        started: float,
        timeout_seconds: float | None,
    ) -> _Endpoint:
        """Reserve a place at the next endpoint in turn that is below its limit; wait for one within the deadline."""
        with self._lock:
            while True:
                now = self._monotonic()
                usable = self._usable(wanted, tried, last, now)
                free = next((each for each in usable if each.in_flight < each.limit.limit), None)
                if free is not None:
                    free.in_flight += 1
                    return free
                limit = usable[0].client.timeout_seconds if timeout_seconds is None else timeout_seconds
                left = started + limit - now
                self._waiting += 1
                try:
                    if left <= 0 or not self._lock.wait(left):
                        in_flight = usable[0].in_flight
                        raise RpcTimeout(usable[0].label, f"no place beside {in_flight} requests in flight")
                finally:
                    self._waiting -= 1

    def _usable(self, wanted: str | None, tried: set[str], last: RpcError | None, now: float) -> list[_Endpoint]:
        """Those that may be asked now, in turn. Raises why nobody may."""
        if wanted is not None:
            if wanted not in self._by_label:
                raise RpcUnavailable(wanted, "there is no such endpoint")
            turn = [self._by_label[wanted]]
        else:
            turn = [*self._endpoints[self._next :], *self._endpoints[: self._next]]
            self._next = (self._next + 1) % len(self._endpoints)
        untried = [each for each in turn if each.label not in tried]
        usable = [each for each in untried if each.resume_at <= now]
        if not usable:
            raise last or self._all_backing_off(untried, now)
        return usable

    def _all_backing_off(self, endpoints: list[_Endpoint], now: float) -> RpcError:
        first = min(endpoints, key=lambda each: each.resume_at)
        seconds = first.resume_at - now
        message = f"backing off for another {seconds:.2f} s after: {first.last_error}"
        if first.throttled:
            return RpcThrottled(first.label, message, retry_after_seconds=seconds)
        return RpcUnavailable(first.label, message)

    def _ask(self, chosen: _Endpoint, ask: Callable[[RpcClient, float], Any], seconds: float) -> Any:
        """One attempt, booked. The place reserved by the caller is given back whatever happens."""
        verdict: RpcError | None = None
        began = self._monotonic()
        try:
            result = ask(chosen.client, seconds)
            verdict = _first(_blames_the_node, result)
        except RpcError as error:
            blamed = not isinstance(error, RpcErrorObject) or _blames_the_node(error)
            self._book(chosen, error if blamed else None, began)
            raise
        else:
            self._book(chosen, verdict, began)
        finally:
            with self._lock:
                chosen.in_flight -= 1
                if self._waiting:
                    self._lock.notify_all()  # each may wait for another endpoint
        return result

    def _book(self, endpoint: _Endpoint, error: RpcError | None, began: float) -> None:
        now = self._monotonic()
        with self._lock:
            if error is None:
                endpoint.failures = endpoint.throttles = endpoint.backoffs = 0
                endpoint.last_success = now
                endpoint.resume_at = 0.0
                endpoint.throttled = False
                endpoint.limit.answered(now - began, now)
                return
            endpoint.last_error = str(error)
            wish = error.retry_after_seconds if isinstance(error, RpcThrottled) else None
            throttled = isinstance(error, RpcThrottled) or (
                isinstance(error, RpcErrorObject) and error.code in THROTTLE_CODES
            )
            if throttled or isinstance(error, RpcTimeout):
                endpoint.limit.overloaded(now)
            if throttled:
                endpoint.throttles += 1
                due = wish is not None or endpoint.throttles >= THROTTLES_BEFORE_BACKOFF
            else:
                endpoint.failures += 1
                quiet = now - endpoint.last_success >= QUIET_SECONDS_BEFORE_BACKOFF
                due = endpoint.failures >= FAILURES_BEFORE_BACKOFF and quiet
            # Many requests fail together; only the first of them may lengthen the back-off.
            if due and endpoint.resume_at <= now:
                endpoint.throttled = throttled
                endpoint.resume_at = now + self._backoff_seconds(endpoint, wish)

    def _backoff_seconds(self, endpoint: _Endpoint, wish: float | None) -> float:
        """The node's wish, or 0.25 s doubled each time; both jittered so that processes do not return together."""
        longest = min(MAX_BACKOFF_SECONDS, BASE_BACKOFF_SECONDS * 2.0 ** min(endpoint.backoffs, 16))
        endpoint.backoffs += 1
        if wish is not None:
            return min(wish, MAX_BACKOFF_SECONDS) + self._rng.uniform(0.0, BASE_BACKOFF_SECONDS)
        return self._rng.uniform(longest / 2, longest)


def _first(says: Callable[[RpcErrorObject], bool], result: Any) -> RpcErrorObject | None:
    """The first refusal of a batch that ``says`` is true of; a single call has none among its results."""
    if type(result) is not list:
        return None
    return next((each for each in result if isinstance(each, RpcErrorObject) and says(each)), None)


def _blames_the_node(error: RpcErrorObject) -> bool:
    return error.code in THROTTLE_CODES or error.code == NODE_UNHEALTHY_CODE


def _others_may_answer(error: RpcErrorObject) -> bool:
    return _blames_the_node(error) or error.code == MIN_CONTEXT_SLOT_NOT_REACHED
