"""Runs an echo server in this process, or several that share one port: `python -m ops.bench.echo.serve --help`.

Says on standard output, in one line of JSON, where it listens: {"impl", "url", "pid"}.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable

from ops.bench.echo.options import Impl, Loop, ServerOptions
from ops.bench.echo.sockets import allow_many_sockets

Serve = Callable[[ServerOptions, socket.socket, asyncio.Event], Awaitable[None]]


def listening_socket(options: ServerOptions) -> socket.socket:
    """Bound and not yet listening; several may share one port (SO_REUSEPORT). OSError when it is taken."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.processes > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((options.host, options.port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def run(options: ServerOptions, on_ready: Callable[[int], None] | None = None) -> None:
    """Serve in this process until SIGTERM or SIGINT; ``on_ready`` gets the port once it is bound."""
    allow_many_sockets()
    sock = listening_socket(options)
    module = importlib.import_module(f"ops.bench.echo.servers.{options.impl.value}_server")
    serve: Serve = module.serve

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        serving = asyncio.ensure_future(serve(options, sock, stop))
        await asyncio.sleep(0)  # the server listens before anybody is told so
        if on_ready is not None:
            on_ready(sock.getsockname()[1])
        await serving

    with asyncio.Runner(loop_factory=_loop_factory(options.loop)) as runner:
        runner.run(main())


def run_several(options: ServerOptions, on_ready: Callable[[int], None]) -> int:
    """One child per process on one port; the first that dies ends all. The exit code to leave with."""
    place = listening_socket(options)  # keeps the port while the children come up
    port = place.getsockname()[1]
    command = [
        *(sys.executable, "-m", "ops.bench.echo.serve", "--impl", options.impl.value, "--host", options.host),
        *("--port", str(port), "--loop", options.loop.value, "--max-message-bytes", str(options.max_message_bytes)),
        *("--idle-timeout", str(options.idle_timeout_s), "--shared"),
    ]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(options.processes)]
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for child in children:
        if child.stdout is None or not child.stdout.readline():
            stop()
    if not stopping:
        on_ready(port)
    place.close()
    codes = [child.wait() for child in children]
    return 0 if stopping and not any(codes) else 1


def _loop_factory(loop: Loop) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop is Loop.ASYNCIO:
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def _announce(options: ServerOptions, port: int) -> None:
    import os

    host = f"[{options.host}]" if ":" in options.host else options.host
    line = {"impl": options.impl.value, "url": f"ws://{host}:{port}/", "pid": os.getpid()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def serve(options: ServerOptions) -> int:
    """Serve until a signal; the exit code. OSError when the port cannot be had."""
    if options.processes == 1:
        run(options, lambda port: _announce(options, port))
        return 0
    return run_several(options, lambda port: _announce(options, port))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ops.bench.echo.serve")
    parser.add_argument("--impl", type=Impl, choices=list(Impl), required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--loop", type=Loop, choices=list(Loop), default=Loop.UVLOOP)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--max-message-bytes", type=int, default=ServerOptions(impl=Impl.PICOWS).max_message_bytes)
    parser.add_argument("--idle-timeout", type=float, default=30.0)
    parser.add_argument("--shared", action="store_true", help="one of several on the same port")
    given = parser.parse_args()
    try:
        options = ServerOptions(
            impl=given.impl,
            host=given.host,
            port=given.port,
            loop=given.loop,
            processes=given.processes,
            max_message_bytes=given.max_message_bytes,
            idle_timeout_s=given.idle_timeout,
        )
        if given.shared:
            run_shared(options)
        else:
            sys.exit(serve(options))
    except (ValueError, OSError) as error:
        sys.exit(f"echo server: {error}")


def run_shared(options: ServerOptions) -> None:
    """One of several processes: the port is shared whatever ``processes`` says."""
    from dataclasses import replace

    run(replace(options, processes=2), lambda port: _announce(options, port))


if __name__ == "__main__":
    main()
