"""Every service of docker-compose.yml as a plain process, with its own command and environment.

Only names of hosts and ports are replaced, and the image's entry point is our command line: what is started here is
what the containers start. Redis comes from the machine or the bundled wheel instead of its image.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from threading import Event

import pytest
import yaml

from api.client import Client
from ops.redis_server import find_redis

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SETTINGS_FILE = ROOT / "ops" / "deploy" / "settings.env"
DEADLINE_S = 90


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Composed:
    """The services by name; ``start`` does what the compose file says."""

    def __init__(self, folder: Path, env_file: dict[str, str]) -> None:
        names = ("redis:6379", "localnet:8899", "8900", "api:8080", "flower:5555")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._folder = folder
        self._env_file = env_file
        self._children: dict[str, subprocess.Popen] = {}
        self._volumes: dict[str, Path] = {}

    def _value(self, text: str) -> str:
        def variable(match: re.Match[str]) -> str:
            name, kind, default = match[1], match[2], match[3] or ""
            found = self._env_file.get(name, "")
            assert found or kind != ":?", f"{name} has no value"
            return found or default

        value = re.sub(r"\$\{(\w+)(:-|:\?)?([^}]*)\}", variable, str(text))
        for name, port in self.ports.items():
            host, _, number = name.rpartition(":")
            value = value.replace(name, f"127.0.0.1:{port}") if host else value
            value = str(port) if value == number else value.replace(f"={number}", f"={port}")
        return value.replace("0.0.0.0", "127.0.0.1")  # noqa: S104

    def _mounted(self, service: dict, text: str) -> str:
        """With the service's own volumes in the place of their mount points, and of nothing else."""
        value = self._value(text)
        for volume, target in (each.split(":") for each in service["volumes"]):
            if volume not in self._volumes:
                self._volumes[volume] = self._folder / f"volume-{volume}"
                self._volumes[volume].mkdir(mode=0o700)
            value = re.sub(rf"(^|=){re.escape(target)}(?=/|$)", rf"\g<1>{self._volumes[volume]}", value)
        return value

    def volume(self, name: str) -> Path:
        return self._volumes[name]

    def start(self, name: str, **more: str) -> subprocess.Popen:
        service = COMPOSE[name]
        entry = [sys.executable, *service["entrypoint"][1:]] if "entrypoint" in service else None
        entry = entry or [sys.executable, "-P", "-m", "ops.cli"]
        command = [self._mounted(service, word) for word in service["command"]]
        if name == "redis":
            command = [str(find_redis()), *command[1:], "--port", str(self.ports["redis:6379"])]
            command += ["--bind", "127.0.0.1"]
        else:
            command = [*entry, *command]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FRT_")}
        settings = [line for line in SETTINGS_FILE.read_text().splitlines() if line and not line.startswith("#")]
        env = dict(line.split("=", 1) for line in settings) if name != "redis" else {}
        env |= {key: self._mounted(service, value) for key, value in (service.get("environment") or {}).items()}
        if name == "api":
            env["FRT_API_PORT"] = str(self.ports["api:8080"])  # the container has the usual one to itself
        log = (self._folder / f"{name}.log").open("ab")
        child = subprocess.Popen(command, env=kept | env | more, stdout=log, stderr=log, cwd=ROOT)
        log.close()
        self._children[name] = child
        return child

    def until(self, condition, what: str):
        deadline = time.monotonic() + DEADLINE_S
        while True:
            with contextlib.suppress(OSError, ValueError):
                found = condition()
                if found:
                    return found
            dead = [name for name, child in self._children.items() if child.poll() not in (None, 0)]
            assert not dead, self.logs(dead)
            assert time.monotonic() < deadline, f"waited for {what}\n{self.logs(self._children)}"
            Event().wait(0.1)

    def logs(self, names) -> str:
        return "\n".join(f"== {name}\n{(self._folder / f'{name}.log').read_text()[-3000:]}" for name in names)

    def get(self, name: str, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[name]}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.read()

    def stop(self) -> dict[str, int]:
        codes = {}
        for name in reversed(self._children):
            child = self._children[name]
            if child.poll() is None:
                child.terminate()
            try:
                codes[name] = child.wait(40)
            except subprocess.TimeoutExpired:
                child.kill()
                codes[name] = child.wait()
        return codes


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    secret = "not-a-secret-but-long-enough"
    env_file = {
        "REDIS_PASSWORD": "redis-password",
        "FRT_SEALING_PASSPHRASE": "a passphrase of several words",
        "FRT_API_KEYS": f"ops:full:{secret}",
        "FLOWER_AUTH": "watcher:word",
        "GRAFANA_PASSWORD": "unused",
        "FRT_TASK_EVENTS": "true",
    }
    composed = Composed(tmp_path_factory.mktemp("compose"), env_file)
    composed.secret = secret
    try:
        composed.start("redis")
        composed.start("localnet")
        composed.until(lambda: composed.get("localnet:8899", "/health") == b"ok", "the local chain")
        prepare = composed.start("prepare")
        composed.until(lambda: prepare.poll() == 0, "prepare")
        for name in ("api", "cycles", "control", "supervisor", "flower"):
            composed.start(name)
        composed.until(lambda: b"ok" in composed.get("api:8080", "/health/live"), "the api")
        yield composed
    finally:
        codes = composed.stop()
    assert {name: code for name, code in codes.items() if code not in (0, -15)} == {}


@pytest.mark.timeout(300)
def test_the_composed_services_do_the_job_and_are_seen_by_those_who_watch(stack):
    with Client(f"http://127.0.0.1:{stack.ports['api:8080']}", api_key=stack.secret) as client:
        pool = client.create_pool(token_a_decimals=6, token_b_decimals=6)["pool_id"]
        made = client.create_deposit_thread(pool, "A", 10**12)
        client.start_thread(made["thread_id"])

        def confirmed() -> int:
            status = client.call("get_thread_status", {"thread_id": made["thread_id"]})
            return status["statistics"]["successful_deposits"]

        stack.until(lambda: confirmed() > 2, "confirmed deposits")
    authorization = {"X-API-Key": stack.secret}
    stack.until(lambda: stack.get("api:8080", "/health/ready", **authorization), "readiness")
    metrics = stack.get("api:8080", "/metrics", **authorization).decode()
    assert re.search(r'frt_operations_total\{kind="deposit",verdict="confirmed"\} [1-9]', metrics)
    targets = json.loads(stack.get("api:8080", "/metrics/targets", **authorization))
    assert len({target for group in targets for target in group["targets"]}) >= 4  # two cycle nodes and two others
    basic = {"Authorization": "Basic " + b64encode(b"watcher:word").decode()}
    workers = stack.until(
        lambda: json.loads(stack.get("flower:5555", "/api/workers?refresh=1", **basic)), "Flower's workers"
    )
    assert {name.split("@")[0] for name in workers} >= {"cycle-1", "cycle-2", "control-1"}
    tasks = stack.until(lambda: json.loads(stack.get("flower:5555", "/api/tasks?limit=50", **basic)), "Flower's tasks")
    assert any(task["name"] == "cycle.deposit" for task in tasks.values())


def test_what_is_kept_lies_on_the_volumes(stack):
    """So that it outlives the containers, of which everything else is read-only or gone with them."""
    data, redis = (stack.volume(name) for name in ("data", "redis"))
    stack.until((data / "pools.json").exists, "the export")
    for name in ("core-wallet.json", "sealing.scrypt.json", "localnet.state"):
        stack.until((data / name).exists, name)
    assert (redis / "appendonlydir").is_dir() or (redis / "appendonly.aof").is_file()


def test_flower_and_the_api_ask_who_is_there(stack):
    for name, path in (("flower:5555", "/api/workers"), ("api:8080", "/metrics")):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            stack.get(name, path)
