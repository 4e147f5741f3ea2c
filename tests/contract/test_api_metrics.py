"""/metrics and /health/ready against the overview they are made of."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import METRICS
from domain.runtime.metrics import ProcessMetrics
from domain.store.counts import OUTCOMES, REPORTED_KINDS, THREAD_KINDS
from domain.store.gateway import RedisStore
from domain.store.histogram import bucket_of
from domain.thread import ThreadStatus
from tests.support.api_kit import make_api
from tests.support.store_kit import (
    client_fixture,
    committed,
    going_on,
    real_url_fixture,
    sample_pool,
    started_thread,
    store_fixture,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]
ENDPOINT = {"endpoint": "http://a", "ok": True, "latency_ms": 3, "backoff_ms": 0, "error": None}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(api: Any) -> Samples:
    response = api.client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=")
    return samples(response.get_data(as_text=True))


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def beat(
    store: RedisStore, *, sweep_age_ms: int = 0, chain_age_ms: int = 0, cycle_age_ms: int = 0, **chain: Any
) -> None:
    now_ms = store.now_ms()
    store.note_heartbeat("sweep", {"at_ms": now_ms - sweep_age_ms, "cycle_ms": now_ms - cycle_age_ms})
    store.note_heartbeat("chain", {"at_ms": now_ms - chain_age_ms, "endpoints": [ENDPOINT], **chain})


def test_the_services_figures_agree_with_the_overview(client: redis.Redis) -> None:
    api = make_api(client)
    store = api.store
    store.put_pool(sample_pool("PoolOne"))
    begun = started_thread(store, "deposit_1")
    counts = (
        ("operations", "deposit.submitted", 9),
        ("operations", "deposit.confirmed", 5),
        ("operations", "deposit.failed_expected", 3),
        ("operations", "deposit.resent", 2),
        ("operations", "setup.submitted", 1),
        ("operations", "setup.confirmed", 1),
        ("errors", "PoolLiquidityPaused", 3),
        ("errors", "probe.InvalidArgument", 8),
        ("faults", "I4", 1),
        ("waits", "deposit.no.liquidity", 2),
        ("cycles", "deposit.revived", 4),
        ("cycles", "deposit.superseded", 6),
        ("cycles", "deposit.refused_lease", 7),
        ("confirm", f"deposit:{bucket_of(700)}", 4),
        ("confirm", f"deposit:{bucket_of(2_900)}", 1),
    )
    committed(store, going_on(begun, counts=counts, outbox_put=(("e1", "{}"),), faults=("{}",), journal=("{}",)))
    beat(store, core_lamports="123456789012", core_at_ms=1)
    found = scrape(api)
    assert value(found, "frt_cycles_total", kind="deposit", event="started") == 2
    assert value(found, "frt_cycles_total", kind="deposit", event="refused_lease") == 7
    assert value(found, "frt_chains_revived_total") == 4
    assert value(found, "frt_deliveries_dropped_total") == 6
    assert value(found, "frt_commits_refused_total") == 7
    assert value(found, "frt_operations_submitted_total", kind="deposit") == 9
    assert value(found, "frt_operations_resent_total", kind="deposit") == 2
    assert value(found, "frt_operations_total", kind="deposit", verdict="confirmed") == 5
    assert value(found, "frt_operations_total", kind="setup", verdict="confirmed") == 1
    ended = [number for (name, _), number in found.items() if name == "frt_operations_total"]
    assert sum(ended) == 9  # each operation that ended is in one series: their sum has a meaning
    assert value(found, "frt_operations_in_flight") == 1
    assert value(found, "frt_errors_total", error="PoolLiquidityPaused") == 3
    assert value(found, "frt_probe_refusals_total", error="InvalidArgument") == 8
    assert len([name for name, _ in found if name == "frt_errors_total"]) == 1
    assert value(found, "frt_waits_total", kind="deposit", reason="no.liquidity") == 2
    assert value(found, "frt_faults_total", check="I4") == value(found, "frt_faults_recorded") == 1
    assert value(found, "frt_threads", kind="deposit", status="running") == 1
    assert value(found, "frt_pool_outbox", pool="PoolOne") == 1
    assert value(found, "frt_due_chains") == value(found, "frt_journal_entries") == 1
    assert value(found, "frt_core_wallet_lamports") == 123456789012
    assert value(found, "frt_rpc_endpoint_up", endpoint="http://a") == 1
    assert value(found, "frt_redis_up") == 1
    assert value(found, "frt_confirmation_seconds_bucket", kind="deposit", le="0.5") == 0
    assert value(found, "frt_confirmation_seconds_bucket", kind="deposit", le="0.75") == 4
    assert value(found, "frt_confirmation_seconds_bucket", kind="deposit", le="3.0") == 5
    assert value(found, "frt_confirmation_seconds_count", kind="deposit") == 5
    assert value(found, "frt_confirmation_seconds_sum", kind="deposit") == pytest.approx(5.7, rel=0.03)
    assert value(found, "frt_lateness_seconds_count", kind="deposit") == 2


def test_nothing_has_happened_is_said_with_zeros(client: redis.Redis) -> None:
    """Of a series that begins with its first event no rate is known, and a panel without series shows no zero."""
    found = scrape(make_api(client))
    for kind in REPORTED_KINDS:
        assert value(found, "frt_operations_submitted_total", kind=kind) == 0
        for verdict in OUTCOMES:
            assert value(found, "frt_operations_total", kind=kind, verdict=verdict) == 0
    for kind in THREAD_KINDS:
        for status in ("created", "running", "stopped", "error"):
            assert value(found, "frt_threads", kind=kind, status=status) == 0
    assert value(found, "frt_faults_recorded") == value(found, "frt_queue_waiting_seconds", queue="cycles") == 0


def test_the_processs_own_figures_stand_beside_them(client: redis.Redis) -> None:
    api = make_api(client)
    own = ProcessMetrics("api", "api")
    own.redis_call("begin_cycle", 0.0004, failed=False)
    own.redis_call("begin_cycle", 0.3, failed=True)
    api.client.application.extensions[METRICS] = own
    api.client.get("/health/live")
    found = scrape(api)
    assert value(found, "frt_redis_call_duration_seconds_bucket", command="begin_cycle", le="0.0005") == 1
    assert value(found, "frt_redis_call_duration_seconds_count", command="begin_cycle") == 2
    assert value(found, "frt_redis_failures_total", command="begin_cycle") == 1
    assert value(found, "process_cpu_seconds_total") > 0
    assert value(found, "process_resident_memory_bytes") > 1e6
    assert value(found, "frt_http_request_duration_seconds_count", route="/health/live", status="200") == 1


def test_without_redis_the_scrape_says_so(client: redis.Redis) -> None:
    api = make_api(client)
    object.__setattr__(api.client.application.extensions["frt.service"], "store", nobody())
    assert scrape(api)["frt_redis_up", frozenset()] == 0
    assert api.client.get("/metrics/targets").status_code == 503


def nobody() -> RedisStore:
    from domain.store.client import connect

    return RedisStore(connect("redis://127.0.0.1:1/0", socket_timeout_s=0.2))


def test_targets_are_what_was_announced_and_not_forgotten(client: redis.Redis) -> None:
    api = make_api(client)
    labels = {"role": "cycles", "name": "cycle-1"}
    api.store.announce_target("host:9101", {"role": "control", "name": "control-1"}, 60_000)
    api.store.announce_target("host:9101", labels, 60_000)  # whoever has the port now
    api.store.announce_target("gone:9101", {}, 1)
    deadline = time.monotonic() + 5
    while len(api.store.metrics_targets()) > 1:
        assert time.monotonic() < deadline
    assert api.client.get("/metrics/targets").get_json() == [{"targets": ["host:9101"], "labels": labels}]
    api.store.announce_target("host:9102", {}, 60_000)
    assert sorted(client.hkeys("frt:metrics-targets")) == ["host:9101", "host:9102"]  # what is forgotten is removed


def ready(api: Any) -> tuple[int, dict[str, bool]]:
    response = api.client.get("/health/ready")
    document = response.get_json()
    assert (document["status"] == "ok") is (response.status_code == 200)
    assert all(check["detail"] for check in document["checks"])
    return response.status_code, {check["name"]: check["ok"] for check in document["checks"]}


ALL_WELL = {"redis": True, "broker": True, "supervisor": True, "chain": True, "cycles": True}


def test_a_service_that_nobody_watches_is_not_ready(client: redis.Redis) -> None:
    assert ready(make_api(client)) == (503, ALL_WELL | {"supervisor": False, "chain": False})


def test_ready_when_everything_is_fresh(client: redis.Redis) -> None:
    api = make_api(client)
    beat(api.store, cycle_age_ms=3_600_000)
    assert ready(api) == (200, ALL_WELL)  # no thread runs: no cycle is missed
    started_thread(api.store, "deposit_1")
    assert ready(api) == (503, ALL_WELL | {"cycles": False})
    beat(api.store)
    assert ready(api) == (200, ALL_WELL)


@pytest.mark.parametrize(
    ("stale", "failing"),
    [
        ({"sweep_age_ms": 6_000}, "supervisor"),
        ({"chain_age_ms": 16_000}, "chain"),
        ({"endpoints": [ENDPOINT | {"ok": False, "error": "no answer"}]}, "chain"),
    ],
)
def test_what_is_stale_or_unwell_is_named(client: redis.Redis, stale: dict[str, Any], failing: str) -> None:
    api = make_api(client)
    beat(api.store, **stale)
    assert ready(api) == (503, ALL_WELL | {failing: False})


def test_one_healthy_endpoint_is_enough(client: redis.Redis) -> None:
    api = make_api(client)
    beat(api.store, endpoints=[ENDPOINT, ENDPOINT | {"endpoint": "http://b", "ok": False, "error": "no answer"}])
    assert ready(api)[0] == 200


def test_a_queue_that_nobody_consumes_is_not_ready(client: redis.Redis) -> None:
    api = make_api(client)
    beat(api.store)
    now_ms = api.store.now_ms()
    for waited, good in ((9_000, True), (11_000, False)):
        waiting = {"control": waited, "cycles": 0}
        api.store.note_heartbeat("sweep", {"at_ms": now_ms, "cycle_ms": now_ms, "waiting_ms": waiting})
        assert ready(api) == (200 if good else 503, ALL_WELL | {"broker": good})
    assert "nobody takes messages from: control" in api.client.get("/health/ready").get_data(as_text=True)
    assert value(scrape(api), "frt_queue_waiting_seconds", queue="control") == 11


def test_a_recovery_is_not_ready(client: redis.Redis) -> None:
    api = make_api(client)
    beat(api.store)
    api.store.raise_epoch("one")
    api.store.raise_epoch("two")
    assert ready(api) == (503, ALL_WELL | {"redis": False})


def test_without_redis_nothing_else_is_known(client: redis.Redis) -> None:
    api = make_api(client)
    object.__setattr__(api.client.application.extensions["frt.service"], "store", nobody())
    assert ready(api) == (503, dict.fromkeys(ALL_WELL, False))


def test_an_error_thread_is_not_waited_for(client: redis.Redis) -> None:
    api = make_api(client)
    beat(api.store, cycle_age_ms=60_000)
    committed(api.store, going_on(started_thread(api.store, "deposit_1"), status=ThreadStatus.ERROR))
    assert ready(api)[0] == 200
