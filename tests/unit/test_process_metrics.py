"""What a process measures: exact counts over many threads, histograms for Prometheus, the machine with its switches."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from domain.chain.endpoints import EndpointHealth
from domain.runtime import machine
from domain.runtime.exposition import histogram, rendered
from domain.runtime.machine import MachineSample, busy_shares, families, sample_machine
from domain.runtime.metrics import ProcessMetrics
from domain.runtime.settings import load
from domain.runtime.tallies import Tallies
from domain.store.histogram import bucket_of

SWITCHES = ("metrics_cpu", "metrics_memory", "metrics_network", "metrics_temperature")


def parsed(text: bytes) -> dict[tuple[str, frozenset], float]:
    samples = [s for family in text_string_to_metric_families(text.decode()) for s in family.samples]
    return {(s.name, frozenset(s.labels.items())): s.value for s in samples}


def in_threads(work, count: int = 8) -> None:
    threads = [Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_nothing_is_lost_between_threads_that_live_and_threads_that_have_ended():
    tallies = Tallies()

    def work() -> None:
        for n in range(1_000):
            tallies.observe(("a", "ok"), n / 1_000)
            tallies.count(("b",))

    for _ in range(3):
        in_threads(work)
        tallies.latencies()  # takes over from those that have ended
    work()
    latency = tallies.latencies()[("a", "ok")]
    assert latency.count == tallies.counts()[("b",)] == 25_000
    assert latency.seconds == pytest.approx(25 * 499.5)
    assert latency.percentile_ms(50) == pytest.approx(500, rel=0.04)


def test_a_difference_is_what_came_since():
    tallies = Tallies()
    tallies.observe(("a",), 0.001)
    before = tallies.latencies()[("a",)]
    tallies.observe(("a",), 1.0)
    since = tallies.latencies()[("a",)].since(before)
    assert (since.count, since.seconds) == (1, pytest.approx(1.0))
    assert since.percentile_ms(99) == pytest.approx(1_000, rel=0.04)
    assert before.since(before).percentile_ms(99) is None


@given(st.lists(st.integers(0, 100_000), max_size=60))
def test_prometheus_buckets_rise_never_flatter_and_end_with_all(values):
    bounds = (0.005, 0.05, 0.5, 5.0, 50.0)
    buckets: dict[int, int] = {}
    for value in values:
        buckets[bucket_of(value)] = buckets.get(bucket_of(value), 0) + 1
    rows = [((), buckets, None)]
    found = parsed(rendered([histogram("h", "text", (), rows, bounds_s=bounds, per_second=1_000)]))
    counts = [found["h_bucket", frozenset({("le", str(bound))})] for bound in bounds]
    assert counts == sorted(counts)
    for bound, count in zip(bounds, counts, strict=True):
        assert count <= sum(value <= bound * 1_000 for value in values)
        assert count >= sum(value * 1.04 < bound * 1_000 for value in values)
    assert found["h_bucket", frozenset({("le", "+Inf")})] == found["h_count", frozenset()] == len(values)
    assert found["h_sum", frozenset()] == pytest.approx(sum(values) / 1_000, rel=0.04)


def test_a_process_shows_rpc_redis_cycles_endpoints_and_itself():
    own = ProcessMetrics("cycles", "cycle-1")
    own.rpc_request("http://a", "batch", 0.02, "ok")
    own.rpc_request("http://a", "batch", 2.0, "timeout")
    own.redis_call("commit_cycle", 0.0002, failed=False)
    own.cycle("deposit")
    health = EndpointHealth(
        endpoint="http://a",
        in_flight=3,
        in_flight_limit=24,
        latency_seconds=0.1,
        consecutive_failures=0,
        consecutive_throttles=0,
        backoff_seconds=1.5,
        last_error=None,
    )
    own.watch_endpoints(lambda: (health,))
    found = parsed(rendered(own.families()))
    rpc = {("endpoint", "http://a"), ("method", "batch")}
    assert found["frt_rpc_request_duration_seconds_bucket", frozenset({*rpc, ("le", "0.025")})] == 1
    assert found["frt_rpc_request_duration_seconds_count", frozenset(rpc)] == 2
    assert found["frt_rpc_request_duration_seconds_sum", frozenset(rpc)] == pytest.approx(2.02)
    assert found["frt_rpc_requests_total", frozenset({*rpc, ("outcome", "timeout")})] == 1
    assert found["frt_redis_call_duration_seconds_count", frozenset({("command", "commit_cycle")})] == 1
    assert found["frt_redis_failures_total", frozenset({("command", "commit_cycle")})] == 0
    assert found["frt_process_cycles_total", frozenset({("kind", "deposit")})] == 1
    endpoint = frozenset({("endpoint", "http://a")})
    shown = [found[f"frt_rpc_{name}", endpoint] for name in ("in_flight", "in_flight_limit", "backoff_seconds")]
    assert shown == [3, 24, 1.5]
    assert found["process_resident_memory_bytes", frozenset()] > 0
    (info,) = [dict(labels) for name, labels in found if name == "frt_process_info"]
    assert (info["role"], info["name"]) == ("cycles", "cycle-1")
    reading = own.reading()
    assert (reading.cycles, reading.rpc.count, reading.redis.count) == (1, 2, 1)


def test_the_machine_tells_about_its_parts_and_a_switch_turns_each_off(monkeypatch, tmp_path: Path):
    (tmp_path / "memory").write_text("some avg10=12.50 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00\n")
    node = tmp_path / "numa" / "node1"
    node.mkdir(parents=True)
    (node / "meminfo").write_text("Node 1 MemTotal:       2048 kB\nNode 1 MemFree:        1024 kB\n")
    monkeypatch.setattr(machine, "PRESSURE", tmp_path)
    monkeypatch.setattr(machine, "NUMA", tmp_path / "numa")
    reading = SimpleNamespace(label="Package", current=61.5)
    sensors = {"coretemp": [reading, SimpleNamespace(label="", current=40.0)]}
    monkeypatch.setattr(machine.psutil, "sensors_temperatures", lambda: sensors, raising=False)
    sample = sample_machine(load({}))
    assert sample.pressure == {"memory": 0.125}
    assert sample.numa == {"1": {"total": 2048 * 1024, "free": 1024 * 1024}}
    assert sample.celsius == {"coretemp:Package": 61.5, "coretemp:1": 40.0}
    found = parsed(rendered(families(sample)))
    assert found["frt_machine_temperature_celsius", frozenset({("sensor", "coretemp:Package")})] == 61.5
    assert found["frt_machine_pressure_ratio", frozenset({("resource", "memory")})] == 0.125
    assert found["frt_machine_numa_free_bytes", frozenset({("node", "1")})] == 1024 * 1024
    assert found["frt_machine_memory_total_bytes", frozenset()] > 0
    assert found["frt_machine_cpu_seconds_total", frozenset({("core", "0"), ("mode", "idle")})] > 0
    gone = {
        "metrics_cpu": "frt_machine_cpu",
        "metrics_memory": "frt_machine_memory",
        "metrics_network": "frt_machine_network",
        "metrics_temperature": "frt_machine_temperature",
    }
    for switch, prefix in gone.items():
        names = {name for name, _ in parsed(rendered(families(sample_machine(load({}, None, {switch: False})))))}
        assert names
        assert not [name for name in names if name.startswith(prefix)]
    everything_off = load({}, None, dict.fromkeys(SWITCHES, False))
    assert sample_machine(everything_off) == MachineSample()


def test_a_core_is_busy_for_the_time_it_did_not_idle():
    idle = dict.fromkeys(("user", "system", "iowait", "steal", "idle"), 0.0)
    before = MachineSample(cpu_s=(idle, idle))
    after = MachineSample(cpu_s=(idle | {"user": 3.0, "idle": 1.0}, idle | {"idle": 3.0, "iowait": 1.0}))
    assert busy_shares(after, before) == [0.75, 0.0]
    assert busy_shares(before, before) == [0.0, 0.0]
