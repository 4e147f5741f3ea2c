"""`frt bench echo`: serve, run, compare, all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from domain.errors import StressError
from ops.bench.echo.options import SCENARIOS, Impl, Load, Loop, Pattern, Placing, ServerOptions, scenario_of

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
FAILED = 99
OutOption = Annotated[Path, typer.Option(help="Folder for reports.")]
ServerCores = Annotated[str | None, typer.Option(help="Cores of a server that is started here, like 0 or 0,1.")]
ClientCores = Annotated[str | None, typer.Option(help="Cores of the client processes.")]


@app.command("serve")
def serve(
    impl: Annotated[Impl, typer.Option(help="Which server.")] = Impl.PICOWS,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port, 0 for any.")] = 9001,
    loop: Annotated[Loop, typer.Option(help="Event loop.")] = Loop.UVLOOP,
    processes: Annotated[int, typer.Option(help="Processes that share the port.")] = 1,
    max_message_bytes: Annotated[int, typer.Option(help="A longer message is closed with 1009.")] = 16 * 1024 * 1024,
    idle_timeout: Annotated[float, typer.Option(help="Seconds of silence after which a peer is pinged.")] = 30.0,
) -> None:
    """One echo server until Ctrl-C or SIGTERM; a first line of JSON says where it listens."""
    from ops.bench.echo import serve as server

    with _clear_errors():
        options = ServerOptions(
            impl=impl,
            host=host,
            port=port,
            loop=loop,
            processes=processes,
            max_message_bytes=max_message_bytes,
            idle_timeout_s=idle_timeout,
        )
        raise typer.Exit(server.serve(options))


@app.command("run")
def run(
    url: Annotated[str | None, typer.Option(help="ws://host:port/ of any server.")] = None,
    impl: Annotated[Impl | None, typer.Option(help="Start and measure this server of ours.")] = None,
    command: Annotated[str | None, typer.Option(help="Start this command and measure it at --url.")] = None,
    pid: Annotated[int | None, typer.Option(help="Process whose CPU and memory are recorded.")] = None,
    name: Annotated[str | None, typer.Option(help="The server's name in the report.")] = None,
    language: Annotated[str, typer.Option(help="The server's language in the report.")] = "unknown",
    server_version: Annotated[str | None, typer.Option(help="The server's version in the report.")] = None,
    scenario: Annotated[str | None, typer.Option(help=f"{', '.join(SCENARIOS)}; other options change it.")] = None,
    clients: Annotated[int | None, typer.Option(help="Connections.")] = None,
    rate: Annotated[float | None, typer.Option(help="Messages per second and client.")] = None,
    payload_bytes: Annotated[int | None, typer.Option(help="Payload of a message, beside its ids.")] = None,
    text: Annotated[bool | None, typer.Option("--text/--binary", help="Kind of messages.")] = None,
    duration: Annotated[float | None, typer.Option(help="Measured seconds.")] = None,
    warm_up: Annotated[float | None, typer.Option(help="Seconds before, that do not count.")] = None,
    ramp: Annotated[float | None, typer.Option(help="Seconds over which the connections open.")] = None,
    pattern: Annotated[Pattern | None, typer.Option(help="When messages are due; Closed: one at a time.")] = None,
    burst: Annotated[int | None, typer.Option(help="Messages of one burst (pattern Burst).")] = None,
    processes: Annotated[int | None, typer.Option(help="Client processes.")] = None,
    loop: Annotated[Loop, typer.Option(help="Event loop of --impl.")] = Loop.UVLOOP,
    server_cores: ServerCores = None,
    client_cores: ClientCores = None,
    out: OutOption = Path("runs/echo"),
) -> None:
    """Measure one server. Exit code 0: every echo came back unchanged; 99: not, or stopped early; 1: could not run.

    Ctrl-C (or SIGTERM) ends the run early; the report says `partial`.
    """
    given: dict[str, Any] = {
        "clients": clients,
        "rate": rate,
        "payload_bytes": payload_bytes,
        "text": text,
        "duration_s": duration,
        "warm_up_s": warm_up,
        "ramp_s": ramp,
        "pattern": pattern,
        "burst": burst,
        "processes": processes,
    }
    with _clear_errors():
        load = _load(scenario, given)
        if server_cores is not None and impl is None and command is None:
            raise ValueError("server-cores: only of a server that is started here, by --impl or --command")
        source = _Source(
            url=url,
            impl=impl,
            command=command,
            pid=pid,
            name=name,
            language=language,
            version=server_version,
            loop=loop,
        )
        placing = Placing(cores=_cores("client-cores", client_cores))
        document, path = _measure(load, source, _cores("server-cores", server_cores), placing, out)
    Console().print(f"report in {path}", highlight=False, soft_wrap=True)
    raise typer.Exit(_exit_code(document))


@app.command("compare")
def compare(
    reports: Annotated[list[Path], typer.Argument(help="Report files.")],
    html: Annotated[Path, typer.Option(help="Page to write.")] = Path("runs/echo/compare.html"),
) -> None:
    """Reports side by side, as a table and as one self-contained page."""
    from ops.bench.echo import report

    with _clear_errors():
        _compare([report.read(path) for path in reports], html)


@app.command("all")
def all_servers(
    out: OutOption = Path("runs/echo"),
    duration: Annotated[float | None, typer.Option(help="Measured seconds of each run.")] = None,
    loop: Annotated[Loop, typer.Option(help="Event loop of the servers.")] = Loop.ASYNCIO,
    processes: Annotated[int | None, typer.Option(help="Client processes of the scenario burst.")] = None,
    server_cores: ServerCores = None,
    client_cores: ClientCores = None,
) -> None:
    """The three scenarios against the three servers, and their comparison.

    In burst, which measures throughput, the server has the first core to itself, and the client the others, in at least
    two processes.
    """
    documents = []
    with _clear_errors():
        clients, servers = _cores("client-cores", client_cores), _cores("server-cores", server_cores)
        cores = sorted(os.sched_getaffinity(0))
        for scenario in SCENARIOS:
            load = scenario_of(scenario)
            load = replace(load, duration_s=load.duration_s if duration is None else duration)
            placing, places = Placing(cores=clients), servers
            if not load.open_loop:
                load = replace(load, processes=max(2, len(cores) - 1) if processes is None else processes)
                placing, places = Placing(cores=clients or tuple(cores[1:])), servers or tuple(cores[:1])
            runs = []
            for impl in Impl:
                runs.append(_measure(load, _Source(impl=impl, loop=loop), places, placing, out)[0])
                if runs[-1]["metadata"]["partial"]:
                    raise typer.Exit(FAILED)  # Ctrl-C means all of it
            _compare(runs, out / f"compare-{scenario}.html")
            documents += runs
    raise typer.Exit(max(_exit_code(document) for document in documents))


@contextmanager
def _clear_errors() -> Iterator[None]:
    """A wrong value or a run that cannot take place is one line and exit code 1."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise StressError(str(error)) from None


class _Source:
    """Which server is measured: one of ours, a command, or what runs at a URL."""

    def __init__(
        self,
        *,
        url: str | None = None,
        impl: Impl | None = None,
        command: str | None = None,
        pid: int | None = None,
        name: str | None = None,
        language: str = "unknown",
        version: str | None = None,
        loop: Loop = Loop.UVLOOP,
    ) -> None:
        if (url is None) == (impl is None):
            raise ValueError("url: give --url, or --impl to start a server of ours")
        if impl is not None and (command is not None or pid is not None):
            raise ValueError("impl: not together with --command or --pid")
        if command is not None and pid is not None:
            raise ValueError("pid: not together with --command, whose process is recorded")
        self.url, self.impl, self.command, self.pid, self.loop = url, impl, command, pid, loop
        self.name = name or (impl.value if impl is not None else "server")
        self.language = "python" if impl is not None else language
        self.version = library_version(impl.value) if impl is not None else version


def _load(scenario: str | None, given: dict[str, Any]) -> Load:
    """The scenario's load, or a plain one, with what was given instead of its own values."""
    load = Load() if scenario is None else scenario_of(scenario)
    load = replace(load, **{key: value for key, value in given.items() if value is not None})
    if given["rate"] is not None and not load.open_loop:
        raise ValueError("rate: a closed loop has none")
    return load


def _measure(
    load: Load, source: _Source, server_cores: tuple[int, ...], placing: Placing, out: Path
) -> tuple[dict[str, Any], Path]:
    from ops.bench.echo import report
    from ops.bench.echo import run as bench

    # SIGTERM ends a run as Ctrl-C does: with a report, and without the server that was started for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    options: dict[str, Any] = {"command": source.command, "cores": list(server_cores)}
    with ExitStack() as servers:
        pid, url = source.pid, source.url or ""
        if source.impl is not None:
            own = ServerOptions(impl=source.impl, port=0, loop=source.loop)
            pid, url = servers.enter_context(bench.own_server(own, server_cores))
            options |= {"loop": own.loop.value, "maxMessageBytes": own.max_message_bytes, "processes": own.processes}
        elif source.command is not None:
            started = bench.foreign_server(bench.split_command(source.command), url, server_cores)
            pid, url = servers.enter_context(started)
        with console.status(f"{load.scenario} against {source.name}: connecting") as status:

            def show(what: str, sent: int, received: int, errors: int) -> None:
                counts = f"{sent:,} sent, {received:,} back, {errors:,} errors"
                status.update(f"{load.scenario} against {source.name}: {what}, {counts}")

            outcome = bench.measure(load, url, pid=pid, progress=show, placing=placing)
    document = report.build(outcome, report.server_facts(source.name, source.language, source.version, options))
    path = report.write(document, out)
    _print([document])
    return document, path


def _compare(documents: list[dict[str, Any]], html: Path) -> None:
    from ops.bench.echo.compare import rank, ratios
    from ops.bench.echo.page import page
    from ops.report.write import replace_file

    ranking = rank(documents)
    html.parent.mkdir(parents=True, exist_ok=True)
    replace_file(html, page(documents, ranking))
    _print(documents)
    console = Console()
    console.print(ranking.why, highlight=False, soft_wrap=True)
    if ranking.order is not None:
        slowest = documents[ranking.order[-1]]
        for index in ranking.order:
            name = documents[index]["metadata"]["serverName"]
            console.print(f"  {name:12} {ratios(documents[index], slowest)}", highlight=False)
    console.print(f"page in {html}", highlight=False, soft_wrap=True)


def _print(documents: list[dict[str, Any]]) -> None:
    from ops.bench.echo.compare import HEADINGS, MORE_HEADINGS, row

    table = Table(box=None)
    for heading in (*HEADINGS, *MORE_HEADINGS):
        table.add_column(heading, justify="left" if heading in ("server", "scenario", "note") else "right")
    for document in documents:
        table.add_row(*row(document))
    Console(width=160).print(table)


def _exit_code(document: dict[str, Any]) -> int:
    harmless = ("connectionRetries", "errorRate", "first")
    failed = any(value for name, value in document["errors"].items() if name not in harmless)
    return FAILED if failed or document["metadata"]["partial"] else 0


def _cores(name: str, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{name}: {text!r} is not a list of core numbers") from None
