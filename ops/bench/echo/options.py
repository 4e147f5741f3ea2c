"""What an echo server and a benchmark run can be told, validated. Pure, but for the question which cores there are.

Every wrong value is one ValueError with the option's name and its limits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

MIB: Final = 1024 * 1024
MAX_CLIENTS: Final = 100_000
MAX_RATE: Final = 1_000_000.0
MAX_PAYLOAD_BYTES: Final = 1024 * MIB
MAX_SECONDS: Final = 86_400.0
MAX_PROCESSES: Final = 256


def _within(name: str, value: float, low: float, high: float) -> None:
    # NaN compares false with everything, so it is refused too.
    if not low <= value <= high:
        raise ValueError(f"{name}: {value:g} is not within {low:g} and {high:g}")


class Impl(StrEnum):
    """Which server."""

    PICOWS = "picows"
    AIOHTTP = "aiohttp"
    WEBSOCKETS = "websockets"


class Loop(StrEnum):
    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


class Pattern(StrEnum):
    """When messages are due. Closed: a client sends as soon as its last echo is there; latency counts from then."""

    FIXED_RATE = "FixedRate"
    BURST = "Burst"
    RAMP_UP = "RampUp"
    CLOSED = "Closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """``idle_timeout_s``: a peer silent for so long is pinged and dropped without an answer within the same time."""

    impl: Impl
    host: str = "127.0.0.1"
    port: int = 9001
    loop: Loop = Loop.UVLOOP
    processes: int = 1
    max_message_bytes: int = 16 * MIB
    idle_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        _within("port", self.port, 0, 65_535)
        _within("processes", self.processes, 1, MAX_PROCESSES)
        _within("max-message-bytes", self.max_message_bytes, 1, MAX_PAYLOAD_BYTES)
        _within("idle-timeout", self.idle_timeout_s, 0.1, MAX_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run's load. ``rate`` is messages per second and client; ``duration_s`` counts after the warm-up.

    ``ramp_s``: over how long the connections open; ``burst``: messages of one burst of a client.
    """

    scenario: str = "custom"
    clients: int = 1
    rate: float = 100.0
    payload_bytes: int = 256
    text: bool = False
    duration_s: float = 10.0
    warm_up_s: float = 1.0
    ramp_s: float = 0.0
    pattern: Pattern = Pattern.FIXED_RATE
    burst: int = 10
    processes: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        _within("clients", self.clients, 1, MAX_CLIENTS)
        _within("rate", self.rate, 0.001, MAX_RATE)
        _within("payload-bytes", self.payload_bytes, 0, MAX_PAYLOAD_BYTES)
        _within("duration", self.duration_s, 0.1, MAX_SECONDS)
        _within("warm-up", self.warm_up_s, 0, MAX_SECONDS)
        _within("ramp", self.ramp_s, 0, MAX_SECONDS)
        _within("burst", self.burst, 1, 1_000_000)
        _within("processes", self.processes, 1, min(MAX_PROCESSES, self.clients))

    @property
    def open_loop(self) -> bool:
        return self.pattern is not Pattern.CLOSED


#: The scenarios of the design: one client, a hundred that connect at once, a thousand that ramp up gently.
SCENARIOS: Final = {
    "single": Load(scenario="single", clients=1, rate=1_000.0, duration_s=10.0),
    "burst": Load(scenario="burst", clients=100, pattern=Pattern.CLOSED, ramp_s=0.5, duration_s=10.0),
    "steady": Load(scenario="steady", clients=1_000, rate=5.0, ramp_s=5.0, duration_s=20.0, warm_up_s=2.0),
}


def scenario_of(name: str) -> Load:
    if name not in SCENARIOS:
        raise ValueError(f"scenario: there is no {name!r}; known are {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect. ``url`` is ws://host:port/path."""

    url: str
    host: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"url: {self.url!r} is no URL: {error}") from None
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"url: {self.url!r} is not a ws:// or wss:// URL")
        object.__setattr__(self, "host", parts.hostname)
        object.__setattr__(self, "port", port or (443 if parts.scheme == "wss" else 80))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Where the client runs beside the server: core numbers, none for any."""

    cores: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_cores("client-cores", self.cores)


def check_cores(name: str, cores: Sequence[int]) -> None:
    """ValueError for cores that this process may not use."""
    found = sorted(os.sched_getaffinity(0))
    if not set(cores) <= set(found):
        raise ValueError(f"{name}: {','.join(map(str, cores))} is not within {','.join(map(str, found))}")
