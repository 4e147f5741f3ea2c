"""A node of the prefork pool: each child process measures for itself and has a port of its own."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from contextlib import closing
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from domain.runtime.wiring import build_store
from ops.stack import child_environment, free_port, node_command
from tasks.names import CYCLES_QUEUE
from tests.support.driver import settings_for
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.slow
DEADLINE_S = 60.0
NO_CHAIN = "http://127.0.0.1:1"


def test_each_child_is_found_under_a_name_and_port_of_its_own(tmp_path: Path) -> None:
    with redis_server() as url:
        settings = settings_for(tmp_path, url, NO_CHAIN, metrics_port=free_port(), worker_pool="prefork")
        command = node_command(CYCLES_QUEUE, "cycle-1", "prefork", 2)
        with (tmp_path / "log").open("w") as log, closing(build_store(settings)) as store:
            node = subprocess.Popen(command, env=child_environment(settings), stdout=log, stderr=log)
            try:
                deadline, pause = monotonic() + DEADLINE_S, Event()
                while len(targets := store.metrics_targets()) < 2:
                    assert monotonic() < deadline, (tmp_path / "log").read_text()
                    pause.wait(0.05)
                told = [urllib.request.urlopen(f"http://{address}/metrics").read().decode() for address, _ in targets]
            finally:
                node.terminate()
                node.wait(30)
    names = [labels["name"] for _, labels in targets]
    pids = [int(name.removeprefix("cycle-1.")) for name in names]
    assert len(set(pids)) == 2
    assert node.pid not in pids
    assert os.getpid() not in pids
    for name, text in zip(names, told, strict=True):
        assert f'name="{name}"' in text
