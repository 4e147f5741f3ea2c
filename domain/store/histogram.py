"""Histogram buckets as the scripts count them: exact below 128, then 32 per octave (about 3 % wide). Pure."""

from __future__ import annotations

from collections.abc import Mapping

EXACT = 128
PER_OCTAVE = 32


def bucket_of(value: int) -> int:
    """The bucket of a value >= 0; the same arithmetic as in begin_cycle.lua."""
    if value < EXACT:
        return max(value, 0)
    shift = value.bit_length() - 6
    return EXACT + (shift - 2) * PER_OCTAVE + (value >> shift) - PER_OCTAVE


def bucket_top(bucket: int) -> int:
    """The largest value in a bucket: what a percentile reports, so that it never flatters."""
    if bucket < EXACT:
        return bucket
    octave, step = divmod(bucket - EXACT, PER_OCTAVE)
    shift = octave + 2
    return ((step + PER_OCTAVE + 1) << shift) - 1


def percentile(counts: Mapping[int, int], percent: int) -> int | None:
    """The smallest bucket top that at least ``percent`` % of the values do not exceed; None without values."""
    total = sum(counts.values())
    if total == 0:
        return None
    wanted = max(1, -(-total * percent // 100))
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return bucket_top(bucket)
    return None


def merged(*histograms: Mapping[int, int]) -> dict[int, int]:
    """The sum of several histograms."""
    total: dict[int, int] = {}
    for counts in histograms:
        for bucket, count in counts.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def by_key(fields: Mapping[str, str]) -> dict[str, dict[int, int]]:
    """Key -> bucket -> count, of a counter hash whose fields are ``<key>:<bucket>``."""
    found: dict[str, dict[int, int]] = {}
    for field, count in fields.items():
        key, _, bucket = field.rpartition(":")
        found.setdefault(key, {})[int(bucket)] = int(count)
    return found
