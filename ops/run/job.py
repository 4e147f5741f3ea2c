"""`frt run`: everything from the first process to the written report, and the exit code."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import FrameType
from typing import Final

from rich.console import Console

from domain.audit_findings import AuditResult
from domain.chain.errors import RpcError
from domain.errors import StressError
from domain.faults import Fault
from domain.runtime.logs import log_file
from domain.store.counts import Counts
from domain.store.errors import StoreUnavailable
from domain.thresholds import triggered
from ops.figures import live_figures
from ops.live import LiveView, View
from ops.plan import WorkerPlan
from ops.report.books import read_books
from ops.report.document import LISTED_FAULTS, RunRecord, Verdict, build
from ops.report.write import write_report
from ops.run.driver import Driver, Phase, Progress
from ops.run.environment import describe
from ops.run.sampling import Sampler
from ops.run.summary import summarise
from ops.scenario import Scenario
from ops.stack import SUPERVISOR, MakeSettings, Stack, Wanted
from tasks.app import create_app
from tasks.audit import run_audit
from tasks.bootstrap import prepare_chain
from tasks.runtime import Runtime, build_runtime

EXIT_PASS: Final = 0
EXIT_ERROR: Final = 1
EXIT_FAIL: Final = 99
SAMPLE_S: Final = 1.0
STEP_SHOWN_S: Final = 5.0
STARTING_SHOWN_S: Final = 0.5
CHAIN_ANSWER_S: Final = 15.0  # our own has answered before; one of others is there or it is not
EXIT_CODES: Final = {Verdict.PASS: EXIT_PASS, Verdict.FAIL: EXIT_FAIL, Verdict.ERROR: EXIT_ERROR}
DuringLoad = Callable[[Stack, Driver], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What the command line decides. ``during_load`` is called once, in a thread of its own, at full load (chaos)."""

    directory: Path
    plan: WorkerPlan
    make_settings: MakeSettings
    program: Path | None = None
    during_load: DuringLoad | None = None
    keep_chain: bool = False


@dataclass(slots=True)
class _State:
    record: RunRecord
    began_s: float
    sampler: Sampler | None = None
    error: BaseException | None = None
    signals: int = 0


class Job:
    """One run. ``run`` returns the exit code and always writes a report if it can."""

    def __init__(self, scenario: Scenario, options: JobOptions, console: Console) -> None:
        self._seed = secrets.randbits(63) if scenario.seed is None else scenario.seed
        self._scenario = scenario
        self._options = options
        self._console = console
        self._stop = Event()
        self._driver: Driver | None = None
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = RunRecord(scenario=scenario, seed=self._seed, started_at=started_at)
        self._state = _State(record=record, began_s=monotonic())

    def run(self) -> int:
        """Everything. Exit code 0 pass, 99 something did not hold, 1 could not run."""
        record = self._state.record
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with LiveView(self._console) as view:
                self._carry_out(view)
        except (StressError, RpcError, OSError) as error:
            record.error = str(error) or type(error).__name__
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._report()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Once: end the load, still audit and report. Twice: do not wait for anything to settle."""
        self._state.signals += 1
        self._stop.set()
        if self._driver is not None:
            self._driver.stop.set()
            if self._state.signals > 1:
                self._driver.give_up.set()

    def _carry_out(self, view: LiveView) -> None:
        options, scenario = self._options, self._scenario
        view.say(
            f"{scenario.name}: {scenario.threads} threads in {len(scenario.pool_names())} pools, seed {self._seed}"
        )
        view.say(f"output in {options.directory}")
        wanted = Wanted(
            directory=options.directory,
            plan=options.plan,
            seed=self._seed,
            slot_ms=scenario.slot_ms,
            program=options.program,
            keep_chain=options.keep_chain,
        )
        with Stack(wanted, options.make_settings) as stack, log_file(stack.settings, stack.log_directory / "run.log"):
            settings = stack.open_foundation(self._waiting(view, "starting Redis and the local chain"))
            with closing(create_app(settings)) as app, closing(build_runtime(settings, app)) as runtime:
                if runtime.store.get_run():
                    raise StressError(
                        f"{settings.safe_dump()['redis_url']} holds another run or service under the prefix "
                        f"{settings.redis_prefix}; name another with FRT_REDIS_PREFIX, or empty it"
                    )
                runtime.store.set_run({"seed": str(self._seed), "started_at_ms": str(runtime.store.now_ms())})
                waiting = self._waiting(view, f"waiting for the chain at {', '.join(settings.safe_dump()['rpc_urls'])}")
                prepare_chain(runtime, answer_s=CHAIN_ANSWER_S, interrupted=waiting)
                stack.open_services(app, self._waiting(view, "starting workers, supervisor and web server"))
                view.say(f"services up after {monotonic() - self._state.began_s:.1f} s, live page at {stack.api_url}/")
                driver, sampler = self._load(stack, runtime, view)
                self._close(stack, runtime, view, driver, sampler)
                self._state.record.environment = describe(stack, runtime, self._state.record, options.plan)
                self._state.record.environment["interrupted"] = self._state.signals > 0

    def _waiting(self, view: LiveView, phase: str) -> Callable[[], bool]:
        """Asked while something starts: shows what is waited for, and says whether to go on waiting."""
        shown_s = -STARTING_SHOWN_S

        def interrupted() -> bool:
            nonlocal shown_s
            now_s = monotonic()
            if now_s - shown_s >= STARTING_SHOWN_S:
                shown_s = now_s
                elapsed_s, threads = now_s - self._state.began_s, self._scenario.threads
                title = f"{self._scenario.name}  seed {self._seed}"
                view.show(
                    View(title=title, phase=phase, elapsed_s=elapsed_s, left_s=None, sample=None, threads=threads)
                )
            return self._stop.is_set()

        return interrupted

    def _load(self, stack: Stack, runtime: Runtime, view: LiveView) -> tuple[Driver, Sampler]:
        """The driver in a thread of its own; sampling, the view and the abort rules in this one."""
        endpoints = runtime.chain.endpoints
        driver = Driver(
            runtime.commands,
            runtime.store,
            self._scenario,
            lambda faults: endpoints.call("frt_setFaults", [faults]),
            seed=self._seed,
            local_chain=runtime.settings.local_chain,
        )
        self._driver = driver
        if self._stop.is_set():
            driver.stop.set()
        self._state.sampler = sampler = Sampler(runtime.store, self._state.began_s)
        thread = Thread(target=self._drive, args=(driver,), name="driver", daemon=True)
        thread.start()
        chaos: Thread | None = None
        while thread.is_alive():
            thread.join(SAMPLE_S)
            with suppress(StoreUnavailable):  # Redis may be away for a moment; the next sample will tell
                sampler.take(monotonic(), stack.pids())
            self._show(view, stack, driver)
            self._watch(stack, driver, sampler)
            if chaos is None and self._options.during_load is not None and driver.progress.full_load is not None:
                chaos = Thread(target=self._options.during_load, args=(stack, driver), name="during-load", daemon=True)
                chaos.start()
        if self._state.error is not None:
            raise self._state.error
        return driver, sampler

    def _drive(self, driver: Driver) -> None:
        try:
            fleet = driver.create()
            self._state.record.pool_names = {pool_id: name for name, pool_id in fleet.pools.items()}
            driver.play(fleet)
            driver.wind_down()
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._state.error = error

    def _watch(self, stack: Stack, driver: Driver, sampler: Sampler) -> None:
        """A child that cannot be started again, or an abort rule, ends the load."""
        try:
            stack.check()
        except StressError:
            driver.stop.set()
            driver.give_up.set()
            raise
        if driver.progress.phase is not Phase.RUNNING or not sampler.samples:
            return
        figures = live_figures(*self._counted(driver, sampler), self._scenario.threads)
        for rule in self._scenario.abort_rules():
            if triggered(rule, figures) and not driver.progress.aborted:
                driver.progress.aborted = rule.text
                driver.stop.set()

    def _counted(self, driver: Driver, sampler: Sampler) -> tuple[Counts, Counts]:
        """Since the start, and over the time at full load so far."""
        total = sampler.samples[-1].counts
        progress = driver.progress
        if progress.full_load is None:
            return total, Counts()
        return total, (progress.load_ended or total).since(progress.full_load)

    def _show(self, view: LiveView, stack: Stack, driver: Driver, note: str = "") -> None:
        progress, now_s = driver.progress, monotonic()
        left_s = None
        if progress.phase is Phase.RUNNING and progress.started_s is not None:
            left_s = progress.started_s + self._scenario.duration / 1000 - now_s
        sampler = self._state.sampler
        view.show(
            View(
                title=f"{self._scenario.name}  seed {self._seed}",
                phase=progress.phase.value,
                elapsed_s=now_s - self._state.began_s,
                left_s=left_s,
                sample=sampler.samples[-1] if sampler and sampler.samples else None,
                threads=self._scenario.threads,
                note=note or self._latest_step(progress),
                restarts=stack.restarts(),
            )
        )

    def _latest_step(self, progress: Progress) -> str:
        """The newest step, for a few seconds."""
        if not progress.steps or progress.started_s is None:
            return ""
        newest = progress.steps[-1]
        recent = monotonic() - progress.started_s - newest.at_s < STEP_SHOWN_S
        return f"{newest.title}{'' if newest.ok else ': FAILED'}" if recent else ""

    def _close(self, stack: Stack, runtime: Runtime, view: LiveView, driver: Driver, sampler: Sampler) -> None:
        """The closing audit, then everything that the report needs from the store."""
        record = self._state.record
        driver.progress.phase = Phase.AUDITING
        # Nobody may move journal entries from the stream to the file while the audit reads both.
        stack.stop([SUPERVISOR])
        try:
            record.audit = self._audit(stack, runtime, view, driver)
        except (StressError, RpcError) as error:  # what was counted is worth a report all the same
            record.error = f"the closing audit could not be carried out: {error}"
        progress = driver.progress
        sampler.take(monotonic(), stack.pids())
        record.total, record.measured = self._counted(driver, sampler)
        record.books = read_books(runtime.store)
        record.fault_count = runtime.store.fault_count()
        record.faults = [asdict(Fault.from_text(text)) for text in runtime.store.faults(count=LISTED_FAULTS)]
        record.steps = [step.to_json() for step in progress.steps]
        record.aborted, record.unsettled = progress.aborted, progress.unsettled
        if progress.started_s is not None and progress.load_ended is not None:
            record.duration_s = progress.load_ended.at_s - progress.started_s
            record.load_began_s = progress.started_s - self._state.began_s
        if progress.full_load is not None and progress.load_ended is not None:
            record.window_s = tuple(m.at_s - self._state.began_s for m in (progress.full_load, progress.load_ended))
        record.series = [sample.row() for sample in sampler.samples]

    def _audit(self, stack: Stack, runtime: Runtime, view: LiveView, driver: Driver) -> AuditResult:
        return run_audit(
            runtime,
            journal_path=Path(runtime.settings.data_dir) / "journal.jsonl",
            progress=lambda text: self._show(view, stack, driver, text),
            settle_timeout_s=5.0,  # the driver has waited for it before
        )

    def _report(self) -> int:
        document = build(self._state.record)
        verdict = Verdict(document["verdict"])
        try:
            write_report(document, self._options.directory)
        except OSError as error:
            summarise(document, None, self._console)
            raise StressError(f"the report cannot be written: {error}") from None
        summarise(document, self._options.directory, self._console)
        return EXIT_CODES[verdict]
