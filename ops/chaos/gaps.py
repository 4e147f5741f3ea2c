"""How long a chain stood still after a hit, from the moments at which it was seen to move. Pure.

A chain *moves* when its due time changes: every commit, start and order sets a new one. A gap that began before the
hit counts from the hit on; it ends with the next move, or with the chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

#: How long after a hit (or after its freeze) a gap may begin and still count as this hit's: what a dead process held
#: was due at most 2 s later, and is sent again after 2 s more.
AFTERMATH_S: Final = 6.0
COMMAND: Final = "command"


@dataclass(slots=True, kw_only=True)
class Track:
    """One life of a chain as it was seen; ``gone_s`` None: it is still live."""

    born_s: float
    due_ms: int
    moves_s: list[float] = field(default_factory=list)
    gone_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The longest time for which a chain stood still."""

    chain_id: str
    began_s: float
    seconds: float


class Tracks:
    """Every life of every chain. A chain that ends and is started again has two lives."""

    def __init__(self) -> None:
        self._live: dict[str, Track] = {}
        self._all: list[tuple[str, Track]] = []

    def see(self, now_s: float, due_ms: Mapping[str, int]) -> None:
        """Note the due times of all live chains as read at ``now_s``."""
        for chain_id, due in due_ms.items():
            track = self._live.get(chain_id)
            if track is None:
                track = self._live[chain_id] = Track(born_s=now_s, due_ms=due)
                self._all.append((chain_id, track))
            elif track.due_ms != due:
                track.due_ms = due
                track.moves_s.append(now_s)
        for chain_id in [name for name in self._live if name not in due_ms]:
            self._live.pop(chain_id).gone_s = now_s

    def longest(self, from_s: float, until_s: float, seen_until_s: float, *, commands: bool = False) -> Gap | None:
        """The longest gap that overlaps ``from_s`` .. ``until_s``; one still open at ``seen_until_s`` ends there.

        ``commands`` False: threads and pools, True: command chains only. None when no such chain was alive.
        """
        longest: Gap | None = None
        for chain_id, track in self._all:
            if (chain_id.partition(":")[0] == COMMAND) is not commands:
                continue
            end_s = seen_until_s if track.gone_s is None else track.gone_s
            moments = [track.born_s, *track.moves_s, end_s]
            for before, after in pairwise(moments):
                if after <= from_s or before >= until_s:
                    continue
                seconds = after - max(before, from_s)
                if longest is None or seconds > longest.seconds:
                    longest = Gap(chain_id=chain_id, began_s=max(before, from_s), seconds=seconds)
        return longest
