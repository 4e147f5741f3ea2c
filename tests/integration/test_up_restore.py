"""`frt up`, Redis' data deleted, `frt up` again: the service goes on where its files say it was."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
AMOUNT = 10**12
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Up:
    """A running `frt up` and calls to its API."""

    def __init__(self, folder: Path) -> None:
        self._url = json.loads((folder / ".frt" / "current.json").read_text())["api_url"]

    def call(self, method: str, **params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        address = urlsplit(self._url)
        with closing(http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)) as connection:
            connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
            answer = json.load(connection.getresponse())
        assert "result" in answer, answer
        return answer["result"]


def until(condition: Callable[[], Any], what: str, timeout_s: float = 90) -> None:
    deadline, pause = monotonic() + timeout_s, Event()
    while not condition():
        assert monotonic() < deadline, f"not in time: {what}"
        pause.wait(0.1)


@contextmanager
def up(folder: Path, *more: str) -> Iterator[Up]:
    current = folder / ".frt" / "current.json"
    env = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")}
    env |= {"PYTHONPATH": str(ROOT), "FRT_COUNTDOWN_MIN_MS": "100", "FRT_COUNTDOWN_MAX_MS": "200"}
    command = [sys.executable, "-m", "ops.cli", "up", "--out", "service", "--slot-ms", "50", "--nodes", "1", *more]
    with (folder / "up.out").open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            until(lambda: current.exists() or process.poll() is not None, "frt up")
            assert process.poll() is None, (folder / "up.out").read_text()
            yield Up(folder)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    assert "Traceback" not in (folder / "up.out").read_text()


def done(service: Up, thread_id: str) -> int:
    return int(service.call("get_thread_status", thread_id=thread_id)["statistics"]["successful_deposits"])


def test_the_service_goes_on_where_its_files_say(tmp_path):
    with up(tmp_path) as service:
        pool_id = service.call("create_pool", **POOL)["pool_id"]
        made = {"pool_id": pool_id, "token_type": "A", "initial_amount": AMOUNT}
        goes_on = service.call("create_deposit_thread", **made)["thread_id"]
        stopped = service.call("create_deposit_thread", **made | {"token_type": "B"})["thread_id"]
        for thread in (goes_on, stopped):
            service.call("start_thread", thread_id=thread)
        until(lambda: all(done(service, thread) >= 3 for thread in (goes_on, stopped)), "three deposits of each")
        service.call("stop_thread", thread_id=stopped)
        before = {thread: service.call("get_thread_status", thread_id=thread) for thread in (goes_on, stopped)}
        sessions = service.call("get_thread_sessions", thread_id=stopped)
        pools = service.call("list_pools")
        data = tmp_path / "service" / "data"
        until(lambda: list((data / "sessions" / stopped).glob("*.json")), "the session's file", 10)
    assert len(sessions["sessions"]) == 1
    assert sessions["sessions"][0]["verification_summary"]["pool_verification_passed"] is True
    shutil.rmtree(tmp_path / "service" / "redis")
    (tmp_path / ".frt" / "current.json").unlink(missing_ok=True)
    with up(tmp_path) as service:
        assert service.call("list_pools") == pools
        assert service.call("get_thread_sessions", thread_id=stopped) == sessions
        after = service.call("get_thread_status", thread_id=stopped)
        for name in ("status", "wallet_address", "created_at", "statistics"):
            assert after[name] == before[stopped][name], name
        for name in ("tokens_deposited", "lp_tokens_received", "pool_fees_paid", "network_fees_paid"):
            assert after["verification_totals"][name] == before[stopped]["verification_totals"][name] > 0, name
        assert after["balances"]["sol"] == before[stopped]["balances"]["sol"]
        assert service.call("get_thread_status", thread_id=goes_on)["status"] == "running"
        at_least = before[goes_on]["statistics"]["successful_deposits"]
        until(lambda: done(service, goes_on) >= at_least + 3, "the thread going on by itself")
        again = service.call("create_deposit_thread", **made)["thread_id"]
        assert again not in (goes_on, stopped)
        service.call("stop_thread", thread_id=goes_on)
        assert service.call("get_thread_sessions", thread_id=goes_on)["sessions"]


def test_with_files_that_cannot_be_read_it_does_not_start(tmp_path):
    with up(tmp_path) as service:
        service.call("create_pool", **POOL)
        data = tmp_path / "service" / "data"
        until((data / "pools.json.backup").exists, "an export", 10)
    shutil.rmtree(tmp_path / "service" / "redis")
    for name in ("pools.json", "pools.json.backup"):
        (data / name).write_text("{")
    there = {path: path.read_bytes() for path in data.glob("*.json*")}
    (tmp_path / ".frt" / "current.json").unlink(missing_ok=True)
    with pytest.raises(AssertionError, match=r"pools.json is damaged"), up(tmp_path):
        pass
    assert "Traceback" not in (tmp_path / "up.out").read_text()
    assert {path: path.read_bytes() for path in data.glob("*.json*")} == there


def test_keys_can_be_rotated_while_the_service_stands_still(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")} | {"PYTHONPATH": str(ROOT)}
    rotate = [sys.executable, "-m", "ops.cli", "keys", "rotate", "--out", "service"]
    with up(tmp_path) as service:
        pool_id = service.call("create_pool", **POOL)["pool_id"]
        made = {"pool_id": pool_id, "token_type": "A", "initial_amount": AMOUNT}
        thread = service.call("create_deposit_thread", **made)["thread_id"]
        data = tmp_path / "service" / "data"
        until(lambda: thread in (data / "threads.json").read_text(), "an export", 10)
        old = (data / "sealing.key").read_bytes()
        refused = subprocess.run(rotate, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
        assert refused.returncode != 0
        assert "is in use" in refused.stdout + refused.stderr
        assert done(service, thread) == 0
    ended = subprocess.run(rotate, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "1 keys and 2 exports" in ended.stdout
    new = (data / "sealing.key").read_bytes()
    assert new != old
    (tmp_path / ".frt" / "current.json").unlink(missing_ok=True)
    with up(tmp_path) as service:
        service.call("start_thread", thread_id=thread)
        until(lambda: done(service, thread) >= 1, "a deposit signed with the key")
        service.call("stop_thread", thread_id=thread)
    (data / "sealing.key").write_bytes(old)
    (tmp_path / ".frt" / "current.json").unlink(missing_ok=True)
    with pytest.raises(AssertionError, match="the sealing key is not the one"), up(tmp_path):
        pass
