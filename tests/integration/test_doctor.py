"""frt doctor: whatever is wrong with a machine is named, with what to do about it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from domain.runtime.settings import load
from ops import doctor
from ops.cli import app
from ops.doctor import Finding, examine
from tests.support.localnet import running_localnet
from tests.support.redis_server import RedisServer

NOWHERE = {"FRT_REDIS_URL": "redis://:hush@127.0.0.1:1/0", "FRT_RPC_URLS": "https://127.0.0.1:1"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(**env: str) -> dict[str, Finding]:
    return {one.what: one for one in examine(load({f"FRT_{name.upper()}": value for name, value in env.items()}))}


def test_nothing_is_wrong_here():
    assert [one for one in examine(load({"FRT_API_PORT": "0"})) if one.ok is False] == []


def test_what_cannot_be_reached_is_named_without_its_password(capsys, monkeypatch, tmp_path):
    (tmp_path / "wallet.json").write_text("[1, 2, 3]")
    for name, value in (NOWHERE | {"FRT_CORE_WALLET": str(tmp_path / "wallet.json")}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        app(["doctor"])
    assert ended.value.code == 1
    shown = capsys.readouterr().out
    for what, advice in (("Redis", "look at FRT_REDIS_URL"), ("chain", "look at FRT_RPC_URLS")):
        assert f"WRONG   {what}: " in shown
        assert advice in shown
    assert "WRONG   core wallet: the wallet file" in shown
    assert "solana-keygen new" in shown
    assert "hush" not in shown


def test_a_redis_that_evicts_and_a_chain_without_the_program_are_wrong(tmp_path):
    redis = RedisServer(tmp_path, "--maxmemory-policy", "allkeys-lru")
    redis.start()
    try:
        with running_localnet(slot_ms=25) as chain:
            there = found(redis_url=redis.url, rpc_urls=chain.rpc_url)
            other = found(rpc_urls=chain.rpc_url, program_id="TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DB")
    finally:
        redis.stop()
    assert there["Redis"].ok is False
    assert "set maxmemory-policy to noeviction" in there["Redis"].advice
    assert there["chain"].ok is True
    assert (other["chain"].ok, "--program-id" in other["chain"].advice) == (False, True)


def test_a_taken_port_is_an_obstacle_only_where_it_is_given(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = found(api_port=str(taken.getsockname()[1]))["port"]
    assert (port.ok, "FRT_API_PORT" in port.advice) == (False, True)
    monkeypatch.setattr(doctor, "is_free", lambda *_: False)
    assert found()["port"].ok is None


def test_a_small_machine_and_a_closed_folder_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda _: (256, 256))
    machine = found()["machine"]
    assert machine.ok is None
    assert "a run wants 2 cores, 1024 open files" in machine.advice
    monkeypatch.setattr(doctor.os, "access", lambda path, _: Path(path) != Path.cwd())
    disk = found()["disk"]
    assert (disk.ok, str(Path.cwd()) in disk.detail, "--out" in disk.advice) == (False, True, True)
    monkeypatch.setattr(doctor, "find_redis", lambda: tmp_path / "no-redis")
    assert "apt-get install redis-server" in found()["embedded Redis"].advice


def test_a_core_wallet_is_needed_for_a_cluster_only():
    assert found()["core wallet"].ok is None
    cluster = found(rpc_urls="https://127.0.0.1:1", local_chain="false")["core wallet"]
    assert (cluster.ok, "--core-wallet" in cluster.advice) == (False, True)
    assert os.listdir() == []  # noqa: PTH208  # looking makes nothing
