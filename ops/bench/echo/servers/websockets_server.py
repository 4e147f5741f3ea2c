"""The echo server on websockets, which judges frames, text and close codes by itself."""

from __future__ import annotations

import asyncio
import socket

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from websockets.exceptions import ConnectionClosed

from ops.bench.echo.options import ServerOptions

CLOSE_WAIT_S = 1.0


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
    )
    await stop.wait()
    server.close()  # 1001 to everybody
    await server.wait_closed()
