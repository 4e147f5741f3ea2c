"""Gunicorn's threaded worker with an end to patience, and with a shorter way for busy connections.

A request that trickles in, or an answer that trickles out, holds one of the threads only for so long; a connection that
has sent nothing yet holds none. After an answer a thread stays with its connection for a moment: the way back through
the main loop, and from there to another thread, costs more time than a status read.
"""

from __future__ import annotations

import select
import selectors
import socket
import ssl
import struct
from collections.abc import Iterable
from functools import partial
from io import BytesIO
from threading import Semaphore, get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from api.live.routes import EVENTS_PATH
from domain.runtime.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

LINGER_MS: Final = 200
LINGERERS: Final = 32  # threads that may stay with a connection at once; api/serve.py has as many more
SEND_TIMEOUT_S: Final = 30  # without the client taking a single byte
TAKE_TIMEOUT_S: Final = 120  # for the client to take a whole answer, beyond the time that a request may last


class ImpatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Head and body must have arrived ``receive_timeout_s`` after a thread began to read them.

    The body is read here, up to the limit that the application has; so an application never waits for a client.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: Settings = self.app.settings
        self._deadlines: dict[int, tuple[float, Any]] = {}  # thread -> when its connection is cut off, the connection
        self._lingering = Semaphore(LINGERERS)
        self._receive_s = settings.receive_timeout_s
        self._answer_s = settings.request_timeout_s + TAKE_TIMEOUT_S
        self._max_body = settings.max_body_bytes
        self.max_keepalived = self.worker_connections  # an idle connection holds no thread, so all of them may idle

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi: WSGIApplication = self._after_the_body(self.wsgi)

    def enqueue_req(self, conn: Any) -> None:
        """A new connection gets a thread once it has sent something: silent ones would hold them all."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.timeout = monotonic() + self._receive_s
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: Any) -> Any:
        thread = get_ident()
        if not conn.initialized:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))
        while True:
            self._deadlines[thread] = (monotonic() + self._receive_s, conn)
            try:
                result = super().handle(conn)
            finally:
                self._deadlines.pop(thread, None)
            if result is not True or not self._more_comes(conn):
                return result

    def _more_comes(self, conn: Any) -> bool:
        """Whether the next request begins to arrive within a moment, and this thread may wait for it."""
        if conn.is_http2 or not self.alive or conn.parser.unreader.buf.getvalue():
            return False  # what was read ahead is gunicorn's to continue
        if not self._lingering.acquire(blocking=False):
            return False
        try:
            if isinstance(conn.sock, ssl.SSLSocket) and conn.sock.pending():
                return True
            waiting = select.poll()
            waiting.register(conn.sock, select.POLLIN)
            return bool(waiting.poll(LINGER_MS)) and self.alive
        finally:
            self._lingering.release()

    def murder_keepalived(self, force: bool = False) -> None:
        """Once a second or more often, from the main loop."""
        super().murder_keepalived(force)
        now_s = monotonic()
        for deadline_s, conn in list(self._deadlines.values()):
            if deadline_s < now_s:
                try:
                    # of the plain socket: a TLS one would wait for the other side to agree
                    socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)
                except OSError:
                    continue  # closed already
        if not self.alive:
            for conn in self.pending_conns:
                conn.timeout = now_s  # nothing came, so nothing is lost

    def _after_the_body(self, application: WSGIApplication) -> WSGIApplication:
        def receive(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            length = environ.get("CONTENT_LENGTH", "")
            size = int(length) if length.isascii() and length.isdecimal() else 0
            if "HTTP_TRANSFER_ENCODING" in environ:
                body = environ["wsgi.input"].read(self._max_body + 1)
                environ["CONTENT_LENGTH"] = str(len(body))  # one byte too long for the application, if it is too long
                del environ["HTTP_TRANSFER_ENCODING"]
                environ["wsgi.input"] = BytesIO(body)
            elif 0 < size <= self._max_body:
                body = environ["wsgi.input"].read(size)
                if len(body) < size:
                    start_response("408 Request Timeout", [("Content-Length", "0"), ("Connection", "close")])
                    return []
                environ["wsgi.input"] = BytesIO(body)
            self._await_taking(endless=environ["PATH_INFO"] == EVENTS_PATH)
            return application(environ, start_response)

        return receive

    def _await_taking(self, *, endless: bool) -> None:
        """What this thread waits for from now on is that the client takes the answer."""
        _, conn = self._deadlines.pop(get_ident(), (0.0, None))
        if conn is not None and not endless:
            self._deadlines[get_ident()] = (monotonic() + self._answer_s, conn)
