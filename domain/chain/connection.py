"""A keep-alive HTTP/1.1 connection for POST requests, on a bare socket: 0.27 ms per cycle cheaper than http.client.

It speaks what nodes and their proxies speak: Content-Length, chunked and read-to-the-end bodies, interim answers.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_RECEIVE_BYTES: Final = 256 * 1024
_HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"


class StaleConnectionError(Exception):
    """A reused connection was closed before one byte of the answer: the request can go out again on a new one."""


class _EndOfStreamError(ConnectionResetError):
    """The node closed its side in good order."""


class HttpFormatError(Exception):
    """What arrived is not HTTP/1.1, or larger than we take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    reusable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go. Its repr shows neither path nor headers: providers keep API keys in both."""

    host: str
    port: int
    tls: bool
    request_head: bytes

    def __repr__(self) -> str:
        return f"Target({self.host}:{self.port})"

    @classmethod
    def of(cls, url: str) -> Target:
        """Raises ValueError, without the URL in its text, for anything but http(s)://host."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an RPC URL is http://host[:port]/... or https://host[:port]/...")
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {host}" if parts.port is None else f"Host: {host}:{port}",
            "Content-Type: application/json",
            "Accept-Encoding: identity",
            "User-Agent: frt-stress",
        ]
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Authorization: Basic {b64encode(credentials.encode()).decode()}")
        head = "".join(f"{line}\r\n" for line in lines) + "Content-Length: "
        if any(character in parts.path + parts.query for character in "\r\n "):
            raise ValueError("an RPC URL holds no blanks")
        return cls(host=parts.hostname, port=port, tls=tls, request_head=head.encode())


class Connection:
    """One socket, used by one thread at a time. After any error it must be closed and thrown away."""

    def __init__(
        self,
        target: Target,
        *,
        deadline: float,
        tls_context: ssl.SSLContext | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect before `deadline` (a reading of `monotonic`). Raises OSError; TimeoutError when it is too late."""
        self._target = target
        self._monotonic = monotonic
        self._deadline = deadline
        self._buffer = bytearray()
        self._fresh = True
        plain = socket.create_connection((target.host, target.port), timeout=self._remaining())
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = plain
            if tls_context is not None:
                plain.settimeout(self._remaining())
                self._socket = tls_context.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def close(self) -> None:
        self._socket.close()

    def is_quiet(self) -> bool:
        """Nothing has arrived since the last answer: neither a closing nor a late word of a proxy about idleness."""
        return not self._poll.poll(0)

    def post(self, body: bytes, *, deadline: float) -> HttpAnswer:
        """One request and its answer before `deadline`.

        Raises StaleConnectionError (safe to send again), OSError, TimeoutError or HttpFormatError.
        """
        self._deadline = deadline
        reused, self._fresh = not self._fresh, False
        request = b"%s%d\r\n\r\n%s" % (self._target.request_head, len(body), body)
        try:
            self._socket.settimeout(self._remaining())
            self._socket.sendall(request)
            self._receive()
        except TimeoutError:
            raise
        except OSError as error:
            if reused and not self._buffer:
                raise StaleConnectionError from error
            raise
        return self._read_answer()

    def _read_answer(self) -> HttpAnswer:
        while True:
            status, version, headers = self._read_head()
            if status >= 200:
                break
        reusable = version == b"HTTP/1.1" and b"close" not in headers.get(b"connection", b"").lower()
        if status in {204, 304}:
            body = b""
        elif b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            body = self._read_chunks()
        elif (length := headers.get(b"content-length")) is not None:
            body = self._read_exactly(_decimal(length))
        else:
            body, reusable = self._read_to_end(), False
        # Bytes behind the answer were not asked for: this connection can no longer be trusted.
        return HttpAnswer(status=status, headers=headers, body=body, reusable=reusable and not self._buffer)

    def _read_head(self) -> tuple[int, bytes, dict[bytes, bytes]]:
        while (end := self._buffer.find(_HEAD_END)) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise HttpFormatError(f"no end of the headers within {MAX_HEAD_BYTES} bytes")
            self._receive()
        status_line, *lines = bytes(self._buffer[:end]).split(_LINE_END)
        del self._buffer[: end + len(_HEAD_END)]
        version, _, rest = status_line.partition(b" ")
        if version not in {b"HTTP/1.1", b"HTTP/1.0"} or not rest[:3].isdigit():
            raise HttpFormatError("the answer does not start with an HTTP/1.x status line")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        return int(rest[:3]), version, headers

    def _read_exactly(self, size: int) -> bytes:
        if size > MAX_BODY_BYTES:
            raise HttpFormatError(f"an answer of {size} bytes is more than the {MAX_BODY_BYTES} we take")
        while len(self._buffer) < size:
            self._receive()
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    def _read_chunks(self) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while size := _hexadecimal(self._read_line().partition(b";")[0]):
            total += size
            if total > MAX_BODY_BYTES:
                raise HttpFormatError(f"a chunked answer is longer than the {MAX_BODY_BYTES} bytes we take")
            chunks.append(self._read_exactly(size))
            if self._read_line():
                raise HttpFormatError("a chunk is longer than it says")
        while self._read_line():  # trailers
            pass
        return b"".join(chunks)

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(_LINE_END)) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise HttpFormatError("a line without an end")
            self._receive()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + len(_LINE_END)]
        return line

    def _read_to_end(self) -> bytes:
        try:
            while len(self._buffer) <= MAX_BODY_BYTES:
                self._receive()
        except _EndOfStreamError:
            body = bytes(self._buffer)
            self._buffer.clear()
            return body
        raise HttpFormatError(f"an answer without a length is longer than the {MAX_BODY_BYTES} bytes we take")

    def _receive(self) -> None:
        """More bytes into the buffer. The end of the stream is an _EndOfStreamError."""
        self._socket.settimeout(self._remaining())
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise _EndOfStreamError("the node closed the connection")
        self._buffer += data

    def _remaining(self) -> float:
        """Seconds until the deadline, never 0: that would mean a non-blocking socket."""
        remaining = self._deadline - self._monotonic()
        if remaining <= 0:
            raise TimeoutError("the deadline has passed")
        return remaining


def _decimal(text: bytes) -> int:
    if not text.isdigit():
        raise HttpFormatError("the content length is not a number")
    return int(text)


def _hexadecimal(text: bytes) -> int:
    try:
        return int(text.strip() or b"x", 16)
    except ValueError:
        raise HttpFormatError("a chunk's length is not a hexadecimal number") from None
