"""A scripted HTTP server on 127.0.0.1 that can do everything a bad node or proxy does, byte by byte."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any


@dataclass
class Exchange:
    """One received request and the socket to answer on."""

    socket: socket.socket
    connection: int  # 1, 2, ... in order of arrival
    nth: int  # of this connection, from 1
    head: str
    request: Any
    stopping: Event
    closed: bool = False

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self, answer: Any, *, status: str = "200 OK", headers: str = "") -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.raw(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    def result(self, value: Any) -> None:
        self.reply({"jsonrpc": "2.0", "id": self.request["id"], "result": value})

    def close(self) -> None:
        self.closed = True

    def hang(self) -> None:
        """Say nothing more for as long as the server lives."""
        self.stopping.wait()


Handler = Callable[[Exchange], None]


@dataclass
class ScriptedServer:
    handler: Handler
    tls: ssl.SSLContext | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._stopping = Event()
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(connected)
                self._start(self._serve, connected, self.connections)

    def _serve(self, connected: socket.socket, number: int) -> None:
        with suppress(OSError):
            if self.tls is not None:
                connected = self.tls.wrap_socket(connected, server_side=True)
                self._sockets.append(connected)
            stream = connected.makefile("rb")
            nth = 0
            while head := self._read_head(stream):
                nth += 1
                size = int(head.lower().split("content-length:")[1].split("\r\n")[0])
                exchange = Exchange(connected, number, nth, head, json.loads(stream.read(size)), self._stopping)
                with self._lock:
                    self.exchanges.append(exchange)
                self.handler(exchange)
                if exchange.closed:
                    break
            stream.close()
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            connected.close()

    @staticmethod
    def _read_head(stream: Any) -> str:
        lines = []
        while (line := stream.readline()) not in {b"\r\n", b""}:
            lines.append(line.decode())
        return "".join(lines)

    def stop(self) -> None:
        self._stopping.set()
        for each in [self._listener, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(timeout=10)


@contextmanager
def scripted_server(handler: Handler, *, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    server = ScriptedServer(handler, tls)
    try:
        yield server
    finally:
        server.stop()
