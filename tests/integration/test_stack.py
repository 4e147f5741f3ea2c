"""Child processes and the stack of services: restarts, clean ends, no orphans, and a Redis of our own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event
from time import monotonic

import psutil
import pytest

from domain.errors import StressError
from domain.runtime.settings import load
from domain.store.client import connect
from ops.children import ChildError, Children, ChildSpec
from ops.folder import FolderInUse
from ops.plan import worker_plan
from ops.redis_server import choose_place, redis_spec, serves
from ops.stack import ROOT, Stack, Wanted, cycle_specs, listens
from tasks.app import create_app
from tasks.bootstrap import prepare_chain
from tasks.runtime import build_runtime

DEADLINE_S = 30.0
SLEEPER = ("sleep", "600")


def until(condition: Callable[[], bool], what: str, timeout_s: float = DEADLINE_S) -> None:
    deadline, pause = monotonic() + timeout_s, Event()
    while not condition():
        assert monotonic() < deadline, f"not in time: {what}"
        pause.wait(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def spec(name: str, *command: str, **options) -> ChildSpec:
    return ChildSpec(
        role=options.pop("role", name),
        name=name,
        command=command or SLEEPER,
        env=dict(os.environ),
        ready=options.pop("ready", lambda _: True),
        **options,
    )


@contextmanager
def children(folder: Path) -> Iterator[Children]:
    with Children(folder / "logs", ROOT) as running:
        yield running


def only_pid(running: Children, role: str) -> int | None:
    return next(iter(running.pids().get(role, [])), None)


def test_a_killed_child_is_started_again_with_its_whole_group(tmp_path):
    with children(tmp_path) as running:
        running.start([spec("s", "sh", "-c", 'sleep 600 & echo $! > "$0"; wait', str(tmp_path / "grandchild"))])
        first = only_pid(running, "s")
        until(lambda: (tmp_path / "grandchild").exists() and (tmp_path / "grandchild").read_text().strip() != "", "pid")
        grandchild = int((tmp_path / "grandchild").read_text())
        os.kill(first, signal.SIGKILL)
        until(lambda: only_pid(running, "s") not in (None, first), "a new child")
        until(lambda: not alive(grandchild), "the end of the old child's own child")
        assert running.restarts() == {"s": 1}


def test_a_child_gets_its_core_and_its_priority(tmp_path):
    core = max(os.sched_getaffinity(0))
    with children(tmp_path) as running:
        running.start([spec("s", cores=(core,), nice=os.nice(0) + 3)])
        child = psutil.Process(only_pid(running, "s"))
        until(lambda: child.name() == "sleep", "the command")
        assert (child.cpu_affinity(), child.nice()) == ([core], os.nice(0) + 3)


REFUSED = """
import os
from ops import launch
def refuse(*_): raise PermissionError
os.setpriority = refuse
launch.main([str(os.getppid()), "", "-5", "--", "true"])
"""


def test_a_priority_that_is_not_permitted_is_told():
    done = subprocess.run([sys.executable, "-c", REFUSED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "worker_nice -5 is not permitted here; it needs CAP_SYS_NICE" in done.stderr


def test_a_child_that_dies_at_once_does_not_start(tmp_path):
    with children(tmp_path) as running, pytest.raises(ChildError, match=r"(?s)boom did not start.*the reason"):
        running.start([spec("boom", "sh", "-c", "echo the reason; exit 3", ready=lambda _: False)])


def test_a_child_that_keeps_dying_slowly_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr("ops.children.CRASH_LOOP_S", 0.0)
    with children(tmp_path) as running, pytest.raises(ChildError, match=r"(?s)loop did not start.*the reason"):
        running.start([spec("loop", "sh", "-c", "echo the reason; exit 3", ready=lambda _: False)])


def test_one_that_cannot_be_started_takes_no_other_with_it(tmp_path):
    """The thread that starts them must not end: their death signal hangs on it."""
    logs = tmp_path / "logs"
    with children(tmp_path) as running:
        running.start([spec("a"), spec("b")])
        first, other = only_pid(running, "a"), only_pid(running, "b")
        logs.rename(tmp_path / "away")
        os.kill(first, signal.SIGKILL)
        until(lambda: running.restarts()["a"] > 1, "a second try")
        assert alive(other)
        assert "cannot be started" in running.log_tail("a")
        (tmp_path / "away").rename(logs)
        until(lambda: only_pid(running, "a") not in (None, first), "a new child")
        assert only_pid(running, "b") == other


def test_a_child_that_is_never_ready_is_not_waited_for_forever(tmp_path):
    with children(tmp_path) as running, pytest.raises(ChildError, match="did not start"):
        running.start([spec("slow", ready=lambda _: False, start_timeout_s=0.2)])


def test_a_child_that_keeps_dying_is_started_with_growing_pauses(tmp_path):
    starts = tmp_path / "starts"
    with children(tmp_path) as running:
        command = ("sh", "-c", 'date +%s%N >> "$0"; test $(wc -l < "$0") -lt 4 || exec sleep 600', str(starts))
        running.start([spec("loop", *command, ready=lambda _: starts.exists())])
        until(lambda: len(starts.read_text().split()) == 4, "four starts")
        times = [int(line) / 1e9 for line in starts.read_text().split()]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[0] >= 0.1
        assert gaps[1] >= 0.2
        assert gaps[2] >= 0.4


def test_a_child_whose_state_is_lost_with_it_is_not_started_again(tmp_path):
    with children(tmp_path) as running:
        running.start([spec("chain", restart=False)])
        running.check()
        os.kill(only_pid(running, "chain"), signal.SIGKILL)
        until(lambda: running.pids() == {}, "its end")
        with pytest.raises(ChildError, match="chain ended with -9"):
            running.check()


def test_closing_follows_the_order_and_kills_who_does_not_listen(tmp_path):
    listens_no_more = tmp_path / "deaf"
    deaf = ("sh", "-c", "trap '' TERM; : > \"$0\"; while :; do sleep 0.05; done", str(listens_no_more))
    running = Children(tmp_path / "logs", ROOT)
    running.start(
        [spec("first"), spec("deaf", *deaf, stop_timeout_s=0.3, ready=lambda _: listens_no_more.exists()), spec("last")]
    )
    pids = running.pids()
    gone_before_last: list[bool] = []
    assert running.stop(["first"]) == []
    gone_before_last.append(not alive(pids["first"][0]) and alive(pids["last"][0]))
    assert running.close([["deaf"], ["last"]]) == ["deaf"]
    assert gone_before_last == [True]
    assert not any(alive(pid) for role in pids.values() for pid in role)


PARENT = """
import os, sys
from pathlib import Path
from threading import Event
from ops.children import Children, ChildSpec
from ops.redis_server import choose_place, redis_spec
folder = Path(sys.argv[1])
children = Children(folder / "logs", folder)
sleeper = ChildSpec(role="s", name="s", command=("sleep", "600"), env=dict(os.environ), ready=lambda _: True)
children.start([redis_spec(choose_place(folder / "redis")), sleeper])
os.kill(children.pids()["s"][0], 9)
while children.restarts()["s"] == 0 or "s" not in children.pids(): Event().wait(0.01)
print(*[pid for pids in children.pids().values() for pid in pids], flush=True)
Event().wait()
"""


def test_nothing_outlives_a_parent_that_is_killed(tmp_path):
    """Also not a child that was started again, by another call than the first."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    try:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until(lambda: not any(alive(pid) for pid in pids), "the end of every child", 5.0)


def test_the_embedded_redis_is_the_child_and_keeps_its_data_over_a_kill(tmp_path):
    place = choose_place(tmp_path / "redis")
    with children(tmp_path) as running:
        running.start([redis_spec(place)])
        client = connect(place.url)
        config = {
            name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "maxmemory-policy", "port")
        }
        assert config == {
            "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "port": "0"
        }  # fmt: skip
        assert client.info("server")["process_id"] == only_pid(running, "redis")
        client.set("kept", "1")
        client.bgrewriteaof()
        first = only_pid(running, "redis")
        until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, "the file on disk")
        os.kill(first, signal.SIGKILL)
        until(lambda: (pid := only_pid(running, "redis")) not in (None, first) and serves(place, pid), "a new server")
        assert client.get("kept") == "1"
        client.close()
    assert place.directory.stat().st_mode & 0o077 == 0


def test_a_foreign_server_on_the_socket_is_not_taken_for_ours(tmp_path):
    place = choose_place(tmp_path / "redis")
    with children(tmp_path) as running:
        running.start([redis_spec(place)])
        assert serves(place, only_pid(running, "redis"))
        assert not serves(place, os.getpid())


def test_a_long_folder_gets_a_socket_that_fits(tmp_path):
    deep = tmp_path / ("x" * 100)
    assert len(str(choose_place(deep).socket)) < 108


def opened(folder: Path, **given) -> tuple[int, int]:
    """(usual port, the port that a web server would take) of a stack that starts no child: all is given."""
    usual = given.pop("usual_port", False)
    wanted = Wanted(directory=folder, plan=worker_plan([0, 1]), seed=1, slot_ms=50, usual_port=usual)
    given |= {"redis_url": "redis://127.0.0.1:1/0", "rpc_urls": "http://127.0.0.1:1"}
    env = {f"FRT_{name.upper()}": str(value) for name, value in given.items()}
    with Stack(wanted, lambda overrides: load(env, None, overrides)) as stack:
        return load({}).api_port, stack.open_foundation().api_port


def test_a_folder_belongs_to_one_process_until_that_ends(tmp_path):
    """Two Redis servers on the same append-only file would ruin it."""
    holder = "import sys; from pathlib import Path; from ops.folder import HeldFolder\n"
    holder += "held = HeldFolder(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holder, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with other:
        other.stdout.readline()
        with pytest.raises(FolderInUse, match=f"in use by another frt .process {other.pid}."):
            opened(tmp_path)
        other.kill()
        other.wait()
    opened(tmp_path)
    opened(tmp_path)  # released with the stack


def test_a_wallet_that_is_named_for_a_chain_of_someones_own_is_never_made_up(tmp_path):
    wallet = tmp_path / "mistyped.json"
    with pytest.raises(StressError, match=f"there is no core wallet at {wallet}"):
        opened(tmp_path / "run", core_wallet=wallet)
    assert not wallet.exists()
    opened(tmp_path / "run")  # a local validator without one gets a new wallet
    assert (tmp_path / "run" / "data").exists()


def test_a_port_that_is_given_and_taken_is_told_before_anything_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StressError, match=f"api_port: {port} is in use on 127.0.0.1"):
            opened(tmp_path, api_port=port)
    assert opened(tmp_path, api_port=port)[1] == port
    assert opened(tmp_path, api_port=0)[1] != 0


def test_the_usual_port_is_taken_by_frt_up_only_and_only_where_it_is_free(tmp_path, monkeypatch):
    for free in (True, False):
        monkeypatch.setattr("ops.stack.is_free", lambda *_, free=free: free)
        usual, chosen = opened(tmp_path, usual_port=True)
        assert (chosen == usual) is free
        usual, chosen = opened(tmp_path)
        assert chosen != usual


def test_workers_wait_for_a_redis_that_is_not_there_yet():
    settings = load({"FRT_REDIS_URL": "redis://127.0.0.1:1/0"})
    [node, _] = cycle_specs(create_app(settings), settings, worker_plan([0, 1]), {})
    assert node.ready(os.getpid()) is False


@pytest.mark.parametrize("command", [["supervisor"], ["prepare"], ["worker", "--nodes", "0"]])
def test_a_service_that_cannot_start_says_why_without_a_traceback(tmp_path, command):
    env = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")}
    env |= {"FRT_REDIS_URL": "redis://127.0.0.1:1/0", "FRT_DATA_DIR": str(tmp_path / "data")}
    line = [sys.executable, "-P", "-m", "ops.cli", *command]
    done = subprocess.run(line, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "frt" in done.stderr


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    """Every service of a run, at its smallest."""
    folder = tmp_path_factory.mktemp("stack")
    wanted = Wanted(directory=folder, plan=worker_plan([0, 1], per_node=1), seed=1, slot_ms=50)
    with Stack(wanted, lambda overrides: load({}, None, {"log_format": "json", **overrides})) as running:
        settings = running.open_foundation()
        app = create_app(settings)
        runtime = build_runtime(settings, app)
        prepare_chain(runtime)
        runtime.chain.endpoints.close()
        running.open_services(app)
        yield running


def test_every_service_of_a_run_stands_and_is_ours(stack):
    # Of control and supervisor a second one stands by; nobody waits for its start.
    wanted = {"redis": 1, "localnet": 1, "cycles": 2, "control": 2, "supervisor": 2, "api": 1}
    until(lambda: {role: len(pids) for role, pids in stack.pids().items()} == wanted, "every service")
    [api] = stack.pids()["api"]
    assert listens(api, stack.settings.api_port)
    assert not listens(os.getpid(), stack.settings.api_port)
    assert stack.settings.core_wallet.stat().st_mode & 0o077 == 0
    assert stack.settings.sealing_key_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("role", ["cycles", "supervisor"])
def test_a_killed_service_comes_back(stack, role):
    before = stack.pids()[role]
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(set(stack.pids().get(role, [])) - {before[0]}) == len(before), f"a new {role}")
    stack.check()
