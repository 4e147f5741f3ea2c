"""The store as the rest of the service sees it."""

from __future__ import annotations

from domain.store.threads import ThreadStore


class RedisStore(ThreadStore):
    """Everything the service keeps in Redis (>= 6.2), one method per sentence. Safe to share between threads.

    StoreUnavailable from any method: nothing is known about whether it was carried out; the same call may be repeated.
    """
