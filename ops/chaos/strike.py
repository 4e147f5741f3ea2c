"""Carries out a plan of hits on a running stack, in a thread of its own, and measures what each did to the chains."""

from __future__ import annotations

import os
import signal
from dataclasses import asdict, dataclass, field
from threading import Event
from time import monotonic
from typing import Any, Final

from domain.errors import StressError
from domain.runtime.wiring import build_store
from domain.store.gateway import RedisStore
from ops.chaos.gaps import AFTERMATH_S
from ops.chaos.order import Moment, Quiet, between, disorder, look, unrest
from ops.chaos.plan import RECOVERY_MS, SUPERVISOR, Blow, Hit
from ops.chaos.watch import ApiWatch, ChainWatch
from ops.run.driver import Driver
from ops.stack import Stack

QUIET_S: Final = 6.0
FREEZE_POLL_S: Final = 0.1
LIMIT_S: Final = RECOVERY_MS / 1000  # every chain goes on within so many seconds of each hit
TRIES: Final = 100
TRY_EVERY_S: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Struck:
    """One hit as it happened. Times are seconds since the first moment of the plan; gaps as ops/chaos/gaps.py."""

    role: str
    blow: str
    at_s: float
    until_s: float  # end of the freeze; a kill: ``at_s``
    child: str
    pid: int
    gap_s: float = 0.0
    gap_chain: str = ""
    command_gap_s: float = 0.0
    api_gap_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Outcome:
    """Written by the striking thread, read when ``done`` is set. ``problem``: why the plan was not carried out."""

    struck: list[Struck] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    quiet: Quiet | None = None
    longest_gap_s: float = 0.0
    longest_gap_chain: str = ""
    api_failures: int = 0
    running: int = 0
    restarts: dict[str, int] = field(default_factory=dict)
    load_average: tuple[float, ...] = ()
    problem: str = ""
    done: Event = field(default_factory=Event)


class Striker:
    """``__call__`` is what Job calls at full load. Every frozen process is thawed whatever happens."""

    def __init__(self, plan: tuple[Hit, ...], slots: int) -> None:
        self._plan = plan
        self._slots = slots
        self._frozen: list[tuple[float, str, int]] = []  # (when to thaw, child, pid)
        self.outcome = Outcome()

    def __call__(self, stack: Stack, driver: Driver) -> None:
        outcome = self.outcome
        store = build_store(stack.settings)
        chains = ChainWatch(store)
        api = ApiWatch(stack.settings.api_bind, stack.settings.api_port)
        try:
            began_s = self._strike(stack, driver, store)
            end_s = max([monotonic(), *(began_s + one.until_s for one in outcome.struck)])
            self._pause(stack, driver, end_s + AFTERMATH_S)
            before = look(store)
            self._pause(stack, driver, monotonic() + QUIET_S)
            self._judge(before, store)
            self._measure(began_s, chains, api)
        except (StressError, OSError) as error:
            outcome.problem = str(error) or type(error).__name__
        finally:
            self._thaw(stack, float("inf"))
            chains.close()
            api.close()
            outcome.restarts = stack.restarts()
            outcome.load_average = tuple(round(value, 2) for value in os.getloadavg())
            store.close()
            outcome.done.set()

    def _strike(self, stack: Stack, driver: Driver, store: RedisStore) -> float:
        began_s = monotonic()
        for hit in self._plan:
            self._pause(stack, driver, began_s + hit.at_ms / 1000)
            name, pid = self._send(stack, driver, store, hit)
            at_s = monotonic()
            if hit.blow is Blow.STOP:
                self._frozen.append((at_s + hit.freeze_ms / 1000, name, pid))
            struck = Struck(
                role=hit.role,
                blow=hit.blow.value,
                at_s=round(at_s - began_s, 3),
                until_s=round(at_s - began_s + hit.freeze_ms / 1000, 3),
                child=name,
                pid=pid,
            )
            self.outcome.struck.append(struck)
        return began_s

    def _send(self, stack: Stack, driver: Driver, store: RedisStore, hit: Hit) -> tuple[str, int]:
        """A child that has just died of the hit before is started again in a moment: that one is hit then.

        Of the supervisors the one that sweeps is hit; the other only waits for its turn.
        """
        number = signal.SIGKILL if hit.blow is Blow.KILL else signal.SIGSTOP
        for _ in range(TRIES):
            living = stack.children.living(hit.role)
            if hit.role == SUPERVISOR:
                holder = (store.lease_holder(SUPERVISOR) or "::").split(":")[1]
                living = [one for one in living if str(one[1]) == holder]
            if living and stack.children.send_to(*living[hit.pick % len(living)], number):
                return living[hit.pick % len(living)]
            self._pause(stack, driver, monotonic() + TRY_EVERY_S)
        raise StressError(f"no {hit.role} process lives that could be hit")

    def _pause(self, stack: Stack, driver: Driver, until_s: float) -> None:
        """Wait, thawing whom it is time for. Raises StressError when the load ended before."""
        while (left_s := until_s - monotonic()) > 0:
            if driver.stop.wait(min(left_s, FREEZE_POLL_S)) or driver.progress.load_ended is not None:
                raise StressError("the load ended before the last hit")
            self._thaw(stack, monotonic())

    def _thaw(self, stack: Stack, now_s: float) -> None:
        for entry in [entry for entry in self._frozen if entry[0] <= now_s]:
            self._frozen.remove(entry)
            stack.children.send_to(entry[1], entry[2], signal.SIGCONT)

    def _judge(self, before: Moment, store: RedisStore) -> None:
        after = look(store)
        outcome = self.outcome
        outcome.quiet = between(before, after)
        outcome.running = sum(record.live for record in after.records)
        outcome.disorder = [*disorder(after), *unrest(outcome.quiet, self._slots)]

    def _measure(self, began_s: float, chains: ChainWatch, api: ApiWatch) -> None:
        outcome, tracks = self.outcome, chains.tracks
        seen_s = chains.seen_until_s
        for one in outcome.struck:
            from_s, until_s = began_s + one.at_s, began_s + one.until_s + AFTERMATH_S
            if gap := tracks.longest(from_s, until_s, seen_s):
                one.gap_s, one.gap_chain = round(gap.seconds, 3), gap.chain_id
            if gap := tracks.longest(from_s, until_s, seen_s, commands=True):
                one.command_gap_s = round(gap.seconds, 3)
            one.api_gap_s = round(api.longest_s(from_s, until_s), 3)
        longest = tracks.longest(began_s, seen_s, seen_s)
        if longest is not None:
            outcome.longest_gap_s, outcome.longest_gap_chain = round(longest.seconds, 3), longest.chain_id
        outcome.api_failures = api.failures
