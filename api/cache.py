"""Answers to status reads, kept for a fraction of a second: a dashboard's many readers cost one reading (NET-10)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final

from domain.runtime.clock import Clock

MOST_ENTRIES: Final = 4_096
MOST_BYTES: Final = 2**25


class AnswerCache:
    """One per process. ``forget`` after a change: who commands and then asks sees what the command did."""

    def __init__(self, clock: Clock, kept_ms: int) -> None:
        self._clock = clock
        self._kept_s = kept_ms / 1_000
        self._entries: dict[Hashable, tuple[float, bytes]] = {}
        self._bytes = 0
        self._changes = 0
        self._lock = Lock()

    def get(self, key: Hashable, read: Callable[[], bytes]) -> bytes:
        """The answer kept for ``key``, else what ``read`` gives; what it raises is not kept."""
        if self._kept_s == 0:
            return read()
        began_s, changes = self._clock.monotonic_s(), self._changes
        entry = self._entries.get(key)
        if entry is not None and entry[0] > began_s:
            return entry[1]
        answer = read()
        with self._lock:
            if changes == self._changes:  # else it may stem from before the change
                self._keep(key, began_s + self._kept_s, answer)
        return answer

    def forget(self) -> None:
        with self._lock:
            self._changes += 1
            self._clear()

    def _keep(self, key: Hashable, until_s: float, answer: bytes) -> None:
        self._bytes -= len(self._entries.pop(key, (0.0, b""))[1])
        if len(self._entries) >= MOST_ENTRIES or self._bytes + len(answer) > MOST_BYTES:
            self._clear()
        self._entries[key] = (until_s, answer)
        self._bytes += len(answer)

    def _clear(self) -> None:
        self._entries.clear()
        self._bytes = 0
