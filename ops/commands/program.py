"""`frt program`: the on-chain program of the local chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from domain.errors import StressError
from ops.commands.options import fresh_directory
from ops.commands.run import DEFAULT_SCENARIO

JobsOption = Annotated[int, typer.Option("--jobs", min=1, max=64, help="Runs at the same time.")]
DurationOption = Annotated[str, typer.Option("--duration", help="Length of each run's load, like 30s.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder for the programs, the runs and the results.")]
ScenarioOption = Annotated[Path, typer.Option("--scenario", help="Scenario of each run.", show_default="default")]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The on-chain program of the local chain."""


@app.command("build")
def build(
    mutant: Annotated[int | None, typer.Option(min=1, help="Build with this seeded bug; needs --out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write it; default: the committed file.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare a rebuild with the committed file.")] = False,
) -> None:
    """Compile and link the program with the pinned compiler."""
    from ops.localnet.program.__main__ import main

    if mutant is not None and (out is None or check):
        raise StressError("a mutant needs --out, and --check is for the original")
    arguments = ["build"]
    if mutant is not None:
        arguments += ["--mutant", str(mutant)]
    if out is not None:
        arguments += ["--out", str(out)]
    if check:
        arguments.append("--check")
    raise typer.Exit(main(arguments))


@app.command("mutants")
def mutants(
    jobs: JobsOption = 1,
    only: Annotated[str | None, typer.Option(help="Their numbers, like 1,2,10-12; default: all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the runs, plus each mutant's number.")] = 1_000,
    duration: DurationOption = "30s",
    out: OutOption = None,
    scenario: ScenarioOption = DEFAULT_SCENARIO,
) -> None:
    """Run the scenario against each seeded bug, and say which were found. Exit code 0: at least 90 % of them."""
    from ops.mutants import chosen_mutants, run_mutants

    chosen = chosen_mutants(only)
    directory = fresh_directory("mutants", out)
    raise typer.Exit(
        run_mutants(
            chosen,
            directory=directory,
            duration=duration,
            jobs=jobs,
            scenario=scenario,
            console=Console(width=160),
            seed=seed,
        )
    )


@app.command("alarms")
def alarms(
    runs: Annotated[int, typer.Option(min=1, help="How many runs, each with a seed of its own.")] = 20,
    with_faults: Annotated[int, typer.Option(min=0, help="How many of them with a hostile endpoint.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first run.")] = 1,
    jobs: JobsOption = 1,
    duration: DurationOption = "30s",
    out: OutOption = None,
    scenario: ScenarioOption = DEFAULT_SCENARIO,
) -> None:
    """Run the scenario against the unmutated program: every alarm is a false one. Exit code 0: none."""
    from ops.mutants import run_alarms

    if with_faults > runs:
        raise StressError("--with-faults is more than --runs")
    raise typer.Exit(
        run_alarms(
            runs=runs,
            with_faults=with_faults,
            seed=seed,
            directory=fresh_directory("alarms", out),
            duration=duration,
            jobs=jobs,
            scenario=scenario,
            console=Console(width=160),
        )
    )
