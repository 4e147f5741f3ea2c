"""`frt call` and `frt status`: the running service, asked over JSON-RPC."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from api.client import CallError, Client, ClientError
from api.methods.table import METHODS
from domain.errors import StressError
from domain.runtime.settings import load
from ops.commands.options import CURRENT

LEFT_OUT = ("wallet_address", "created_at")  # `frt call get_all_threads` shows everything
UrlOption = Annotated[str | None, typer.Option("--url", help="Address of the service; default: what `frt up` left.")]


def call(
    method: Annotated[str, typer.Argument(help="JSON-RPC method, for example list_pools.")],
    params: Annotated[list[str] | None, typer.Argument(help="name=value; values are JSON, or else text.")] = None,
    url: UrlOption = None,
) -> None:
    """Call a method of the running service and print its result; exit code 1 when it answers with an error."""
    with service(url) as client:
        print(json.dumps(asked(client, method, parameters(params or [])), indent=2))


def status(url: UrlOption = None) -> None:
    """Threads and pools of the running service."""
    address = service_url(url)
    console = Console()
    with service(address) as client:
        rows = asked(client, "get_all_threads", {})["threads"]
    table = Table(title=address, box=None, header_style="dim")
    shown = [{name: row[name] for name in row if name not in LEFT_OUT and row[name] is not None} for row in rows]
    columns = list(dict.fromkeys(name for row in shown for name in row if not isinstance(row[name], dict | list)))
    for name in columns:
        table.add_column(name, no_wrap=name == "thread_id")
    for row in shown:
        table.add_row(*(str(row.get(name, "")) for name in columns))
    console.print(table if rows else f"{address}: no threads")


def parameters(texts: Sequence[str]) -> dict[str, Any]:
    """{"pool_id": "...", "initial_amount": 5} of ["pool_id=...", "initial_amount=5"]. Raises StressError."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise StressError(f"{text!r} is not of the form name=value")
        if name in found:
            raise StressError(f"the parameter {name} is given twice")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def service_url(given: str | None) -> str:
    """As given, else what a running `frt up` here says, else as the settings say."""
    if given is not None:
        return given.rstrip("/")
    try:
        current = json.loads(Path(CURRENT).read_text("utf-8"))
        os.kill(int(current["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return load(os.environ).local_url
    return str(current["api_url"])


def service(url: str | None) -> Client:
    """A client of the running service, with the key that the settings name. Raises StressError."""
    key = load(os.environ).api_key
    try:
        return Client(service_url(url), api_key=None if key is None else key.get_secret_value())
    except ValueError as error:
        raise StressError(str(error)) from None


def asked(client: Client, method: str, params: dict[str, Any]) -> Any:
    """The result. What changes something is sent as a command: once, and waited for. Raises StressError."""
    known = next((one for one in METHODS if one.name == method), None)
    send = client.command if known is not None and known.changes else client.call
    try:
        return send(method, params)
    except CallError as error:
        data = {"data": error.data} if error.data else {}
        answer = {"code": error.code, "message": error.message, **data}
        raise StressError(f"{method}: {json.dumps(answer)}") from None
    except ClientError as error:
        raise StressError(f"{error}; `frt up` starts a service, --url names another one") from None
