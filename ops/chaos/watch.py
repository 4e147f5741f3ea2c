"""Watches a run from outside while it is hit: when each chain moved, and when the web server answered."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

from domain.store.errors import StoreUnavailable
from domain.store.gateway import RedisStore
from ops.chaos.gaps import Tracks

CHAINS_EVERY_S: Final = 0.05  # the error of every measured gap
API_EVERY_S: Final = 0.25
API_TIMEOUT_S: Final = 1.0
ASKED: Final = {"jsonrpc": "2.0", "id": 1, "method": "get_all_threads", "params": {}}


class Repeated:
    """Calls ``act`` every so many seconds in a thread of its own, until it is closed."""

    def __init__(self, name: str, every_s: float, act: Callable[[], None]) -> None:
        self._stop = Event()
        self._every_s = every_s
        self._act = act
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._act()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class ChainWatch:
    """Reads the due set, the schedule's truth: one command, whatever the number of chains."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self.tracks = Tracks()
        self.seen_until_s = monotonic()
        self._look()
        self._repeated = Repeated("chain-watch", CHAINS_EVERY_S, self._look)

    def _look(self) -> None:
        with suppress(StoreUnavailable):
            live = dict(self._store.live_chains())
            self.seen_until_s = monotonic()
            self.tracks.see(self.seen_until_s, {str(chain_id): due_ms for chain_id, due_ms in live.items()})

    def close(self) -> None:
        self._repeated.close()


class ApiWatch:
    """Asks the web server what any client asks; keeps when it answered."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.answers_s = [monotonic()]
        self.failures = 0
        self._repeated = Repeated("api-watch", API_EVERY_S, self._ask)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=API_TIMEOUT_S)
        try:
            connection.request("POST", "/rpc", json.dumps(ASKED), {"content-type": "application/json"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            self.failures += 1
        else:
            if "result" in answer:
                self.answers_s.append(monotonic())
            else:
                self.failures += 1
        finally:
            connection.close()

    def longest_s(self, from_s: float, until_s: float) -> float:
        """The longest time without an answer that overlaps the two moments, from the first of them on."""
        moments = [*self.answers_s, monotonic()]
        return max((b - max(a, from_s) for a, b in pairwise(moments) if b > from_s and a < until_s), default=0.0)

    def close(self) -> None:
        self._repeated.close()
