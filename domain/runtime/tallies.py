"""Counts and latencies that many threads add to without a lock: each thread has its own, readers sum them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock, Thread, current_thread, local

from domain.store.histogram import bucket_of, merged, percentile

Labels = tuple[str, ...]
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One histogram. ``buckets``: bucket (histogram.py) of microseconds -> count."""

    buckets: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0  # the sum of all

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def plus(self, other: Latency) -> Latency:
        return Latency(buckets=merged(self.buckets, other.buckets), seconds=self.seconds + other.seconds)

    def since(self, earlier: Latency) -> Latency:
        left = {bucket: count - earlier.buckets.get(bucket, 0) for bucket, count in self.buckets.items()}
        return Latency(
            buckets={bucket: count for bucket, count in left.items() if count},
            seconds=self.seconds - earlier.seconds,
        )

    def percentile_ms(self, percent: int) -> float | None:
        micros = percentile(self.buckets, percent)
        return None if micros is None else micros / 1_000


class _Own:
    """What one thread has added; nobody else writes it."""

    __slots__ = ("buckets", "counts", "seconds", "thread")

    def __init__(self) -> None:
        self.thread: Thread = current_thread()
        self.buckets: dict[Labels, dict[int, int]] = {}
        self.seconds: dict[Labels, float] = {}
        self.counts: dict[Labels, int] = {}


class Tallies:
    """Thread-safe. A reader may miss what is added while it reads; the next one sees it."""

    def __init__(self) -> None:
        self._local = local()
        self._lock = Lock()
        self._all: list[_Own] = []
        self._ended = _Own()  # what threads that have ended leave behind

    def observe(self, labels: Labels, seconds: float) -> None:
        """Add one latency."""
        own = self._own()
        bucket = bucket_of(int(seconds * MICROSECONDS))
        buckets = own.buckets.get(labels)
        if buckets is None:
            buckets = own.buckets[labels] = {}
            own.seconds[labels] = 0.0
        buckets[bucket] = buckets.get(bucket, 0) + 1
        own.seconds[labels] += seconds

    def count(self, labels: Labels) -> None:
        """Add one to a plain count."""
        counts = self._own().counts
        counts[labels] = counts.get(labels, 0) + 1

    def latencies(self) -> dict[Labels, Latency]:
        found: dict[Labels, Latency] = {}
        with self._lock:
            for own in self._owners():
                for labels, buckets in list(own.buckets.items()):
                    latency = Latency(buckets=buckets.copy(), seconds=own.seconds.get(labels, 0.0))
                    found[labels] = found[labels].plus(latency) if labels in found else latency
        return found

    def counts(self) -> dict[Labels, int]:
        found: dict[Labels, int] = {}
        with self._lock:
            for own in self._owners():
                for labels, count in list(own.counts.items()):
                    found[labels] = found.get(labels, 0) + count
        return found

    def _own(self) -> _Own:
        own: _Own | None = getattr(self._local, "own", None)
        if own is None:
            own = self._local.own = _Own()
            with self._lock:
                self._all.append(own)
        return own

    def _owners(self) -> list[_Own]:
        """Everybody's, after taking over what ended threads left: a server makes threads for as long as it lives."""
        for own in [own for own in self._all if not own.thread.is_alive()]:
            self._all.remove(own)
            self._take_over(own)
        return [*self._all, self._ended]

    def _take_over(self, own: _Own) -> None:
        ended = self._ended
        for labels, buckets in own.buckets.items():
            ended.buckets[labels] = merged(ended.buckets.get(labels, {}), buckets)
            ended.seconds[labels] = ended.seconds.get(labels, 0.0) + own.seconds[labels]
        for labels, count in own.counts.items():
            ended.counts[labels] = ended.counts.get(labels, 0) + count
