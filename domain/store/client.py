"""Opens the Redis client that the store needs."""

from __future__ import annotations

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry


def connect(url: str, *, socket_timeout_s: float = 5.0, health_check_interval_s: int = 25) -> redis.Redis:
    """A client for ``redis://host:port/db``, ``rediss://`` or ``unix:///path?db=n``; nothing is sent yet.

    Texts are decoded, the protocol is RESP2 (Redis 6.2), and a lost connection is tried twice more: every script of
    ours may be sent again with the same arguments.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        protocol=2,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=socket_timeout_s,
        health_check_interval=health_check_interval_s,
        retry=Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), 2),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )
