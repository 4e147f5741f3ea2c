"""Trials: whole runs of the service as child processes, read from the reports that they leave (mutants, false alarms).

A trial is judged by what any user would see, its exit code and its report.json, never by looking inside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from domain.errors import StressError
from ops.scenario import parse_scenario, read_scenario
from ops.scenario_steps import read_duration_ms

ROOT: Final = Path(__file__).resolve().parents[1]
ABORT_RULE: Final = "faults > 0"
FAULTS_AT: Final = "2s"
#: Start, settling and closing audit of a trial on a machine that is busy with others.
OVERHEAD_LIMIT_S: Final = 420.0
TIMED_OUT: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One trial to make. ``program`` None: the committed build."""

    name: str
    seed: int
    scenario: str  # TOML
    program: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a trial ended. ``exit_code`` TIMED_OUT: it had to be killed.

    ``checks``: ids of the broken checks, in the order they were found, the audit's at the end. ``reasons``: why it
    failed, in the report's words.
    """

    name: str
    seed: int
    exit_code: int
    checks: tuple[str, ...]
    faults: int
    violations: int
    reasons: tuple[str, ...]
    seconds: float
    directory: str


def scenario_text(base: Path, *, abort: bool, hostile: Path | None = None) -> str:
    """A scenario's file again, with an abort rule, or with a hostile endpoint. Raises StressError, ScenarioError.

    ``abort``: a run is decided at its first fault, the rest of its load would only cost time. ``hostile``: the file
    whose faults are switched on and whose thresholds are asked: they leave out what only a good endpoint can hold.
    """
    read_scenario(base)  # the message about a wrong file should name that file
    document = tomllib.loads(base.read_text("utf-8"))
    if abort:
        document["abort"] = [ABORT_RULE]
    if hostile is not None:
        other = tomllib.loads(hostile.read_text("utf-8"))
        step = {"at": FAULTS_AT, "action": "faults", "set": fault_switches(other, hostile)}
        document["steps"] = [*document.get("steps", ()), step]
        document["thresholds"] = other["thresholds"]
    parse_scenario(document, "the trial's scenario")
    return "".join(f"{name} = {_toml(value)}\n" for name, value in document.items())


def fault_switches(document: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """What a scenario's first fault step switches on. Raises StressError when it has none."""
    for step in document.get("steps", ()):
        if step.get("action") == "faults":
            return dict(step["set"])
    raise StressError(f"{source} switches no faults on")


def _toml(value: object) -> str:
    """A value of a TOML document, on one line; JSON's strings, numbers and booleans are TOML's, too."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def read_trial(name: str, seed: int, exit_code: int, seconds: float, directory: Path) -> Trial:
    """The outcome from ``directory``/report.json; without one there is nothing but the exit code."""
    try:
        report = json.loads((directory / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        report = {}
    faults, audit = report.get("faults", {}), report.get("audit", {})
    return Trial(
        name=name,
        seed=seed,
        exit_code=exit_code,
        checks=broken_checks(report),
        faults=faults.get("count", 0),
        violations=len(audit.get("violations", ())),
        reasons=tuple(report.get("reasons", ())),
        seconds=round(seconds, 1),
        directory=str(directory),
    )


def broken_checks(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of every check that a report shows as broken: faults by slot, then those beyond the list, then the audit."""
    faults, audit = report.get("faults", {}), report.get("audit", {})
    listed = sorted(faults.get("listed", ()), key=lambda fault: fault.get("slot") or 0)
    names = [fault["check"] for fault in listed]
    names += faults.get("by_check", {})
    names += [violation["id"] for violation in audit.get("violations", ())]
    return tuple(dict.fromkeys(names))


def carry_out(wish: Wish, *, directory: Path, duration: str, slot_ms: int) -> Trial:
    """One run in a process of its own; its terminal output goes to ``directory``/output.txt."""
    directory.mkdir(parents=True, exist_ok=True)
    scenario = directory / "scenario.toml"
    scenario.write_text(wish.scenario, "utf-8")
    command = [sys.executable, "-m", "ops.cli", "run", str(scenario), "--duration", duration, "--out", str(directory)]
    command += ["--seed", str(wish.seed), "--slot-ms", str(slot_ms)]
    if wish.program is not None:
        command += ["--program", str(wish.program)]
    began = monotonic()
    with (directory / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            exit_code = process.wait(read_duration_ms(duration) / 1000 + OVERHEAD_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its own children end with it
            process.wait()
            exit_code = TIMED_OUT
    return read_trial(wish.name, wish.seed, exit_code, monotonic() - began, directory)


def carry_out_all(
    wishes: Sequence[Wish],
    *,
    directory: Path,
    duration: str,
    slot_ms: int,
    jobs: int,
    ended: Callable[[Trial], None],
) -> list[Trial]:
    """The trials, ``jobs`` at a time, in the order of the wishes; ``ended`` is told of each when it is over."""
    trials: dict[str, Trial] = {}
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="trial") as pool:
        futures = [
            pool.submit(carry_out, wish, directory=directory / wish.name, duration=duration, slot_ms=slot_ms)
            for wish in wishes
        ]
        try:
            for future in as_completed(futures):
                trial = future.result()
                trials[trial.name] = trial
                ended(trial)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [trials[wish.name] for wish in wishes]


def shortened(checks: Iterable[str], most: int) -> str:
    """The first few names, and how many more there are."""
    names = list(checks)
    more = f" +{len(names) - most}" if len(names) > most else ""
    return ", ".join(names[:most]) + more
