"""`frt call` and `frt status`: the running service, asked over JSON-RPC."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from domain.errors import StressError
from domain.runtime.settings import load
from ops.commands.options import CURRENT

TIMEOUT_S = 60.0
LEFT_OUT = ("wallet_address", "created_at")  # `frt call get_all_threads` shows everything
UrlOption = Annotated[str | None, typer.Option("--url", help="Address of the service; default: what `frt up` left.")]


def call(
    method: Annotated[str, typer.Argument(help="JSON-RPC method, for example list_pools.")],
    params: Annotated[list[str] | None, typer.Argument(help="name=value; values are JSON, or else text.")] = None,
    url: UrlOption = None,
) -> None:
    """Call a method of the running service and print its result; exit code 1 when it answers with an error."""
    answer = post(service_url(url), method, parameters(params or []))
    if "error" in answer:
        raise StressError(f"{method}: {json.dumps(answer['error'])}")
    print(json.dumps(answer["result"], indent=2))


def status(url: UrlOption = None) -> None:
    """Threads and pools of the running service."""
    address = service_url(url)
    console = Console()
    threads = post(address, "get_all_threads", {})
    if "error" in threads:
        raise StressError(f"get_all_threads: {json.dumps(threads['error'])}")
    table = Table(title=address, box=None, header_style="dim")
    rows = threads["result"].get("threads", [])
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
        settings = load(os.environ)
        return f"http://{settings.api_bind}:{settings.api_port}"
    return str(current["api_url"])


def post(url: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The JSON-RPC answer. Raises StressError when nobody answers, or not in JSON."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StressError(f"{url!r} is not an http:// or https:// address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        connection.request("POST", f"{parts.path}/rpc", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    except OSError as error:
        raise StressError(f"no service answers at {url}: {error}") from None
    except ValueError:
        raise StressError(f"{url} did not answer in JSON; is it this service?") from None
    finally:
        connection.close()
    if not isinstance(answer, dict) or ("result" in answer) == ("error" in answer):
        raise StressError(f"{url} did not answer in JSON-RPC; is it this service?")
    return answer
