"""`frt run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from domain.errors import StressError
from ops.commands.options import (
    ConfigOption,
    NodesOption,
    ProgramIdOption,
    ProgramOption,
    RpcOption,
    SlotOption,
    WalletOption,
    chain_options,
    fresh_directory,
    own_plan,
    settings_maker,
    unused,
)

DEFAULT_SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "default.toml"


def run(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (TOML).", show_default="default")] = DEFAULT_SCENARIO,
    duration: Annotated[str | None, typer.Option(help="Length of the load, like 60s or 5m.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes every random decision.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report, logs and data.")] = None,
    rpc_url: RpcOption = None,
    program_id: ProgramIdOption = None,
    core_wallet: WalletOption = None,
    program: ProgramOption = None,
    slot_ms: SlotOption = None,
    nodes: NodesOption = None,
    config: ConfigOption = None,
) -> None:
    """Start what is not configured elsewhere, load the program as the scenario says, audit, report.

    Exit code 0: everything held; 99: a check or a threshold did not; 1: the run could not be carried out.
    """
    from ops.run.job import Job, JobOptions
    from ops.scenario import read_scenario

    if program is not None and not program.is_file():
        raise StressError(f"there is no program at {program}")
    chosen = read_scenario(scenario).changed(duration=duration, seed=seed, slot_ms=slot_ms)
    maker = settings_maker(config, log_format="json", **chain_options(rpc_url, program_id, core_wallet))
    plan = own_plan(maker({}), nodes)
    directory = unused(fresh_directory(chosen.name, out))
    options = JobOptions(directory=directory, plan=plan, make_settings=maker, program=program)
    raise typer.Exit(Job(chosen, options, Console()).run())
