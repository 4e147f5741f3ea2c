"""The machine that a process runs on: cores, memory and its pressure, network, temperature, NUMA nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from prometheus_client.core import Metric

from domain.runtime.exposition import Row, counter, gauge
from domain.runtime.settings import Settings

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
PRESSURE: Final = Path("/proc/pressure")
NUMA: Final = Path("/sys/devices/system/node")
MODES: Final = ("user", "system", "iowait", "steal", "idle")


def machine_id() -> str:
    """The same for all processes and containers of one machine until it starts again."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSample:
    """Empty where it is switched off or the machine does not tell. Times and bytes since the machine's start."""

    cpu_s: tuple[dict[str, float], ...] = ()  # by core: mode -> seconds
    load: float | None = None
    memory: dict[str, int] = field(default_factory=dict)  # total, available, swap_used: bytes
    pressure: dict[str, float] = field(default_factory=dict)  # cpu, memory, io -> share of the last 10 s
    numa: dict[str, dict[str, int]] = field(default_factory=dict)  # node -> total, free: bytes
    network: dict[str, tuple[int, int]] = field(default_factory=dict)  # device -> bytes received, sent
    celsius: dict[str, float] = field(default_factory=dict)  # sensor -> degrees


def sample_machine(settings: Settings) -> MachineSample:
    """A look at the machine, without the parts that are switched off."""
    found: dict[str, Any] = {}
    if settings.metrics_cpu:
        times = psutil.cpu_times(percpu=True)
        found["cpu_s"] = tuple({mode: getattr(core, mode, 0.0) for mode in MODES} for core in times)
        found["load"] = psutil.getloadavg()[0]
    if settings.metrics_memory:
        memory = psutil.virtual_memory()
        found["memory"] = {
            "total": memory.total,
            "available": memory.available,
            "swap_used": psutil.swap_memory().used,
        }
        found["pressure"] = _pressure()
        found["numa"] = _numa()
    if settings.metrics_network:
        devices = psutil.net_io_counters(pernic=True)
        found["network"] = {name: (device.bytes_recv, device.bytes_sent) for name, device in devices.items()}
    if settings.metrics_temperature:
        found["celsius"] = _celsius()
    return MachineSample(**found)


def busy_shares(later: MachineSample, earlier: MachineSample) -> list[float]:
    """By core: the share of the time between the two that was not idle."""
    shares = []
    for now, before in zip(later.cpu_s, earlier.cpu_s, strict=False):
        spent = {mode: now[mode] - before[mode] for mode in MODES}
        total = sum(spent.values())
        shares.append((total - spent["idle"] - spent["iowait"]) / total if total > 0 else 0.0)
    return shares


def _pressure() -> dict[str, float]:
    found = {}
    for resource in ("cpu", "memory", "io"):
        try:
            some = re.search(r"some avg10=([\d.]+)", (PRESSURE / resource).read_text())
        except OSError:
            continue  # an older kernel
        if some is not None:
            found[resource] = float(some[1]) / 100
    return found


def _numa() -> dict[str, dict[str, int]]:
    found = {}
    for path in sorted(NUMA.glob("node[0-9]*/meminfo")):
        sizes = dict(re.findall(r"Mem(Total|Free):\s+(\d+) kB", path.read_text()))
        number = path.parent.name.removeprefix("node")
        found[number] = {name.lower(): int(size) * 1024 for name, size in sizes.items()}
    return found


def _celsius() -> dict[str, float]:
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    return {
        f"{chip}:{sensor.label or number}": sensor.current
        for chip, readings in sensors.items()
        for number, sensor in enumerate(readings)
    }


def families(sample: MachineSample) -> Iterable[Metric]:
    """What there is of it, for Prometheus."""
    modes: list[Row] = [
        ((str(core), mode), seconds) for core, times in enumerate(sample.cpu_s) for mode, seconds in times.items()
    ]
    if modes:
        yield counter("frt_machine_cpu_seconds", "Time of each core.", ("core", "mode"), modes)
    if sample.load is not None:
        yield gauge("frt_machine_load1", "Load average of one minute.", (), [((), sample.load)])
    for name, size in sample.memory.items():
        yield gauge(f"frt_machine_memory_{name}_bytes", f"Memory: {name.replace('_', ' ')}.", (), [((), size)])
    if sample.pressure:
        text = "Share of the last 10 s in which something waited for the resource."
        rows: list[Row] = [((resource,), share) for resource, share in sample.pressure.items()]
        yield gauge("frt_machine_pressure_ratio", text, ("resource",), rows)
    if sample.numa:
        for name in ("total", "free"):
            rows = [((node,), sizes[name]) for node, sizes in sample.numa.items() if name in sizes]
            yield gauge(f"frt_machine_numa_{name}_bytes", f"Memory of a NUMA node: {name}.", ("node",), rows)
    for at, name in enumerate(("receive", "transmit")):
        rows = [((device,), total[at]) for device, total in sample.network.items()]
        if rows:
            yield counter(f"frt_machine_network_{name}_bytes", f"Network: {name}.", ("device",), rows)
    if sample.celsius:
        rows = [((sensor,), degrees) for sensor, degrees in sample.celsius.items()]
        yield gauge("frt_machine_temperature_celsius", "Temperature sensors.", ("sensor",), rows)
