"""Rate limits per key or address, counted in Redis for all web processes together.

Each call of a batch counts, so this is asked per call and not per HTTP request. A process leases a hundredth of a
limit at a time from the shared counter and spends it by itself: a read costs no request to Redis, and the limit holds
to within a hundredth per process. When Redis does not answer, each process counts in its own memory with the same
limits: reads go on, and nothing is let through uncounted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

import redis
import structlog
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from domain.runtime.settings import Settings
from domain.store.keys import RATE_LIMITS

log = structlog.get_logger(__name__)

WINDOW_S: Final = 60.0
LEASES: Final = 100  # parts that a limit is leased in
STORAGE_TIMEOUT_S: Final = 0.5
RETRY_S: Final = 5.0  # after Redis did not answer
MOST_ACCOUNTS: Final = 10_000  # remembered at once; the oldest windows go first

READS: Final = "reads"
CHANGES: Final = "changes"
REFUSALS: Final = "refused requests"
MOST_REFUSALS: Final = 60  # per minute and address; each is noted in the audit log


@dataclass(slots=True)
class _Window:
    """What this process may still spend until ``ends_s``; ``exhausted``: the shared counter said no."""

    ends_s: float
    left: int = 0
    exhausted: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """``retry_s``: seconds until it is worth trying again. ``first``: the first refusal in this window."""

    limit: int
    retry_s: float
    first: bool


class RateLimits:
    """One per process. ``now_s``: a clock that only goes forward."""

    def __init__(self, settings: Settings, now_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = {
            READS: settings.rate_limit_reads,
            CHANGES: settings.rate_limit_changes,
            REFUSALS: min(settings.rate_limit_reads, MOST_REFUSALS),
        }
        self._now_s = now_s
        self._windows: dict[tuple[str, str], _Window] = {}
        self._lock = Lock()
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._shared = FixedWindowRateLimiter(_redis_storage(settings))
        self._alone_until_s = -1.0

    def take(self, account: str, kind: str, cost: int) -> Exceeded | None:
        """Count ``cost`` calls; None when they are permitted."""
        limit = self._limits[kind]
        if limit == 0 or cost == 0:
            return None
        if cost > limit:  # never fits, so it is not counted either
            return Exceeded(limit=limit, retry_s=WINDOW_S, first=True)
        now_s = self._now_s()
        with self._lock:
            window = self._windows.get((account, kind))
            if window is None or window.ends_s <= now_s:
                window = self._windows[account, kind] = _Window(ends_s=now_s + WINDOW_S)
                self._forget(now_s)
            if not window.exhausted and window.left < cost:
                self._lease(window, (account, kind), limit, cost - window.left)
            if window.left < cost:
                first, window.refused = not window.refused, True
                return Exceeded(limit=limit, retry_s=min(max(1.0, window.ends_s - now_s), WINDOW_S), first=first)
            window.left -= cost
            return None

    def _lease(self, window: _Window, of: tuple[str, str], limit: int, missing: int) -> None:
        """More to spend, from the shared counter. What exceeds the limit ends the window for this account."""
        item = RateLimitItemPerMinute(limit)
        amount = max(missing, limit // LEASES, 1)
        strategy = self._strategy()
        try:
            granted = strategy.hit(item, *of, cost=amount)
            stats = strategy.get_window_stats(item, *of)
        except StorageError as error:
            self._alone_until_s = self._now_s() + RETRY_S
            log.warning("rate limits are counted by each process alone", action="limits_alone", error=str(error))
            granted = self._local.hit(item, *of, cost=amount)
            stats = self._local.get_window_stats(item, *of)
        window.ends_s = self._now_s() + min(WINDOW_S, max(0.0, stats.reset_time - time.time()))
        window.left += amount if granted else 0
        window.exhausted = not granted and amount <= max(limit // LEASES, 1)

    def _strategy(self) -> FixedWindowRateLimiter:
        return self._local if self._now_s() < self._alone_until_s else self._shared

    def _forget(self, now_s: float) -> None:
        if len(self._windows) <= MOST_ACCOUNTS:
            return
        ended = [of for of, window in self._windows.items() if window.ends_s <= now_s]
        for of in ended or list(self._windows)[: MOST_ACCOUNTS // 10]:
            del self._windows[of]


def _redis_storage(settings: Settings) -> RedisStorage:
    """Nothing is sent yet. The pool is our own because its URLs and ours differ for sockets."""
    pool = redis.ConnectionPool.from_url(
        settings.redis_url, socket_timeout=STORAGE_TIMEOUT_S, socket_connect_timeout=STORAGE_TIMEOUT_S
    )
    prefix = f"{settings.redis_prefix}{RATE_LIMITS}"
    return RedisStorage("redis://", connection_pool=pool, key_prefix=prefix, wrap_exceptions=True)
