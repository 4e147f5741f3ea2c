"""What one process measures of itself, and how Prometheus is told: RPC, Redis, cycles, CPU and memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from socket import gethostname
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector

from domain.chain.endpoints import EndpointHealth
from domain.runtime.exposition import counter, gauge, histogram
from domain.runtime.tallies import MICROSECONDS, Labels, Latency, Tallies

RPC_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REDIS_BOUNDS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
OK, FAILED = "ok", "failed"

Families = Callable[[], Iterable[Metric]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Cumulative since the process' start; ``rpc`` and ``redis`` over everything."""

    cycles: int
    rpc: Latency
    redis: Latency


class ProcessMetrics:
    """Implements domain.ports.Metrics. ``role``: cycles, control, supervisor, api; ``name``: the process' own."""

    def __init__(self, role: str, name: str) -> None:
        self.role = role
        self.name = name
        self._rpc = Tallies()  # endpoint, method, outcome
        self._redis = Tallies()  # command, outcome
        self._cycles = Tallies()  # kind
        self._endpoints: Callable[[], Sequence[EndpointHealth]] = tuple
        self._more: list[Families] = []
        self._process = ProcessCollector(registry=None)

    def rpc_request(self, endpoint: str, method: str, seconds: float, outcome: str) -> None:
        self._rpc.observe((endpoint, method, outcome), seconds)

    def redis_call(self, command: str, seconds: float, *, failed: bool) -> None:
        self._redis.observe((command, FAILED if failed else OK), seconds)

    def cycle(self, kind: str) -> None:
        self._cycles.count((kind,))

    def watch_endpoints(self, health: Callable[[], Sequence[EndpointHealth]]) -> None:
        """From now on the endpoints' in-flight requests and their limits are shown, too."""
        self._endpoints = health

    def add(self, families: Families) -> None:
        """More families to show with this process' own."""
        self._more.append(families)

    def endpoints(self) -> Sequence[EndpointHealth]:
        return self._endpoints()

    def reading(self) -> Reading:
        return Reading(
            cycles=sum(self._cycles.counts().values()),
            rpc=_sum(self._rpc.latencies().values()),
            redis=_sum(self._redis.latencies().values()),
        )

    def families(self) -> Iterable[Metric]:
        """Everything of one scrape."""
        yield self._info()
        yield from self._process.collect()
        yield from self._rpc_families()
        yield from self._redis_families()
        yield counter("frt_process_cycles", "Messages carried out.", ("kind",), self._cycles.counts().items())
        for more in self._more:
            yield from more()

    def _info(self) -> Metric:
        cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
        labels = ("role", "name", "host", "pid", "cores")
        values = (self.role, self.name, gethostname(), str(os.getpid()), cores)
        return gauge("frt_process_info", "Which process of the service this is.", labels, [(values, 1)])

    def _rpc_families(self) -> Iterable[Metric]:
        found = self._rpc.latencies()
        yield histogram(
            "frt_rpc_request_duration_seconds",
            "RPC requests, failed ones included, by endpoint and method.",
            ("endpoint", "method"),
            [(labels, each.buckets, each.seconds) for labels, each in _without_outcome(found).items()],
            bounds_s=RPC_BOUNDS_S,
            per_second=MICROSECONDS,
        )
        yield counter(
            "frt_rpc_requests",
            "RPC requests by outcome.",
            ("endpoint", "method", "outcome"),
            [(labels, each.count) for labels, each in found.items()],
        )
        health = self._endpoints()
        one = ("endpoint",)
        yield gauge(
            "frt_rpc_in_flight", "RPC requests under way.", one, [((each.endpoint,), each.in_flight) for each in health]
        )
        yield gauge(
            "frt_rpc_in_flight_limit",
            "RPC requests that may be under way at once; falls when the endpoint becomes slow.",
            one,
            [((each.endpoint,), each.in_flight_limit) for each in health],
        )
        yield gauge(
            "frt_rpc_backoff_seconds",
            "How long the endpoint is not asked for.",
            one,
            [((each.endpoint,), each.backoff_seconds) for each in health],
        )

    def _redis_families(self) -> Iterable[Metric]:
        found = self._redis.latencies()
        known = _without_outcome(found)
        yield histogram(
            "frt_redis_call_duration_seconds",
            "Round trips to Redis by command or script, failed ones included.",
            ("command",),
            [(labels, each.buckets, each.seconds) for labels, each in known.items()],
            bounds_s=REDIS_BOUNDS_S,
            per_second=MICROSECONDS,
        )
        yield counter(
            "frt_redis_failures",
            "Round trips to Redis that failed.",
            ("command",),
            [(labels, found[*labels, FAILED].count if (*labels, FAILED) in found else 0) for labels in known],
        )


def _without_outcome(found: dict[Labels, Latency]) -> dict[Labels, Latency]:
    kept: dict[Labels, Latency] = {}
    for labels, latency in found.items():
        known = kept.get(labels[:-1])
        kept[labels[:-1]] = latency if known is None else known.plus(latency)
    return kept


def _sum(latencies: Iterable[Latency]) -> Latency:
    total = Latency()
    for latency in latencies:
        total = total.plus(latency)
    return total
