"""`frt bench echo`: serve, run, compare, all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from domain.errors import StressError
from ops.bench.echo.options import SCENARIOS, Impl, Load, Loop, Pattern, ServerOptions, scenario_of

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
FAILED = 99
OutOption = Annotated[Path, typer.Option(help="Folder for reports.")]
Cores = Annotated[str | None, typer.Option(help="Core numbers, like 0 or 0,1.")]


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
    server_cores: Cores = None,
    client_cores: Cores = None,
    out: OutOption = Path("runs/echo"),
) -> None:
    """Measure one server. Exit code 0: every echo came back unchanged; 99: not, or stopped early; 1: could not run."""
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
        load = Load() if scenario is None else scenario_of(scenario)
        load = replace(load, **{key: value for key, value in given.items() if value is not None})
        source = _Source(url=url, impl=impl, command=command, pid=pid, name=name, language=language, loop=loop)
        document, path = _measure(load, source, _cores(server_cores), _cores(client_cores), out)
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
    loop: Annotated[Loop, typer.Option(help="Event loop of the servers.")] = Loop.UVLOOP,
    processes: Annotated[int, typer.Option(help="Client processes of the scenarios with many clients.")] = 1,
    server_cores: Cores = None,
    client_cores: Cores = None,
) -> None:
    """The three scenarios against the three servers, and their comparison."""
    documents = []
    with _clear_errors():
        for scenario in SCENARIOS:
            load = scenario_of(scenario)
            load = replace(load, duration_s=duration or load.duration_s, processes=min(processes, load.clients))
            for impl in Impl:
                source = _Source(impl=impl, loop=loop)
                documents.append(_measure(load, source, _cores(server_cores), _cores(client_cores), out)[0])
        for scenario in SCENARIOS:
            chosen = [each for each in documents if each["metadata"]["scenario"] == scenario]
            _compare(chosen, out / f"compare-{scenario}.html")
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


def _measure(
    load: Load, source: _Source, server_cores: tuple[int, ...], client_cores: tuple[int, ...], out: Path
) -> tuple[dict[str, Any], Path]:
    from ops.bench.echo import report
    from ops.bench.echo import run as bench

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

            outcome = bench.measure(load, url, pid=pid, progress=show, cores=client_cores)
    document = report.build(outcome, report.server_facts(source.name, source.language, options))
    path = report.write(document, out)
    _print([document])
    return document, path


def _compare(documents: list[dict[str, Any]], html: Path) -> None:
    from ops.bench.echo.compare import page, rank

    ranking = rank(documents)
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(page(documents, ranking), encoding="utf-8")
    _print(documents)
    console = Console()
    if ranking.order is None:
        console.print(ranking.why, highlight=False)
    else:
        best = documents[ranking.order[-1]]["throughput"]["messagesPerSecond"] or 1
        for index in ranking.order:
            rate = documents[index]["throughput"]["messagesPerSecond"]
            name = documents[index]["metadata"]["serverName"]
            console.print(f"  {name:12} {rate / best:5.2f} x the slowest", highlight=False)
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
    failed = document["errors"]["errorRate"] > 0 or document["errors"]["outOfOrder"] or document["metadata"]["partial"]
    return FAILED if failed else 0


def _cores(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"cores: {text!r} is not a list of core numbers") from None
