"""One benchmark run: client processes against a URL, the server watched, the results put together."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shlex
import signal
import socket
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from time import monotonic, monotonic_ns
from typing import Any, Final, cast

from hdrh.histogram import HdrHistogram

from domain.errors import StressError
from ops.bench.echo.client import worker
from ops.bench.echo.client.tally import ProcessResult, Tally, histogram_of, merged
from ops.bench.echo.client.worker import Job
from ops.bench.echo.monitor import ResourceMonitor
from ops.bench.echo.options import Load, Placing, ServerOptions, Target, check_cores

SATURATED_AT: Final = 0.9  # of a core: above it the figures are the client's, not the server's
START_DELAY_NS: Final = 200_000_000  # the processes get the start's time before it has come
READY_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 10.0

Progress = Callable[[str, int, int, int], None]
"""Told what is going on, and how many messages were sent, received, or went wrong so far."""


class EchoBenchError(StressError):
    """The run could not take place; the message is one line for a person."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run measured.

    ``cpu``: share of a core of each client process, ``waiting``: share of the time in which it found all cores taken;
    ``cores``: how many the client may use; ``server_cpu_s``: what the server used in the measured time, where it is
    known; ``resources``: the server's samples.
    """

    load: Load
    url: str
    started_at: datetime
    tally: Tally
    histogram: HdrHistogram
    measured_s: float
    cpu: list[float]
    waiting: list[float]
    cores: int
    partial: bool
    died: int
    messages: list[str]
    server_cpu_s: float | None = None
    resources: list[dict[str, Any]] = field(default_factory=list)

    @property
    def client_saturated(self) -> bool:
        """One process has filled a core, or all of them together the cores they may use."""
        return any(share > SATURATED_AT for share in self.cpu) or sum(self.cpu) > SATURATED_AT * self.cores


@contextlib.contextmanager
def foreign_server(command: Sequence[str], url: str, cores: Sequence[int] = ()) -> Iterator[tuple[int, str]]:
    """Any server as our child, given once something listens at ``url``: its pid and the URL. Ended with SIGTERM."""
    check_cores("server-cores", cores)
    if is_open(url):
        raise EchoBenchError(f"url: something else listens at {url} already")
    try:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, process_group=0)
    except OSError as error:
        raise EchoBenchError(f"command: {command[0]!r} could not be started: {error.strerror}") from None
    try:
        if cores:
            os.sched_setaffinity(child.pid, cores)
        wait_until_open(url, child)
        yield child.pid, url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@contextlib.contextmanager
def own_server(options: ServerOptions, cores: Sequence[int] = ()) -> Iterator[tuple[int, str]]:
    """One of our servers on a free port: its pid and URL."""
    command = [
        *(sys.executable, "-m", "ops.bench.echo.serve", "--impl", options.impl.value, "--host", options.host),
        *("--port", str(options.port), "--loop", options.loop.value, "--processes", str(options.processes)),
    ]
    check_cores("server-cores", cores)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)
    try:
        if cores:
            os.sched_setaffinity(child.pid, cores)
        line = child.stdout.readline() if child.stdout is not None else ""
        if not line:
            raise EchoBenchError(f"the {options.impl.value} server did not start")
        yield child.pid, json.loads(line)["url"]
    finally:
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def split_command(text: str) -> list[str]:
    """A server's command line as arguments. EchoBenchError for one that cannot be read."""
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise EchoBenchError(f"command: {error}") from None
    if not command:
        raise EchoBenchError("command: it is empty")
    return command


def is_open(url: str) -> bool:
    """Whether something listens there."""
    target = Target(url=url)
    try:
        socket.create_connection((target.host, target.port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until_open(url: str, server: subprocess.Popen[bytes], timeout_s: float = READY_TIMEOUT_S) -> None:
    """Until it listens there. EchoBenchError when it ends first, or never does."""
    deadline = monotonic() + timeout_s
    while not is_open(url):
        if server.poll() is not None:
            raise EchoBenchError(f"command: it ended with code {server.returncode} before anything listened at {url}")
        if monotonic() >= deadline:
            raise EchoBenchError(f"command: nothing listens at {url} after {timeout_s:g} s")
        multiprocessing.Event().wait(0.05)


def check_websocket(url: str) -> None:
    """One connection and one echo before the load. EchoBenchError in one line: unreachable, or no WebSocket echo."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    if not is_open(url):
        raise EchoBenchError(f"url: nothing answers at {url}")
    try:
        with connect(url, open_timeout=5, close_timeout=1, compression=None) as connection:
            connection.send(b"echo?")
            if connection.recv(timeout=5) != b"echo?":
                raise EchoBenchError(f"url: {url} answers, but does not echo")
    except TimeoutError:
        raise EchoBenchError(f"url: {url} does not echo within 5 s") from None
    except (WebSocketException, OSError) as error:
        raise EchoBenchError(f"url: {url} is no WebSocket server: {error}") from None


def measure(
    load: Load, url: str, *, pid: int | None = None, progress: Progress | None = None, placing: Placing | None = None
) -> Outcome:
    """Run the load. Ctrl-C ends it early; what was measured until then comes back, marked partial.

    EchoBenchError, ValueError when it could not run at all.
    """
    Target(url=url)
    placing = placing or Placing()
    show = progress or (lambda *_: None)
    with contextlib.ExitStack() as watching:
        monitor = None if pid is None else watching.enter_context(ResourceMonitor(pid))
        check_websocket(url)
        started_at = datetime.now(UTC)
        results = _Processes(load, url, placing, show, monitor).run()
    total = Tally()
    for result in results:
        total = total.plus(result.tally)
    return Outcome(
        load=load,
        url=url,
        started_at=started_at,
        tally=total,
        histogram=merged([histogram_of(result.latencies_ns) for result in results]),
        measured_s=max(result.measured_s for result in results),
        cpu=[round(result.cpu, 4) for result in results],
        waiting=[round(result.waiting, 4) for result in results],
        cores=len(placing.cores or os.sched_getaffinity(0)),
        partial=any(result.partial for result in results),
        died=sum(result.died for result in results),
        messages=[message for result in results for message in result.messages][:10],
        server_cpu_s=None if monitor is None else monitor.window_cpu_s,
        resources=[] if monitor is None else monitor.samples,
    )


class _Processes:
    """The client processes of one run, and what they tell."""

    def __init__(self, load: Load, url: str, placing: Placing, show: Progress, monitor: ResourceMonitor | None) -> None:
        self._load = load
        self._show = show
        self._monitor = monitor
        self._pipes: list[Pipe] = []
        self._processes: list[BaseProcess] = []
        share = -(-load.clients // load.processes)
        jobs = [
            Job(url=url, load=load, clients=clients, cores=placing.cores)
            for first in range(0, load.clients, share)
            for clients in (range(first, min(load.clients, first + share)),)
        ]
        # A terminal sends Ctrl-C to the children, too: they inherit that it is blocked, and hear of it from us. The
        # tracker comes first, because its start lets SIGINT through again.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._start(jobs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _start(self, jobs: Sequence[Job]) -> None:
        context = multiprocessing.get_context("spawn")
        for job in jobs:
            ours, theirs = context.Pipe()
            process = context.Process(target=worker.main, args=(job, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._state: dict[Pipe, tuple[int, int, int]] = {}
        self._results: dict[Pipe, ProcessResult] = {}

    def run(self) -> list[ProcessResult]:
        """What each of them found; of one that died, that it did."""
        try:
            try:
                self._connect()
                self._go()
                self._collect()
            except KeyboardInterrupt:
                self._tell(("stop",))
                self._collect()
        finally:
            for process in self._processes:
                process.join(STOP_TIMEOUT_S)
                if process.is_alive():
                    process.kill()
        return [self._results.get(pipe) or _died() for pipe in self._pipes]

    def _connect(self) -> None:
        waiting, connected = set(self._pipes), 0
        while waiting:
            self._show(f"{connected:,} of {self._load.clients:,} clients connected", 0, 0, 0)
            for pipe, message in self._heard(waiting):
                waiting.discard(pipe)
                connected += message[1] if message[0] == "connected" else 0

    def _go(self) -> None:
        start_ns = monotonic_ns() + START_DELAY_NS
        if self._monitor is not None:
            begins_ns = start_ns + round(self._load.warm_up_s * worker.SECOND_NS)
            self._monitor.set_window(begins_ns, begins_ns + round(self._load.duration_s * worker.SECOND_NS))
        self._tell(("go", start_ns))

    def _collect(self) -> None:
        """Until every process has given its result, or died."""
        waiting = {pipe for pipe in self._pipes if pipe not in self._results}
        while waiting:
            for pipe, message in self._heard(waiting):
                if message[0] == "progress":
                    self._state[pipe] = message[1:]
                    self._show("running", *map(sum, zip(*self._state.values(), strict=True)))
                elif message[0] in ("result", "died"):
                    waiting.discard(pipe)

    def _heard(self, waiting: set[Pipe]) -> Iterator[tuple[Pipe, Any]]:
        for pipe in cast("list[Pipe]", wait(list(waiting), timeout=1.0)):
            message: tuple[Any, ...]
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                message = ("died",)
            if message[0] == "result":
                self._results[pipe] = message[1]
            yield pipe, message

    def _tell(self, message: tuple[Any, ...]) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(message)


def _died() -> ProcessResult:
    """Of a client process that ended without a result: whatever it did is unknown."""
    return ProcessResult(
        tally=Tally(),
        latencies_ns=array("q"),
        cpu=0.0,
        waiting=0.0,
        measured_s=0.0,
        partial=True,
        died=True,
        messages=["a client process died: what it sent and received is in no figure"],
    )
