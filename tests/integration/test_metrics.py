"""A small running stack, scraped as Prometheus does it: every figure is there, agrees with the books, and readiness
turns with Redis, the supervisor and the chain.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from domain.runtime.settings import load
from domain.state import ThreadState
from domain.store.counts import DROPPED
from ops.plan import worker_plan
from ops.run.fleet import Call, results
from ops.stack import CONTROL, CONTROL_SLOTS, LOCALNET, SUPERVISOR, Stack, Wanted, free_port
from tasks.app import create_app
from tasks.bootstrap import prepare_chain
from tasks.runtime import Runtime, build_runtime
from tests.support.collector import Collector, collecting
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DEADLINE_S = 60.0
POOL = {
    "token_a_decimals": 6,
    "token_b_decimals": 6,
    "ratio_whole_number": 3,
    "ratio_direction": "a_to_b",
    "exact_exchange": False,
}
PER_NODE = 4
SLOTS = 2 * PER_NODE + CONTROL_SLOTS
THREADS = {"create_deposit_thread": "deposit", "create_withdrawal_thread": "withdrawal", "create_swap_thread": "swap"}


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline, pause = monotonic() + DEADLINE_S, Event()
    while not (found := condition()):
        assert monotonic() < deadline, f"not in time: {what}"
        pause.wait(0.05)
    return found


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310  of our own processes
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Scrape:
    """One answer of /metrics."""

    def __init__(self, url: str) -> None:
        status, self.text = get(url)
        assert status == 200
        self.samples = [s for family in text_string_to_metric_families(self.text) for s in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no sample of {name} {labels}"
        return sum(found)

    def labels(self, name: str, label: str) -> set[str]:
        return {s.labels[label] for s in self.samples if s.name == name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    stack: Stack
    runtime: Runtime
    redis: RedisServer
    collector: Collector

    @property
    def service(self) -> Scrape:
        return Scrape(f"{self.stack.api_url}/metrics")

    def targets(self) -> dict[str, str]:
        """Process name -> address."""
        _, text = get(f"{self.stack.api_url}/metrics/targets")
        return {f"{t['labels']['name']}@{t['targets'][0]}": t["targets"][0] for t in json.loads(text)}

    def processes(self) -> list[Scrape]:
        return [Scrape(f"http://{address}/metrics") for address in self.targets().values()]

    def ready(self) -> tuple[int, dict[str, bool]]:
        status, text = get(f"{self.stack.api_url}/health/ready")
        return status, {check["name"]: check["ok"] for check in json.loads(text)["checks"]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A pool and three running threads, for so long that each kind has confirmed something."""
    folder: Path = tmp_path_factory.mktemp("metrics")
    (folder / "store").mkdir()
    redis = RedisServer(folder / "store", "--appendonly", "yes", "--appendfsync", "always")
    given = {
        "redis_url": redis.url,
        "log_format": "json",
        "metrics_port": free_port(),
        "metrics_interval_s": 1.0,
    }
    wanted = Wanted(directory=folder, plan=worker_plan([0, 1], per_node=PER_NODE), seed=1, slot_ms=50)
    with ExitStack() as ends:
        collector = ends.enter_context(collecting())
        given["otlp_endpoint"] = collector.url
        redis.start()
        ends.callback(redis.stop)
        stack = ends.enter_context(Stack(wanted, lambda overrides: load({}, None, {**given, **overrides})))
        settings = stack.open_foundation()
        app = create_app(settings)
        runtime = build_runtime(settings, app)
        ends.callback(runtime.close)
        prepare_chain(runtime)
        stack.open_services(app)
        commands = runtime.commands
        pool_id = results(commands, [Call(method="create_pool", params=POOL)])[0]["pool_id"]
        calls = [Call(method=method, params=_parameters(kind, pool_id)) for method, kind in THREADS.items()]
        threads = [answer["thread_id"] for answer in results(commands, calls)]
        results(commands, [Call(method="start_thread", params={"thread_id": thread}) for thread in threads])

        def confirmed() -> bool:
            operations = runtime.store.overview().counts.operations
            return all(operations.get(f"{kind}.confirmed", 0) >= 3 for kind in THREADS.values())

        until(confirmed, "confirmed operations of each kind")
        yield Running(stack=stack, runtime=runtime, redis=redis, collector=collector)


def _parameters(kind: str, pool_id: str) -> dict[str, Any]:
    match kind:
        case "deposit":
            own: dict[str, Any] = {"token_type": "A", "initial_amount": 10**12, "share_lp_tokens": True}
        case "withdrawal":
            own = {"token_type": "A", "share_tokens": True}
        case _:
            own = {"direction": "b_to_a", "initial_amount": 10**6, "share_tokens": False}
    return {"pool_id": pool_id, **own, **({} if kind == "withdrawal" else {"auto_refill": True})}


def test_every_figure_of_the_service_is_exported_with_a_sensible_value(running):
    found = running.service
    for kind in THREADS.values():
        assert found.sum("frt_cycles_total", kind=kind, event="started") >= 3
        assert found.sum("frt_operations_total", kind=kind, verdict="confirmed") >= 3
        assert found.sum("frt_lateness_seconds_count", kind=kind) >= 3
        assert found.sum("frt_confirmation_seconds_count", kind=kind) >= 3
        assert 0 < found.sum("frt_confirmation_seconds_sum", kind=kind) < 3_600
    assert found.sum("frt_threads", status="running") == 3
    assert found.sum("frt_due_chains") >= 3
    assert found.sum("frt_operations_in_flight") >= 0
    for name in ("frt_chains_revived_total", "frt_deliveries_dropped_total", "frt_commits_refused_total"):
        assert found.sum(name) >= 0
    assert found.sum("frt_faults_recorded") == 0
    assert found.sum("frt_queue_messages") >= 0
    until(lambda: "frt_core_wallet_lamports" in running.service.text, "the core wallet's balance")
    assert running.service.sum("frt_core_wallet_lamports") > 10**9
    assert found.sum("frt_rpc_endpoint_up") == 1
    assert 0 <= found.sum("frt_supervisor_sweep_age_seconds") < DEADLINE_S


def test_cycles_and_their_requests_arrive_as_traces(running):
    until(lambda: {"cycle.deposit", "cycle.swap", "rpc batch"} <= running.collector.names(), "spans at the collector")
    assert "rpc batch" in {span.name for span in running.collector.children_of("cycle.deposit")}


def test_every_process_is_found_and_tells_its_own_figures(running):
    roles = {"cycles": 2, "control": 1, "supervisor": 1}

    def all_there() -> list[Scrape] | None:
        scrapes = running.processes()
        counted = {role: sum(role in s.labels("frt_process_info", "role") for s in scrapes) for role in roles}
        return scrapes if all(counted[role] >= least for role, least in roles.items()) else None

    nodes = [s for s in until(all_there, "every process") if "cycles" in s.labels("frt_process_info", "role")]
    for node in nodes:
        assert node.sum("frt_rpc_request_duration_seconds_count", method="sendTransaction") > 0
        assert node.sum("frt_rpc_request_duration_seconds_count", method="batch") > 0
        assert 0 < node.sum("frt_rpc_request_duration_seconds_sum") < 3_600
        assert node.sum("frt_rpc_requests_total", outcome="ok") > 0
        for script in ("begin_cycle", "commit_cycle"):
            assert node.sum("frt_redis_call_duration_seconds_count", command=script) > 0
        assert node.sum("frt_rpc_in_flight_limit") == 32
        assert node.sum("frt_rpc_in_flight") >= 0
        assert node.sum("process_cpu_seconds_total") > 0
        assert node.sum("process_resident_memory_bytes") > 10**7


def test_one_process_of_the_machine_tells_about_the_machine(running):
    def told() -> list[Scrape]:
        return [s for s in [running.service, *running.processes()] if "frt_machine_load1" in s.text]

    (machine,) = until(told, "the machine's figures")
    assert len(machine.labels("frt_machine_cpu_seconds_total", "core")) == os.cpu_count()
    assert machine.sum("frt_machine_memory_total_bytes") > machine.sum("frt_machine_memory_available_bytes") > 0
    assert machine.sum("frt_machine_network_receive_bytes_total", device="lo") > 0


def test_every_process_logs_its_performance_and_the_supervisor_the_services(running):
    def lines(action: str) -> list[dict[str, Any]]:
        texts = [path.read_text() for path in running.stack.log_directory.glob("*.log")]
        rows = [json.loads(row) for text in texts for row in text.splitlines() if row.startswith("{")]
        return [row for row in rows if row.get("action") == action]

    def cycling() -> bool:
        return any(
            row["cycles_per_s"] > 0 and row["rpc_p99_ms"] and row["redis_p99_ms"] for row in lines("performance")
        )

    until(cycling, "performance of a node")
    until(
        lambda: {"cycle-1", "cycle-2"} <= {row["process"] for row in lines("performance")}, "performance of each node"
    )
    service = until(lambda: [row for row in lines("service_performance") if row["cycles_per_s"] > 0], "the service's")
    assert service[0]["lateness_p99_ms"] >= 0
    assert until(lambda: lines("machine_performance"), "the machine's")[0]["cores_percent"]


def turns(running: Running, wanted: tuple[int, dict[str, bool]], what: str) -> None:
    def as_wanted() -> bool:
        status, checks = running.ready()
        return status == wanted[0] and wanted[1].items() <= checks.items()

    until(as_wanted, f"readiness {what}: {wanted}, is {running.ready()}")


@pytest.mark.parametrize(("role", "check"), [(SUPERVISOR, "supervisor"), (LOCALNET, "chain")])
def test_readiness_turns_when_a_part_freezes_and_back_when_it_goes_on(running, role, check):
    well = (200, dict.fromkeys(("redis", "broker", "supervisor", "chain", "cycles"), True))
    turns(running, well, "before")
    frozen = running.stack.pids()[role]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        turns(running, (503, {check: False, "redis": True}), f"without the {check}")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    turns(running, well, f"with the {check} again")


def test_readiness_tells_when_nobody_carries_out_commands(running):
    frozen = running.stack.pids()[CONTROL]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        # more than a frozen node has asked for already
        for _ in range(40):
            running.runtime.commands.send("stop_thread", {"thread_id": "nobody_1"})
        turns(running, (503, {"broker": False, "redis": True, "cycles": True}), "without control nodes")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    turns(running, (200, {"broker": True}), "with control nodes again")


def test_readiness_turns_when_redis_is_killed_and_back(running):
    running.redis.stop(signal.SIGKILL)
    try:
        turns(running, (503, {"redis": False}), "without Redis")
        assert running.service.sum("frt_redis_up") == 0
    finally:
        running.redis.start()
    turns(running, (200, {"redis": True, "supervisor": True, "cycles": True}), "with Redis again")


def test_the_figures_agree_with_the_threads_own_books_once_all_stands_still(running):
    store = running.runtime.store
    threads = [record.chain_id for record in store.thread_records()]
    results(running.runtime.commands, [Call(method="stop_thread", params={"thread_id": thread}) for thread in threads])
    until(lambda: store.overview().live_chains == 0, "all chains to end")
    found = running.service
    for record in store.thread_records():
        state, kind = ThreadState.from_text(record.state), record.kind.value
        assert found.sum("frt_operations_total", kind=kind, verdict="confirmed") == state.lifetime.confirmed
        assert found.sum("frt_operations_submitted_total", kind=kind) == state.lifetime.submitted
        assert found.sum("frt_cycles_total", kind=kind, event="started") >= state.cycles
    assert found.sum("frt_operations_in_flight") == 0
    assert found.sum("frt_threads", status="stopped") == 3
    ended = found.sum("frt_operations_total")
    assert ended == found.sum("frt_operations_submitted_total") > 0
    # No node has died: what they carried out are the cycles that began and the deliveries that were dropped, but for
    # those that the end of Redis cut off, one per slot at most.
    carried_out = sum(
        node.sum("frt_process_cycles_total") for node in running.processes() if "frt_process_cycles_total{" in node.text
    )
    events = ("started", *DROPPED)
    counted = sum(found.sum("frt_cycles_total", event=event) for event in events if f'event="{event}"' in found.text)
    assert 0 <= counted - carried_out <= SLOTS
