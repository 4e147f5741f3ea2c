"""How many requests one endpoint may have in flight: fewer while it answers slowly, more again when it recovers.

Additive increase, multiplicative decrease, as congestion control does it. A healthy endpoint never meets the limit: it
starts at the largest, and a latency below ``slow_seconds`` is never called slow, however it compares with a better day.
"""

from __future__ import annotations

from typing import Final

FEWEST: Final = 2
SMOOTHING: Final = 0.1  # weight of the newest latency
SLOWER: Final = 2.0  # this many times its usual latency
DECREASE: Final = 0.75
SHORTEST_ROUND_SECONDS: Final = 0.1
DRIFT_SECONDS: Final = 600.0  # in about this time a lasting change becomes the usual latency


class InFlightLimit:
    """Changed under its owner's lock. ``now`` is any monotonic clock in seconds."""

    __slots__ = ("_answered_at", "_changed_at", "_fewest", "_limit", "_most", "_slow_seconds", "_smoothed", "_usual")

    def __init__(self, most: int, slow_seconds: float) -> None:
        """``most``: the limit of a healthy endpoint."""
        self._most = most
        self._fewest = min(FEWEST, most)
        self._slow_seconds = slow_seconds
        self._limit = float(self._most)
        self._smoothed: float | None = None
        self._usual: float | None = None
        self._changed_at = float("-inf")
        self._answered_at = float("-inf")

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def latency_seconds(self) -> float | None:
        """Smoothed; None before the first answer."""
        return self._smoothed

    def answered(self, seconds: float, now: float) -> None:
        """A usable answer came after ``seconds``."""
        if self._smoothed is None or self._usual is None:
            self._smoothed = self._usual = seconds
        else:
            self._smoothed += SMOOTHING * (seconds - self._smoothed)
            # Down at once, up slowly: the usual latency is that of an endpoint which is not loaded.
            drift = min(1.0, (now - self._answered_at) / DRIFT_SECONDS)
            self._usual += (1.0 if seconds < self._usual else drift) * (seconds - self._usual)
        self._answered_at = now
        if self._smoothed > max(self._slow_seconds, SLOWER * self._usual):
            self._lower(now)
        elif self._limit < self._most:
            self._limit = min(self._most, self._limit + 1.0 / self._limit)  # one more per round of answers

    def overloaded(self, now: float) -> None:
        """It timed out or asked for fewer requests."""
        self._lower(now)

    def _lower(self, now: float) -> None:
        """Once per round: the answers to what is in flight already tell nothing about the new limit."""
        if now - self._changed_at < max(SHORTEST_ROUND_SECONDS, self._smoothed or 0.0):
            return
        self._changed_at = now
        self._limit = max(float(self._fewest), self._limit * DECREASE)
