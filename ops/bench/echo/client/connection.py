"""One client's connection: sends what it is told to, and matches every echo by id.

What it does for each message is what the fastest server is measured against, so the usual way is one straight line.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from ops.bench.echo.client.messages import Messages
from ops.bench.echo.client.tally import LATE_NS, Tally

ID_BITS: Final = 32  # message id = client id << 32 | number


class Measured:
    """What the connections of one process share: the measured time, counts, samples."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages
        self.kind = WSMsgType.TEXT if messages.text else WSMsgType.BINARY
        self.tally = Tally()
        self.latencies_ns: array[int] = array("q")
        self.begins_ns = 0
        self.ends_ns = 0

    def counts(self, planned_ns: int) -> bool:
        return self.begins_ns <= planned_ns < self.ends_ns


class Connection(WSListener):
    """``closed_loop``: the next message follows each echo until the time is over."""

    def __init__(self, client_id: int, measured: Measured, *, closed_loop: bool, on_lost: Callable[[], None]) -> None:
        super().__init__()
        self.client_id = client_id
        self.pending: dict[int, tuple[int, bytes]] = {}
        self._first_id = self._next_id = client_id << ID_BITS
        self._newest_id = -1  # of the echoes so far
        self._measured = measured
        self._tally = measured.tally
        self._kind = measured.kind
        self._make = measured.messages.make
        self._id_of = measured.messages.id_of
        self._closed_loop = closed_loop
        self._on_lost = on_lost
        self._transport: WSTransport | None = None
        self._fragments: list[Any] = []  # the kind of a fragmented message that is arriving, and its parts

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 -- the library's signature
        self._transport = None
        self._fragments.clear()
        self._on_lost()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, planned_ns: int) -> None:
        """One message, due at ``planned_ns``; without a connection it counts as not sent."""
        measured, transport = self._measured, self._transport
        counts = measured.begins_ns <= planned_ns < measured.ends_ns
        if transport is None:
            self._tally.not_sent += counts
            return
        message_id = self._next_id
        self._next_id = message_id + 1
        message = self._make(message_id, self.client_id, planned_ns)
        self.pending[message_id] = (planned_ns, message)
        transport.send(self._kind, message)
        if counts:
            self._tally.sent += 1
            if not self._closed_loop and monotonic_ns() - planned_ns > LATE_NS:
                self._tally.late += 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = monotonic_ns()
        if frame.msg_type is not self._kind or self._fragments or not frame.fin:
            self._on_other(transport, frame, now_ns)
            return
        echo = frame.get_payload_as_bytes()
        self._on_echo(echo, now_ns)

    def _on_other(self, transport: WSTransport, frame: WSFrame, now_ns: int) -> None:
        """Control frames, fragments, and data of the other kind."""
        kind = frame.msg_type
        if kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            transport.disconnect()
        elif kind is not WSMsgType.PONG:
            if kind is not WSMsgType.CONTINUATION:
                self._fragments = [kind]
            self._fragments.append(frame.get_payload_as_bytes())
            if frame.fin:
                first, *parts = self._fragments
                self._fragments = []
                if first is self._kind:
                    self._on_echo(b"".join(parts), now_ns)
                else:
                    self._tally.mismatched += 1

    def _on_echo(self, echo: bytes, now_ns: int) -> None:
        message_id = self._id_of(echo)
        sent = self.pending.pop(message_id, None)
        if sent is None:
            if self._first_id <= message_id < self._next_id:
                self._tally.duplicated += 1
            else:
                self._tally.mismatched += 1
            return
        planned_ns, message = sent
        measured = self._measured
        if measured.begins_ns <= planned_ns < measured.ends_ns:
            measured.latencies_ns.append(now_ns - planned_ns)
            self._tally.bytes_received += len(echo)
            if echo != message:
                self._tally.mismatched += 1
            if message_id < self._newest_id:
                self._tally.out_of_order += 1
            else:
                self._newest_id = message_id
        if self._closed_loop and now_ns < measured.ends_ns and not self.pending:
            self.send(now_ns)

    def lose_pending(self) -> None:
        """What has no echo will not get one: the connection is gone, or the waiting is over."""
        self._tally.lost += sum(self._measured.counts(planned_ns) for planned_ns, _ in self.pending.values())
        self.pending.clear()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()
