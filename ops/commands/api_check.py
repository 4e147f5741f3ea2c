"""`frt api-check`: the whole API of a live service, method by method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops.commands.options import ConfigOption, NodesOption, fresh_directory, own_plan, settings_maker, unused


def api_check(
    out: Annotated[Path | None, typer.Option(help="Folder for logs and data.")] = None,
    nodes: NodesOption = None,
    config: ConfigOption = None,
) -> None:
    """Start all services, call every method with real effects, hold every answer to its schema.

    Prints one line per method. Exit code 0: all as documented; 99: something was not; 1: could not be carried out.
    """
    from ops.api_check.run import check_api

    maker = settings_maker(config, log_format="json")
    directory = unused(fresh_directory("api-check", out))
    console = Console(soft_wrap=True)
    raise typer.Exit(check_api(directory, own_plan(maker({}), nodes), maker, console))
