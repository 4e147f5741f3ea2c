"""The read bench's arithmetic: percentiles, the ratio with and without reads, and when it fails."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest

from domain.store.counts import Counts
from ops.bench.reads.generator import Connection, Generator, Order, order_text, percentiles_ms, request_to
from ops.bench.reads.run import ReadsBench, ReadsOptions, Window
from ops.plan import worker_plan


def bench(*, cycles: tuple[int, int, int], p99: float, failed: int = 0) -> ReadsBench:
    plan = worker_plan(range(2), nodes=2)
    options = ReadsOptions(
        directory=Path(), plan=plan, make_settings=lambda _: None, rate=1_000, seconds=30, connections=4
    )
    found = ReadsBench(options)
    found.reads = {"planned": 30_000, "failed": failed, "latency_ms": {"p50": 1.0, "p99": p99}}
    for name, count, cpu_s in zip(("before", "reads", "after"), cycles, (1.5, 9.0, 1.5), strict=True):
        seconds = 30.0 if name == "reads" else 15.0
        counts = Counts(at_s=seconds, cycles={"deposit.started": count, "share.started": 999})
        found.windows.append(Window(name=name, counts=counts, api_cpu_s=cpu_s))
    return found


@pytest.mark.parametrize(
    ("cycles", "p99", "failed", "passed"),
    [
        ((300, 600, 300), 50.0, 0, True),
        ((300, 541, 300), 49.0, 0, True),
        ((300, 539, 300), 1.0, 0, False),
        ((400, 631, 300), 1.0, 0, True),
        ((300, 600, 300), 50.1, 0, False),
        ((300, 600, 300), 1.0, 1, False),
    ],
)
def test_bars(cycles: tuple[int, int, int], p99: float, failed: int, *, passed: bool) -> None:
    document = bench(cycles=cycles, p99=p99, failed=failed).document()
    assert document["passed"] is passed
    mean = (cycles[0] / 15 + cycles[2] / 15) / 2
    assert document["load_ratio"] == pytest.approx(cycles[1] / 30 / mean, abs=1e-3)
    assert document["api_cpu_us_per_read"] == 200, "what the API uses without reads is taken off"


def test_an_incomplete_measurement_never_passes() -> None:
    found = bench(cycles=(300, 600, 300), p99=1.0)
    found.windows.pop()
    assert not found.document()["passed"]
    found = bench(cycles=(300, 600, 300), p99=1.0)
    found.error = "StressError: x"
    assert not found.document()["passed"]


def test_percentiles_are_exact() -> None:
    found = percentiles_ms(array("d", [number / 1_000 for number in range(1, 1_001)]))
    assert found == {"p50": 500.0, "p90": 900.0, "p99": 990.0, "p99_9": 999.0, "max": 1_000.0}
    assert percentiles_ms(array("d", [0.002])) == dict.fromkeys(found, 2.0)
    assert percentiles_ms(array("d")) == dict.fromkeys(found)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def test_a_read_that_waits_for_a_free_connection_counts_from_when_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("ops.bench.reads.generator.perf_counter", lambda: now[0])
    order = Order(url="http://h:1", rate=10, seconds=1, connections=1, thread_ids=["deposit_1"])
    load, wire = Generator(order), Wire()
    connection = Connection(load)
    load._due.extend([100.0, 100.1, 100.2])
    connection.connection_made(wire)  # type: ignore[arg-type]
    assert wire.written == [request_to("http://h:1", "deposit_1")]
    body = b'{"jsonrpc":"2.0","id":1,"result":{}}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    now[0] = 105.0  # the server stalled
    connection.data_received(answer[:20])
    assert len(load.latencies_s) == 0
    connection.data_received(answer[20:])
    now[0] = 105.05
    connection.data_received(answer.replace(b"200 OK", b"503 No"))
    connection.data_received(answer)
    assert [round(value, 3) for value in load.latencies_s] == [5.0, 4.85]
    assert (load.failed, len(load.errors), len(wire.written)) == (1, 1, 3)


def test_an_order_survives_its_text() -> None:
    order = Order(url="http://h:1", rate=10, seconds=1, connections=1, thread_ids=["a"])
    assert Order(**json.loads(order_text(order))) == order
