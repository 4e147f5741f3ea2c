"""Every query of the Grafana dashboard, by metric, label and value, against what the service really exports."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import METRICS
from domain.chain.endpoints import EndpointHealth
from domain.runtime.exposition import rendered
from domain.runtime.machine import MachineSample, families
from domain.runtime.metrics import ProcessMetrics
from domain.store.histogram import bucket_of
from tests.support.api_kit import make_api
from tests.support.store_kit import committed, going_on, sample_pool, started_thread

DEPLOY = Path(__file__).resolve().parents[2] / "ops" / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/provisioning/dashboards/frt.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]]

OF_A_TARGET = {"job", "instance", "role", "name", "host"}  # Prometheus' own, the announcement's (monitor.py)
OF_A_PROCESS = ("frt_process_", "frt_rpc_", "frt_redis_", "frt_http_", "frt_machine_", "process_")
FUNCTIONS = {"sum", "max", "min", "avg", "rate", "histogram_quantile"}
SELECTOR = re.compile(r"([a-z_][a-z0-9_]*)(?:\{([^}]*)\})?(\[[^\]]+\])?(?![a-z0-9_(]|\s*\()")
MATCHER = re.compile(r'\s*([a-z_]+)\s*(=~|!=|!~|=)\s*"([^"]*)"\s*')
GROUPING = re.compile(r"\bby \(([^)]*)\)")

Exported = dict[str, dict[str, set[str]]]  # sample name -> label -> values


@pytest.fixture(scope="module", name="exported")
def exported_fixture() -> Exported:
    """A service that has seen one of everything, its web server, a worker and the machine."""
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    api = make_api(client)
    store = api.store
    store.put_pool(sample_pool("PoolOne"))
    counts = (
        ("operations", "deposit.confirmed", 5),
        ("errors", "PoolLiquidityPaused", 3),
        ("errors", "probe.InvalidArgument", 3),
        ("waits", "deposit.no_tokens", 2),
        ("confirm", f"deposit:{bucket_of(700)}", 4),
    )
    committed(store, going_on(started_thread(store, "deposit_1"), counts=counts))
    endpoint = {"endpoint": "http://a", "ok": True, "latency_ms": 3, "backoff_ms": 0, "error": None}
    now_ms = store.now_ms()
    store.note_heartbeat("sweep", {"at_ms": now_ms, "cycle_ms": now_ms, "waiting_ms": {"cycles": 1}})
    store.note_heartbeat("chain", {"at_ms": now_ms, "endpoints": [endpoint], "core_lamports": "5", "core_at_ms": 1})
    own = ProcessMetrics("cycles", "cycle-1")
    own.rpc_request("http://a", "batch", 0.02, "ok")
    own.redis_call("begin_cycle", 0.0004, failed=True)
    own.cycle("deposit")
    own.watch_endpoints(lambda: (_health(),))
    own.add(lambda: families(_machine()))
    api.client.application.extensions[METRICS] = own
    api.client.get("/health/live")
    found: Exported = defaultdict(lambda: defaultdict(set))
    for text in (api.client.get("/metrics").get_data(as_text=True), rendered(own.families()).decode()):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for label, value in sample.labels.items():
                    found[sample.name][label].add(value)
                found[sample.name].setdefault("", set())
    return found


def _health() -> EndpointHealth:
    return EndpointHealth(
        endpoint="http://a",
        in_flight=3,
        in_flight_limit=24,
        latency_seconds=0.1,
        consecutive_failures=0,
        consecutive_throttles=0,
        backoff_seconds=1.5,
        last_error=None,
    )


def _machine() -> MachineSample:
    return MachineSample(
        cpu_s=(dict.fromkeys(("user", "system", "iowait", "steal", "idle"), 1.0),),
        load=1.0,
        memory={"total": 3, "available": 2, "swap_used": 1},
        pressure={"cpu": 0.5},
        numa={"0": {"total": 2, "free": 1}},
        network={"eth0": (1, 2)},
        celsius={"coretemp:1": 40.0},
    )


def selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Metric and matchers (label, operator, value) of each selector."""
    bare = GROUPING.sub("", expression)
    for name, matchers, _ in SELECTOR.findall(bare):
        if name not in FUNCTIONS:
            yield name, MATCHER.findall(matchers)


def problems(expression: str, legend: str, exported: Exported) -> Iterator[str]:
    labels: set[str] = set()
    for name, matchers in selectors(expression):
        if name not in exported:
            yield f"nothing exports {name}"
            continue
        # What is the whole service's has a process' name, too, but that one says nothing.
        labels |= exported[name].keys() | (OF_A_TARGET if name.startswith(OF_A_PROCESS) else set())
        for label, operator, value in matchers:
            if label not in exported[name]:
                yield f"{name} has no label {label}"
            elif operator in ("=", "=~") and not set(value.split("|")) & exported[name][label]:
                yield f"{name}: {label} is never {value}"
    grouped = [{label.strip() for label in found.split(",")} for found in GROUPING.findall(expression)]
    for group in grouped:
        if not group <= labels:
            yield f"no label {sorted(group - labels)} to group by"
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    aggregated = re.match(r"(1 - )?(sum|max|min|avg|histogram_quantile)\b", expression)
    left = (grouped[0] if grouped else set()) if aggregated else labels
    if not shown <= left:
        yield f"the legend names {sorted(shown - left)}, which the query drops"


@pytest.mark.parametrize(("panel", "expression", "legend"), TARGETS, ids=[f"{t}: {e}" for t, e, _ in TARGETS])
def test_a_query_finds_what_it_asks_for(panel: str, expression: str, legend: str, exported: Exported) -> None:
    assert list(selectors(expression)), panel
    assert list(problems(expression, legend, exported)) == []


@pytest.mark.parametrize(
    ("expression", "legend", "problem"),
    [
        ("sum by (name) (rate(frt_errors_totals[1m]))", "{{name}}", "nothing exports"),
        ("sum by (reason) (rate(frt_errors_total[1m]))", "{{reason}}", "to group by"),
        ("sum by (name) (rate(frt_errors_total[1m]))", "{{name}}", "to group by"),
        ("sum by (error) (rate(frt_errors_total[1m]))", "{{name}}", "which the query drops"),
        ('sum(frt_threads{state="running"})', "running", "no label state"),
        ('sum(frt_threads{status="walking"})', "walking", "never walking"),
        ("histogram_quantile(0.99, sum by (le) (rate(frt_lateness_bucket[1m])))", "p99", "nothing exports"),
    ],
)
def test_a_query_that_would_stay_empty_is_found(expression: str, legend: str, problem: str, exported: Exported) -> None:
    assert problem in " ".join(problems(expression, legend, exported))


def test_panels_stand_side_by_side() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_labels_the_web_server_as_the_others_label_themselves() -> None:
    (service, processes) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert service["static_configs"][0]["labels"] == {"role": "api", "name": "api"}
    assert processes["http_sd_configs"][0]["url"].endswith("/metrics/targets")
