"""All services of one run on this machine: what is not configured elsewhere is started, watched and ended here."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import psutil
from celery import Celery
from celery.utils.nodenames import host_format
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from domain.chain.core_wallet import core_address, create_core_wallet
from domain.errors import StressError
from domain.runtime.settings import Settings
from domain.runtime.wiring import build_sealer
from domain.store.client import connect
from domain.store.keys import Keys
from ops.children import Children, ChildSpec
from ops.folder import HeldFolder
from ops.localnet.settings import DEFAULT_PROGRAM
from ops.plan import Node, WorkerPlan
from ops.redis_server import ROLE as REDIS
from ops.redis_server import RedisPlace, choose_place, redis_spec
from ops.reproduce.recorded import PROGRAM
from ops.rotation import LogRotation
from tasks.names import CONTROL_QUEUE, CYCLES_QUEUE, SPARE

LOCALNET: Final = "localnet"
CYCLES: Final = "cycles"
CONTROL: Final = "control"
SUPERVISOR: Final = "supervisor"
API: Final = "api"
CONTROL_SLOTS: Final = 4
SPARES_UP_TO: Final = 4  # of many nodes one may be away for a while, and a spare takes 100 MB
STOP_ORDER: Final = ((API,), (SUPERVISOR,), (CONTROL, CYCLES), (LOCALNET,), (REDIS,))
ROOT: Final = Path(__file__).resolve().parents[1]

MakeSettings = Callable[[Mapping[str, Any]], Settings]  # overrides -> settings, over environment and file


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to start. ``program``: another build than the bundled one; ``with_api``: the web server, too."""

    directory: Path
    plan: WorkerPlan
    seed: int
    slot_ms: int
    program: Path | None = None
    with_api: bool = True
    usual_port: bool = False  # the web server takes the port of the settings' default where it is free
    airdrop_cap_sol: int | None = None  # of the local chain's faucet
    keep_chain: bool = False  # the local chain lives in a file of the folder and goes on after it was killed


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Could a server listen there now? An address that is not this machine's counts as free: the server tells."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def node_command(app_queue: str, name: str, pool: str, concurrency: int) -> tuple[str, ...]:
    """One Celery node that consumes one queue."""
    return (sys.executable, "-m", "tasks.node", app_queue, name, pool, str(concurrency))


class Stack:
    """Start with ``open_foundation`` (Redis, chain), then ``open_services``; leaving the context ends everything."""

    def __init__(self, wanted: Wanted, make_settings: MakeSettings) -> None:
        """Raises SettingsError; FolderInUse when another process works in the same folder."""
        self._wanted = wanted
        self._make_settings = make_settings
        self._overrides: dict[str, Any] = {
            "data_dir": wanted.directory.resolve() / "data",
            "seed": wanted.seed,
            "worker_concurrency": wanted.plan.nodes[0].concurrency,
        }
        self._settings = make_settings(self._overrides)
        self._folder = HeldFolder(wanted.directory)
        logs = wanted.directory / "logs"
        rotation = LogRotation(logs, self._settings.log_max_bytes, self._settings.log_backups)
        self._children = Children(logs, ROOT, rotation)
        self._given = frozenset(make_settings({}).model_fields_set)
        self._place: RedisPlace | None = None
        self._clients: list[Redis] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """The effective settings; complete once the foundation stands."""
        return self._settings

    @property
    def log_directory(self) -> Path:
        return self._wanted.directory / "logs"

    @property
    def api_url(self) -> str:
        return self._settings.local_url

    def open_foundation(self, interrupted: Callable[[], bool] = lambda: False) -> Settings:
        """Keys, Redis and the local chain, unless they are given. Raises ChildError, StressError."""
        foundation: list[ChildSpec] = []
        if "redis_url" not in self._given:
            self._place = choose_place(self._wanted.directory / "redis")
            self._overrides["redis_url"] = self._place.url
            foundation.append(redis_spec(self._place))
        own_chain = "rpc_urls" not in self._given
        self._prepare_keys(own_chain=own_chain)
        ready_file = self._wanted.directory.resolve() / "localnet.json"
        if own_chain:
            ready_file.unlink(missing_ok=True)
            foundation.append(self._localnet_spec(ready_file))
        self._choose_port()
        self._children.start(foundation, interrupted)
        if own_chain:
            self._overrides["rpc_urls"] = (json.loads(ready_file.read_text())["rpc_url"],)
            self._overrides["slot_ms"] = self._wanted.slot_ms
        self._settings = self._make_settings(self._overrides)
        return self._settings

    def _choose_port(self) -> None:
        """Raises StressError for a port that is given and taken."""
        settings, name = self._settings, "https_port" if self._settings.enable_https else "api_port"
        free = is_free(settings.api_bind, settings.listen_port)
        if name in self._given and settings.listen_port != 0:
            if self._wanted.with_api and not free:
                raise StressError(
                    f"{name}: {settings.listen_port} is in use on {settings.api_bind}; 0 takes any free one"
                )
        elif not (self._wanted.usual_port and free and settings.listen_port != 0):
            self._overrides[name] = free_port()

    def open_services(self, app: Celery, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Workers, supervisor and web server; returns when each of them serves. Raises ChildError."""
        env = child_environment(self._settings)
        plan = self._wanted.plan
        specs = [*cycle_specs(app, self._settings, plan, env), control_spec(app, plan, env)]
        specs.append(self._supervisor_spec(env))
        if self._wanted.with_api:
            specs.append(self._api_spec(env))
        self._children.start(specs, interrupted)
        # As with the cycle nodes: one may freeze, or be a while in starting again on a busy machine.
        self._children.start_spares([control_spec(app, plan, env, number=2), self._supervisor_spec(env, number=2)])

    def check(self) -> None:
        """Raises ChildError when something died that cannot be started again."""
        self._children.check()

    def pids(self) -> dict[str, list[int]]:
        """Role (redis, localnet, cycles, control, supervisor, api) -> pids."""
        return self._children.pids()

    def restarts(self) -> dict[str, int]:
        return self._children.restarts()

    @property
    def children(self) -> Children:
        """For whoever tests what happens when they die."""
        return self._children

    def stop(self, roles: Sequence[str]) -> list[str]:
        """End these roles for good; names of the children that had to be killed."""
        return self._children.stop(roles)

    def close(self) -> list[str]:
        """End everything in order; names of the children that had to be killed."""
        for client in self._clients:
            client.close()
        killed = self._children.close(STOP_ORDER)
        self._folder.release()
        return killed

    def _prepare_keys(self, *, own_chain: bool) -> None:
        settings = self._make_settings(self._overrides)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        sealer = build_sealer(settings)
        if not settings.core_wallet.exists():
            # One that is named for somebody's chain is a mistyped name: a new wallet would have no authority there.
            named = "core_wallet" in self._given
            if not own_chain and (named or not settings.local_chain):
                raise StressError(f"there is no core wallet at {settings.core_wallet}; name one with --core-wallet")
            create_core_wallet(settings.core_wallet, sealer, sealed=settings.encrypt_core_wallet)
        self._core = str(core_address(settings.core_wallet))

    def _localnet_spec(self, ready_file: Path) -> ChildSpec:
        wanted = self._wanted
        ports = [str(free_port()) if wanted.keep_chain else "0" for _ in range(2)]  # a successor must take them over
        options = ["--port", ports[0], "--ws-port", ports[1]]
        options += ["--slot-ms", str(wanted.slot_ms), "--seed", str(wanted.seed)]
        options += ["--upgrade-authority", self._core, "--ready-file", str(ready_file)]
        options += ["--program-id", self._settings.program_id]
        if wanted.keep_chain:
            options += ["--state", str(wanted.directory.resolve() / "localnet.state")]
        if wanted.airdrop_cap_sol is not None:
            options += ["--airdrop-cap-sol", str(wanted.airdrop_cap_sol)]
        options += ["--program", str(self._own_program())]
        return ChildSpec(
            role=LOCALNET,
            name=LOCALNET,
            command=(sys.executable, "-m", "ops.localnet", *options),
            env=child_environment(self._settings),
            ready=lambda pid: _written_by(ready_file, pid),
            stop_timeout_s=20.0 if wanted.keep_chain else 5.0,  # it writes everything once more
            restart=wanted.keep_chain,  # else its state would be gone, and with it the run
        )

    def _own_program(self) -> Path:
        """A copy of the program in the folder: what a fault says is about this build, whatever becomes of the file."""
        wanted = self._wanted
        copy = wanted.directory.resolve() / PROGRAM
        copy.write_bytes((wanted.program or DEFAULT_PROGRAM).read_bytes())
        return copy

    def _supervisor_spec(self, env: Mapping[str, str], number: int = 1) -> ChildSpec:
        client = connect(self._settings.redis_url)
        self._clients.append(client)
        lease = Keys(self._settings.redis_prefix).lease("supervisor")
        return ChildSpec(
            role=SUPERVISOR,
            name=f"{SUPERVISOR}-{number}",
            command=(sys.executable, "-m", "tasks.supervisor"),
            env=env,
            ready=lambda _: _exists(client, lease),  # it sweeps
        )

    def _api_spec(self, env: Mapping[str, str]) -> ChildSpec:
        settings = self._settings
        return ChildSpec(
            role=API,
            name=API,
            command=(sys.executable, "-m", "ops.cli", "api"),
            env=env,
            ready=lambda pid: listens(pid, settings.listen_port),
        )


def _exists(client: Redis, key: str) -> bool:
    try:
        return bool(client.exists(key))
    except RedisError:
        return False


def child_environment(settings: Settings) -> dict[str, str]:
    """What a child needs of our environment, and the settings in full."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("FRT_")}
    return {**kept, **settings.to_env(), "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}


def cycle_specs(app: Celery, settings: Settings, plan: WorkerPlan, env: Mapping[str, str]) -> list[ChildSpec]:
    """The plan's nodes."""

    def spec(node: Node) -> ChildSpec:
        name = f"cycle-{node.number}"
        return ChildSpec(
            role=CYCLES,
            name=name,
            command=node_command(CYCLES_QUEUE, name, settings.worker_pool, node.concurrency),
            env=env,
            ready=lambda pid: _consumes(app, name, pid),
            cores=node.cores,
            nice=plan.nice,
            spare_option=SPARE if len(plan.nodes) <= SPARES_UP_TO else "",
        )

    return [spec(node) for node in plan.nodes]


def control_spec(app: Celery, plan: WorkerPlan, env: Mapping[str, str], number: int = 1) -> ChildSpec:
    """A node that carries out commands."""
    name = f"{CONTROL}-{number}"
    return ChildSpec(
        role=CONTROL,
        name=name,
        command=node_command(CONTROL_QUEUE, name, "threads", CONTROL_SLOTS),
        env=env,
        ready=lambda pid: _consumes(app, name, pid),
        cores=plan.control_cores,
        nice=plan.nice,
    )


def listens(pid: int, port: int) -> bool:
    """Does this very process listen there? What answers on a port may be anybody's."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr[1] == port for one in connections)


def _written_by(ready_file: Path, pid: int) -> bool:
    try:
        return bool(json.loads(ready_file.read_text())["pid"] == pid)
    except (OSError, ValueError, KeyError):
        return False


def _consumes(app: Celery, name: str, pid: int) -> bool:
    """Does the node with this name answer, and is it this process?"""
    node = host_format(f"{name}@%h")
    try:
        # The answer of the one that is asked ends the waiting; on a busy machine it may take its time.
        answers = app.control.inspect(destination=[node], timeout=1.0, limit=1).stats() or {}
    except OperationalError:  # Redis is not there yet; the nodes wait for it, too
        return False
    return node in answers and answers[node]["pid"] == pid
