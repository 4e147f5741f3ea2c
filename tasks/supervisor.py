"""The supervisor: sends again what was lost, keeps pool chains alive, spills the journal (DESIGN.md 5).

It may only add deliveries of the same (generation, seq); it can never invalidate one that is under way. Any number of
supervisors may run: a lease of one second lets one of them sweep at a time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from socket import gethostname
from threading import Event, Thread
from uuid import uuid4

import structlog

from domain.chains import ChainKind, Next, command_chain_id, pool_chain_id
from domain.errors import StressError
from domain.files.writing import FilesError
from domain.ids import ChainId
from domain.runtime.logs import configure_logging
from domain.runtime.metrics import ProcessMetrics
from domain.runtime.settings import load
from domain.store.gateway import RedisStore
from domain.store.histogram import bucket_of
from tasks.auditor import Auditors
from tasks.export import Exporter
from tasks.names import CONTROL_QUEUE, CYCLES_QUEUE
from tasks.pulse import Pulse
from tasks.recovery import Recovery
from tasks.restore import check_sealing_key, restore
from tasks.runtime import Runtime, build_runtime, watch
from tasks.spill import Spiller

log = structlog.get_logger()

SWEEP_LEASE_MS = 1_000
REVIVALS_PER_SWEEP = 200  # 400 per second at two sweeps a second
BACKLOG_MS = 1_000
ORPHAN_MS = 5_000  # a command is started in the moment after it was registered
LAST_EXPORT_S = 10.0
BACKLOG_STARTS = 20  # fewer cycles between two sweeps tell nothing
BACKLOG_PERCENT = 80


class Starts:
    """Tells a backlog from losses by how late cycles have begun since the last look.

    A message with a due time leaves the queue as soon as a worker reserves it, so an overloaded worker's backlog is not
    in the queue. When nearly every cycle begins late, the missing ones wait their turn like all others.
    """

    def __init__(self) -> None:
        self._started = 0
        self._late = 0
        self.moved = False  # did any cycle begin between the last two looks?

    def are_late(self, lateness: Mapping[str, Mapping[int, int]]) -> bool:
        """``lateness``: the histogram of all cycles so far, as the store counts it."""
        threshold = bucket_of(BACKLOG_MS)
        started = sum(count for buckets in lateness.values() for count in buckets.values())
        late = sum(count for buckets in lateness.values() for at, count in buckets.items() if at >= threshold)
        newly, newly_late = started - self._started, late - self._late
        self._started, self._late, self.moved = started, late, newly != 0
        return newly >= BACKLOG_STARTS and newly_late * 100 >= newly * BACKLOG_PERCENT


class Supervisor:
    """One sweep at a time; every action is safe to repeat and safe to be killed in."""

    def __init__(self, runtime: Runtime, spiller: Spiller, recovery: Recovery) -> None:
        self._runtime = runtime
        self._spiller = spiller
        self._recovery = recovery
        self._starts = Starts()
        self._auditors = Auditors(runtime.store, runtime.settings)
        self._token = f"{gethostname()}:{os.getpid()}:{uuid4().hex}"  # tells who sweeps
        self._cycle_ms = 0
        self._oldest: dict[str, tuple[bytes, int]] = {}  # queue -> the message that waits longest, seen since

    def close(self) -> None:
        self._auditors.close()

    def sweeping(self) -> bool:
        """Is it this supervisor's turn? Raises StoreUnavailable."""
        return self._runtime.store.lease_holder("supervisor") == self._token

    def sweep(self) -> int:
        """Revive what is overdue; returns how many messages were sent again. Another supervisor's turn: 0."""
        store, settings = self._runtime.store, self._runtime.settings
        if not store.acquire_lease("supervisor", self._token, SWEEP_LEASE_MS):
            return 0
        if not store.has_run() and restore(self._runtime):  # Redis' data was deleted under the running service
            return 0
        now_ms = store.now_ms()
        if self._recovery.step():
            self._spill()
            self._cycle_ms = now_ms  # none may begin
            self._note(now_ms)
            return 0
        late = {queue for queue in (CYCLES_QUEUE, CONTROL_QUEUE) if self._backlogged(store, queue, now_ms)}
        if self._starts.are_late(store.lateness()):
            late.add(CYCLES_QUEUE)
        revived = 0
        for chain in store.overdue(settings.overdue_ms, REVIVALS_PER_SWEEP):
            queue = CONTROL_QUEUE if chain.kind is ChainKind.COMMAND else CYCLES_QUEUE
            if queue in late or not store.note_revival(chain.chain_id):
                continue
            again = self._runtime.publisher.next(
                chain.kind, chain.chain_id, chain.generation, chain.seq, countdown_ms=0, now_ms=now_ms
            )
            store.push_message(again.queue, again.message)
            revived += 1
        if revived:
            log.info("revived", action="revived", chains=revived)
        live = {chain_id for chain_id, _ in store.live_chains()}
        if self._starts.moved or not live:  # where nothing is due nothing is late
            self._cycle_ms = now_ms
        self._ensure_pool_chains(now_ms, live)
        self._ensure_command_chains(now_ms)
        self._spill()
        self._auditors.look()
        self._note(now_ms)
        return revived

    def _spill(self) -> None:
        """Without room for the journal the sweeps go on: the stream keeps it, and cycles wait when that is full."""
        try:
            self._spiller.spill()
        except FilesError as error:
            log.warning("spill_failed", action="spill_failed", error=str(error))

    def _note(self, now_ms: int) -> None:
        waiting = {queue: now_ms - since_ms for queue, (_, since_ms) in self._oldest.items()}
        self._runtime.store.note_heartbeat(
            "sweep", {"at_ms": now_ms, "cycle_ms": self._cycle_ms, "waiting_ms": waiting}
        )

    def _backlogged(self, store: RedisStore, queue: str, now_ms: int) -> bool:
        """The oldest queued message is late: a backlog, not a loss. More deliveries would only make it longer."""
        raw = store.oldest_queued(self._runtime.publisher.queue_key(queue))
        if raw is None:
            self._oldest.pop(queue, None)
            return False
        if self._oldest.get(queue, (b"", 0))[0] != raw:
            self._oldest[queue] = (raw, now_ms)
        eta = json.loads(raw)["headers"].get("eta")
        if eta is None:
            # Without a due time it is a start or a revival; it waits for a free worker, and so would another one.
            return store.queue_length(self._runtime.publisher.queue_key(queue)) > REVIVALS_PER_SWEEP
        return now_ms - datetime.fromisoformat(eta).timestamp() * 1000 > BACKLOG_MS

    def _ensure_pool_chains(self, now_ms: int, live: Collection[ChainId]) -> None:
        """A start that died between its order and the pool's chains is completed here."""
        store, publisher = self._runtime.store, self._runtime.publisher
        for pool in store.list_pools():
            for kind in (ChainKind.SHARE, ChainKind.REFILL, ChainKind.PROBE):
                chain_id = pool_chain_id(kind, pool.pool_id)
                if chain_id in live or not store.running(pool.pool_id):
                    continue

                def message(generation: int, seq: int, kind: ChainKind = kind, chain_id: ChainId = chain_id) -> Next:
                    return publisher.next(kind, chain_id, generation, seq, countdown_ms=0, now_ms=now_ms)

                store.start_chain(chain_id, kind, pool.pool_id, "", message)

    def _ensure_command_chains(self, now_ms: int) -> None:
        """A web server that died between registering a command and starting it left one that nobody carries out."""
        store, commands = self._runtime.store, self._runtime.commands
        for command_id, registered_ms in store.open_commands():
            if now_ms - registered_ms < ORPHAN_MS:
                return  # the oldest come first
            if store.get_chain(command_chain_id(command_id)) is None:
                known = store.command(command_id)
                if known is not None and known.answer is None:
                    commands.send(known.method, json.loads(known.params), command_id)


def run(runtime: Runtime, stopped: Callable[[float], bool]) -> None:
    """Sweep until ``stopped(seconds to wait)`` says so. A failing sweep is loud and does not end the loop."""
    journal = Path(runtime.settings.data_dir) / "journal.jsonl"
    spiller = Spiller(runtime.store, journal)
    supervisor = Supervisor(runtime, spiller, Recovery(runtime, journal))
    exporter = Exporter(runtime.store, runtime.settings, spiller.spill)
    exporting = Thread(target=exporter.run, args=(stopped,), name="exporter", daemon=True)
    exporting.start()
    pulse = Pulse(runtime, supervisor.sweeping)
    Thread(target=pulse.run, args=(stopped,), name="pulse", daemon=True).start()
    while not stopped(runtime.settings.sweep_ms / 1000):
        try:
            supervisor.sweep()
        except (StressError, OSError) as error:
            log.warning("sweep_failed", action="sweep_failed", error=str(error))
    supervisor.close()
    exporting.join(LAST_EXPORT_S)
    spiller.close()


def main() -> None:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load(os.environ)
        configure_logging(settings, process="supervisor")
        metrics = ProcessMetrics("supervisor", "supervisor")
        runtime = build_runtime(settings, metrics=metrics)
        watch(runtime, metrics)
        restore(runtime)
        check_sealing_key(runtime)
    except StressError as error:
        sys.exit(f"frt supervisor: {error}")
    run(runtime, stop.wait)


if __name__ == "__main__":
    main()
