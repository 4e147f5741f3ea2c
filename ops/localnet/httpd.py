"""HTTP: a bare asyncio protocol over the httptools parser, answering in order on each connection.

Frameworks cost more than the methods themselves here (CELERY.md 5.2).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools
import orjson

from ops.localnet.errors import RpcError
from ops.localnet.faults import UNHARMED, RequestFate
from ops.localnet.rpc.dispatch import Dispatcher, error_answer, is_local, parse

LAG_PATH = b"/lag"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    405: "Method Not Allowed",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
}
_CORS = b"access-control-allow-origin: *\r\n"
_PREFLIGHT_CORS = b"".join(
    (
        b"access-control-allow-methods: OPTIONS, POST\r\n",
        b"access-control-allow-headers: *\r\n",
        b"access-control-max-age: 86400\r\n",
    )
)
_JSON, _TEXT = b"application/json; charset=utf-8", b"text/plain; charset=utf-8"
_TOO_MANY = orjson.dumps(error_answer(None, 429, "Too many requests for a specific RPC call"))


#: Draws what happens to the next request.
FateSource = Callable[[], RequestFate]


@dataclass(slots=True)
class _Request:
    method: bytes
    path: bytes
    body: bytes
    content_type: bytes
    too_large: bool
    keep_alive: bool


def _head(status: int, kind: bytes, length: int, *, keep_alive: bool, extra: bytes = b"") -> bytes:
    close = b"" if keep_alive else b"connection: close\r\n"
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b%b\r\n" % (
        status,
        _REASONS[status].encode(),
        kind,
        length,
        _CORS,
        extra,
        close,
    )


class HttpConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, dispatcher: Dispatcher, draw_fate: FateSource, max_body_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._draw_fate = draw_fate
        self._max_body_bytes = max_body_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[_Request] = deque()
        self._delay: asyncio.TimerHandle | None = None
        self._start_message()

    def _start_message(self) -> None:
        self._url = b""
        self._content_type = b""
        self._chunks: list[bytes] = []
        self._length = 0

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._transport = None
        if self._delay is not None:
            self._delay.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._close()
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.write(_head(400, _TEXT, 0, keep_alive=False))
            self._close()

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._start_message()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered == b"content-type":
            self._content_type = value.lower()
        elif lowered == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._length += len(body)
        if self._length <= self._max_body_bytes:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        request = _Request(
            method=self._parser.get_method(),
            path=self._url.partition(b"?")[0],
            body=b"".join(self._chunks),
            content_type=self._content_type,
            too_large=self._length > self._max_body_bytes,
            keep_alive=self._parser.should_keep_alive(),
        )
        self._waiting.append(request)
        if self._delay is None:
            self._serve_waiting()

    # Serving.

    def _serve_waiting(self) -> None:
        """Answer what has arrived, in order; a delayed answer holds back those behind it."""
        while self._waiting and self._delay is None and self._transport is not None:
            self._serve(self._waiting.popleft())

    def _serve(self, request: _Request) -> None:
        if request.method != b"POST" or request.too_large or not request.content_type.startswith(b"application/json"):
            self._serve_plain(request)
            return
        try:
            document = parse(request.body)
        except RpcError as error:
            self._reply(request, orjson.dumps(error_answer(None, error.code, error.message)))
            return
        fate = UNHARMED if is_local(document) else self._draw_fate()
        if fate.request_lost:
            self._close()
            return
        if fate.status != 200:
            extra = b"retry-after: 1\r\n" if fate.status == 429 else b""
            self._finish(request, fate, _TOO_MANY if fate.status == 429 else b"", extra)
            return
        lagging = request.path.rstrip(b"/") == LAG_PATH
        self._finish(request, fate, self._dispatcher.answer(document, lagging=lagging, reordered=fate.reordered))

    def _serve_plain(self, request: _Request) -> None:
        """Everything that is no JSON-RPC call, answered as a validator does."""
        if request.method == b"OPTIONS":
            self._write(request, 200, _TEXT, b"", _PREFLIGHT_CORS)
        elif request.method == b"GET" and request.path == b"/health":
            self._write(request, 200, _TEXT, b"ok")
        elif request.method != b"POST":
            self._write(request, 405, _TEXT, b"Used HTTP Method is not allowed. POST or OPTIONS is required")
        elif request.too_large:
            self._write(request, 413, _TEXT, b"Payload Too Large")
        else:
            text = b"Supplied content type is not allowed. Content-Type: application/json is required"
            self._write(request, 415, _TEXT, text)

    def _finish(self, request: _Request, fate: RequestFate, body: bytes, extra: bytes = b"") -> None:
        if fate.delay_s:
            loop = asyncio.get_running_loop()
            self._delay = loop.call_later(fate.delay_s, self._deliver_late, request, fate, body, extra)
        else:
            self._deliver(request, fate, body, extra)

    def _deliver_late(self, request: _Request, fate: RequestFate, body: bytes, extra: bytes) -> None:
        self._delay = None
        self._deliver(request, fate, body, extra)
        self._serve_waiting()

    def _deliver(self, request: _Request, fate: RequestFate, body: bytes, extra: bytes) -> None:
        if fate.reply_lost:
            self._close()
        else:
            self._write(request, fate.status, _JSON, body, extra)

    def _reply(self, request: _Request, body: bytes) -> None:
        self._write(request, 200, _JSON, body)

    def _write(self, request: _Request, status: int, kind: bytes, body: bytes, extra: bytes = b"") -> None:
        if self._transport is None:
            return
        head = _head(status, kind, len(body), keep_alive=request.keep_alive, extra=extra)
        self._transport.write(head + body)
        if not request.keep_alive:
            self._close()

    def _close(self) -> None:
        self._waiting.clear()
        if self._transport is not None:
            self._transport.close()
