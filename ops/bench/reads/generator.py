"""`python -m ops.bench.reads.generator`: sends reads at a fixed rate whatever comes back, in a process of its own.

Open loop: read number i is due i/rate after the start, and its latency counts from then, so a server that stalls
cannot hide the reads that waited for it. Takes a JSON object on standard input, prints one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from array import array
from collections import deque
from dataclasses import asdict, dataclass
from math import ceil
from random import Random
from time import perf_counter
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop

TICK_S: Final = 0.001
LAST_ANSWERS_S: Final = 10.0
KEPT_ERRORS: Final = 5
END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to send. ``thread_ids``: drawn at random for each read."""

    url: str
    rate: float
    seconds: float
    connections: int
    thread_ids: list[str]
    seed: int = 1


class Connection(asyncio.Protocol):
    """One keep-alive connection with one read under way at a time."""

    def __init__(self, load: Generator) -> None:
        self._load = load
        self._buffer = b""
        self._due_s = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._load.free(self)

    def send(self, due_s: float, request: bytes) -> None:
        self._due_s, self._buffer = due_s, b""
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(END_OF_HEAD)
        if not found:
            return
        start = head.lower().find(LENGTH) + len(LENGTH)
        if len(body) < int(head[start:].split(b"\r\n", 1)[0]):
            return
        good = head.startswith(b"HTTP/1.1 200") and b'"result":' in body[:200]
        self._load.answered(perf_counter() - self._due_s, None if good else body[:200].decode(errors="replace"))
        self._load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(f"connection lost: {exc}")


class Generator:
    """Latencies of one run."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._rng = Random(order.seed)
        self._requests = [request_to(order.url, thread_id) for thread_id in order.thread_ids]
        self.latencies_s = array("d")
        self.errors: list[str] = []
        self.failed = 0
        self.sent = 0
        self.most_waiting = 0

    async def run(self) -> None:
        """Until every read was sent and answered, or LAST_ANSWERS_S after the last was due."""
        order, parts = self._order, urlsplit(self._order.url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 80
        loop = asyncio.get_running_loop()
        for _ in range(order.connections):
            await loop.create_connection(lambda: Connection(self), host, port)
        planned = int(order.rate * order.seconds)
        began_s = perf_counter()
        due = 0
        while due < planned or len(self.latencies_s) + self.failed < planned:
            now_s = perf_counter() - began_s
            while due < planned and due / order.rate <= now_s:
                self._due.append(began_s + due / order.rate)
                due += 1
            self.most_waiting = max(self.most_waiting, len(self._due) - len(self._idle))
            self._send_what_is_due()
            if now_s > order.seconds + LAST_ANSWERS_S or not (self.alive or due < planned):
                break
            await asyncio.sleep(TICK_S)
        self.failed += planned - len(self.latencies_s) - self.failed

    @property
    def alive(self) -> bool:
        return len(self.errors) < KEPT_ERRORS or bool(self._idle)

    def free(self, connection: Connection) -> None:
        self._idle.append(connection)
        self._send_what_is_due()

    def answered(self, latency_s: float, error: str | None) -> None:
        if error is None:
            self.latencies_s.append(latency_s)
        else:
            self.lost(error)

    def lost(self, error: str) -> None:
        self.failed += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(error)

    def _send_what_is_due(self) -> None:
        while self._due and self._idle:
            self.sent += 1
            self._idle.popleft().send(self._due.popleft(), self._rng.choice(self._requests))


def request_to(url: str, thread_id: str) -> bytes:
    call = {"jsonrpc": "2.0", "id": 1, "method": "get_thread_status", "params": {"thread_id": thread_id}}
    body = json.dumps(call).encode()
    head = f"POST /rpc HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def percentiles_ms(latencies_s: array[float]) -> dict[str, float | None]:
    """Exact, by nearest rank: the whole list is sorted."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    ordered = sorted(latencies_s)
    if not ordered:
        return dict.fromkeys(shares)
    # Rounded, because 0.99 of 1,000 is a little more than 990.
    ranks = {name: ceil(round(share * len(ordered), 6)) for name, share in shares.items()}
    return {name: round(ordered[rank - 1] * 1_000, 3) for name, rank in ranks.items()}


def generate(order: Order) -> dict[str, Any]:
    """The figures of one run: counts, and latencies in ms from the planned moment."""
    load = Generator(order)
    uvloop.run(load.run())
    return {
        "planned": int(order.rate * order.seconds),
        "sent": load.sent,
        "answered": len(load.latencies_s),
        "failed": load.failed,
        "errors": load.errors,
        "most_waiting": load.most_waiting,
        "latency_ms": percentiles_ms(load.latencies_s),
    }


def order_text(order: Order) -> str:
    return json.dumps(asdict(order))


if __name__ == "__main__":
    print(json.dumps(generate(Order(**json.loads(sys.stdin.read())))))
