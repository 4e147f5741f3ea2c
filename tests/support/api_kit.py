"""What the API's tests share: an application over the real store and sender, calls to it, and a stand-in worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from flask.testing import FlaskClient

from api.app import create_app
from domain.ids import CommandId, PoolId
from domain.runtime.settings import Settings, load
from domain.store.commands import CommandRecord
from domain.store.gateway import RedisStore
from domain.thread import ThreadConfig
from tasks.app import create_app as create_celery
from tasks.client import Commands
from tasks.publish import Publisher
from tests.support.store_kit import dump, sample_pool, thread_config

Answer = Callable[[CommandRecord], dict[str, Any]]

POOL_ID = "PoolOne"
THREAD_ID = "deposit_1"
UNKNOWN = "nobody-knows-this"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """An application, the store behind it and a client of the test kind (no socket)."""

    client: FlaskClient
    store: RedisStore
    redis: redis.Redis
    settings: Settings

    def post(self, body: Any, content_type: str = "application/json") -> tuple[int, Any]:
        """Status and decoded body (None when empty). ``body`` is sent as it is when it is text or bytes."""
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        response = self.client.post("/rpc", data=data, content_type=content_type)
        text = response.get_data(as_text=True)
        assert "Traceback" not in text
        return response.status_code, json.loads(text) if text else None

    def call(self, method: str, params: Any = None, **extra: Any) -> dict[str, Any]:
        """The answer object of one call with id 1."""
        status, answer = self.post(request(method, params, **extra))
        assert status == 200
        assert answer["jsonrpc"] == "2.0"
        assert answer["id"] == 1
        assert ("result" in answer) != ("error" in answer)
        return dict(answer)

    def result(self, method: str, params: Any = None) -> Any:
        answer = self.call(method, params)
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method: str, params: Any = None) -> dict[str, Any]:
        answer = self.call(method, params)
        assert "error" in answer, answer
        return dict(answer["error"])

    def dump(self) -> dict[str, Any]:
        return dump(self.redis)


def request(method: str, params: Any = None, **extra: Any) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method} | ({} if params is None else {"params": params})
    return body | extra


def make_api(client: redis.Redis, **overrides: Any) -> Api:
    quiet = {"request_timeout_s": 0.05, "read_cache_ms": 0, "audit_log": "off"}
    unlimited = {"rate_limit_reads": 0, "rate_limit_changes": 0}  # they would count in another Redis than the client's
    settings = load({}, overrides={**quiet, **unlimited, **overrides})
    store = RedisStore(client, prefix=settings.redis_prefix)
    commands = Commands(store, Publisher(create_celery(settings), settings.redis_prefix))
    app = create_app(settings, store, commands)
    app.testing = False  # as in production: nothing propagates
    return Api(client=app.test_client(), store=store, redis=client, settings=settings)


def furnish(store: RedisStore) -> ThreadConfig:
    """A pool, a thread in it that is ready, and a share chain whose id is no thread's."""
    store.put_pool(sample_pool(POOL_ID))
    config = thread_config(THREAD_ID, pool_id=PoolId(POOL_ID))
    store.create_thread(config, "v1:sealed", ready=True)
    return config


@contextmanager
def worker(store: RedisStore, answer: Answer) -> Iterator[list[CommandRecord]]:
    """Answers every command that is registered, from another thread, through the real store. Yields what it saw."""
    seen: list[CommandRecord] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.005):
            for command_id, _ in store.open_commands():
                record = store.command(CommandId(command_id))
                if record is not None and record.answer is None:
                    seen.append(record)
                    store.answer_command(record.command_id, json.dumps(answer(record)))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(timeout=10)
