"""`frt doctor`: is everything there that a run needs, and is it what it should be?"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Final

import psutil
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from domain.chain.core_wallet import core_address
from domain.errors import StressError
from domain.runtime.settings import Settings
from ops.localnet.settings import DEFAULT_PROGRAM
from ops.redis_server import find_redis
from ops.stack import is_free

ROOT: Final = Path(__file__).resolve().parents[1]
OWN_NAMES: Final = ("api", "tasks", "domain", "ops")
DISTRIBUTION: Final = "frt-stress"
FEWEST_FREE_BYTES: Final = 1_000_000_000
OLDEST_REDIS: Final = (6, 2)
FEWEST_FREE_MEMORY: Final = 1_500_000_000  # two nodes and their spares, control, supervisors, API, chain, Redis
FEWEST_CORES: Final = 2
FEWEST_FILES: Final = 1_024
REDIS_ADVICE: Final = "install redis-server 6.2 or newer (Debian, Ubuntu: apt-get install redis-server)"
REQUIRED: Final = ("celery", "kombu", "redis", "flask", "gunicorn", "solders", "solana", "pydantic", "cryptography")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``ok`` None: worth knowing, no obstacle. ``advice``: what to do about it, when it is not well."""

    what: str
    ok: bool | None
    detail: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every finding, obstacles and all; never raises."""
    probes: tuple[Callable[[], Finding], ...] = (
        _python,
        _packages,
        _names,
        _redis,
        _program,
        lambda: _files(settings),
        _memory,
        lambda: _port(settings),
        lambda: _wallet(settings),
        lambda: _redis_configured(settings),
        lambda: _chain_configured(settings),
    )
    return [probe() for probe in probes]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        what="Python",
        ok=sys.version_info >= (3, 11),
        detail=f"{found} at {sys.executable}",
        advice="install Python 3.11 or newer, or name one with FRT_PYTHON; then remove .venv",
    )


def _packages() -> Finding:
    missing = []
    for name in REQUIRED:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    detail = (
        f"missing: {', '.join(missing)}" if missing else f"celery {version('celery')}, solders {version('solders')}"
    )
    return Finding(what="packages", ok=not missing, detail=detail, advice=f"remove {sys.prefix}; ./frt builds it anew")


def _names() -> Finding:
    """Another distribution with our short package names would be imported instead of us, silently."""
    owners = packages_distributions()
    foreign = {name: owners[name] for name in OWN_NAMES if set(owners.get(name, [])) - {DISTRIBUTION}}
    astray = [name for name in OWN_NAMES if not _is_ours(name)]
    if foreign or astray:
        detail = f"others own {foreign or astray}"
        advice = f"remove {sys.prefix}; ./frt builds an environment of our own"
        return Finding(what="import names", ok=False, detail=detail, advice=advice)
    return Finding(what="import names", ok=True, detail=f"{', '.join(OWN_NAMES)} come from {ROOT}")


def _is_ours(name: str) -> bool:
    file = import_module(name).__file__
    return file is not None and Path(file).resolve().is_relative_to(ROOT)


def _redis() -> Finding:
    try:
        binary = find_redis()
        text = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True, timeout=10).stdout
    except (StressError, OSError, subprocess.SubprocessError) as error:
        return Finding(what="embedded Redis", ok=False, detail=str(error), advice=REDIS_ADVICE)
    number = next((part[2:] for part in text.split() if part.startswith("v=")), "")
    parts = tuple(int(part) for part in number.split(".")[:2]) if number else ()
    detail = f"{number or text.strip()} at {binary}"
    return Finding(what="embedded Redis", ok=parts >= OLDEST_REDIS, detail=detail, advice=REDIS_ADVICE)


def _program() -> Finding:
    if not DEFAULT_PROGRAM.is_file():
        detail = f"{DEFAULT_PROGRAM} is missing"
        return Finding(what="bundled program", ok=False, detail=detail, advice="./frt program build")
    return Finding(what="bundled program", ok=True, detail=f"{DEFAULT_PROGRAM.stat().st_size} bytes")


def _files(settings: Settings) -> Finding:
    """The folder that runs are written to, and the data folder where there is one."""
    free = shutil.disk_usage(Path.cwd()).free
    closed = [path for path in (Path.cwd(), settings.data_dir) if path.exists() and not os.access(path, os.W_OK)]
    detail = f"{free // 1_000_000:,} MB free in {Path.cwd()}"
    detail += f"; not writable: {', '.join(map(str, closed))}" if closed else ""
    return Finding(
        what="disk",
        ok=not closed and free >= FEWEST_FREE_BYTES,
        detail=detail,
        advice=f"work in a folder of your own with {FEWEST_FREE_BYTES // 1_000_000:,} MB free, or name one with --out",
    )


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    cores, files = len(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    detail = f"{cores} cores, {memory.available // 1_000_000:,} MB of {memory.total // 1_000_000:,} MB free"
    short = [
        (cores < FEWEST_CORES, f"{FEWEST_CORES} cores"),
        (memory.available < FEWEST_FREE_MEMORY, f"{FEWEST_FREE_MEMORY // 1_000_000:,} MB of free memory"),
        (files < FEWEST_FILES, f"{FEWEST_FILES} open files (ulimit -n; it is {files})"),
    ]
    wanted = [text for is_short, text in short if is_short]
    advice = f"a run wants {', '.join(wanted)}; a smaller one: scenarios/smoke.toml"
    return Finding(what="machine", ok=None if wanted else True, detail=detail, advice=advice)


def _port(settings: Settings) -> Finding:
    name = "https_port" if settings.enable_https else "api_port"
    where = f"{settings.listen_port} on {settings.api_bind}"
    if settings.listen_port == 0 or is_free(settings.api_bind, settings.listen_port):
        return Finding(what="port", ok=True, detail=f"{where} is free")
    given = name in settings.model_fields_set
    advice = f"set FRT_{name.upper()} to another port, or to 0 for any" if given else "frt up takes another one"
    return Finding(what="port", ok=False if given else None, detail=f"{where} is in use", advice=advice)


def _wallet(settings: Settings) -> Finding:
    if not settings.core_wallet.exists():
        made = "is made for a local chain" if settings.local_chain else "is needed for a cluster"
        return Finding(
            what="core wallet",
            ok=None if settings.local_chain else False,
            detail=f"none at {settings.core_wallet}; one {made}",
            advice="" if settings.local_chain else "name a solana-keygen file with --core-wallet or FRT_CORE_WALLET",
        )
    try:
        address = core_address(settings.core_wallet)
    except StressError as error:
        advice = "make one with solana-keygen new -o FILE, or remove it: a local chain gets a new one"
        return Finding(what="core wallet", ok=False, detail=str(error), advice=advice)
    return Finding(what="core wallet", ok=True, detail=str(address))


def _redis_configured(settings: Settings) -> Finding:
    if "redis_url" not in settings.model_fields_set:
        return Finding(what="Redis", ok=True, detail="none configured; every run starts its own")
    from domain.store.client import connect

    shown = settings.safe_dump()["redis_url"]
    client = connect(settings.redis_url, socket_timeout_s=2.0)
    try:
        number = str(client.info("server")["redis_version"])
        policy = _eviction(client)
    except (RedisError, OSError) as error:
        advice = "start it, or look at FRT_REDIS_URL: host, port, password, rediss:// for TLS"
        return Finding(what="Redis", ok=False, detail=f"{shown}: {error}", advice=advice)
    finally:
        client.close()
    old = tuple(int(part) for part in number.split(".")[:2]) < OLDEST_REDIS
    advice = (
        REDIS_ADVICE if old else "set maxmemory-policy to noeviction: this Redis would drop threads when it is full"
    )
    good = not old and policy in ("noeviction", "eviction unknown")
    return Finding(what="Redis", ok=good, detail=f"{shown}: {number}, {policy}", advice=advice)


def _eviction(client: Redis) -> str:
    """A hosted Redis may not tell its configuration."""
    try:
        return str(client.config_get("maxmemory-policy")["maxmemory-policy"])
    except (ResponseError, KeyError):
        return "eviction unknown"


def _chain_configured(settings: Settings) -> Finding:
    if "rpc_urls" not in settings.model_fields_set:
        return Finding(what="chain", ok=True, detail="none configured; every run starts the local chain")
    from domain.chain.errors import RpcError
    from domain.chain.rpc import RpcClient

    answers, advice = [], "look at FRT_RPC_URLS or --rpc-url; is a firewall or a proxy in between?"
    for url, shown in zip(settings.rpc_urls, settings.safe_dump()["rpc_urls"], strict=True):
        client = RpcClient(url, timeout_seconds=5.0)
        try:
            version = client.call("getVersion").get("solana-core")
            account = client.call("getAccountInfo", [settings.program_id, {"encoding": "base64"}])["value"]
        except RpcError as error:
            answers.append((False, str(error)))
            continue
        finally:
            client.close()
        there = account is not None and account["executable"]
        answers.append(
            (there, f"{shown}: {version}, program {settings.program_id} {'is there' if there else 'is not'}")
        )
        advice = advice if there else "name the program's address with --program-id or FRT_PROGRAM_ID"
    return Finding(
        what="chain",
        ok=any(ok for ok, _ in answers),
        detail="; ".join(detail for _, detail in answers),
        advice=advice,
    )
