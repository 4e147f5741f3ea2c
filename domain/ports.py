"""What the adapters report to: measurements of one process. Null by default, so that nobody asks whether to measure."""

from __future__ import annotations

from typing import Protocol


class Metrics(Protocol):
    """Called from many threads, several times per cycle: an implementation takes a microsecond, not ten."""

    def rpc_request(self, endpoint: str, method: str, seconds: float, outcome: str) -> None:
        """One HTTP request to an endpoint (safe URL). ``method`` "batch" for a batch of different methods.

        ``outcome``: ok, error, timeout, throttled, unavailable or broken.
        """

    def redis_call(self, command: str, seconds: float, *, failed: bool) -> None:
        """One round trip to Redis. ``command``: the command, the script's name, or "pipeline"."""

    def cycle(self, kind: str) -> None:
        """One delivered message was carried out to its end, whatever the end was."""


class NullMetrics:
    """Measures nothing."""

    def rpc_request(self, endpoint: str, method: str, seconds: float, outcome: str) -> None: ...

    def redis_call(self, command: str, seconds: float, *, failed: bool) -> None: ...

    def cycle(self, kind: str) -> None: ...


NULL_METRICS = NullMetrics()
