"""Child processes that are kept running: started, watched, started again when they die, ended in order.

One thread starts and reaps all: PR_SET_PDEATHSIG fires when the *thread* that started the child ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import BinaryIO, Final, Self

from domain.errors import StressError
from ops.rotation import LogRotation

POLL_S: Final = 0.03
CRASH_LOOP_S: Final = 2.0  # a child that lives shorter than this is started again with a pause
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
SPARE_AFTER_S: Final = 3.0  # a child comes first, then its spare
LOG_TAIL_BYTES: Final = 2_000
MOST_RESTARTS_AT_START: Final = 2  # one that dies a third time before it serves will not come up
_LAUNCHER: Final = Path(__file__).with_name("launch.py")


class ChildError(StressError):
    """A child did not start, or one that cannot be started again has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """``ready(pid)`` says whether the process with this pid, and no other, serves. ``env`` is the whole environment."""

    role: str
    name: str  # unique; also the log's file name
    command: tuple[str, ...]
    env: Mapping[str, str]
    ready: Callable[[int], bool]
    cores: tuple[int, ...] = ()
    nice: int = 0  # 0: as this process
    start_timeout_s: float = 120.0  # one that dies is noticed at once; a busy machine takes its time
    stop_timeout_s: float = 10.0
    restart: bool = True
    spare_option: str = ""  # with it the command loads everything and waits for a line on its standard input


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    start_at: float = 0.0
    started_at: float = 0.0
    quick_deaths: int = 0
    restarts: int = 0
    spare: subprocess.Popen[bytes] | None = None
    spare_at: float = 0.0
    problem: str = ""  # why it could not even be tried


class Children:
    """All children of this process. Use as a context manager: leaving it ends every child."""

    def __init__(
        self, log_directory: Path | None, working_directory: Path, rotation: LogRotation | None = None
    ) -> None:
        """Without a ``log_directory`` the children write where this process writes, for systemd and containers."""
        self._log_directory = log_directory
        self._working_directory = working_directory
        self._children: dict[str, _Child] = {}
        self._lock = Lock()
        self._wake = Event()
        self._closed = False
        self._failure: str | None = None
        if log_directory is not None:
            log_directory.mkdir(parents=True, exist_ok=True)
        self._rotation = rotation
        if rotation is not None:
            rotation.start()
        self._keeper = Thread(target=self._keep, name="children", daemon=True)
        self._keeper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close([])

    def start_spares(self, specs: Sequence[ChildSpec]) -> None:
        """Start children that nobody waits for. Raises ChildError for a name that is taken."""
        with self._lock:
            for spec in specs:
                if spec.name in self._children:
                    raise ChildError(f"{spec.name} was started before")
                self._children[spec.name] = _Child(spec)
        self._wake.set()

    def start(self, specs: Sequence[ChildSpec], interrupted: Callable[[], bool] = lambda: False) -> None:
        """Start the children side by side and return when each is ready. Raises ChildError with the log's end."""
        self.start_spares(specs)
        began = monotonic()
        waiting = {spec.name: spec for spec in specs}
        while waiting:
            self.check()
            for name, spec in list(waiting.items()):
                if self._serves(name):
                    del waiting[name]
                elif self._gives_up(name) or monotonic() - began > spec.start_timeout_s:
                    raise ChildError(f"{name} did not start; its log ends with:\n{self.log_tail(name)}")
            if interrupted():
                raise ChildError("interrupted while the services were starting")
            if waiting:
                sleep(POLL_S)

    def _gives_up(self, name: str) -> bool:
        child = self._children[name]
        return child.quick_deaths > 0 or child.restarts > MOST_RESTARTS_AT_START

    def _serves(self, name: str) -> bool:
        child = self._children[name]
        process = child.process
        return process is not None and child.spec.ready(process.pid)

    def stop(self, roles: Sequence[str]) -> list[str]:
        """End every child of these roles: SIGTERM, their deadline, SIGKILL. Names of those that had to be killed."""
        with self._lock:
            leaving = [child for child in self._children.values() if child.spec.role in roles and child.wanted]
            for child in leaving:
                child.wanted = False
                self._end_spare(child)
                self._signal(child, signal.SIGTERM)
        began, killed = monotonic(), []
        for child in leaving:
            while child.process is not None:
                if monotonic() - began > child.spec.stop_timeout_s and child.spec.name not in killed:
                    killed.append(child.spec.name)
                    with self._lock:
                        self._signal(child, signal.SIGKILL)
                sleep(POLL_S)
        return killed

    def close(self, order: Sequence[Sequence[str]]) -> list[str]:
        """End the groups of roles in this order, then whatever is left. Names of those that had to be killed."""
        killed: list[str] = []
        for roles in order:
            killed += self.stop(roles)
        killed += self.stop(sorted({child.spec.role for child in self._children.values()}))
        self._closed = True
        self._wake.set()
        self._keeper.join()
        if self._rotation is not None:
            self._rotation.close()
        return killed

    def check(self) -> None:
        """Raises ChildError when a child died that cannot be started again."""
        if self._failure is not None:
            raise ChildError(self._failure)

    def pids(self) -> dict[str, list[int]]:
        """Role -> pids of its living children, in the order of their start."""
        found: dict[str, list[int]] = {}
        with self._lock:
            for child in self._children.values():
                if child.process is not None:
                    found.setdefault(child.spec.role, []).append(child.process.pid)
        return found

    def living(self, role: str) -> list[tuple[str, int]]:
        """(name, pid) of the role's children that live now."""
        with self._lock:
            children = self._children.values()
            return [(c.spec.name, c.process.pid) for c in children if c.spec.role == role and c.process is not None]

    def send_to(self, name: str, pid: int, number: signal.Signals) -> bool:
        """Signal this very process and its own children (chaos); False when it has ended since."""
        with self._lock:
            process = self._children[name].process
            if process is None or process.pid != pid:
                return False
            with suppress(ProcessLookupError):  # launch.py has not made its group yet, or it is a zombie
                os.killpg(pid, number)
            return True

    def restarts(self) -> dict[str, int]:
        """Name -> how often the child was started again."""
        return {name: child.restarts for name, child in self._children.items()}

    def log_tail(self, name: str) -> str:
        """The last lines of a child's log."""
        if self._children[name].process is None and self._children[name].problem:
            return self._children[name].problem
        if self._log_directory is None:
            return "(see its output)"
        try:
            data = (self._log_directory / f"{name}.log").read_bytes()
        except OSError:
            return "(no log)"
        return data[-LOG_TAIL_BYTES:].decode(errors="replace").strip() or "(an empty log)"

    def _log_of(self, name: str) -> AbstractContextManager[BinaryIO | None]:
        """The open log; None makes the child inherit our output."""
        if self._log_directory is None:
            return nullcontext()
        return (self._log_directory / f"{name}.log").open("ab")

    @staticmethod
    def _signal(child: _Child, number: signal.Signals) -> None:
        """To the whole group when killing, so that a child's own children go with it. The keeper has not reaped it."""
        if child.process is None:
            return
        with suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(child.process.pid, number)
            else:
                os.kill(child.process.pid, number)

    def _keep(self) -> None:
        while not self._closed:
            self._wake.wait(POLL_S)
            self._wake.clear()
            with self._lock:
                for child in self._children.values():
                    self._reap(child)
                    if child.process is None and child.wanted and monotonic() >= child.start_at:
                        self._start(child)
                    self._keep_spare(child)

    def _reap(self, child: _Child) -> None:
        if child.process is None:
            return
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if os.waitid(os.P_PID, child.process.pid, flags) is None:
            return
        # While its pid is not reaped the group's number cannot belong to anybody else.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        code = child.process.wait()
        child.process = None
        if child.wanted:
            self._plan_restart(child, f"ended with {code}")

    def _plan_restart(self, child: _Child, why: str) -> None:
        if not child.spec.restart:
            child.wanted = False
            self._failure = f"{child.spec.name} {why}; its log ends with:\n{self.log_tail(child.spec.name)}"
            return
        child.quick_deaths = child.quick_deaths + 1 if monotonic() - child.started_at < CRASH_LOOP_S else 0
        pause = 0.0
        if child.quick_deaths:
            pause = min(FIRST_PAUSE_S * 2 ** (child.quick_deaths - 1), LONGEST_PAUSE_S)
        child.start_at = monotonic() + pause
        child.restarts += 1

    def _start(self, child: _Child) -> None:
        """The spare goes to work if there is one: it has the slow part of a start behind it."""
        spare = child.spare
        if spare is not None and spare.stdin is not None and spare.poll() is None:
            with suppress(BrokenPipeError), spare.stdin as line:
                line.write(b"start\n")
            child.process, child.spare = spare, None
        else:
            self._end_spare(child)
            try:
                child.process = self._spawn(child.spec)
            except OSError as error:  # out of processes or files, the log's folder is gone: the others must live on
                child.started_at, child.problem = monotonic(), f"it cannot be started: {error}"
                self._plan_restart(child, child.problem)
                return
        child.started_at = monotonic()
        child.spare_at = child.started_at + SPARE_AFTER_S

    def _keep_spare(self, child: _Child) -> None:
        if not child.spec.spare_option or not child.wanted or child.process is None or monotonic() < child.spare_at:
            return
        if child.spare is None or child.spare.poll() is not None:
            self._end_spare(child)
            with suppress(OSError):  # without a spare it takes longer, and the next look tries again
                child.spare = self._spawn(child.spec, (child.spec.spare_option,))
            child.spare_at = monotonic() + SPARE_AFTER_S

    @staticmethod
    def _end_spare(child: _Child) -> None:
        """It has connected to nothing and holds nothing."""
        spare, child.spare = child.spare, None
        if spare is not None:
            spare.kill()
            spare.communicate()

    def _spawn(self, spec: ChildSpec, more: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        cores = ",".join(str(core) for core in spec.cores)
        ties = [str(os.getpid()), cores, str(spec.nice or "")]
        command = [sys.executable, "-I", "-S", str(_LAUNCHER), *ties, "--", *spec.command, *more]
        with self._log_of(spec.name) as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE if more else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(spec.env),
                cwd=self._working_directory,
                start_new_session=True,  # Ctrl-C in the terminal is ours alone
            )
