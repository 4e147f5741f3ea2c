"""The command line `frt`: one line per wrong thing, exit code 1; never a traceback for what a person can put right."""

from __future__ import annotations

import sys

import typer

from domain.errors import StressError
from ops.commands import (
    api_check,
    api_keys,
    bench_echo,
    bench_reads,
    calls,
    chaos,
    checks,
    keys,
    prepare,
    program,
    reproduce,
    run,
    services,
)

app = typer.Typer(
    name="frt",
    help="Stress tester for the Fixed Ratio Trading program on Solana.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench = typer.Typer(no_args_is_help=True)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app.command("run")(run.run)
app.command("reproduce")(reproduce.reproduce)
app.command("chaos")(chaos.chaos)
app.command("up")(services.up)
app.command("prepare")(prepare.prepare)
app.command("worker")(services.worker)
app.command("api")(services.api)
app.command("supervisor")(services.supervisor)
app.command("localnet", context_settings=PASS_ON)(services.localnet)
app.add_typer(program.app, name="program", help="The on-chain program of the local chain.")
app.add_typer(bench, name="bench", help="Benchmarks.")
bench.add_typer(bench_echo.app, name="echo", help="WebSocket echo servers, and a client that measures any of them.")
bench.command("reads")(bench_reads.reads)
app.add_typer(keys.app, name="keys", help="The key that seals the wallets' keys.")
app.command("doctor")(checks.doctor)
app.command("config")(checks.config)
app.command("status")(calls.status)
app.command("call")(calls.call)
app.command("api-key")(api_keys.api_key)
app.command("api-check")(api_check.api_check)
app.command("test", context_settings=PASS_ON)(checks.test)
app.command("lint")(checks.lint)
app.command("types")(checks.types)


def main() -> None:
    """Run one command."""
    try:
        app(prog_name="frt")
    except (StressError, OSError) as error:  # an OSError here is a folder, a file or a port of this machine
        sys.stderr.write(f"frt: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
