"""WebSocket frames by hand, right and wrong ones, over a plain socket: what no library would let us send."""

from __future__ import annotations

import base64
import os
import socket
import struct
from dataclasses import dataclass, field

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = bytes.fromhex("37fa213d")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True, length_bytes=0):
    """One frame; ``length_bytes`` 2 or 8 forces an extended length, minimal or not."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size, bit = len(payload), masked << 7
    if length_bytes == 8 or (not length_bytes and size > 0xFFFF):
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    elif length_bytes == 2 or (not length_bytes and size > 125):
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | size])
    return head + (MASK + mask(payload) if masked else payload)


def mask(payload: bytes) -> bytes:
    size = len(payload)
    key = (MASK * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return struct.pack(">H", code) + reason


@dataclass
class Peer:
    """A connection after the opening handshake."""

    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)

    @classmethod
    def connect(cls, port: int) -> Peer:
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        peer = cls(sock)
        while b"\r\n\r\n" not in peer.buffer:
            peer._receive()
        head, _, rest = bytes(peer.buffer).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        peer.buffer = bytearray(rest)
        return peer

    def send(self, data: bytes, chop: int = 0) -> None:
        """All at once, or in pieces of ``chop`` bytes. A peer that has closed already is no error here."""
        try:
            for at in range(0, len(data), chop or max(1, len(data))):
                self.sock.sendall(data[at : at + (chop or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _receive(self) -> None:
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self.buffer += data

    def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._receive()
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def next_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, fragments not joined. EOFError at the end of the stream."""
        first, second = self._take(2)
        assert not second & 0x80, "a server never masks (RFC 6455 5.1)"
        assert first & 0x80, "an echo in fragments is legal, none of ours does it"
        assert not first & 0x70, "no extension was agreed"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        return first & 0xF, self._take(size)

    def frames_to_end(self) -> list[tuple[int, bytes]]:
        """Everything until the server closes the stream."""
        found = []
        while True:
            try:
                found.append(self.next_frame())
            except EOFError:
                return found

    def close(self) -> None:
        self.sock.close()
