"""What became of the messages, per process and summed. Times are nanoseconds."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, Final

from hdrh.histogram import HdrHistogram

LOWEST_NS: Final = 1
HIGHEST_NS: Final = 3_600 * 1_000_000_000
DIGITS: Final = 3  # percentiles within 0.1 % of the exact ones
LATE_NS: Final = 1_000_000


@dataclass(slots=True, kw_only=True)
class Tally:
    """``planned``: due in the measured time (after the warm-up); the others but the last four count those only.

    ``late``: sent more than 1 ms after they were due. ``not_sent``: due while there was no connection. ``lost``: sent
    and never echoed. ``in_time``: echoed before the measured time was over; the rest of ``received`` came later, and a
    rate that counted them would hide that the server could not keep up. Connection figures are of the whole run.
    """

    sent: int = 0
    received: int = 0
    in_time: int = 0
    late: int = 0
    not_sent: int = 0
    lost: int = 0
    mismatched: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    bytes_received: int = 0
    connected: int = 0
    connect_errors: int = 0
    connect_retries: int = 0
    disconnected: int = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Tally)})

    @property
    def planned(self) -> int:
        """Due in the measured time."""
        return self.sent + self.not_sent

    @property
    def errors(self) -> int:
        """Everything that should not have happened."""
        failed = self.lost + self.not_sent + self.mismatched + self.duplicated
        return failed + self.connect_errors + self.disconnected


@dataclass(slots=True, kw_only=True)
class ProcessResult:
    """What one client process tells at its end.

    ``cpu``: share of a core over the measured time; ``waiting``: share of it in which all its cores were taken.
    """

    tally: Tally
    latencies_ns: array[int]
    cpu: float
    waiting: float
    measured_s: float
    partial: bool = False
    died: bool = False
    messages: list[str] = field(default_factory=list)  # first errors, in words


def histogram_of(samples: array[int]) -> HdrHistogram:
    """Latencies as an HDR histogram of nanoseconds; equal values are recorded together."""
    histogram = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    for value, count in Counter(samples).items():
        histogram.record_value(min(max(value, LOWEST_NS), HIGHEST_NS), count)
    return histogram


def merged(histograms: list[HdrHistogram]) -> HdrHistogram:
    total = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    for one in histograms:
        if one.get_total_count():  # adding an empty one makes the minimum 0
            total.add(one)
    return total


def latency_ms(histogram: HdrHistogram) -> dict[str, Any]:
    """min, mean, p50, p90, p99, p99_9, max in milliseconds; null without a sample."""
    if not histogram.get_total_count():
        return dict.fromkeys(("min", "mean", "p50", "p90", "p99", "p99_9", "max"))
    at = histogram.get_percentile_to_value_dict([50, 90, 99, 99.9])
    values = {
        "min": histogram.get_min_value(),
        "mean": histogram.get_mean_value(),
        "p50": at[50],
        "p90": at[90],
        "p99": at[99],
        "p99_9": at[99.9],
        "max": histogram.get_max_value(),
    }
    return {name: round(value / 1e6, 6) for name, value in values.items()}


def curve_ms(histogram: HdrHistogram) -> list[list[float]]:
    """[percentile, milliseconds] at the places where a latency curve is drawn: denser towards 100.

    It ends where one sample is left beyond: 1,000 samples say nothing of the 99.99th percentile.
    """
    count = histogram.get_total_count()
    if not count:
        return []
    places = [0.0]
    for nines in range(6):
        places += [100 - 100 * 10.0**-nines * (1 - step / 20) for step in range(1, 19)]
    told = [place for place in places if place <= 100 - 100 / count]
    found = histogram.get_percentile_to_value_dict(told) if told else {}
    return [[round(place, 6), found[place] / 1e6] for place in told]
