"""Which process is hit when and how: drawn from a seed before the run begins. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final


class Blow(StrEnum):
    """What a hit does: SIGKILL, or SIGSTOP and after a while SIGCONT."""

    KILL = "kill"
    STOP = "stop"


CYCLES: Final = "cycles"
CONTROL: Final = "control"
SUPERVISOR: Final = "supervisor"
API: Final = "api"

#: Hits per role in a full run.
FULL_HITS: Final[Mapping[str, int]] = {CYCLES: 10, CONTROL: 3, SUPERVISOR: 3, API: 3}
FREEZE_MS: Final = 10_000
#: Between the end of one freeze and the next of the same role: the service promises that *one* node may freeze.
THAW_MS: Final = 2_000
#: Within this every chain must have gone on after a hit.
RECOVERY_MS: Final = 6_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One signal. ``pick`` modulo the number of the role's children chooses which; ``freeze_ms`` 0 for a kill."""

    at_ms: int
    role: str
    pick: int
    blow: Blow
    freeze_ms: int

    @property
    def end_ms(self) -> int:
        return self.at_ms + self.freeze_ms


def spacing_ms(blow: Blow, role: str, *, crowded: bool = False) -> int:
    """Least time between two hits of the same role.

    Of two nodes only one may be frozen. A chain that two kills of cycle workers rob of its message has no recovery of
    its own to be measured after the first; ``crowded`` plans such kills, too.
    """
    if blow is Blow.STOP:
        return FREEZE_MS + THAW_MS
    return RECOVERY_MS if role == CYCLES and not crowded else 0


def shortest_window_ms(blow: Blow, counts: Mapping[str, int]) -> int:
    """The least window that ``plan_hits`` accepts, crowded or not."""
    return max(((count - 1) * spacing_ms(blow, role) for role, count in counts.items() if count), default=0)


def plan_hits(
    seed: int, blow: Blow, counts: Mapping[str, int], window_ms: int, *, crowded: bool = False
) -> tuple[Hit, ...]:
    """``counts[role]`` hits of each role at uniformly random moments of 0 .. ``window_ms``, in order of time.

    Roles are drawn independently, so hits of different roles overlap. ValueError for a window that is too short.
    """
    if window_ms < shortest_window_ms(blow, counts):
        raise ValueError(f"{window_ms} ms are too short for {dict(counts)}: {shortest_window_ms(blow, counts)} needed")
    freeze_ms = FREEZE_MS if blow is Blow.STOP else 0
    hits = []
    for role, count in counts.items():
        # A generator per role: another number of API hits leaves the workers' moments as they are.
        rng = Random(f"{seed}:{blow.value}:{role}")
        apart_ms = spacing_ms(blow, role, crowded=crowded)
        free_ms = window_ms - max(0, count - 1) * apart_ms
        moments = sorted(rng.randint(0, free_ms) for _ in range(count))
        hits += [
            Hit(
                at_ms=moment + index * apart_ms,
                role=role,
                pick=rng.randrange(2**16),
                blow=blow,
                freeze_ms=freeze_ms,
            )
            for index, moment in enumerate(moments)
        ]
    return tuple(sorted(hits, key=lambda hit: (hit.at_ms, hit.role)))
