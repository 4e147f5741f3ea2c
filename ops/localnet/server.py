"""The process: ports, the slot timer, the ready line, a clean end on SIGTERM and SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import uvloop
from websockets.asyncio.server import serve

from ops.localnet.chain import Chain
from ops.localnet.httpd import HttpConnection
from ops.localnet.pubsub import PubSub
from ops.localnet.rpc.dispatch import Dispatcher
from ops.localnet.settings import LocalnetSettings

#: A timer that is later than this many slots starts afresh instead of racing through them.
_MAX_CATCH_UP_SLOTS = 5
_STEP_S = 0.004
#: How much of the chain a machine that loses its power may lose.
_SYNC_S = 1.0


class SlotTimer:
    """Ends a slot every slot_ms, by the monotonic clock, without drift."""

    def __init__(self, chain: Chain, loop: asyncio.AbstractEventLoop) -> None:
        self._chain, self._loop = chain, loop
        self._slot_s = chain.settings.slot_ms / 1000
        self._due = loop.time() + self._slot_s
        self._steps: Iterator[None] = iter(())
        self._handle: asyncio.Handle = loop.call_at(self._due, self._end_slot)

    def _end_slot(self) -> None:
        self._steps = self._chain.slot()
        self._step()

    def _step(self) -> None:
        """Execute for a few milliseconds, then let requests in; a full slot would hold them up for a tenth of it.

        A slot that is late executes the rest at once: requests must not starve the chain.
        """
        is_late = self._loop.time() > self._due + self._slot_s / 2
        until = time.monotonic() + _STEP_S
        for _ in self._steps:
            if not is_late and time.monotonic() >= until:
                self._handle = self._loop.call_soon(self._step)
                return
        self._due += self._slot_s
        now = self._loop.time()
        if now - self._due > _MAX_CATCH_UP_SLOTS * self._slot_s:
            self._due = now
        self._handle = self._loop.call_at(self._due, self._end_slot)

    def cancel(self) -> None:
        """End no more slots."""
        self._handle.cancel()


def _announce(settings: LocalnetSettings, port: int, ws_port: int) -> None:
    document = {
        "rpc_url": f"http://{settings.host}:{port}",
        "ws_url": f"ws://{settings.host}:{ws_port}",
        "pid": os.getpid(),
    }
    line = orjson.dumps(document).decode()
    if settings.ready_file is None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        return
    # Renamed into place, so that a reader never sees half of it.
    partial = Path(f"{settings.ready_file}.{os.getpid()}")
    partial.write_text(line + "\n", encoding="utf-8")
    partial.replace(settings.ready_file)


async def _serve(settings: LocalnetSettings) -> None:
    loop = asyncio.get_running_loop()
    chain = Chain(settings, time.time)
    dispatcher, pubsub = Dispatcher(chain), PubSub(chain)

    def connection() -> HttpConnection:
        return HttpConnection(dispatcher, chain.faults.request_fate, settings.max_body_bytes)

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    http = await loop.create_server(connection, settings.host, settings.port, backlog=1024)
    # Compression would cost more than it saves on a loopback connection.
    async with serve(pubsub.serve, settings.host, settings.ws_port, compression=None) as sockets:
        timer = SlotTimer(chain, loop)
        ports = http.sockets[0].getsockname()[1], next(iter(sockets.sockets)).getsockname()[1]
        # What exists now lives as long as the process; history is bytes, so full collections have little to find.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        _announce(settings, *ports)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _SYNC_S)
            await asyncio.to_thread(chain.sync)
        timer.cancel()
        http.close()
        chain.close()


def run(settings: LocalnetSettings) -> None:
    """Serve a local chain until SIGTERM or SIGINT. OSError when a port is taken, FileNotFoundError without program."""
    if settings.program is not None and not settings.program.is_file():
        raise FileNotFoundError(f"no program at {settings.program}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
