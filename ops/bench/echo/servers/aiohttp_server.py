"""The echo server on aiohttp, which judges frames, text and close codes by itself, but not whether they are masked."""

from __future__ import annotations

import asyncio
import socket
import weakref
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from ops.bench.echo.options import ServerOptions

CLOSE_WAIT_S = 1.0
PEERS: web.AppKey[Any] = web.AppKey("peers", weakref.WeakSet)
OPTIONS = web.AppKey("options", ServerOptions)


async def echo(request: web.Request) -> web.StreamResponse:
    """Send back what comes, until either side closes."""
    options = request.app[OPTIONS]
    response = web.WebSocketResponse(
        compress=False,
        max_msg_size=options.max_message_bytes,
        heartbeat=2 * options.idle_timeout_s,
        timeout=CLOSE_WAIT_S,
    )
    await response.prepare(request)
    peers: weakref.WeakSet[Any] = request.app[PEERS]
    peers.add(response)
    try:
        async for message in response:
            if message.type is WSMsgType.BINARY:
                await response.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await response.send_str(message.data)
    except ConnectionResetError:
        pass  # the peer went while its echo was under way
    finally:
        peers.discard(response)
    return response


async def serve(options: ServerOptions, sock: socket.socket, stop: asyncio.Event) -> None:
    """Echo until ``stop``, then close every connection with 1001."""
    app = web.Application()
    app[PEERS] = weakref.WeakSet()
    app[OPTIONS] = options
    app.router.add_get("/{path:.*}", echo)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_WAIT_S)
    await runner.setup()
    await web.SockSite(runner, sock, backlog=4096).start()
    await stop.wait()
    closing = [peer.close(code=WSCloseCode.GOING_AWAY, message=b"") for peer in set(app[PEERS])]
    await asyncio.gather(*closing, return_exceptions=True)
    await runner.cleanup()
