"""What the service finds: runs against mutants of the program, and against the program itself for false alarms.

The mutation score of DESIGN.md 9: a mutant is caught when its run ends with 99 and the report names a broken check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from domain.errors import StressError
from ops.localnet.program.build import build
from ops.localnet.program.mutants import MUTANTS, Mutant
from ops.scenario_steps import read_duration_ms
from ops.trials import ROOT, Trial, Wish, carry_out_all, scenario_text, shortened

SCENARIOS: Final = ROOT / "scenarios"
SLOT_MS: Final = 50
MUTANT_SEED: Final = 1_000
BAR_PERCENT: Final = 90
EXIT_PASS: Final = 0
EXIT_FAIL: Final = 99
SHOWN_CHECKS: Final = 3


def chosen_mutants(text: str | None) -> list[Mutant]:
    """The mutants of a list like "1,2,10-12"; all without one. Raises StressError for anything else."""
    if text is None:
        return list(MUTANTS)
    known = {mutant.number: mutant for mutant in MUTANTS}
    numbers: dict[int, None] = {}
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            wanted = range(int(low), int(high if dash else low) + 1)
        except ValueError:
            raise StressError(f"{part!r} is not a mutant's number") from None
        if not wanted or wanted.start not in known or wanted[-1] not in known:
            raise StressError(f"there is no mutant {part.strip()}; they are numbered 1 to {len(MUTANTS)}")
        numbers |= dict.fromkeys(wanted)
    return [known[number] for number in numbers]


def is_caught(trial: Trial) -> bool:
    """Exit code 99 alone could be a threshold on speed: a check must be named, too."""
    return trial.exit_code == EXIT_FAIL and bool(trial.checks)


def is_alarm(trial: Trial) -> bool:
    """A run of the unmutated program must pass."""
    return trial.exit_code != EXIT_PASS


def meets_bar(caught: int, of: int) -> bool:
    """At least nine of ten, and at least one."""
    return of > 0 and caught * 100 >= BAR_PERCENT * of


def run_mutants(
    mutants: Sequence[Mutant],
    *,
    directory: Path,
    duration: str,
    jobs: int,
    scenario: Path,
    console: Console,
    seed: int = MUTANT_SEED,
) -> int:
    """Build, run and judge each mutant; print the table; write mutants.json. 0 when the bar is met, else 99.

    A mutant's run has the seed ``seed`` + its number, so that it is the same whichever others run beside it.
    """
    _check_duration(duration)
    text = scenario_text(scenario, abort=True)
    console.print(f"{len(mutants)} mutants, {duration} each at most, output in {directory}", soft_wrap=True)
    programs = directory / "programs"

    def built(mutant: Mutant) -> Path:
        return build(programs / f"mutant-{mutant.number:02}.so", mutant.number)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        paths = list(pool.map(built, mutants))
    wishes = [
        Wish(name=_name(mutant), seed=seed + mutant.number, scenario=text, program=path)
        for mutant, path in zip(mutants, paths, strict=True)
    ]
    trials = carry_out_all(
        wishes,
        directory=directory,
        duration=duration,
        slot_ms=SLOT_MS,
        jobs=jobs,
        ended=lambda trial: _tell(console, trial, "caught" if is_caught(trial) else "MISSED"),
    )
    by_name = {trial.name: trial for trial in trials}
    rows = [(mutant, by_name[_name(mutant)]) for mutant in mutants]
    console.print(mutants_table(rows))
    caught = sum(is_caught(trial) for trial in trials)
    met = meets_bar(caught, len(trials))
    console.print(f"caught {caught} of {len(trials)}: {'the bar is met' if met else f'below {BAR_PERCENT} %'}")
    document = {
        "caught": caught,
        "of": len(trials),
        "mutants": [_mutant_json(mutant, trial) for mutant, trial in rows],
    }
    _write(directory / "mutants.json", document)
    return EXIT_PASS if met else EXIT_FAIL


def run_alarms(
    *,
    runs: int,
    with_faults: int,
    seed: int,
    directory: Path,
    duration: str,
    jobs: int,
    scenario: Path,
    console: Console,
) -> int:
    """The committed program, another seed each time, the last ``with_faults`` on a hostile endpoint; all must pass."""
    _check_duration(duration)
    quiet = scenario_text(scenario, abort=False)
    hostile = scenario_text(scenario, abort=False, hostile=SCENARIOS / "faults.toml")
    wishes = [
        Wish(name=f"faults-{seed + n}", seed=seed + n, scenario=hostile)
        if n >= runs - with_faults
        else Wish(name=f"clean-{seed + n}", seed=seed + n, scenario=quiet)
        for n in range(runs)
    ]
    console.print(f"{runs} runs of {duration}, output in {directory}", soft_wrap=True)
    trials = carry_out_all(
        wishes,
        directory=directory,
        duration=duration,
        slot_ms=SLOT_MS,
        jobs=jobs,
        ended=lambda trial: _tell(console, trial, "ALARM" if is_alarm(trial) else "passed"),
    )
    alarms = sum(is_alarm(trial) for trial in trials)
    console.print(alarms_table(trials))
    console.print(f"{alarms} alarms in {len(trials)} runs, {with_faults} of them with faults on")
    _write(directory / "alarms.json", {"alarms": alarms, "runs": [_trial_json(trial) for trial in trials]})
    return EXIT_FAIL if alarms else EXIT_PASS


def mutants_table(rows: Iterable[tuple[Mutant, Trial]]) -> Table:
    """One line per mutant."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("no", justify="right")
    for heading in ("group", "the bug", "exit", "broken checks", "s", ""):
        table.add_column(heading, justify="right" if heading in ("exit", "s") else "left")
    for mutant, trial in rows:
        table.add_row(
            str(mutant.number),
            mutant.group,
            mutant.description,
            str(trial.exit_code),
            shortened(trial.checks, SHOWN_CHECKS) or "-",
            f"{trial.seconds:.0f}",
            "caught" if is_caught(trial) else "[red]MISSED[/red]",
        )
    return table


def alarms_table(trials: Iterable[Trial]) -> Table:
    """One line per run."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("run", "exit", "s", "", "why"):
        table.add_column(heading, justify="right" if heading in ("exit", "s") else "left")
    for trial in trials:
        word = "[red]ALARM[/red]" if is_alarm(trial) else "passed"
        table.add_row(trial.name, str(trial.exit_code), f"{trial.seconds:.0f}", word, "; ".join(trial.reasons))
    return table


def _check_duration(text: str) -> None:
    """Before anything is built or run. Raises StressError."""
    try:
        read_duration_ms(text)
    except ValueError as error:
        raise StressError(f"--duration: {error}") from None


def _name(mutant: Mutant) -> str:
    return f"mutant-{mutant.number:02}"


def _tell(console: Console, trial: Trial, word: str) -> None:
    why = shortened(trial.checks, SHOWN_CHECKS) or "; ".join(trial.reasons)
    console.print(f"  {trial.name}  {word}  exit {trial.exit_code}  {trial.seconds:.0f} s  {why}", soft_wrap=True)


def _trial_json(trial: Trial) -> dict[str, Any]:
    return asdict(trial) | {"alarm": is_alarm(trial)}


def _mutant_json(mutant: Mutant, trial: Trial) -> dict[str, Any]:
    return asdict(mutant) | asdict(trial) | {"caught": is_caught(trial)}


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
