"""Counters and histograms: events only, never amounts (DESIGN.md 3, "Numbers in Redis")."""

from __future__ import annotations

from collections.abc import Iterable

from domain.store.edge import Part
from domain.store.histogram import by_key


class CounterStore(Part):
    """One hash per name; a histogram's fields are ``<key>:<bucket>`` (histogram.py)."""

    def add_counts(self, counts: Iterable[tuple[str, str, int]]) -> None:
        """(counter name, field, increment); the same shape as ``Commit.counts``, for events outside of a commit."""
        self._edge.batch([("HINCRBY", self._keys.counters(name), field, by) for name, field, by in counts])

    def counts(self, name: str) -> dict[str, int]:
        """Field -> count. ``cycles`` has ``<kind>.started|superseded|stopped|busy|epoch|revived|refused_<reason>``."""
        return {field: int(count) for field, count in self._edge.call("HGETALL", self._keys.counters(name)).items()}

    def histogram(self, name: str) -> dict[str, dict[int, int]]:
        """Key -> bucket -> count of a histogram counter."""
        return by_key(self._edge.call("HGETALL", self._keys.counters(name)))

    def lateness(self) -> dict[str, dict[int, int]]:
        """Kind -> bucket -> cycles that began so many milliseconds after they were due."""
        return self.histogram("lateness")
