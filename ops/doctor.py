"""`frt doctor`: is everything there that a run needs, and is it what it should be?"""

from __future__ import annotations

import os
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

from domain.chain.core_wallet import core_address
from domain.errors import StressError
from domain.runtime.settings import Settings
from ops.localnet.settings import DEFAULT_PROGRAM
from ops.redis_server import find_redis

ROOT: Final = Path(__file__).resolve().parents[1]
OWN_NAMES: Final = ("api", "tasks", "domain", "ops")
DISTRIBUTION: Final = "frt-stress"
FEWEST_FREE_BYTES: Final = 1_000_000_000
OLDEST_REDIS: Final = (6, 2)
REQUIRED: Final = ("celery", "kombu", "redis", "flask", "gunicorn", "solders", "solana", "pydantic", "cryptography")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``ok`` None: worth knowing, no obstacle."""

    what: str
    ok: bool | None
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Every finding, obstacles and all; never raises."""
    probes: tuple[Callable[[], Finding], ...] = (
        _python,
        _packages,
        _names,
        _redis,
        _program,
        _files,
        _memory,
        lambda: _wallet(settings),
        lambda: _redis_configured(settings),
        lambda: _chain_configured(settings),
    )
    return [probe() for probe in probes]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(what="Python", ok=sys.version_info >= (3, 11), detail=f"{found} at {sys.executable}")


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
    return Finding(what="packages", ok=not missing, detail=detail)


def _names() -> Finding:
    """Another distribution with our short package names would be imported instead of us, silently."""
    owners = packages_distributions()
    foreign = {name: owners[name] for name in OWN_NAMES if set(owners.get(name, [])) - {DISTRIBUTION}}
    astray = [name for name in OWN_NAMES if not _is_ours(name)]
    if foreign or astray:
        return Finding(what="import names", ok=False, detail=f"others own {foreign or astray}")
    return Finding(what="import names", ok=True, detail=f"{', '.join(OWN_NAMES)} come from {ROOT}")


def _is_ours(name: str) -> bool:
    file = import_module(name).__file__
    return file is not None and Path(file).resolve().is_relative_to(ROOT)


def _redis() -> Finding:
    try:
        binary = find_redis()
        text = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True, timeout=10).stdout
    except (StressError, OSError, subprocess.SubprocessError) as error:
        return Finding(what="embedded Redis", ok=False, detail=str(error))
    number = next((part[2:] for part in text.split() if part.startswith("v=")), "")
    parts = tuple(int(part) for part in number.split(".")[:2]) if number else ()
    return Finding(what="embedded Redis", ok=parts >= OLDEST_REDIS, detail=f"{number or text.strip()} at {binary}")


def _program() -> Finding:
    if not DEFAULT_PROGRAM.is_file():
        return Finding(what="bundled program", ok=False, detail=f"{DEFAULT_PROGRAM} is missing: frt program build")
    return Finding(what="bundled program", ok=True, detail=f"{DEFAULT_PROGRAM.stat().st_size} bytes")


def _files() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    writable = os.access(Path.cwd(), os.W_OK)
    detail = f"{free // 1_000_000:,} MB free in {Path.cwd()}" + ("" if writable else ", which is not writable")
    return Finding(what="disk", ok=writable and free >= FEWEST_FREE_BYTES, detail=detail)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0))
    detail = f"{cores} cores, {memory.available // 1_000_000:,} MB of {memory.total // 1_000_000:,} MB free"
    return Finding(what="machine", ok=None if cores < 2 else True, detail=detail)


def _wallet(settings: Settings) -> Finding:
    if not settings.core_wallet.exists():
        made = "is made for a local chain" if settings.local_chain else "is needed for a cluster"
        return Finding(what="core wallet", ok=None if settings.local_chain else False, detail=f"none; one {made}")
    try:
        address = core_address(settings.core_wallet)
    except StressError as error:
        return Finding(what="core wallet", ok=False, detail=str(error))
    return Finding(what="core wallet", ok=True, detail=str(address))


def _redis_configured(settings: Settings) -> Finding:
    if "redis_url" not in settings.model_fields_set:
        return Finding(what="Redis", ok=True, detail="none configured; every run starts its own")
    from domain.store.client import connect

    shown = settings.safe_dump()["redis_url"]
    try:
        info = connect(settings.redis_url, socket_timeout_s=2.0).info("server")
    except OSError as error:
        return Finding(what="Redis", ok=False, detail=f"{shown}: {error}")
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the doctor only reports it
        return Finding(what="Redis", ok=False, detail=f"{shown}: {error}")
    found = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    return Finding(what="Redis", ok=found >= OLDEST_REDIS, detail=f"{shown}: {info['redis_version']}")


def _chain_configured(settings: Settings) -> Finding:
    if "rpc_urls" not in settings.model_fields_set:
        return Finding(what="chain", ok=True, detail="none configured; every run starts the local chain")
    from domain.chain.errors import RpcError
    from domain.chain.rpc import RpcClient

    answers = []
    for url, shown in zip(settings.rpc_urls, settings.safe_dump()["rpc_urls"], strict=True):
        try:
            answers.append((True, f"{shown}: {RpcClient(url, timeout_seconds=5.0).call('getVersion')}"))
        except RpcError as error:
            answers.append((False, f"{shown}: {error}"))
    return Finding(what="chain", ok=any(ok for ok, _ in answers), detail="; ".join(detail for _, detail in answers))
