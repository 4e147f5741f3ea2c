"""Reads the service once a second for all who watch, and keeps the last ten minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from threading import Condition, Event, Thread
from typing import Any, Final

import orjson
import structlog

from api.live.snapshot import COLUMNS, POOL_COLUMNS, point, pool_constants, snapshot
from api.ports import Store
from domain.ids import PoolId
from domain.observed import ObservedPool
from domain.store.counts import Counts
from domain.store.errors import StoreError

log = structlog.get_logger(__name__)

WATCHED_S: Final = 1.0
STEP_MS: Final = 2_000  # between two points of the history, and two readings while nobody watches
KEPT: Final = 300  # points: ten minutes
WINDOW_S: Final = 5.0  # what a rate or a percentile is about
HEAD: Final = b"retry: 2000\n\n"


def event(name: str, document: Any) -> bytes:
    """One server-sent event; JSON never holds a line break."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(document) + b"\n\n"


class Feed:
    """One per process. ``start`` begins reading, ``closing`` ends it and every listener's stream."""

    def __init__(self, store: Store, closing: Event, max_listeners: int, methods: Sequence[str]) -> None:
        self._store = store
        self._methods = methods  # of /rpc: the page offers only what this server can do
        self._closing = closing
        self._places = max_listeners
        self._changed = Condition()
        self._thread: Thread | None = None
        self._listeners = 0
        self._number = 0  # of the newest event
        self._event = b""
        self._pools: dict[PoolId, dict[str, Any]] = {}  # constants, by id
        self._pools_event = b""
        self._recent: deque[Counts] = deque()
        self._newest: dict[PoolId, ObservedPool] = {}
        self._rows: deque[list[Any]] = deque(maxlen=KEPT)
        self._pool_rows: dict[PoolId, deque[list[Any]]] = {}

    def start(self) -> None:
        """Begin to read, once."""
        with self._changed:
            if self._thread is None and not self._closing.is_set():
                self._thread = Thread(target=self._run, name="live-feed", daemon=True)
                self._thread.start()

    def listen(self) -> Listener | None:
        """A stream of events, the newest first; None when every place is taken. Must be closed."""
        self.start()
        with self._changed:
            if self._listeners >= self._places:
                return None
            self._listeners += 1
            self._changed.notify_all()  # somebody watches: the next reading comes sooner
        return Listener(self)

    @property
    def listeners(self) -> int:
        return self._listeners

    def hello(self) -> dict[str, Any]:
        """What a listener gets first: the last ten minutes of the whole service, ``rows`` in order of ``columns``."""
        with self._changed:
            rows = list(self._rows)
        return {"methods": self._methods, "columns": COLUMNS, "step_ms": STEP_MS, "kept": KEPT, "rows": rows}

    def pool_history(self, pool_id: PoolId) -> dict[str, Any] | None:
        """The last ten minutes of one pool, amounts as text; None when no cycle has ever seen it."""
        with self._changed:
            rows = self._pool_rows.get(pool_id)
            return None if rows is None else {"columns": POOL_COLUMNS, "rows": list(rows)}

    def leave(self) -> None:
        with self._changed:
            self._listeners -= 1

    def after(self, number: int) -> tuple[int, bytes, bytes] | None:
        """Number and bytes of the newest event after ``number`` and the pools' event; None once all is over."""
        with self._changed:
            while self._number <= number and not self._closing.is_set():
                self._changed.wait(timeout=WATCHED_S)
            if self._closing.is_set():
                return None
            return self._number, self._event, self._pools_event

    def _run(self) -> None:
        while not self._closing.is_set():
            self._publish(self._read())
            self._pause()
        with self._changed:
            self._changed.notify_all()

    def _pause(self) -> None:
        """A second; two while nobody watches, cut short by the first who does."""
        if self._closing.wait(WATCHED_S):
            return
        with self._changed:
            if not self._listeners:
                self._changed.wait(timeout=STEP_MS / 1000 - WATCHED_S)

    def _read(self) -> bytes:
        try:
            return event("snapshot", self.take())
        except StoreError as error:
            log.warning("store unavailable", action="store_unavailable", error=str(error))
            return event("unavailable", {"reason": "The store does not answer"})
        except Exception:  # the edge of this thread: without it the page would stand still for ever
            log.exception("the live page could not be brought up to date", action="request_failed")
            return event("unavailable", {"reason": "The snapshot could not be read"})

    def _publish(self, text: bytes) -> None:
        with self._changed:
            self._number, self._event = self._number + 1, text
            self._changed.notify_all()

    def take(self) -> dict[str, Any]:
        """Read the service now, and keep what the history needs. Raises StoreError."""
        seen = self._store.overview()
        observed = self._newest_of(self._store.observed_pools())
        pool_ids = {each.pool_id for each in seen.pools}
        if pool_ids != self._pools.keys():
            known = {PoolId(each["id"]): each for each in pool_constants(self._store.list_pools())}
            with self._changed:
                self._pools, self._pools_event = known, event("pools", list(known.values()))
        shown = snapshot(seen, self._lately(seen.counts), observed)
        with self._changed:
            if not self._rows or seen.at_ms - self._rows[-1][0] >= STEP_MS * 0.75:
                shown["row"] = point(shown)  # whoever watches adds it to the history that began the stream
                self._rows.append(shown["row"])
                for pool_id in pool_ids & observed.keys():
                    last = observed[pool_id]
                    row = [seen.at_ms, str(last.liquidity_a), str(last.liquidity_b), str(last.surplus)]
                    self._pool_rows.setdefault(pool_id, deque(maxlen=KEPT)).append(row)
        return shown

    def _newest_of(self, observed: dict[PoolId, ObservedPool]) -> dict[PoolId, ObservedPool]:
        """Without what is older than what was shown already: worker processes take turns in writing it."""
        for pool_id, last in self._newest.items():
            if pool_id in observed and observed[pool_id].slot < last.slot:
                observed[pool_id] = last
        self._newest = observed
        return observed

    def _lately(self, counts: Counts) -> Counts:
        """What the last WINDOW_S brought. Counters that fell are another service's: begin anew."""
        recent = self._recent
        if recent and sum(counts.cycles.values()) < sum(recent[-1].cycles.values()):
            recent.clear()
            self._newest = {}
        recent.append(counts)
        while len(recent) > 1 and counts.at_s - recent[1].at_s >= WINDOW_S:
            recent.popleft()
        return counts.since(recent[0])


class Listener:
    """What one browser reads: an iterator of bytes that ends when the process closes. ``close`` frees its place."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._number = 0
        self._pools_event: bytes | None = None
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        found = self._feed.after(self._number)
        if found is None:
            raise StopIteration
        head = HEAD + event("hello", self._feed.hello()) if self._number == 0 else b""
        self._number, text, pools = found
        if pools != self._pools_event:
            self._pools_event = pools
            head = head + pools
        return head + text

    def close(self) -> None:
        if self._open:
            self._open = False
            self._feed.leave()
