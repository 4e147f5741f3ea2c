"""Clocks that are passed in, so that nothing but the edges reads the machine's time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """``now_ms``: Unix milliseconds, to show and to log. ``monotonic_s``: for time-outs only."""

    def now_ms(self) -> int: ...

    def monotonic_s(self) -> float: ...


class SystemClock:
    """The machine's clocks. Leases and due times never use them: those live by Redis TIME (DESIGN.md 5)."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()
