"""`frt up` and the single services for compose and systemd."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from domain.errors import StressError
from domain.runtime.logs import log_file
from ops.commands.options import (
    CURRENT,
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
    planned,
    settings_maker,
)

if TYPE_CHECKING:
    from tasks.runtime import Runtime


def up(
    out: Annotated[
        Path | None, typer.Option("--data", "--out", help="Folder of this service; one that is there goes on.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the service's random decisions.")] = 0,
    rpc_url: RpcOption = None,
    program_id: ProgramIdOption = None,
    core_wallet: WalletOption = None,
    program: ProgramOption = None,
    slot_ms: SlotOption = None,
    nodes: NodesOption = None,
    config: ConfigOption = None,
) -> None:
    """Start all services and keep them running until Ctrl-C; commands come over JSON-RPC (`frt call`)."""
    from ops.stack import API, CONTROL, CYCLES, SUPERVISOR, Stack, Wanted
    from tasks.app import create_app
    from tasks.bootstrap import prepare_chain
    from tasks.known_pools import check_version, create_missing_pools, pools_at_start
    from tasks.restore import check_sealing_key, restore
    from tasks.runtime import build_runtime

    console = Console()
    maker = settings_maker(config, log_format="json", **chain_options(rpc_url, program_id, core_wallet))
    settings = maker({})
    stop = _stop_event()
    wanted = Wanted(
        directory=fresh_directory("up", out),
        plan=own_plan(settings, nodes),
        seed=seed,
        slot_ms=slot_ms or settings.slot_ms,
        program=program,
        usual_port=True,
        keep_chain=True,
    )
    console.print(f"starting all services in {wanted.directory}; this takes a while", highlight=False, soft_wrap=True)
    with Stack(wanted, maker) as stack, log_file(stack.settings, stack.log_directory / "up.log"):
        effective = stack.open_foundation(stop.is_set)
        app = create_app(effective)
        runtime = build_runtime(effective, app)
        restore(runtime)
        check_sealing_key(runtime)
        runtime.store.set_run_once("seed", str(seed))
        runtime.store.set_run_once("started_at_ms", str(runtime.store.now_ms()))
        prepare_chain(runtime)
        pools_at_start(runtime)
        check_version(runtime)
        stack.open_services(app, stop.is_set)
        create_missing_pools(runtime, effective.pool_target)
        _announce(stack.api_url, wanted.directory, effective.rpc_urls, console)
        try:
            while not stop.wait(0.5):
                stack.check()
        finally:
            _withdraw()
            stack.stop((API, SUPERVISOR, CONTROL, CYCLES))
            _export_last(runtime, console)


def _export_last(runtime: Runtime, console: Console) -> None:
    """What the last cycles committed after the supervisor had ended; Redis keeps it all the same."""
    from tasks.export import export_now

    try:
        export_now(runtime.store, runtime.settings)
    except StressError as error:
        console.print(f"the data folder is not quite current: {error}", highlight=False)


def _announce(api_url: str, directory: Path, rpc_urls: tuple[str, ...], console: Console) -> None:
    CURRENT.parent.mkdir(exist_ok=True)
    CURRENT.write_text(json.dumps({"api_url": api_url, "pid": os.getpid(), "directory": str(directory)}))
    console.print(f"live page  {api_url}/", highlight=False)
    console.print(f"JSON-RPC   {api_url}/rpc", highlight=False)
    console.print(f"chain      {', '.join(rpc_urls)}", highlight=False)
    console.print(f"logs       {directory / 'logs'}", highlight=False, soft_wrap=True)
    console.print("Ctrl-C ends everything", highlight=False)


def _withdraw() -> None:
    """Unless another `frt up` has been started in the same place since."""
    with suppress(OSError, ValueError):
        if json.loads(CURRENT.read_text())["pid"] == os.getpid():
            CURRENT.unlink()


def worker(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and start nothing.")] = False,
    cores: Annotated[int | None, typer.Option(min=1, help="Plan for this many cores (with --dry-run).")] = None,
    nodes: NodesOption = None,
    cycles: Annotated[bool, typer.Option(help="Start the cycle nodes.")] = True,
    control: Annotated[bool, typer.Option(help="Also start the control node.")] = True,
    config: ConfigOption = None,
) -> None:
    """The Celery nodes of this machine: one per worker core, and one for commands."""
    settings = settings_maker(config)({})
    if cores is not None and not dry_run:
        raise StressError("--cores is for --dry-run; a real worker takes the cores it has")
    plan = own_plan(settings, nodes) if cores is None else planned(settings, range(cores), nodes)
    if dry_run:
        for line in plan.lines():
            print(line)
        return
    from ops.worker import run_nodes

    stop = _stop_event()
    if not cycles and not control:
        raise StressError("--no-cycles and --no-control together leave nothing to start")
    run_nodes(settings, plan, stop, cycles=cycles, control=control)


def api(config: ConfigOption = None) -> None:
    """The JSON-RPC web server."""
    from api.serve import serve

    serve(settings_maker(config)({}))


def supervisor(config: ConfigOption = None) -> None:
    """The supervisor: sends again what was lost, keeps the journal."""
    _become("tasks.supervisor", [], config)


def localnet(context: typer.Context) -> None:
    """The local chain; options as of `python -m ops.localnet --help`."""
    _become("ops.localnet", list(context.args), None)


def _become(module: str, arguments: list[str], config: Path | None) -> None:
    """Go on as the module, in this very process: signals and exit code are its own."""
    env = dict(os.environ)
    if config is not None:
        env["FRT_CONFIG"] = str(config.absolute())
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], env)  # noqa: S606


def _stop_event() -> Event:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
