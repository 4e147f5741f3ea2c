"""Traces: a span per cycle, requests as its children; off by default, and said when the packages are missing."""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from domain.runtime import tracing
from domain.runtime.settings import load
from domain.runtime.settings_sources import SettingsError
from domain.runtime.tracing import Tracing

URL = "http://127.0.0.1:4318/v1/traces"


class Counting:
    """A Metrics that counts its calls."""

    def __init__(self) -> None:
        self.calls: Counter = Counter()

    def rpc_request(self, endpoint, method, seconds, outcome):
        self.calls["rpc", method] += 1

    def redis_call(self, command, seconds, *, failed):
        self.calls["redis", command] += 1

    def cycle(self, kind):
        self.calls["cycle", kind] += 1


@pytest.fixture
def traced():
    exporter, metrics = InMemorySpanExporter(), Counting()
    made = Tracing(metrics, exporter, role="cycles", name="cycle-1")
    yield made, exporter, metrics
    made.close()


def test_a_cycle_is_a_span_and_its_requests_are_inside(traced):
    made, exporter, metrics = traced
    with made.span_of_cycle("deposit", "deposit_1", 2, 7):
        made.rpc_request("http://a", "batch", 0.25, "ok")
        made.rpc_request("http://a", "sendTransaction", 0.5, "timeout")
        made.redis_call("begin", 0.001, failed=False)
        made.cycle("deposit")
    made.close()
    read, sent, cycle = exporter.get_finished_spans()
    assert (cycle.name, cycle.parent) == ("cycle.deposit", None)
    assert dict(cycle.attributes) == {"frt.chain": "deposit_1", "frt.generation": 2, "frt.seq": 7}
    assert {span.parent.span_id for span in (read, sent)} == {cycle.context.span_id}
    assert (read.name, sent.name) == ("rpc batch", "rpc sendTransaction")
    assert read.end_time - read.start_time == 250_000_000
    assert (read.status.status_code, sent.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert cycle.resource.attributes["service.instance.id"] == "cycle-1"
    assert sum(metrics.calls.values()) == 4


def test_a_cycle_that_raises_is_marked(traced):
    made, exporter, _ = traced
    with pytest.raises(ZeroDivisionError), made.span_of_cycle("swap", "swap_1", 1, 1):
        _ = 1 // 0
    made.close()
    [span] = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR


def test_traces_are_off_unless_a_collector_is_named(monkeypatch):
    assert load({}).otlp_endpoint is None
    assert load({"FRT_OTLP_ENDPOINT": URL}).otlp_endpoint == URL
    shown = load({"FRT_OTLP_ENDPOINT": "https://me:hunter2@collector.example/v1/traces"})
    assert "hunter2" not in f"{shown.safe_dump()} {shown!r}"
    with pytest.raises(SettingsError, match=r"otlp_endpoint .*: a collector is an http:// or https:// URL"):
        load({"FRT_OTLP_ENDPOINT": "collector:4318"})
    monkeypatch.setattr(tracing, "is_installed", lambda: False)
    with pytest.raises(SettingsError, match=r"otlp_endpoint .*: traces need packages .*traces\.lock"):
        load({"FRT_OTLP_ENDPOINT": URL})
    assert load({}).otlp_endpoint is None
