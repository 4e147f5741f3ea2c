"""CPU and resident memory of a process and its children, every second, as a time series."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, Self

import psutil

INTERVAL_S: Final = 1.0


class ResourceMonitor:
    """``with ResourceMonitor(pid) as monitor``; ``samples`` are {time, cpuPercent, memoryBytes}, cpu 100 = one core."""

    def __init__(self, pid: int) -> None:
        """ValueError when there is no such process."""
        try:
            self._process = psutil.Process(pid)
        except psutil.Error:
            raise ValueError(f"pid: there is no process {pid}") from None
        self.samples: list[dict[str, Any]] = []
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._cpu_s: dict[int, float] = {}

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        last = monotonic()
        while not self._stop.wait(max(0.0, last + INTERVAL_S - monotonic())):
            now = monotonic()
            used_s, memory = self._look()
            if memory == 0:
                return  # it has ended; the series ends with it
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            percent = round(100 * used_s / (now - last), 2)
            self.samples.append({"time": time, "cpuPercent": percent, "memoryBytes": memory})
            last = now

    def _look(self) -> tuple[float, int]:
        """CPU seconds since the last look and bytes now, over the process and all below it."""
        used_s, memory, seen = 0.0, 0, {}
        with contextlib.suppress(psutil.Error):
            for process in (self._process, *self._process.children(recursive=True)):
                with contextlib.suppress(psutil.Error), process.oneshot():
                    if process.status() == psutil.STATUS_ZOMBIE:
                        continue
                    times = process.cpu_times()
                    total = times.user + times.system
                    seen[process.pid] = total
                    used_s += total - self._cpu_s.get(process.pid, 0.0)
                    memory += process.memory_info().rss
        self._cpu_s = seen
        return used_s, memory
