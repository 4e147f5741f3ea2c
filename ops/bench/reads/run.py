"""The default load with reads in its middle: latencies of the reads, and the load's cycles with and without them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psutil
from rich.console import Console
from rich.table import Table

from domain.errors import StressError
from domain.store.counts import THREAD_KINDS, Counts
from domain.store.histogram import merged, percentile
from ops.bench.reads.generator import LAST_ANSWERS_S, Order, order_text
from ops.plan import WorkerPlan
from ops.run.driver import Driver
from ops.run.job import EXIT_ERROR, Job, JobOptions
from ops.scenario import Scenario
from ops.stack import API, MakeSettings, Stack
from tasks.runtime import build_runtime

SCHEMA_VERSION: Final = 1
P99_BAR_MS: Final = 50.0
LOSS_BAR: Final = 0.10  # of the load's cycles per second
QUIET_S: Final = 15.0  # before and after the reads
SETTLING_S: Final = 3.0  # after the last start, and between the windows
EXIT_FAIL: Final = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsOptions:
    """``directory`` gets the run's files, and reads.json."""

    directory: Path
    plan: WorkerPlan
    make_settings: MakeSettings
    rate: float
    seconds: float
    connections: int

    @property
    def load_ms(self) -> int:
        """How long the load must last."""
        return int(1_000 * (2 * QUIET_S + 3 * SETTLING_S + self.seconds + LAST_ANSWERS_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What the load did in one stretch of time."""

    name: str
    counts: Counts
    api_cpu_s: float

    def to_json(self) -> dict[str, Any]:
        lateness = merged(*(self.counts.lateness.get(kind, {}) for kind in THREAD_KINDS))
        return {
            "window": self.name,
            "seconds": round(self.counts.at_s, 2),
            "cycles_per_s": round(self.cycles_per_s, 2),
            "lateness_p99_ms": percentile(lateness, 99),
            "api_cpu_share": round(self.api_cpu_s / self.counts.at_s, 3),
        }

    @property
    def cycles_per_s(self) -> float:
        return self.counts.cycles_of(THREAD_KINDS) / self.counts.at_s


@dataclass(slots=True)
class ReadsBench:
    """Called once the load runs in full; what it found is in ``windows`` and ``reads``."""

    options: ReadsOptions
    windows: list[Window] = field(default_factory=list)
    reads: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def during_load(self, stack: Stack, driver: Driver) -> None:
        try:
            self._measure(stack, driver)
        except (StressError, OSError, ValueError, psutil.Error) as error:
            self.error = f"{type(error).__name__}: {error}"
        driver.stop.set()

    def _measure(self, stack: Stack, driver: Driver) -> None:
        runtime = build_runtime(stack.settings)
        try:
            store = runtime.store
            api = _processes(stack.pids()[API])
            thread_ids = [str(thread_id) for thread_id in store.list_threads()]
            order = Order(
                url=stack.api_url,
                rate=self.options.rate,
                seconds=self.options.seconds,
                connections=self.options.connections,
                thread_ids=thread_ids,
            )
            for name in ("before", "reads", "after"):
                driver.stop.wait(SETTLING_S)
                first, cpu_s = store.all_counts(monotonic()), _cpu_s(api)
                if name == "reads":
                    self.reads = _generate(order)
                else:
                    driver.stop.wait(QUIET_S)
                counts = store.all_counts(monotonic()).since(first)
                self.windows.append(Window(name=name, counts=counts, api_cpu_s=_cpu_s(api) - cpu_s))
        finally:
            runtime.close()

    def document(self) -> dict[str, Any]:
        """``load_ratio``: the load's cycles per second with the reads, over the mean of before and after."""
        found = {window.name: window for window in self.windows}
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "rate": self.options.rate,
            "seconds": self.options.seconds,
            "connections": self.options.connections,
            "reads": self.reads,
            "windows": [window.to_json() for window in self.windows],
            "error": self.error or None,
        }
        if self.error or len(found) < 3:
            return document | {"passed": False}
        quiet = (found["before"].cycles_per_s + found["after"].cycles_per_s) / 2
        ratio = found["reads"].cycles_per_s / quiet
        p99_ms = self.reads["latency_ms"]["p99"]
        idle_cpu_s = found["before"].api_cpu_s / found["before"].counts.at_s * found["reads"].counts.at_s
        failed = self.reads["failed"]
        bars = [
            _bar("reads.p99_ms", f"<= {P99_BAR_MS:g}", p99_ms, ok=p99_ms <= P99_BAR_MS),
            _bar("load_ratio", f">= {1 - LOSS_BAR:g}", round(ratio, 3), ok=ratio >= 1 - LOSS_BAR),
            _bar("reads.failed", "== 0", failed, ok=failed == 0),
        ]
        return document | {
            "load_ratio": round(ratio, 3),
            "api_cpu_us_per_read": round((found["reads"].api_cpu_s - idle_cpu_s) / self.reads["planned"] * 1e6),
            "bars": bars,
            "passed": all(bar["ok"] for bar in bars),
        }


def _bar(name: str, limit: str, value: float, *, ok: bool) -> dict[str, Any]:
    return {"name": name, "limit": limit, "value": value, "ok": ok}


def _generate(order: Order) -> dict[str, Any]:
    """In a process of its own, so that sending does not share an interpreter with anything."""
    done = subprocess.run(
        [sys.executable, "-m", "ops.bench.reads.generator"],
        input=order_text(order),
        capture_output=True,
        text=True,
        check=False,
        timeout=order.seconds + LAST_ANSWERS_S + 30,
    )
    if done.returncode != 0:
        raise StressError(f"the reads could not be sent: {done.stderr.strip()[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    if found["answered"] == 0:
        raise StressError(f"no read was answered: {found['errors'][:1]}")
    return found


def _processes(pids: Sequence[int]) -> list[psutil.Process]:
    return [found for pid in pids for found in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def run_reads(scenario: Scenario, options: ReadsOptions, console: Console) -> int:
    """0: the bars hold and the load's own run passed; 99: one of them does not; 1: could not be carried out."""
    bench = ReadsBench(options)
    job = JobOptions(
        directory=options.directory,
        plan=options.plan,
        make_settings=options.make_settings,
        during_load=bench.during_load,
    )
    code = Job(scenario, job, console).run()
    document = bench.document() | {"run_exit_code": code}
    path = options.directory / "reads.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    show(document, console)
    console.print(f"report {path}", highlight=False, soft_wrap=True)
    if code == EXIT_ERROR or bench.error:
        return EXIT_ERROR
    return code if document["passed"] else EXIT_FAIL


def show(document: dict[str, Any], console: Console) -> None:
    table = Table(box=None, header_style="dim")
    for name in ("window", "seconds", "cycles_per_s", "lateness_p99_ms", "api_cpu_share"):
        table.add_column(name, justify="left" if name == "window" else "right")
    for window in document["windows"]:
        table.add_row(*(str(value) for value in window.values()))
    console.print(table)
    if document["error"]:
        console.print(f"error: {document['error']}", style="red", highlight=False)
    if document["reads"]:
        latency = "  ".join(f"{name} {value} ms" for name, value in document["reads"]["latency_ms"].items())
        console.print(f"reads: {document['reads']['answered']} answered  {latency}", highlight=False)
    if "api_cpu_us_per_read" in document:
        console.print(f"API: {document['api_cpu_us_per_read']} us CPU per read", highlight=False)
    for bar in document.get("bars", []):
        console.print(
            f"{'ok    ' if bar['ok'] else 'FAILED'} {bar['name']} {bar['limit']}: {bar['value']}", highlight=False
        )
