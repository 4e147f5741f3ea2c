"""What several commands share: options, settings, plan, folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from domain.errors import StressError
from domain.runtime.settings import Settings, load
from domain.runtime.topology import Core, parse_queue_cores, read_cores
from ops.plan import WorkerPlan, worker_plan
from tasks.names import CONTROL_QUEUE, CYCLES_QUEUE

#: Where `frt up` leaves the address of the running service for `frt call` and `frt status`.
CURRENT: Final = Path(".frt/current.json")

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with settings (also FRT_CONFIG).")]
RpcOption = Annotated[
    list[str] | None, typer.Option("--rpc-url", help="RPC endpoint of a cluster; repeat it for several.")
]
ProgramIdOption = Annotated[str | None, typer.Option("--program-id", help="Address of the program under test.")]
WalletOption = Annotated[Path | None, typer.Option("--core-wallet", help="solana-keygen file that pays for all.")]
ProgramOption = Annotated[Path | None, typer.Option("--program", help="Another build for the local chain (.so).")]
NodesOption = Annotated[int | None, typer.Option("--nodes", min=1, help="Cycle nodes, instead of one per core.")]
SlotOption = Annotated[int | None, typer.Option("--slot-ms", min=1, help="Milliseconds of a local slot.")]


def settings_maker(config: Path | None, **given: Any) -> Callable[[Mapping[str, Any]], Settings]:
    """Settings from file and environment, the command line's options over them, and overrides over all."""
    fixed = {name: value for name, value in given.items() if value is not None}

    def make(overrides: Mapping[str, Any]) -> Settings:
        return load(os.environ, config, {**overrides, **fixed})

    return make


def chain_options(rpc_urls: list[str] | None, program_id: str | None, core_wallet: Path | None) -> dict[str, Any]:
    """The options that point at a cluster, as settings."""
    return {
        "rpc_urls": tuple(rpc_urls) if rpc_urls else None,
        "program_id": program_id,
        "core_wallet": None if core_wallet is None else core_wallet.absolute(),
    }


def own_plan(settings: Settings, nodes: int | None) -> WorkerPlan:
    """The plan for the cores that this process may use. Raises PlanError."""
    cores = sorted(os.sched_getaffinity(0))
    return planned(settings, cores, nodes, read_cores(cores) if settings.numa_aware else ())


def planned(settings: Settings, cores: Sequence[int], nodes: int | None, topology: Sequence[Core] = ()) -> WorkerPlan:
    """The plan for these cores with everything that the settings say of it. Raises PlanError."""
    by_queue = parse_queue_cores(settings.queue_cores)
    return worker_plan(
        cores,
        nodes=nodes or settings.nodes,
        per_node=settings.worker_concurrency,
        reserved=settings.reserved_cores,
        pin=settings.pin_workers,
        cycle_cores=by_queue.get(CYCLES_QUEUE, ()),
        control_cores=by_queue.get(CONTROL_QUEUE, ()),
        nice=settings.worker_nice,
        topology=topology,
    )


def unused(directory: Path) -> Path:
    """The folder itself. Raises StressError when it holds a run: its Redis data and journal would mix with the new."""
    if any((directory / name).exists() for name in ("redis", "report.json")):
        raise StressError(f"{directory} holds an earlier run; name another folder with --out, or remove it")
    return directory


def fresh_directory(name: str, given: Path | None) -> Path:
    """The folder of one run: as given, else runs/<name>-<time>, never one that holds another run."""
    if given is not None:
        return given.absolute()
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    base = Path("runs") / f"{name}-{stamp}"
    for number in range(100):
        candidate = base if number == 0 else base.with_name(f"{base.name}-{number}")
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            continue
        return candidate.absolute()
    raise typer.BadParameter("no free name for the run's folder")
