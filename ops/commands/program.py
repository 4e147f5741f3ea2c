"""`frt program`: the on-chain program of the local chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from domain.errors import StressError

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
