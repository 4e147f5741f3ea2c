"""A child with a spare: who takes over, and that no spare stays behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops import children as module
from ops.children import ChildError, Children, ChildSpec
from tasks.names import SPARE

DEADLINE_S = 60.0
PROGRAM = """
import os, signal, sys
folder = sys.argv[1]
if "--spare" in sys.argv:
    open(os.path.join(folder, f"loaded-{os.getpid()}"), "w").close()
    if not sys.stdin.readline():
        sys.exit()
open(os.path.join(folder, f"serving-{os.getpid()}"), "w").close()
while True:
    signal.pause()
"""


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"{what} did not happen in {DEADLINE_S} s")


def spec(folder: Path, name: str = "one") -> ChildSpec:
    return ChildSpec(
        role="worker",
        name=name,
        command=(sys.executable, "-I", "-c", PROGRAM, str(folder)),
        env={},
        ready=lambda pid: (folder / f"serving-{pid}").exists(),
        spare_option=SPARE,
    )


@pytest.fixture
def children(tmp_path, monkeypatch) -> Iterator[Children]:
    monkeypatch.setattr(module, "SPARE_AFTER_S", 0.0)
    with Children(tmp_path / "logs", tmp_path) as running:
        yield running


def loaded(folder: Path) -> set[int]:
    pids = {int(path.name.partition("-")[2]) for path in folder.glob("loaded-*")}
    return {pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"}


def test_the_spare_goes_to_work_when_the_child_dies_and_gets_a_spare_itself(children, tmp_path):
    children.start([spec(tmp_path)])
    name, first = children.living("worker")[0]
    spare = wait_for(lambda: loaded(tmp_path), "a spare").pop()
    assert not (tmp_path / f"serving-{spare}").exists(), "a spare waits"
    assert children.send_to(name, first, signal.SIGKILL)
    wait_for((tmp_path / f"serving-{spare}").exists, "the spare serving")
    assert children.living("worker") == [(name, spare)]
    assert children.restarts() == {name: 1}
    wait_for(lambda: loaded(tmp_path) - {spare}, "the next spare")
    assert not children.send_to(name, first, signal.SIGKILL), "that process has ended"


def test_a_spare_that_has_died_is_replaced_and_is_not_sent_to_work(children, tmp_path):
    children.start([spec(tmp_path)])
    name, first = children.living("worker")[0]
    spare = wait_for(lambda: loaded(tmp_path), "a spare").pop()
    os.kill(spare, signal.SIGKILL)
    wait_for(lambda: loaded(tmp_path) - {spare}, "another spare")
    children.send_to(name, first, signal.SIGKILL)
    pid = wait_for(lambda: [p for _, p in children.living("worker") if p != first], "another process")[0]
    wait_for((tmp_path / f"serving-{pid}").exists, "that process serving")
    assert pid != spare


def test_no_spare_outlives_its_child(children, tmp_path):
    children.start([spec(tmp_path)])
    wait_for(lambda: loaded(tmp_path), "a spare")
    children.stop(["worker"])
    wait_for(lambda: not loaded(tmp_path), "the end of the spare")
    assert children.living("worker") == []


def test_nobody_waits_for_a_child_that_stands_by(children, tmp_path):
    children.start_spares([spec(tmp_path, "second")])
    wait_for(lambda: list(tmp_path.glob("serving-*")), "the second child serving")
    with pytest.raises(ChildError, match="started before"):
        children.start_spares([spec(tmp_path, "second")])
