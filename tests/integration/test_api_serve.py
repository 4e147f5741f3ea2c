"""The web server as a process: it listens, answers over HTTP, and drains at SIGTERM without losing an answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.store.client import connect
from domain.store.gateway import RedisStore
from tests.support.api_kit import POOL_ID, furnish, request
from tests.support.redis_server import redis_server

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys
from pathlib import Path
from api.serve import serve
from domain.runtime.settings import load
serve(load(os.environ), on_ready=lambda port: Path(sys.argv[1]).write_text(str(port)))
"""
DEADLINE_S = 60.0


def wait_until(condition: Any, what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"{what} did not happen in {DEADLINE_S} s")


class Server:
    """A running web server, the store behind it, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], store: RedisStore, port: int, log: Path) -> None:
        self.process = process
        self.store = store
        self.url = f"http://127.0.0.1:{port}/rpc"
        self.log = log

    def post(self, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        asking = urllib.request.Request(self.url, data, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(asking, timeout=DEADLINE_S) as response:  # noqa: S310
            return json.loads(response.read())


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[Server]:
    with redis_server() as url:
        store = RedisStore(connect(url))
        furnish(store)
        env = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")}
        env |= {"FRT_REDIS_URL": url, "FRT_API_PORT": "0", "FRT_LOG_FORMAT": "json", "FRT_DATA_DIR": str(tmp_path)}
        ready, log = tmp_path / "port", tmp_path / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(ready)], cwd=ROOT, env=env, stderr=stream)
        try:
            wait_until(lambda: (ready.exists() and ready.read_text()) or process.poll() is not None, "listening")
            assert process.poll() is None, log.read_text()
            yield Server(process, store, int(ready.read_text()), log)
        finally:
            process.terminate()
            process.wait(timeout=DEADLINE_S)


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
    server.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    asking.join(timeout=DEADLINE_S)
    assert answers[0]["error"]["code"] == -1009
    assert answers[0]["error"]["data"]["command_id"] == "c-1"
    assert server.process.wait(timeout=DEADLINE_S) == 0
    assert time.monotonic() - started < 10
    for line in server.log.read_text().splitlines():
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
