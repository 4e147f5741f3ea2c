"""`frt reproduce`: one recorded fault, alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def reproduce(
    directory: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of `frt run`, or of `frt up --data`.")],
    fault: Annotated[
        int | None, typer.Option(help="Its number in the report, from 1; default: the first that can be reproduced.")
    ] = None,
    program: Annotated[
        Path | None, typer.Option(help="Another build (.so) to try; default: the one that the run used.")
    ] = None,
) -> None:
    """Carry out a recorded fault again: its transaction, on exactly its accounts, in a fresh virtual machine.

    Exit code 99: the fault occurs; 0: it does not, the program is fixed; 1: it cannot be reproduced.
    """
    from ops.reproduce.run import reproduce as carry_out

    raise typer.Exit(carry_out(directory, Console(), fault=fault, program=program))
