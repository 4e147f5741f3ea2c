"""Everything killed at once in the midst of a run, and each part alone; started again on the same folder it goes on."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from domain.runtime.settings import Settings, load
from domain.state import ThreadState
from domain.store.gateway import RedisStore
from ops.commands.options import CURRENT
from ops.stack import ROOT
from tasks.audit import run_audit
from tasks.runtime import build_runtime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

AMOUNT = 10**12
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
DEADLINE_S = 120.0
SLOT_MS = 50


def until(condition: Callable[[], Any], what: str, timeout_s: float = DEADLINE_S) -> Any:
    deadline, pause = monotonic() + timeout_s, Event()
    while not (found := condition()):
        assert monotonic() < deadline, f"not in time: {what}"
        pause.wait(0.05)
    return found


class Service:
    """`frt up` on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.ids = 0

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")}
        kept["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, "-m", "ops.cli", "up", "--data", str(self.folder), "--nodes", "2"]
        with (self.folder / "up.out").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--slot-ms", str(SLOT_MS)], cwd=self.folder, stdout=log, stderr=log, env=kept
            )
        until(self._announced, "the service being up")

    def _announced(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "up.out").read_text()
        return self._is_mine(self.folder / CURRENT)

    def _is_mine(self, path: Path) -> bool:
        try:
            doc = json.loads(path.read_text())
        except (OSError, ValueError):
            return False
        self.url = doc["api_url"]
        return self.process is not None and doc["pid"] == self.process.pid

    def call(self, method: str, **params: Any) -> Any:
        self.ids += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params}).encode()
        address = urlsplit(self.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        try:
            connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert "result" in answer, answer
        return answer["result"]

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        """The one child whose command line holds the word."""
        return next(child for child in self.family() if word in " ".join(child.cmdline()))

    def kill(self) -> list[psutil.Process]:
        """SIGKILL to the parent: Redis, the web server, the chain and all workers die with it, at the same moment."""
        assert self.process is not None
        children = self.family()
        self.process.kill()
        self.process.wait()
        return children

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def settings(self) -> Settings:
        rpc = json.loads((self.folder / "localnet.json").read_text())["rpc_url"]
        data = self.folder / "data"
        overrides = {
            "redis_url": f"unix://{self.folder / 'redis' / 'redis.sock'}",
            "rpc_urls": (rpc,),
            "data_dir": data,
            "core_wallet": data / "core-wallet.json",
            "sealing_key_file": data / "sealing.key",
        }
        return load({}, None, overrides)


@pytest.fixture
def service(tmp_path_factory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("up", numbered=True))
    try:
        running.start()
        yield running
    finally:
        running.end()


def new_threads(service: Service) -> list[str]:
    pool_id = service.call("create_pool", **POOL)["pool_id"]
    threads = [
        service.call("create_deposit_thread", pool_id=pool_id, token_type=side, initial_amount=AMOUNT)["thread_id"]
        for side in "AB"
    ]
    threads += [service.call("create_withdrawal_thread", pool_id=pool_id, token_type=s)["thread_id"] for s in "AB"]
    threads += [
        service.call("create_swap_thread", pool_id=pool_id, direction=way, initial_amount=AMOUNT)["thread_id"]
        for way in ("a_to_b", "b_to_a")
    ]
    for thread in threads:
        service.call("start_thread", thread_id=thread)
    return threads


def states(store: RedisStore, threads: list[str]) -> dict[str, ThreadState]:
    records = {record.chain_id: record for record in store.thread_records()}
    return {thread: ThreadState.from_text(records[thread].state) for thread in threads}  # type: ignore[index]


def goes_on(store: RedisStore, threads: list[str], more: int) -> dict[str, ThreadState]:
    before = states(store, threads)

    def moved() -> bool:
        now = states(store, threads)
        return all(now[t].lifetime.confirmed >= before[t].lifetime.confirmed + more for t in threads)

    until(moved, f"{more} further operations of every thread")
    return states(store, threads)


def audit(service: Service, threads: list[str]) -> None:
    for thread in threads:
        service.call("stop_thread", thread_id=thread)
    runtime = build_runtime(service.settings())
    try:
        result = run_audit(runtime, journal_path=service.folder / "data" / "journal.jsonl")
    finally:
        runtime.close()
    assert result.violations == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)


def test_everything_is_killed_together_twice_and_goes_on_by_itself(service):
    threads = new_threads(service)
    for _ in range(2):
        runtime = build_runtime(service.settings())
        before = goes_on(runtime.store, threads, 2)
        runtime.close()
        children = service.kill()
        _, left = psutil.wait_procs(children, timeout=10)
        assert left == []
        service.start()
        runtime = build_runtime(service.settings())
        until(lambda runtime=runtime: not runtime.store.recovering(), "the end of the recovery")
        after = goes_on(runtime.store, threads, 1)
        for thread in threads:
            assert after[thread].session_started_at_ms == before[thread].session_started_at_ms
            assert after[thread].lifetime.confirmed > before[thread].lifetime.confirmed
            assert after[thread].session.confirmed == after[thread].lifetime.confirmed
        runtime.close()
    audit(service, threads)


@pytest.mark.parametrize("word", ["redis-server", "ops.localnet"])
def test_each_part_of_the_foundation_is_killed_alone_under_load(service, word):
    threads = new_threads(service)
    runtime = build_runtime(service.settings())
    goes_on(runtime.store, threads, 1)
    victim = service.child(word)
    victim.send_signal(signal.SIGKILL)
    psutil.wait_procs([victim], timeout=10)
    until(lambda: any(word in " ".join(child.cmdline()) for child in service.family()), "its successor")
    runtime.close()
    runtime = build_runtime(service.settings())
    goes_on(runtime.store, threads, 2)
    runtime.close()
    audit(service, threads)


def test_a_killed_run_leaves_nobody_behind_and_says_so_the_next_time(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")}
    kept["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "ops.cli", "run", str(ROOT / "scenarios" / "smoke.toml"), "--out", str(tmp_path)]
    with (tmp_path.parent / "run.out").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=kept)
        until(lambda: b"running 6/6" in (tmp_path.parent / "run.out").read_bytes(), "full load")
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
    assert len(children) > 5
    _, left = psutil.wait_procs(children, timeout=10)
    assert left == []
    again = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode != 0
    assert "holds an earlier run" in again.stderr + again.stdout
