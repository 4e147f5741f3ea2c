"""The echo server on websockets, which judges frames, text and close codes by itself."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from websockets.exceptions import ConnectionClosed

from ops.bench.echo.options import ServerOptions

CLOSE_WAIT_S = 1.0
NO_CODE = 1005


class EchoConnection(ServerConnection):
    """A close frame may come in the midst of a fragmented message (RFC 6455 5.4); the library answers it with 1002."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fail = self.protocol.fail

        def fail_or_close(code: int, reason: str = "") -> None:
            close = self.protocol.close_rcvd  # set and not answered: it interrupted a message, nothing else is wrong
            if close is None or self.protocol.close_sent is not None:
                fail(code, reason)
            else:
                fail(1000 if close.code == NO_CODE else close.code, close.reason)

        self.protocol.fail = fail_or_close  # type: ignore[method-assign]


async def echo(connection: ServerConnection) -> None:
    """Send back what comes, until either side closes."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        return


async def serve(options: ServerOptions, sock: socket.socket, stop: asyncio.Event) -> None:
    """Echo until ``stop``, then close every connection with 1001."""
    server = await websockets_serve(
        echo,
        sock=sock,
        backlog=4096,
        compression=None,
        max_size=options.max_message_bytes,
        ping_interval=options.idle_timeout_s,
        ping_timeout=options.idle_timeout_s,
        close_timeout=CLOSE_WAIT_S,
        server_header=None,
        create_connection=EchoConnection,
    )
    await stop.wait()
    server.close()  # 1001 to everybody
    await server.wait_closed()
