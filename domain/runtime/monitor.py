"""One thread per process: opens the metrics port, tells Prometheus where it is, and logs performance figures.

Of all processes of one machine the one that holds the machine's lease also looks at the machine itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from socket import gethostname
from threading import Event, Thread
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import psutil
import structlog
from prometheus_client import start_http_server
from prometheus_client.core import Metric

from domain.runtime.exposition import registry_of
from domain.runtime.machine import MachineSample, busy_shares, families, machine_id, sample_machine
from domain.runtime.metrics import ProcessMetrics, Reading
from domain.runtime.settings import Settings
from domain.store.errors import StoreError
from domain.store.gateway import RedisStore

log = structlog.get_logger(__name__)

PORTS_TRIED: Final = 200  # processes of one machine that may share one first port
STEP_S: Final = 5.0  # between two announcements; who is silent for three of them is gone, and the machine another's
MEGABYTE: Final = 1_000_000


@dataclass(slots=True, kw_only=True)
class _Last:
    """What the last look saw."""

    at_s: float
    cpu_s: float
    reading: Reading
    machine: MachineSample | None = None


class Monitor:
    """``start`` once per process, after any fork. Nothing of it can end or slow down the process' work."""

    def __init__(self, settings: Settings, store: RedisStore, metrics: ProcessMetrics) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._process = psutil.Process()
        self._token = uuid4().hex
        self._has_machine = False
        self._stop = Event()
        self._thread: Thread | None = None
        self._last = _Last(at_s=monotonic(), cpu_s=self._cpu_s(), reading=metrics.reading())
        self.port = 0  # where /metrics is served; 0: nowhere
        metrics.add(self._families)

    def start(self, *, with_port: bool = True) -> None:
        """Go on in a thread. ``with_port`` False for who serves the metrics in another way."""
        if self._settings.metrics_port and with_port:
            self.port = self._open()
        self._thread = Thread(target=self._run, name="monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _open(self) -> int:
        """The first free port from the setting on."""
        first = self._settings.metrics_port
        registry = registry_of(self._metrics.families)
        for port in range(first, min(first + PORTS_TRIED, 65_536)):
            try:
                start_http_server(port, self._settings.metrics_bind, registry)
            except OSError:
                continue  # another process of this machine has it
            return port
        log.warning("no free port for metrics", action="metrics_off", first=first)
        return 0

    def _run(self) -> None:
        interval_s = self._settings.metrics_interval_s
        report_s = monotonic() + interval_s
        while True:
            try:
                self._announce()
                self._has_machine = self._take_machine()
            except (StoreError, OSError) as error:
                log.info("not watched now", action="metrics_off", error=str(error))
            if self._stop.wait(self._step_s):
                return
            if monotonic() >= report_s:
                report_s += interval_s
                self._report()

    @property
    def _step_s(self) -> float:
        return min(STEP_S, self._settings.metrics_interval_s)

    @property
    def _keep_ms(self) -> int:
        return int(self._step_s * 3_000)

    def _announce(self) -> None:
        if self.port:
            labels = {"role": self._metrics.role, "name": self._metrics.name, "host": gethostname()}
            self._store.announce_target(f"{self._host()}:{self.port}", labels, self._keep_ms)

    def _host(self) -> str:
        """What others may call this machine; a wildcard address is no name."""
        bind = self._settings.metrics_bind
        try:
            if ip_address(bind).is_unspecified:
                return gethostname()
        except ValueError:
            pass
        return f"[{bind}]" if ":" in bind else bind

    def _take_machine(self) -> bool:
        """False while another process of this machine has it."""
        return self._store.acquire_lease(f"machine:{machine_id()}", self._token, self._keep_ms)

    def _sample(self) -> MachineSample | None:
        if not self._has_machine:
            return None
        try:
            return sample_machine(self._settings)
        except (psutil.Error, OSError) as error:
            log.info("the machine does not tell", action="metrics_off", error=str(error))
            return None

    def _families(self) -> Iterable[Metric]:
        """As the machine is when it is asked for: a rate over older samples would go up in steps."""
        sample = self._sample()
        return () if sample is None else families(sample)

    def _report(self) -> None:
        """One line about the time since the last one."""
        before, now = self._last, monotonic()
        self._last = _Last(at_s=now, cpu_s=self._cpu_s(), reading=self._metrics.reading(), machine=self._sample())
        seconds = max(now - before.at_s, 1e-9)
        reading = self._last.reading
        rpc, redis = reading.rpc.since(before.reading.rpc), reading.redis.since(before.reading.redis)
        limits = {each.endpoint: each.in_flight_limit for each in self._metrics.endpoints()}
        log.info(
            "performance",
            action="performance",
            role=self._metrics.role,
            cycles_per_s=round((reading.cycles - before.reading.cycles) / seconds, 2),
            rpc_requests=rpc.count,
            rpc_p50_ms=rpc.percentile_ms(50),
            rpc_p99_ms=rpc.percentile_ms(99),
            redis_calls=redis.count,
            redis_p99_ms=redis.percentile_ms(99),
            cpu_percent=round((self._last.cpu_s - before.cpu_s) / seconds * 100, 1),
            memory_mb=round(self._process.memory_info().rss / MEGABYTE, 1),
            in_flight_limits=limits,
        )
        if before.machine is not None and self._last.machine is not None:
            self._report_machine(self._last.machine, before.machine, seconds)

    @staticmethod
    def _report_machine(machine: MachineSample, before: MachineSample, seconds: float) -> None:
        received, sent = (
            sum(total[at] - before.network.get(name, total)[at] for name, total in machine.network.items())
            for at in (0, 1)
        )
        figures: dict[str, Any] = {"cores_percent": [round(100 * share, 1) for share in busy_shares(machine, before)]}
        if machine.memory:
            figures["memory_available_mb"] = round(machine.memory["available"] / MEGABYTE)
            figures["memory_pressure"] = machine.pressure.get("memory")
        if machine.network:
            figures["received_mb_per_s"] = round(received / seconds / MEGABYTE, 3)
            figures["sent_mb_per_s"] = round(sent / seconds / MEGABYTE, 3)
        if machine.celsius:
            figures["hottest_celsius"] = max(machine.celsius.values())
        log.info("the machine", action="machine_performance", **figures)

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system
