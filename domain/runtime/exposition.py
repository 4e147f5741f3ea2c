"""Prometheus metric families from our own histograms, whose buckets are finer than anybody scrapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from domain.store.histogram import bucket_top

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Row = tuple[Sequence[str], float]  # label values, value


class Source(Collector):
    """Families that are made when they are scraped."""

    def __init__(self, make: Callable[[], Iterable[Metric]]) -> None:
        self._make = make

    def collect(self) -> Iterable[Metric]:
        return self._make()


def registry_of(make: Callable[[], Iterable[Metric]]) -> CollectorRegistry:
    """For prometheus_client's own server."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Source(make))
    return registry


def rendered(families: Iterable[Metric]) -> bytes:
    """The text of one scrape."""
    return bytes(generate_latest(registry_of(lambda: families)))


def counter(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """``name`` without "_total"."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def histogram(
    name: str,
    text: str,
    labels: Sequence[str],
    rows: Iterable[tuple[Sequence[str], Mapping[int, int], float | None]],
    *,
    bounds_s: Sequence[float],
    per_second: int,
) -> Metric:
    """Rows: label values, bucket (histogram.py) -> count, sum of seconds or None (then from the buckets, within 2 %).

    ``per_second``: the buckets' unit. A value counts into a bound only when its whole bucket lies under it.
    """
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, buckets, seconds in rows:
        tops = sorted((bucket_top(bucket), count) for bucket, count in buckets.items())
        below, at, cumulative = 0, 0, []
        for bound in bounds_s:
            while at < len(tops) and tops[at][0] <= bound * per_second:
                below += tops[at][1]
                at += 1
            cumulative.append((_text(bound), below))
        cumulative.append(("+Inf", sum(count for _, count in tops)))
        total = seconds if seconds is not None else sum(top * count for top, count in tops) / per_second
        family.add_metric(values, cumulative, total)
    return family


def _text(bound: float) -> str:
    return repr(float(bound))
