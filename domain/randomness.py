"""Every random decision of a run, from its seed: no float, no clock (DESIGN.md 8)."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Final, Protocol

COUNTDOWN_MIN_MS: Final = 750
COUNTDOWN_MAX_MS: Final = 2_000


class Pacing(Protocol):
    """The cadence of a chain of cycles, as the settings carry it."""

    @property
    def countdown_min_ms(self) -> int: ...
    @property
    def countdown_max_ms(self) -> int: ...


def generator(run_seed: int, index: int, operation_number: int, cycle: int = 0) -> Random:
    """The generator of one decision: the same four numbers always give the same sequence.

    ``cycle`` lets cycles that wait, and so keep their operation number, draw anew.
    """
    text = f"{run_seed}/{index}/{operation_number}/{cycle}"
    return Random(int.from_bytes(sha256(text.encode()).digest(), "big"))


def countdown_ms(rng: Random, pacing: Pacing | None = None) -> int:
    """Milliseconds to the next cycle: uniform, both ends included, 750..2000 by default (DEP-17)."""
    if pacing is None:
        return rng.randint(COUNTDOWN_MIN_MS, COUNTDOWN_MAX_MS)
    return rng.randint(pacing.countdown_min_ms, pacing.countdown_max_ms)
