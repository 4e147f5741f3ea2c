"""The web server as a process: it listens, answers over HTTP, and drains at SIGTERM without losing an answer."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from domain.store.client import connect
from domain.store.gateway import RedisStore
from tests.support.api_kit import POOL_ID, furnish, request
from tests.support.api_process import DEADLINE_S, ApiProcess, api_process
from tests.support.redis_server import redis_server


def wait_until(condition: Any, what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"{what} did not happen in {DEADLINE_S} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running web server, and the store behind it."""

    api: ApiProcess
    store: RedisStore

    def post(self, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.api.url}rpc"
        asking = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(asking, timeout=DEADLINE_S) as response:  # noqa: S310
            return json.loads(response.read())


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[Server]:
    with redis_server() as url:
        store = RedisStore(connect(url))
        furnish(store)
        with api_process(tmp_path, url) as api:
            yield Server(api=api, store=store)


def test_it_answers_logs_through_one_chain_and_leaves_cleanly(server: Server) -> None:
    assert server.post(request("list_pools"))["result"]["pools"][0]["pool_id"] == POOL_ID
    assert server.post(b"[" * 100_000)["error"]["code"] == -32700
    assert server.post([request("nope"), 1])[0]["error"]["code"] == -32601

    answers: list[Any] = []
    body = request("pause_pool", {"pool_id": POOL_ID, "command_id": "c-1"})
    asking = threading.Thread(target=lambda: answers.append(server.post(body)))
    asking.start()
    wait_until(server.store.open_commands, "the command")
    assert server.post(request("list_pools"))["result"]["pools"], "reads go on while a command waits"
    server.api.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    asking.join(timeout=DEADLINE_S)
    assert answers[0]["error"]["code"] == -1009
    assert answers[0]["error"]["data"]["command_id"] == "c-1"
    assert server.api.process.wait(timeout=DEADLINE_S) == 0
    assert time.monotonic() - started < 10
    for line in server.api.log.read_text().splitlines():
        record = json.loads(line)
        assert "Traceback" not in record.get("exception", "")


def test_an_answered_command_comes_back_over_http(server: Server) -> None:
    answers: list[Any] = []
    body = request("pause_pool", {"pool_id": POOL_ID})
    asking = threading.Thread(target=lambda: answers.append(server.post(body)))
    asking.start()
    ((command_id, _),) = wait_until(server.store.open_commands, "the command")
    server.store.answer_command(command_id, json.dumps({"ok": {"slot": 2**64 - 1}}))
    asking.join(timeout=DEADLINE_S)
    assert answers[0]["result"] == {"slot": 2**64 - 1}
