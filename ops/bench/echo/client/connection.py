"""One client's connection: sends what it is told to, and matches every echo by id."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

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
        self.sent = 0  # with warm-up, for the progress line
        self.received = 0

    def counts(self, planned_ns: int) -> bool:
        return self.begins_ns <= planned_ns < self.ends_ns


class Connection(WSListener):
    """``closed_loop``: the next message follows each echo until the time is over."""

    def __init__(self, client_id: int, measured: Measured, *, closed_loop: bool, on_lost: Callable[[], None]) -> None:
        super().__init__()
        self.client_id = client_id
        self.number = 0
        self.pending: dict[int, tuple[int, bytes]] = {}
        self._measured = measured
        self._closed_loop = closed_loop
        self._on_lost = on_lost
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 -- the library's signature
        self._transport = None
        self._on_lost()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, planned_ns: int) -> None:
        """One message, due at ``planned_ns``; without a connection it counts as not sent."""
        measured = self._measured
        counts = measured.counts(planned_ns)
        transport = self._transport
        if counts:
            measured.tally.planned += 1
        if transport is None:
            measured.tally.not_sent += counts
            return
        message_id = self.client_id << ID_BITS | self.number
        self.number += 1
        message = measured.messages.make(message_id, self.client_id, planned_ns)
        self.pending[message_id] = (planned_ns, message)
        transport.send(measured.kind, message)
        measured.sent += 1
        if counts:
            measured.tally.sent += 1
            if not self._closed_loop and monotonic_ns() - planned_ns > LATE_NS:
                measured.tally.late += 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = monotonic_ns()
        if frame.msg_type == self._measured.kind:
            self._on_echo(frame.get_payload_as_bytes(), now_ns)
            if self._closed_loop and now_ns < self._measured.ends_ns and not self.pending:
                self.send(now_ns)
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type != WSMsgType.PONG:
            self._measured.tally.mismatched += 1  # the other kind of data

    def _on_echo(self, echo: bytes, now_ns: int) -> None:
        measured, tally = self._measured, self._measured.tally
        message_id = measured.messages.id_of(echo)
        sent = None if message_id is None else self.pending.pop(message_id, None)
        if sent is None:
            known = message_id is not None and message_id >> ID_BITS == self.client_id
            if known and message_id is not None and message_id & (1 << ID_BITS) - 1 < self.number:
                tally.duplicated += 1
            else:
                tally.mismatched += 1
            return
        planned_ns, message = sent
        measured.received += 1
        if not measured.counts(planned_ns):
            return
        tally.received += 1
        tally.bytes_received += len(echo)
        measured.latencies_ns.append(now_ns - planned_ns)
        if echo != message:
            tally.mismatched += 1
        if self.pending and next(iter(self.pending)) < (message_id or 0):
            tally.out_of_order += 1

    def lose_pending(self) -> None:
        """What has no echo will not get one: the connection is gone, or the waiting is over."""
        lost = sum(self._measured.counts(planned_ns) for planned_ns, _ in self.pending.values())
        self._measured.tally.lost += lost
        self.pending.clear()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()
