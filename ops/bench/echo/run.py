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
from ops.bench.echo.options import Load, ServerOptions, Target

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
    """What a run measured. ``cpu``: share of a core of each client process. ``resources``: the server's samples."""

    load: Load
    url: str
    started_at: datetime
    tally: Tally
    histogram: HdrHistogram
    measured_s: float
    cpu: list[float]
    partial: bool
    messages: list[str]
    resources: list[dict[str, Any]] = field(default_factory=list)

    @property
    def client_saturated(self) -> bool:
        return any(share > SATURATED_AT for share in self.cpu)


@contextlib.contextmanager
def foreign_server(command: Sequence[str], url: str, cores: Sequence[int] = ()) -> Iterator[tuple[int, str]]:
    """Any server as our child, given once something listens at ``url``: its pid and the URL. Ended with SIGTERM."""
    try:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        raise EchoBenchError(f"command: {command[0]!r} could not be started: {error.strerror}") from None
    try:
        if cores:
            os.sched_setaffinity(child.pid, cores)
        wait_until_open(url)
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
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
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


def wait_until_open(url: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Until something listens there. EchoBenchError when nothing does."""
    target, deadline = Target(url=url), monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((target.host, target.port), timeout=1).close()
        except OSError as error:
            if monotonic() >= deadline:
                raise EchoBenchError(f"url: nothing answers at {url}: {error}") from None
            multiprocessing.Event().wait(0.05)
        else:
            return


def check_websocket(url: str) -> None:
    """One connection and one echo before the load. EchoBenchError in one line: unreachable, or no WebSocket echo."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    wait_until_open(url, timeout_s=0)
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
    load: Load, url: str, *, pid: int | None = None, progress: Progress | None = None, cores: Sequence[int] = ()
) -> Outcome:
    """Run the load. Ctrl-C ends it early; what was measured until then comes back, marked partial.

    EchoBenchError, ValueError when it could not run at all.
    """
    Target(url=url)
    check_websocket(url)
    show = progress or (lambda *_: None)
    with contextlib.ExitStack() as watching:
        monitor = None if pid is None else watching.enter_context(ResourceMonitor(pid))
        started_at = datetime.now(UTC)
        results = _Processes(load, url, cores, show).run()
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
        partial=any(result.partial for result in results),
        messages=[message for result in results for message in result.messages][:10],
        resources=[] if monitor is None else monitor.samples,
    )


class _Processes:
    """The client processes of one run, and what they tell."""

    def __init__(self, load: Load, url: str, cores: Sequence[int], show: Progress) -> None:
        self._load = load
        self._show = show
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Pipe] = []
        self._processes: list[BaseProcess] = []
        share = -(-load.clients // load.processes)
        for index in range(load.processes):
            clients = range(index * share, min(load.clients, (index + 1) * share))
            ours, theirs = context.Pipe()
            job = Job(url=url, load=load, clients=clients, cores=tuple(cores))
            process = context.Process(target=worker.main, args=(job, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._state: dict[Pipe, tuple[int, int, int]] = {}
        self._results: dict[Pipe, ProcessResult] = {}

    def run(self) -> list[ProcessResult]:
        try:
            return self._run()
        finally:
            for process in self._processes:
                process.join(STOP_TIMEOUT_S)
                if process.is_alive():
                    process.kill()

    def _run(self) -> list[ProcessResult]:
        waiting, connected = set(self._pipes), 0
        try:
            self._show("connecting", 0, 0, 0)
            while waiting:
                for pipe, message in self._heard(waiting):
                    waiting.discard(pipe)
                    connected += message[1] if message[0] == "connected" else 0
            if not connected:
                self._tell(("stop",))
            self._tell(("go", monotonic_ns() + START_DELAY_NS))
            self._collect()
        except KeyboardInterrupt:
            self._tell(("stop",))
            self._collect()
        if not connected and self._results:
            reasons = [message for result in self._results.values() for message in result.messages]
            raise EchoBenchError(f"no client could connect: {reasons[0] if reasons else 'no reason was given'}")
        return [self._results.get(pipe) or _died() for pipe in self._pipes]

    def _collect(self) -> None:
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
    """Of a client process that ended without a result: whatever it did is unknown, and an error."""
    tally = Tally(connect_errors=1)
    messages = ["a client process died"]
    return ProcessResult(tally=tally, latencies_ns=array("q"), cpu=0.0, measured_s=0.0, partial=True, messages=messages)
