"""The schedule's truth: which chains are due, which of them were not delivered, and how often one is sent again."""

from __future__ import annotations

from dataclasses import dataclass

from domain.chains import ChainKind
from domain.ids import ChainId
from domain.store.edge import Part
from domain.store.keys import REVIVAL_TTL_MS

FIRST_PAUSE_MS = 2_000
LONGEST_PAUSE_MS = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A live chain whose cycle (generation, seq) was due at ``due_ms`` and is in nobody's hands."""

    chain_id: ChainId
    kind: ChainKind
    generation: int
    seq: int
    due_ms: int


class ScheduleStore(Part):
    """What the supervisor reads and notes."""

    def overdue(self, older_than_ms: int, limit: int) -> list[Overdue]:
        """At most ``limit`` chains due over ``older_than_ms`` ago and without a live lease, the longest overdue first.

        Read without a lock: a chain may move on meanwhile, and a message for it is then dropped at its begin.
        """
        found: list[Overdue] = []
        seconds, micros = self._edge.call("TIME")
        now_ms = seconds * 1000 + micros // 1000
        start = 0
        while len(found) < limit:
            page = ("LIMIT", start, limit)
            late = now_ms - older_than_ms
            names = self._edge.call("ZRANGEBYSCORE", self._keys.named("due"), "-inf", f"({late}", *page)
            fields = ("kind", "generation", "seq", "live", "lease_token", "lease_until_ms", "due_ms")
            rows = self._edge.batch([("HMGET", self._keys.chain(name), *fields) for name in names])
            for name, (kind, generation, seq, live, token, until_ms, due_ms) in zip(names, rows, strict=True):
                if live != "1" or (token and now_ms < int(until_ms)):
                    continue
                found.append(
                    Overdue(
                        chain_id=ChainId(name),
                        kind=ChainKind(kind),
                        generation=int(generation),
                        seq=int(seq),
                        due_ms=int(due_ms),
                    )
                )
            if len(names) < limit:
                break
            start += limit
        return found[:limit]

    def note_revival(self, chain_id: ChainId) -> bool:
        """May this chain's message be sent again now? True counts it as revived.

        The same (generation, seq) is sent again after 2 s, then 4, 8, 16, 16 ...; a chain that moved on starts afresh.
        """
        keys = [self._keys.chain(chain_id), self._keys.revival(chain_id), self._keys.counters("cycles")]
        return bool(self._edge.script("note_revival", keys, [FIRST_PAUSE_MS, LONGEST_PAUSE_MS, REVIVAL_TTL_MS]))

    def live_chains(self) -> list[tuple[ChainId, int]]:
        """Every live chain and its due time (Redis ms), the earliest first."""
        found = self._edge.call("ZRANGE", self._keys.named("due"), 0, -1, "WITHSCORES", withscores=True)
        return [(ChainId(name), int(score)) for name, score in found]

    def oldest_queued(self, queue: str) -> bytes | None:
        """The raw message that has waited longest in the list ``queue`` (its full key)."""
        found = self._edge.call("LINDEX", queue, -1, NEVER_DECODE=True)
        return found if found is None or isinstance(found, bytes) else str(found).encode()

    def queue_length(self, queue: str) -> int:
        return int(self._edge.call("LLEN", queue))

    def push_message(self, queue: str, message: bytes) -> None:
        """Send a message again; the newest end of the list, where Celery's own messages go."""
        self._edge.call("LPUSH", queue, message)
