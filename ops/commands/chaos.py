"""`frt chaos`: kill or freeze the service's own processes under load, and prove that nothing came of it."""

from __future__ import annotations

import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops.commands.options import NodesOption, fresh_directory, own_plan, settings_maker


class Signals(StrEnum):
    KILL = "kill"
    STOP = "stop"
    BOTH = "both"


def chaos(
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes the hits and every decision of the run.")] = None,
    signal: Annotated[Signals, typer.Option(help="SIGKILL, SIGSTOP for 10 s, or one run with each.")] = Signals.KILL,
    threads: Annotated[int, typer.Option(min=6, max=2_000, help="Stress threads.")] = 60,
    out: Annotated[Path | None, typer.Option(help="Folder for reports, logs and data.")] = None,
    crowded: Annotated[bool, typer.Option("--crowded", help="Kills may follow at once; gaps are not judged.")] = False,
    everything: Annotated[bool, typer.Option("--everything", help="Kill Redis, chain and all at once.")] = False,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Blows, with --everything.")] = 2,
    nodes: NodesOption = None,
) -> None:
    """Hit cycle workers (10), control worker, supervisor and web server (3 each) at random moments of a run.

    Exit code 0: every chain went on within 6 s, one live chain per thread, books closed; 99: not; 1: could not run.
    """
    from ops.chaos.everything import run_everything
    from ops.chaos.plan import Blow
    from ops.chaos.run import ChaosOptions, full_window_ms, run_chaos

    blows = [Blow.KILL, Blow.STOP] if signal is Signals.BOTH else [Blow(signal.value)]
    drawn = secrets.randbits(31) if seed is None else seed
    directory = fresh_directory("chaos", out)
    maker = settings_maker(None, log_format="json")
    plan = own_plan(maker({}), nodes)
    if everything:
        options = ChaosOptions(
            directory=directory,
            plan=plan,
            make_settings=maker,
            seed=drawn,
            blow=Blow.KILL,
            threads=threads,
            window_ms=0,
        )
        raise typer.Exit(run_everything(options, Console(), rounds))
    codes = []
    for blow in blows:
        where = directory / blow.value if len(blows) > 1 else directory
        options = ChaosOptions(
            directory=where,
            plan=plan,
            make_settings=maker,
            seed=drawn,
            blow=blow,
            threads=threads,
            window_ms=full_window_ms(blow),
            crowded=crowded,
        )
        codes.append(run_chaos(options, Console()))
    raise typer.Exit(1 if 1 in codes else max(codes))
