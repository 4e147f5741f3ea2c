"""The echo server on picows: callbacks get frames, so messages, UTF-8 and extension bits are judged here.

picows itself refuses bad opcodes, unmasked frames, long or fragmented control frames, bad lengths and close codes. It
reads one frame ahead, so a second close frame that comes with the first is answered 1002 before the first is seen.
"""

from __future__ import annotations

import asyncio
import codecs
import socket
from typing import Any

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from ops.bench.echo.options import ServerOptions

CLOSE_WAIT_S = 1.0
NEVER_SENT = frozenset({1004, 1005, 1006, 1015})  # RFC 6455 7.4.1
# Looked up once: this is what every message passes.
BINARY, TEXT, CONTINUATION = WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.CONTINUATION


class EchoConnection(WSListener):
    """One client. Whole messages go back at once; fragments are gathered, and text is checked as it arrives."""

    def __init__(self, peers: set[WSTransport], max_message_bytes: int) -> None:
        super().__init__()
        self._peers = peers
        self._max_bytes = max_message_bytes
        self._kind: Any = None  # of the fragmented message that is arriving
        self._parts = bytearray()
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._peers.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._peers.discard(transport)

    def pause_writing(self) -> None:
        """A peer that does not read is not read from, either."""
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a reserved bit is set")
        if kind is BINARY and frame.fin and self._kind is None:
            transport.send(BINARY, frame.get_payload_as_bytes())  # says nothing after our close (RFC 6455 5.5.1)
        elif transport.is_close_frame_sent:
            if kind is WSMsgType.CLOSE:
                transport.disconnect()
        elif kind in (BINARY, TEXT, CONTINUATION):
            self._on_data(transport, frame)
        elif kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            self._on_close(transport, frame)

    def _on_data(self, transport: WSTransport, frame: WSFrame) -> None:
        continued = frame.msg_type is CONTINUATION
        if continued != (self._kind is not None):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a fragment out of place")
        kind = self._kind if continued else frame.msg_type
        payload = frame.get_payload_as_bytes()
        if len(self._parts) + len(payload) > self._max_bytes:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, f"more than {self._max_bytes} bytes")
        if kind is TEXT:
            try:
                self._text.decode(payload, final=bool(frame.fin))
            except UnicodeDecodeError:
                raise WSProtocolError(WSCloseCode.INVALID_TEXT, "not UTF-8") from None
        if not frame.fin:
            self._kind = kind
            self._parts += payload
            return
        transport.send(kind, self._parts + payload if continued else payload)
        self._kind = None
        self._parts = bytearray()

    def _on_close(self, transport: WSTransport, frame: WSFrame) -> None:
        code: Any = WSCloseCode.OK
        if frame.payload_size:
            code = frame.get_close_code()  # an int, whatever its type says
            if code < 1000 or code in NEVER_SENT:  # picows lets these pass
                raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a close code that is none")
        transport.send_close(code, frame.get_close_message())
        transport.disconnect()


async def serve(options: ServerOptions, sock: socket.socket, stop: asyncio.Event) -> None:
    """Echo until ``stop``, then close every connection with 1001."""
    peers: set[WSTransport] = set()

    def accept(_: WSUpgradeRequest) -> WSListener:
        return EchoConnection(peers, options.max_message_bytes)

    server = await ws_create_server(
        accept,
        sock=sock,
        backlog=4096,
        max_frame_size=options.max_message_bytes,
        enable_auto_ping=True,
        auto_ping_idle_timeout=options.idle_timeout_s,
        auto_ping_reply_timeout=options.idle_timeout_s,
        auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
        enable_auto_pong=False,
        logger_name="echo",
    )
    await stop.wait()
    server.close()
    leaving = list(peers)
    for transport in leaving:
        transport.send_close(WSCloseCode.GOING_AWAY)
    if leaving:
        gone = [asyncio.ensure_future(transport.wait_disconnected()) for transport in leaving]
        await asyncio.wait(gone, timeout=CLOSE_WAIT_S)
        for transport in leaving:
            transport.disconnect(graceful=False)
        await asyncio.gather(*gone, return_exceptions=True)
