"""`frt bench reads`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops.commands.options import ConfigOption, NodesOption, fresh_directory, own_plan, settings_maker, unused
from ops.commands.run import DEFAULT_SCENARIO


def reads(
    scenario: Annotated[Path, typer.Argument(help="The load beside the reads.", show_default="default")] = (
        DEFAULT_SCENARIO
    ),
    rate: Annotated[float, typer.Option(min=1, help="Reads per second.")] = 1_000.0,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of reads.")] = 30.0,
    connections: Annotated[int, typer.Option(min=1, max=10_000, help="Connections that share the reads.")] = 32,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes every random decision of the load.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report, logs and data.")] = None,
    nodes: NodesOption = None,
    config: ConfigOption = None,
) -> None:
    """Read thread statuses at a fixed rate beside a running load, and compare the load with and without them.

    Exit code 0: p99 of the reads <= 50 ms from their planned moment, the load's cycles/s not down by more than 10 %,
    and the load's own audit passed; 99: not; 1: could not run.
    """
    from ops.bench.reads.run import ReadsOptions, run_reads
    from ops.scenario import read_scenario

    maker = settings_maker(config, log_format="json")
    options = ReadsOptions(
        directory=unused(fresh_directory("reads", out)),
        plan=own_plan(maker({}), nodes),
        make_settings=maker,
        rate=rate,
        seconds=seconds,
        connections=connections,
    )
    chosen = read_scenario(scenario).changed(duration=f"{options.load_ms}ms", seed=seed, slot_ms=None)
    raise typer.Exit(run_reads(chosen, options, Console()))
