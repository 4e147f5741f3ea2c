"""A run that cannot take place says why, with exit code 1 and a report, before anything is sent."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from domain.runtime.settings import load
from domain.store.client import connect
from ops.commands.run import DEFAULT_SCENARIO
from ops.plan import worker_plan
from ops.run.job import EXIT_ERROR, Job, JobOptions
from ops.scenario import read_scenario
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(60)


def refused(folder: Path, **env: str) -> tuple[str, str]:
    """(why, what the terminal said)"""
    given = {"FRT_RPC_URLS": "http://127.0.0.1:1", **env}
    options = JobOptions(
        directory=folder, plan=worker_plan([0, 1]), make_settings=lambda overrides: load(given, None, overrides)
    )
    console = Console(file=StringIO(), width=200, record=True)
    assert Job(read_scenario(DEFAULT_SCENARIO), options, console).run() == EXIT_ERROR
    document = json.loads((folder / "report.json").read_text())
    assert document["verdict"] == "error"
    return document["reasons"][0], console.export_text()


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


def test_a_shared_redis_that_holds_another_run_is_not_mixed_with_this_one(tmp_path, redis):
    client = connect(redis.url)
    client.hset("frt:run", "seed", "1")
    why, _ = refused(tmp_path / "out", FRT_REDIS_URL=redis.url)
    assert "holds another run or service under the prefix frt:" in why
    assert "FRT_REDIS_PREFIX" in why
    assert client.hgetall("frt:run") == {"seed": "1"}
    client.close()


def test_a_chain_that_does_not_answer_is_named_with_what_to_do(tmp_path, redis, monkeypatch):
    monkeypatch.setattr("ops.run.job.CHAIN_ANSWER_S", 0.2)
    why, said = refused(tmp_path / "out", FRT_REDIS_URL=redis.url)
    assert "the chain does not answer: http://127.0.0.1:1" in why
    assert "waiting for the chain at http://127.0.0.1:1" in said
    assert "ERROR   The run could not be carried out" in said
    assert "frt doctor" in said


def test_a_wallet_that_a_cluster_needs_is_asked_for(tmp_path, redis):
    why, _ = refused(tmp_path / "out", FRT_REDIS_URL=redis.url, FRT_LOCAL_CHAIN="false")
    assert "there is no core wallet at" in why
    assert "--core-wallet" in why
