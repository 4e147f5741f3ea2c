"""The echo server on aiohttp, which judges frames, text and close codes by itself, but not whether they are masked."""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Callable
from typing import Any

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from ops.bench.echo.options import ServerOptions

CLOSE_WAIT_S = 1.0
NEVER_SENT = frozenset({1004, 1005, 1006, 1015})  # RFC 6455 7.4.1; aiohttp lets 1006 pass
PEERS: web.AppKey[Any] = web.AppKey("peers", weakref.WeakSet)
OPTIONS = web.AppKey("options", ServerOptions)


class MaskedFrames:
    """In front of aiohttp's frame parser: walks the frame headers and refuses unmasked ones (RFC 6455 5.1)."""

    def __init__(self, parser: Any, refuse: Callable[[], None]) -> None:
        self._parser = parser
        self._refuse = refuse
        self._head = b""  # of a frame whose header has not arrived whole
        self._skip = 0  # bytes up to the next header
        self._refused = False

    def feed_data(self, data: bytes) -> Any:
        if not self._refused and not self._all_masked(data):
            self._refused = True
            self._refuse()
        return (False, b"") if self._refused else self._parser.feed_data(data)

    def feed_eof(self) -> Any:
        return self._parser.feed_eof()

    def _all_masked(self, data: bytes) -> bool:
        at, data, self._head = self._skip, self._head + data, b""
        while at < len(data):
            if len(data) < at + 2:
                self._head, at = data[at:], len(data)
                break
            if not data[at + 1] & 0x80:
                return False
            size, more = data[at + 1] & 0x7F, 0
            if size >= 126:
                more = 2 if size == 126 else 8
                if len(data) < at + 2 + more:
                    self._head, at = data[at:], len(data)
                    break
                size = int.from_bytes(data[at + 2 : at + 2 + more], "big")
            at += 2 + more + 4 + size
        self._skip = at - len(data)
        return True


async def echo(request: web.Request) -> web.StreamResponse:
    """Send back what comes, until either side closes."""
    options = request.app[OPTIONS]
    response = web.WebSocketResponse(
        compress=False,
        max_msg_size=options.max_message_bytes + 1,  # aiohttp refuses what reaches it
        heartbeat=2 * options.idle_timeout_s,
        timeout=CLOSE_WAIT_S,
        autoclose=False,
    )
    await response.prepare(request)
    _insist_on_masks(request, response)
    peers: weakref.WeakSet[Any] = request.app[PEERS]
    peers.add(response)
    try:
        while True:
            message = await response.receive()
            if message.type is WSMsgType.BINARY:
                await response.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await response.send_str(message.data)
            else:
                break
        if message.type is WSMsgType.CLOSE:
            code = message.data or WSCloseCode.OK
            await response.close(code=WSCloseCode.PROTOCOL_ERROR if code in NEVER_SENT else code)
    except ConnectionResetError:
        pass  # the peer went while its echo was under way
    finally:
        peers.discard(response)
    return response


def _insist_on_masks(request: web.Request, response: web.WebSocketResponse) -> None:
    """Aiohttp has no switch for it: its parser is wrapped, and fails as it does for other wrong frames."""
    protocol: Any = request.protocol
    reader: Any = response._reader  # noqa: SLF001

    def refuse() -> None:
        reader.set_exception(WebSocketError(WSCloseCode.PROTOCOL_ERROR, "an unmasked frame"))

    protocol._payload_parser = MaskedFrames(protocol._payload_parser, refuse)  # noqa: SLF001


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
