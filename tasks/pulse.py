"""The sweeping supervisor's second thread: how the endpoints are, what the core wallet holds, how the service is.

It asks the chain, which may take its time; the sweep never waits for that. Whoever wants to know reads the record.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import structlog

from domain.chain.endpoints import EndpointHealth
from domain.chain.errors import RpcError
from domain.errors import StressError
from domain.store.counts import LANDED, REPORTED_KINDS, Counts
from tasks.runtime import Runtime

log = structlog.get_logger()

PULSE_S: Final = 2.0
PROBE_S: Final = 1.0  # an endpoint that does not say within this time that it is healthy is not


class Pulse:
    """``sweeping`` says whether this supervisor is the one that sweeps; the others are silent."""

    def __init__(self, runtime: Runtime, sweeping: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._sweeping = sweeping
        self._core: tuple[int | None, int] = (None, 0)  # lamports, when they were read
        self._counts: Counts | None = None

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Until ``stopped(seconds to wait)`` says so. A failing beat is loud and does not end the loop."""
        while not stopped(PULSE_S):
            try:
                if self._sweeping():
                    self.beat()
                    self._report()
            except StressError as error:
                log.warning("the pulse failed", action="pulse_failed", error=str(error))

    def beat(self) -> None:
        """Ask every endpoint and for the core wallet's balance, and note the answers. Raises StoreUnavailable."""
        store, chain = self._runtime.store, self._runtime.chain
        asked = [self._ask(each) for each in chain.endpoints.health()]
        if any(each["ok"] for each in asked):
            self._core = self._core_lamports()
        lamports, read_ms = self._core
        store.note_heartbeat(
            "chain",
            {
                "at_ms": store.now_ms(),
                "endpoints": asked,
                "core_lamports": None if lamports is None else str(lamports),
                "core_at_ms": read_ms,
            },
        )

    def _ask(self, health: EndpointHealth) -> dict[str, Any]:
        began = monotonic()
        error = self._runtime.chain.endpoints.probe(health.endpoint, timeout_seconds=PROBE_S)
        return {
            "endpoint": health.endpoint,
            "ok": error is None,
            "latency_ms": round((monotonic() - began) * 1000),
            "backoff_ms": round(health.backoff_seconds * 1000),
            "error": error,
        }

    def _core_lamports(self) -> tuple[int | None, int]:
        """The last balance stays when it cannot be read now; its time says how old it is."""
        chain = self._runtime.chain
        try:
            answer = chain.endpoints.call("getBalance", [chain.keyring.core_address, {"commitment": "confirmed"}])
        except RpcError:
            return self._core
        return int(answer["value"]), self._runtime.store.now_ms()

    def _report(self) -> None:
        """One line about the whole service per interval (LOG-04)."""
        now_s, before = monotonic(), self._counts
        if before is None:
            self._counts = self._runtime.store.all_counts(now_s)
        elif now_s - before.at_s >= self._runtime.settings.metrics_interval_s:
            overview = self._runtime.store.overview()
            self._counts = counts = self._runtime.store.all_counts(now_s)
            last = counts.since(before)
            log.info(
                "the service",
                action="service_performance",
                running=overview.running,
                cycles_per_s=round(last.cycles_of(REPORTED_KINDS) / last.at_s, 2),
                tx_per_s=round(last.operations_of(REPORTED_KINDS, LANDED) / last.at_s, 2),
                lateness_p50_ms=last.lateness_ms(50),
                lateness_p99_ms=last.lateness_ms(99),
                confirm_p99_ms=last.confirm_ms(99),
                errors=sum(last.failures.values()),
                faults=overview.fault_count,
                revived=last.revived,
                dropped=last.dropped,
                refused=last.refused,
                due=overview.live_chains,
                journal=overview.journal_length,
                endpoints_ms={each.endpoint: each.latency_ms for each in overview.heartbeat.endpoints if each.ok},
            )
