"""One client process: opens its connections, sends by plan or by echo, tells the parent how it goes.

Over the pipe: ``("connected", n)``, then on ``("go", start_ns)`` the load, ``("progress", sent, received, errors)``
twice a second, and ``("result", ProcessResult)`` at the end. ``("stop",)`` ends the load early.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import os
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from time import monotonic_ns, process_time
from typing import Final

import uvloop
from picows import WSError, ws_connect

from ops.bench.echo.client.connection import Connection, Measured
from ops.bench.echo.client.messages import Messages
from ops.bench.echo.client.pattern import planned_s
from ops.bench.echo.client.tally import ProcessResult
from ops.bench.echo.client.timer import KernelTimer
from ops.bench.echo.options import Load
from ops.bench.echo.sockets import allow_many_sockets

SECOND_NS: Final = 1_000_000_000
CONNECT_TRIES: Final = 5
CONNECT_TIMEOUT_S: Final = 10.0
FIRST_BACKOFF_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 2.0
DRAIN_S: Final = 5.0  # how long the last echoes may take
SPARE_BYTES: Final = 65_536  # what an echo may be longer than its payload
PROGRESS_S: Final = 0.5
KEPT_MESSAGES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one process has to do: ``clients`` are its client ids."""

    url: str
    load: Load
    clients: range
    cores: tuple[int, ...] = ()


class Worker:
    def __init__(self, job: Job, pipe: Pipe) -> None:
        self._job = job
        self._pipe = pipe
        load = job.load
        self._measured = Measured(Messages(text=load.text, payload_bytes=load.payload_bytes, seed=load.seed))
        self._stop = asyncio.Event()
        self._go: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._over = False
        self._errors: list[str] = []
        self._again: set[asyncio.Task[None]] = set()
        self._connections = [self._connection(client) for client in job.clients]
        self._cpu_s = self._waiting_s = 0.0
        self._measured_s = 0.0

    def _connection(self, client: int) -> Connection:
        def lost() -> None:
            if self._over:
                return
            self._measured.tally.disconnected += 1
            connection.lose_pending()
            self._note(f"client {client}: the connection was lost")
            self._spawn(self._connect(connection, retry_for_ever=True))

        closed_loop = not self._job.load.open_loop
        connection = Connection(client, self._measured, closed_loop=closed_loop, on_lost=lost)
        return connection

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    def _note(self, message: str) -> None:
        if len(self._errors) < KEPT_MESSAGES:
            self._errors.append(message)

    async def run(self) -> ProcessResult:
        """Connect, wait for the start, load, drain; a stop cuts each of them short."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe.fileno(), self._hear)
        await self._unless_stopped(self._connect_all())
        self._pipe.send(("connected", sum(connection.is_open for connection in self._connections)))
        await self._unless_stopped(asyncio.wait_for(self._go, None))
        if not self._stop.is_set():
            await self._load(self._go.result())
        self._over = True
        for connection in self._connections:
            connection.lose_pending()
            connection.close()
        for task in self._again:
            task.cancel()
        measured = self._measured
        measured.tally.received = len(measured.latencies_ns)
        return ProcessResult(
            tally=measured.tally,
            latencies_ns=measured.latencies_ns,
            cpu=self._cpu_s / self._measured_s if self._measured_s else 0.0,
            waiting=self._waiting_s / self._measured_s if self._measured_s else 0.0,
            measured_s=self._measured_s,
            partial=self._stop.is_set(),
            messages=self._errors,
        )

    async def _load(self, start_ns: int) -> None:
        load, measured = self._job.load, self._measured
        measured.begins_ns = start_ns + round(load.warm_up_s * SECOND_NS)
        measured.ends_ns = measured.begins_ns + round(load.duration_s * SECOND_NS)
        loop = asyncio.get_running_loop()
        progress = loop.create_task(self._progress())
        gc.collect()
        gc.freeze()
        cpu = loop.create_task(self._measure_window())
        await (self._open_loop(start_ns) if load.open_loop else self._closed_loop(start_ns))
        await cpu
        await self._drain()
        progress.cancel()

    async def _unless_stopped(self, work: Coroutine[None, None, object]) -> None:
        """``work``, given up when a stop comes."""
        doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((doing, stopped), return_when=asyncio.FIRST_COMPLETED)
        for each in (doing, stopped):
            each.cancel()
        await asyncio.gather(doing, stopped, return_exceptions=True)

    async def _until(self, moment_ns: int) -> None:
        """Until then, or a stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, moment_ns - monotonic_ns()) / SECOND_NS):
                await self._stop.wait()

    def _hear(self) -> None:
        try:
            what = self._pipe.recv()
        except (EOFError, OSError):
            what = ("stop",)  # the parent is gone
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        if what[0] == "go" and not self._go.done():
            self._go.set_result(what[1])
        elif what[0] == "stop":
            self._stop.set()

    async def _connect_all(self) -> None:
        load = self._job.load
        began = asyncio.get_running_loop().time()

        async def one(connection: Connection) -> None:
            await asyncio.sleep(began + load.ramp_s * connection.client_id / load.clients - self._now_s())
            await self._connect(connection)

        await asyncio.gather(*(one(connection) for connection in self._connections))

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    async def _connect(self, connection: Connection, *, retry_for_ever: bool = False) -> None:
        tally, backoff_s = self._measured.tally, FIRST_BACKOFF_S
        tries = 0
        while not self._stop.is_set() and not self._over:
            tries += 1
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await ws_connect(
                        lambda: connection,
                        self._job.url,
                        enable_auto_pong=False,
                        max_frame_size=2 * self._job.load.payload_bytes + SPARE_BYTES,
                        logger_name="echo-client",
                    )
            except (OSError, WSError, TimeoutError) as error:
                self._note(f"client {connection.client_id}: {type(error).__name__}: {error}")
                if tries >= CONNECT_TRIES and not retry_for_ever:
                    tally.connect_errors += 1
                    return
                tally.connect_retries += 1
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            else:
                tally.connected += 1
                self._resume(connection)
                return

    def _resume(self, connection: Connection) -> None:
        """A closed loop that lost its connection begins again with the new one."""
        now_ns = monotonic_ns()
        if not self._job.load.open_loop and self._go.done() and now_ns < self._measured.ends_ns:
            connection.send(now_ns)

    async def _open_loop(self, start_ns: int) -> None:
        """Send what is due, whatever has come back; until nothing is due any more, or stop."""
        loop, timer = asyncio.get_running_loop(), KernelTimer()
        load = self._job.load
        plans: list[tuple[int, int, Iterator[float], Connection]] = []
        for connection in self._connections:
            plan = planned_s(load, connection.client_id)
            first = next(plan, None)
            if first is not None:
                plans.append((start_ns + round(first * SECOND_NS), connection.client_id, plan, connection))
        heapq.heapify(plans)
        done: asyncio.Future[bool] = loop.create_future()

        def send_due() -> None:
            timer.clear()
            while plans and plans[0][0] <= monotonic_ns() and not self._stop.is_set():
                due_ns, client, plan, connection = plans[0]
                connection.send(due_ns)
                following = next(plan, None)
                if following is None:
                    heapq.heappop(plans)
                else:
                    heapq.heapreplace(plans, (start_ns + round(following * SECOND_NS), client, plan, connection))
            if plans and not self._stop.is_set():
                timer.set(plans[0][0])
            elif not done.done():
                done.set_result(True)

        loop.add_reader(timer.fileno(), send_due)
        send_due()
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((done, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        loop.remove_reader(timer.fileno())
        timer.close()

    async def _closed_loop(self, start_ns: int) -> None:
        """One message of each client is under way at any time."""
        await self._until(start_ns)
        for connection in self._connections:
            connection.send(monotonic_ns())
        await self._until(self._measured.ends_ns)

    async def _measure_window(self) -> None:
        """Over the measured time, which a stop may cut short: our share of a core, the wait for one, and the echoes."""
        measured = self._measured
        await self._until(measured.begins_ns)
        began_ns, cpu_s, waited_s = monotonic_ns(), process_time(), _waited_s()
        await self._until(measured.ends_ns)
        measured.tally.in_time = len(measured.latencies_ns)
        self._cpu_s = process_time() - cpu_s
        self._waiting_s = _waited_s() - waited_s
        self._measured_s = max(0, monotonic_ns() - max(began_ns, measured.begins_ns)) / SECOND_NS

    async def _drain(self) -> None:
        deadline = self._now_s() + (DRAIN_S if not self._stop.is_set() else 0.5)
        # Looking now and then, after the measurement, costs the measurement less than an event per echo would.
        while self._now_s() < deadline and any(each.pending for each in self._connections if each.is_open):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            measured = self._measured
            self._pipe.send(("progress", measured.tally.sent, len(measured.latencies_ns), measured.tally.errors))


def _waited_s() -> float:
    """Seconds that this process could have run, and all its cores were taken."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / SECOND_NS


def main(job: Job, pipe: Pipe) -> None:
    """The process' body. It was started with SIGINT blocked: Ctrl-C belongs to the parent, which says stop."""
    allow_many_sockets()
    if job.cores:
        os.sched_setaffinity(0, job.cores)

    async def work() -> ProcessResult:
        return await Worker(job, pipe).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(work())
    os.set_blocking(pipe.fileno(), True)  # the loop had it otherwise, and the result is large
    pipe.send(("result", result))
    pipe.close()
