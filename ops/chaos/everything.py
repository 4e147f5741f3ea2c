"""`frt chaos --everything`: Redis, the chain, the web server and all workers killed at once, in the midst of a run."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass, field
from threading import Event
from time import monotonic
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from domain.errors import StressError
from domain.runtime.wiring import build_store
from domain.store.gateway import RedisStore
from ops.chaos.order import disorder, look
from ops.chaos.run import VERDICTS, ChaosOptions
from ops.chaos.scenario import chaos_scenario
from ops.redis_server import ROLE as REDIS
from ops.run.driver import Driver
from ops.run.job import EXIT_ERROR, EXIT_FAIL, EXIT_PASS, Job, JobOptions
from ops.stack import API, CONTROL, CYCLES, LOCALNET, SUPERVISOR, Stack

ROLES: Final = (REDIS, LOCALNET, API, CYCLES, CONTROL, SUPERVISOR)
SLOT_MS: Final = 100  # a recovery waits as long as a blockhash lives: 15 s
BEFORE_S: Final = 8.0  # of undisturbed load before each blow
GONE_S: Final = 90.0  # within which every thread has confirmed another operation after a blow
POLL_S: Final = 0.2
TAIL_S: Final = 6.0


@dataclass(slots=True, kw_only=True)
class Round:
    """One blow: what died, and how long it took until the books were compared and every thread had gone on."""

    at_s: float
    killed: dict[str, int]
    recovered_s: float = 0.0
    went_on_s: float = 0.0
    epoch: int = 0


@dataclass(slots=True)
class Outcome:
    rounds: list[Round] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    sessions_restarted: list[str] = field(default_factory=list)
    recovered: int = 0
    problem: str = ""
    done: Event = field(default_factory=Event)


class Everything:
    """What Job calls at full load."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self.outcome = Outcome()

    def __call__(self, stack: Stack, driver: Driver) -> None:
        store = build_store(stack.settings)
        try:
            began_s = monotonic()
            sessions = _sessions(store)
            for _ in range(self._rounds):
                _pause(driver, BEFORE_S)
                self.outcome.rounds.append(self._strike(stack, driver, store, began_s))
            self.outcome.disorder = disorder(look(store))
            now = _sessions(store)
            self.outcome.sessions_restarted = [name for name, at in sessions.items() if now.get(name) != at]
            counts = store.counts("operations")
            self.outcome.recovered = sum(count for name, count in counts.items() if name.endswith(".recovered"))
        except (StressError, OSError) as error:
            self.outcome.problem = str(error) or type(error).__name__
        finally:
            store.close()
            self.outcome.done.set()
            driver.stop.set()

    def _strike(self, stack: Stack, driver: Driver, store: RedisStore, began_s: float) -> Round:
        before = _confirmed(store)
        victims = [(role, name, pid) for role in ROLES for name, pid in stack.children.living(role)]
        struck_s = monotonic()
        killed: dict[str, int] = {}
        for role, name, pid in victims:
            if stack.children.send_to(name, pid, signal.SIGKILL):
                killed[role] = killed.get(role, 0) + 1
        one = Round(at_s=round(struck_s - began_s, 1), killed=killed)
        epoch = _until(driver, lambda: None if store.recovering() else store.epoch() or None, "the recovery's end")
        one.epoch, one.recovered_s = epoch, round(monotonic() - struck_s, 1)

        def went_on() -> bool:
            now = _confirmed(store)
            return all(now.get(name, 0) > count for name, count in before.items())

        _until(driver, went_on, "another operation of every thread")
        one.went_on_s = round(monotonic() - struck_s, 1)
        return one


def _until(driver: Driver, condition: Any, what: str) -> Any:
    """Redis may be away, or still read its file, while this asks."""
    deadline = monotonic() + GONE_S
    while monotonic() < deadline:
        try:
            found = condition()
        except StressError:
            found = None
        if found:
            return found
        _pause(driver, POLL_S)
    raise StressError(f"not within {GONE_S:.0f} s: {what}")


def _pause(driver: Driver, seconds: float) -> None:
    if driver.stop.wait(seconds) or driver.progress.load_ended is not None:
        raise StressError("the load ended before the last blow")


def _confirmed(store: RedisStore) -> dict[str, int]:
    documents = {record.chain_id: json.loads(record.state or "{}") for record in store.thread_records() if record.live}
    return {str(name): int(doc.get("lifetime", {}).get("confirmed", "0")) for name, doc in documents.items()}


def _sessions(store: RedisStore) -> dict[str, int]:
    return {
        str(record.chain_id): json.loads(record.state or "{}").get("session_started_at_ms", 0)
        for record in store.thread_records()
    }


def run_everything(options: ChaosOptions, console: Console, rounds: int) -> int:
    """Carry it out, print it, write chaos.json beside the report. Exit code 0, 99, or 1 when it could not run."""
    longest_ms = int(rounds * (BEFORE_S + 2 * GONE_S) * 1000)
    scenario = chaos_scenario(
        options.threads, seed=options.seed, hit_from_ms=longest_ms, hit_until_ms=longest_ms, duration_ms=2 * longest_ms
    ).model_copy(update={"slot_ms": SLOT_MS, "steps": []})
    strike = Everything(rounds)
    job_options = JobOptions(
        directory=options.directory,
        plan=options.plan,
        make_settings=options.make_settings,
        during_load=strike,
        keep_chain=True,
    )
    code = Job(scenario, job_options, console).run()
    return _report(options, strike.outcome, code, console)


def _report(options: ChaosOptions, outcome: Outcome, code: int, console: Console) -> int:
    reasons = [outcome.problem] if outcome.problem else []
    if not outcome.done.is_set():
        reasons.append("nothing was hit")
    code = EXIT_ERROR if reasons else code
    reasons += outcome.disorder
    reasons += [f"{name} began another session" for name in outcome.sessions_restarted]
    if reasons and code == EXIT_PASS:
        code = EXIT_FAIL
    document = {
        "verdict": VERDICTS[code],
        "reasons": reasons,
        "seed": options.seed,
        "threads": options.threads,
        "recovered_operations": outcome.recovered,
        "rounds": [asdict(one) for one in outcome.rounds],
    }
    options.directory.mkdir(parents=True, exist_ok=True)
    (options.directory / "chaos.json").write_text(json.dumps(document, indent=1) + "\n")
    for one in outcome.rounds:
        dead = ", ".join(f"{count} {role}" for role, count in one.killed.items())
        text = f"  {one.at_s} s: killed {dead}; compared after {one.recovered_s} s, all on after {one.went_on_s} s"
        console.print(text, highlight=False, soft_wrap=True)
    for reason in reasons:
        console.print(Text(f"  {reason}", style="red"), soft_wrap=True)
    console.print(f"  chaos everything: {VERDICTS[code].upper()}", highlight=False)
    return code
