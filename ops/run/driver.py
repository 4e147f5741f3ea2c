"""Drives the load: starts the threads over the ramp, takes the steps at their times, stops, lets everything settle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event
from time import monotonic
from typing import Any, Final

from domain.ids import CommandId
from domain.store.counts import Counts
from domain.store.gateway import RedisStore
from domain.thread import ThreadStatus
from ops.run.fleet import Call, CommandFailed, Fleet, call_all, create_pools, create_threads, shuffled
from ops.run.steps import StepResult, Steps
from ops.scenario import Scenario
from ops.scenario_steps import PoolStep
from tasks.client import Commands

BLOCKHASH_LIFE_SLOTS: Final = 150
SETTLE_MARGIN_S: Final = 30.0
POLL_S: Final = 0.1


class Phase(StrEnum):
    CREATING = "creating pools and threads"
    STARTING = "starting threads"
    RUNNING = "running"
    STOPPING = "stopping threads"
    SETTLING = "settling what is open"
    AUDITING = "closing audit"
    DONE = "done"


@dataclass(slots=True)
class Progress:
    """What the live view shows and the report needs; written by the driver, read by the main thread."""

    phase: Phase = Phase.CREATING
    started_s: float | None = None  # first start of a thread
    full_load: Counts | None = None  # counters when every thread had been started ...
    load_ended: Counts | None = None  # ... and when the first was told to stop
    steps: list[StepResult] = field(default_factory=list)
    aborted: str = ""  # the abort rule that ended the load
    unsettled: list[str] = field(default_factory=list)  # chains that did not end in time


class Driver:
    """One run's load. ``stop`` ends it early; ``give_up`` ends even the waiting afterwards."""

    def __init__(
        self,
        commands: Commands,
        store: RedisStore,
        scenario: Scenario,
        set_faults: Callable[[dict[str, Any]], Any],
        *,
        seed: int,
        local_chain: bool,
    ) -> None:
        self._commands = commands
        self._store = store
        self._scenario = scenario
        self._set_faults = set_faults
        self._seed = seed
        self._local_chain = local_chain
        self.progress = Progress()
        self.stop = Event()
        self.give_up = Event()

    def create(self) -> Fleet:
        """Pools and threads. Raises CommandFailed, StressError when interrupted."""
        pools = create_pools(self._commands, self._scenario, self.stop.is_set)
        return Fleet(pools=pools, actors=create_threads(self._commands, self._scenario, pools, self.stop.is_set))

    def play(self, fleet: Fleet) -> None:
        """The load itself, until its time is over or ``stop`` is set. Raises CommandFailed when a start is refused."""
        steps = Steps(
            self._commands,
            self._store,
            fleet,
            self._set_faults,
            local_chain=self._local_chain,
            interrupted=self.stop.is_set,
        )
        self.progress.phase = Phase.STARTING
        self.progress.started_s = began = monotonic()
        end = began + self._scenario.duration / 1000
        waiting: list[PoolStep] = sorted(self._scenario.steps, key=lambda step: step.at)
        self._start_all(fleet, began, steps, waiting)
        self.progress.full_load = self._store.all_counts(monotonic())
        self.progress.phase = Phase.RUNNING
        while waiting and not self.stop.is_set():
            self._wait_until(min(end, began + waiting[0].at / 1000))
            self._take_due(steps, waiting, began)
        self._wait_until(end)
        self.progress.load_ended = self._store.all_counts(monotonic())

    def _start_all(self, fleet: Fleet, began: float, steps: Steps, waiting: list[PoolStep]) -> None:
        """One start after another, evenly over the ramp; steps that fall into the ramp are taken in between."""
        order = shuffled(fleet.actors, self._seed)
        pause_s = self._scenario.load.ramp / 1000 / max(1, len(order))
        sent: list[CommandId] = []
        for index, actor in enumerate(order):
            self._wait_until(began + index * pause_s)
            if self.stop.is_set():
                return
            self._take_due(steps, waiting, began)
            sent.append(self._commands.send("start_thread", {"thread_id": actor.thread_id}))
        for actor, command_id in zip(order, sent, strict=True):
            answer = self._commands.wait(command_id, 30.0)
            if answer is None or "ok" not in answer:
                error = None if answer is None else answer["error"]
                raise CommandFailed("start_thread", {"thread_id": actor.thread_id}, error)

    def _take_due(self, steps: Steps, waiting: list[PoolStep], began: float) -> None:
        while waiting and began + waiting[0].at / 1000 <= monotonic() and not self.stop.is_set():
            result = steps.carry_out(waiting.pop(0), monotonic() - began)
            if not self.stop.is_set() or result.ok:  # an interrupted step proves nothing
                self.progress.steps.append(result)

    def _wait_until(self, moment: float) -> None:
        while (left := moment - monotonic()) > 0 and not self.stop.wait(left):
            pass

    def wind_down(self) -> None:
        """Stop every running thread, then wait until no chain is live: every intent settled, every payment made."""
        self.progress.phase = Phase.STOPPING
        if self._local_chain and any(step.action == "faults" for step in self._scenario.steps):
            self._set_faults({})
        running = [r for r in self._store.thread_records() if r.status is ThreadStatus.RUNNING]
        calls = [Call(method="stop_thread", params={"thread_id": record.chain_id}) for record in running]
        call_all(self._commands, calls, timeout_s=self.settle_timeout_s, interrupted=self.give_up.is_set)
        self.progress.phase = Phase.SETTLING
        deadline = monotonic() + self.settle_timeout_s
        while live := self._live():
            if monotonic() > deadline or self.give_up.wait(POLL_S):
                self.progress.unsettled = live
                return

    @property
    def settle_timeout_s(self) -> float:
        """An open intent may need its blockhash's whole life to be proven expired."""
        slot_s = self._scenario.slot_ms / 1000 if self._local_chain else 0.6
        return BLOCKHASH_LIFE_SLOTS * slot_s * 1.5 + SETTLE_MARGIN_S

    def _live(self) -> list[str]:
        return [chain_id for chain_id, _ in self._store.live_chains()]
