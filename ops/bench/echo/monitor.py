"""CPU and resident memory of a process and its children: every second as a time series, and over a window of time."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic, monotonic_ns
from typing import Any, Final, NamedTuple, Self

import psutil

INTERVAL_S: Final = 1.0
SECOND_NS: Final = 1_000_000_000


class ResourceMonitor:
    """``with ResourceMonitor(pid) as monitor``; ``samples`` are {time, cpuPercent, memoryBytes}, cpu 100 = one core.

    ``window_cpu_s``: CPU seconds between the moments of ``set_window``, None until there were any.
    """

    def __init__(self, pid: int) -> None:
        """ValueError when there is no such process."""
        try:
            self._process = psutil.Process(pid)
        except psutil.Error:
            raise ValueError(f"pid: there is no process {pid}") from None
        self.samples: list[dict[str, Any]] = []
        self.window_cpu_s: float | None = None
        self._stop = Event()
        self._threads = [Thread(target=self._watch, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def set_window(self, begins_ns: int, ends_ns: int) -> None:
        """From when to when, in ``time.monotonic_ns``, CPU shall be counted."""
        self._threads.append(Thread(target=self._count, args=(begins_ns, ends_ns), daemon=True))
        self._threads[-1].start()

    def _count(self, begins_ns: int, ends_ns: int) -> None:
        self._stop.wait(max(0, begins_ns - monotonic_ns()) / SECOND_NS)
        before = self._look()
        self._stop.wait(max(0, ends_ns - monotonic_ns()) / SECOND_NS)
        after = self._look()
        if after:
            self.window_cpu_s = round(_used_s(before, after), 3)

    def _watch(self) -> None:
        last, before = monotonic(), self._look()
        while not self._stop.wait(max(0.0, last + INTERVAL_S - monotonic())):
            now, found = monotonic(), self._look()
            if not found:
                return  # it has ended; the series ends with it
            percent = round(100 * _used_s(before, found) / (now - last), 2)
            memory = sum(each.memory_bytes for each in found.values())
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.samples.append({"time": time, "cpuPercent": percent, "memoryBytes": memory})
            last, before = now, found

    def _look(self) -> dict[int, _Use]:
        """What the process and all below it have used so far, by pid; nothing when it has ended."""
        found = {}
        with contextlib.suppress(psutil.Error):
            for process in (self._process, *self._process.children(recursive=True)):
                with contextlib.suppress(psutil.Error), process.oneshot():
                    if process.status() != psutil.STATUS_ZOMBIE:
                        times = process.cpu_times()
                        found[process.pid] = _Use(times.user + times.system, process.memory_info().rss)
        return found


class _Use(NamedTuple):
    cpu_s: float
    memory_bytes: int


def _used_s(before: dict[int, _Use], after: dict[int, _Use]) -> float:
    """CPU seconds in between; a process that ended in between takes its last ones with it."""
    return sum(use.cpu_s - (before[pid].cpu_s if pid in before else 0.0) for pid, use in after.items())
