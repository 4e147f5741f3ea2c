"""The whole service's figures as Prometheus families. Pure: from an Overview."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import Metric

from domain.runtime.exposition import Row, counter, gauge, histogram
from domain.store.counts import OUTCOMES, REPORTED_KINDS, Counts
from domain.store.overview import Overview
from domain.thread import ThreadKind

LATENESS_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONFIRMATION_BOUNDS_S: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0)
MILLISECONDS: Final = 1_000


def service_families(overview: Overview) -> Iterable[Metric]:
    """Every figure that lives in Redis."""
    yield from _counters(overview)
    yield from _latencies(overview)
    yield from _threads_and_pools(overview)
    yield from _schedule(overview)
    yield from _health(overview)


def _counters(overview: Overview) -> Iterable[Metric]:
    counts = overview.counts
    yield counter("frt_cycles", "Cycles by kind and event.", ("kind", "event"), _split(counts.cycles))
    yield counter("frt_chains_revived", "Messages that were lost and sent again.", (), [((), counts.revived)])
    yield counter("frt_deliveries_dropped", "Deliveries that ended at their begin.", (), [((), counts.dropped)])
    yield counter("frt_commits_refused", "Commits that came too late.", (), [((), counts.refused)])
    yield from _operations(counts)
    yield counter("frt_errors", "Failed operations by error, without the probes'.", ("error",), _rows(counts.failures))
    yield counter("frt_probe_refusals", "Errors that probes provoked.", ("error",), _rows(counts.refusals))
    yield counter("frt_waits", "Cycles that submitted nothing.", ("kind", "reason"), _split(counts.waits))
    yield counter("frt_checks", "Checks made.", ("check",), _rows(counts.checks))
    yield counter("frt_faults", "Broken checks.", ("check",), _rows(counts.faults))
    yield counter("frt_outside_actions", "Actions of others that were seen.", ("kind",), _rows(counts.outside))
    yield gauge("frt_faults_recorded", "Faults that are kept; 0 when none was found.", (), [((), overview.fault_count)])


def _operations(counts: Counts) -> Iterable[Metric]:
    """Every kind and verdict from the start on: of a series that begins with its first event a rate knows nothing."""
    kinds = sorted({*REPORTED_KINDS, *(name.partition(".")[0] for name in counts.operations)})

    def rows(event: str) -> list[Row]:
        return [((kind,), counts.operations_of((kind,), (event,))) for kind in kinds]

    yield counter("frt_operations_submitted", "Operations submitted.", ("kind",), rows("submitted"))
    yield counter("frt_operations_resent", "The same bytes sent again.", ("kind",), rows("resent"))
    ended: list[Row] = [((*kind, verdict), count) for verdict in OUTCOMES for kind, count in rows(verdict)]
    yield counter("frt_operations", "Operations that have ended.", ("kind", "verdict"), ended)
    yield gauge("frt_operations_in_flight", "Operations without an outcome yet.", (), [((), counts.in_flight)])


def _latencies(overview: Overview) -> Iterable[Metric]:
    for name, text, found, bounds in (
        ("frt_lateness_seconds", "How late cycles began.", overview.counts.lateness, LATENESS_BOUNDS_S),
        (
            "frt_confirmation_seconds",
            "From an operation's preparation to the cycle that booked it.",
            overview.counts.confirm,
            CONFIRMATION_BOUNDS_S,
        ),
    ):
        rows = [((kind,), buckets, None) for kind, buckets in found.items()]
        yield histogram(name, text, ("kind",), rows, bounds_s=bounds, per_second=MILLISECONDS)


def _threads_and_pools(overview: Overview) -> Iterable[Metric]:
    threads = {(kind.value, status): count for kind in ThreadKind for status, count in overview.states(kind).items()}
    yield gauge("frt_threads", "Stress threads.", ("kind", "status"), threads.items())
    for name, text in (
        ("outbox", "Entries owed or in flight."),
        ("low", "Wallets that wait for a refill."),
        ("running", "Threads that run, or still settle."),
    ):
        rows: list[Row] = [((pool.pool_id,), getattr(pool, name)) for pool in overview.pools]
        yield gauge(f"frt_pool_{name}", text, ("pool",), rows)


def _schedule(overview: Overview) -> Iterable[Metric]:
    yield gauge("frt_due_chains", "Chains in the due set.", (), [((), overview.live_chains)])
    yield gauge("frt_overdue_seconds", "How long the earliest chain is due.", (), [((), overview.overdue_ms / 1000)])
    rows: list[Row] = [((queue,), depth) for queue, depth in overview.queues.items()]
    yield gauge("frt_queue_messages", "Messages that no worker has taken.", ("queue",), rows)
    waiting_ms = dict.fromkeys(overview.queues, 0) | dict(overview.heartbeat.waiting_ms)
    rows = [((queue,), waited / 1000) for queue, waited in waiting_ms.items()]
    text = "How long a queue's oldest message was seen to wait for a worker."
    yield gauge("frt_queue_waiting_seconds", text, ("queue",), rows)
    yield gauge("frt_journal_entries", "Journal entries not yet spilled.", (), [((), overview.journal_length)])
    yield gauge("frt_open_commands", "Commands without an answer.", (), [((), overview.open_commands)])
    oldest = overview.oldest_command_ms / 1000
    yield gauge("frt_oldest_command_seconds", "Age of the oldest open command.", (), [((), oldest)])


def _health(overview: Overview) -> Iterable[Metric]:
    beat = overview.heartbeat
    flags = (
        ("frt_paused", "Whether the service is paused.", overview.paused),
        ("frt_recovering", "Whether a recovery is going on.", overview.recovering),
    )
    for name, text, flag in flags:
        yield gauge(name, text, (), [((), int(flag))])
    yield gauge("frt_epoch", "How often Redis may have lost data.", (), [((), overview.epoch)])
    if beat.core_lamports is not None:
        yield gauge("frt_core_wallet_lamports", "The core wallet's balance.", (), [((), beat.core_lamports)])
    reserved = overview.core_reserved_lamports
    yield gauge("frt_core_wallet_reserved_lamports", "Set aside for refills under way.", (), [((), reserved)])
    for name, text, at_ms in (
        ("frt_supervisor_sweep_age_seconds", "Since the supervisor's last sweep.", beat.swept_ms),
        ("frt_chain_probe_age_seconds", "Since the supervisor asked the endpoints last.", beat.asked_ms),
        ("frt_cycle_age_seconds", "Since a cycle was last seen to begin.", beat.cycle_ms),
    ):
        if at_ms:
            yield gauge(name, text, (), [((), max(0, overview.at_ms - at_ms) / 1000)])
    up: list[Row] = [((each.endpoint,), int(each.ok)) for each in beat.endpoints]
    yield gauge("frt_rpc_endpoint_up", "Whether the endpoint called itself healthy.", ("endpoint",), up)
    took: list[Row] = [((each.endpoint,), each.latency_ms / 1000) for each in beat.endpoints]
    yield gauge("frt_rpc_endpoint_probe_seconds", "How long that took.", ("endpoint",), took)


def _rows(counts: Mapping[str, int]) -> list[Row]:
    return [((name,), count) for name, count in sorted(counts.items())]


def _split(counts: Mapping[str, int]) -> list[Row]:
    """From "<kind>.<what>"; a reason may hold dots."""
    return [(tuple(name.split(".", 1)), count) for name, count in sorted(counts.items())]
