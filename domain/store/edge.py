"""The one door to Redis: plain commands, pipelines and scripts, with Redis' errors turned into ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any

import redis
from redis.exceptions import (
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.ports import NULL_METRICS, Metrics
from domain.store.errors import StoreFailed, StoreUnavailable
from domain.store.keys import DEFAULT_PREFIX, Keys
from domain.store.scripts import load

Argument = str | bytes | int
LONGEST_BLOCK_S = 1.0
_WAITING = frozenset({"BLMOVE"})  # waits on purpose: no measure of Redis
_PASSING = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OutOfMemoryError, ReadOnlyError)
_PASSING_TEXTS = ("OOM ", "MISCONF ", "LOADING ", "READONLY ", "BUSY ", "MASTERDOWN ")


class _Crossing:
    """One round trip: measured, and Redis' errors leave it as StoreUnavailable (may pass) or StoreFailed (will not)."""

    __slots__ = ("_command", "_metrics", "_started")

    def __init__(self, metrics: Metrics, command: str) -> None:
        self._metrics = metrics
        self._command = command

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._command not in _WAITING:
            self._metrics.redis_call(self._command, perf_counter() - self._started, failed=error is not None)
        if not isinstance(error, RedisError):
            return
        passing = isinstance(error, _PASSING)
        # inside a script the server's own error comes wrapped, its code somewhere in the text
        if isinstance(error, ResponseError) and any(text in str(error) for text in _PASSING_TEXTS):
            passing = True
        if passing:
            raise StoreUnavailable(f"Redis is not available: {error}") from error
        raise StoreFailed(f"Redis refused: {error}") from error


class Edge:
    """A Redis client and the keys below one prefix. Used by the store's parts only."""

    def __init__(self, client: redis.Redis, prefix: str = DEFAULT_PREFIX, metrics: Metrics = NULL_METRICS) -> None:
        if not client.connection_pool.connection_kwargs.get("decode_responses"):
            raise ValueError("the store needs a client with decode_responses=True (domain.store.client.connect)")
        self._client: Any = client  # redis-py types every answer as a union with awaitables
        self.keys = Keys(prefix)
        self._metrics = metrics
        self._threads = threading.local()
        socket_timeout_s = client.connection_pool.connection_kwargs.get("socket_timeout")
        # one blocking call must end well before the socket gives up on it (Redis looks ten times a second)
        self.block_s = min(LONGEST_BLOCK_S, (socket_timeout_s or 2 * LONGEST_BLOCK_S) / 2)

    def close(self) -> None:
        self._client.close()

    def call(self, *command: Argument, **options: Any) -> Any:
        """One command."""
        with _Crossing(self._metrics, str(command[0])):
            return self._own().execute_command(*command, **options)

    def batch(self, commands: Iterable[Sequence[Argument]], *, atomic: bool = False) -> list[Any]:
        """Several commands in one round trip, their answers in order; ``atomic`` wraps them in MULTI."""
        with _Crossing(self._metrics, "pipeline"), self._client.pipeline(transaction=atomic) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = pipeline.execute()
            return answers

    def script(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run ``<name>.lua``; its text is sent only when Redis does not know it (after a restart)."""
        script = load(name)
        with _Crossing(self._metrics, name):
            own = self._own()
            try:
                return own.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return own.execute_command("EVAL", script.text, len(keys), *keys, *args)

    def _own(self) -> Any:
        """The thread's client, on a connection of its own: to fetch one for each command costs a third of a command.

        A forked child must not use its parent's connection.
        """
        pid, own = getattr(self._threads, "own", (0, None))
        if pid != os.getpid():
            own = self._client.client()
            self._threads.own = os.getpid(), own
        return own


class Part:
    """Base of the store's parts: they share one edge."""

    def __init__(self, client: redis.Redis, prefix: str = DEFAULT_PREFIX, metrics: Metrics = NULL_METRICS) -> None:
        self._edge = Edge(client, prefix, metrics)
        self._keys = self._edge.keys

    def close(self) -> None:
        """Close the idle connections; the store can still be used and will open new ones."""
        self._edge.close()

    @property
    def prefix(self) -> str:
        return self._keys.prefix
