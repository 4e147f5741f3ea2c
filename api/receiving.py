"""Gunicorn's threaded worker with an end to patience, and with short ways for busy connections.

A request that trickles in, or an answer that nobody takes, holds one of the threads only for so long. After an answer a
thread stays with its connection for a moment: gunicorn's own way back through the main loop, and from there to another
thread, costs more time than a status read.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import Iterable
from io import BytesIO
from threading import Semaphore, get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from api import short_way
from api.direct import DirectRpc
from domain.runtime.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

LINGER_MS: Final = 200
LINGERERS: Final = 32  # threads that may stay with a connection at once; api/serve.py has as many more
SEND_TIMEOUT_S: Final = 30  # without the client taking a single byte


class ImpatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Head and body must have arrived ``receive_timeout_s`` after a thread began to read them.

    The body is read here, up to the limit that the application has; so an application never waits for a client.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._receiving: dict[int, tuple[float, Any]] = {}  # thread -> deadline, connection
        settings: Settings = self.app.settings
        self._lingering = Semaphore(LINGERERS)
        self._timeout_s = settings.receive_timeout_s
        self._max_body = settings.max_body_bytes

    def load_wsgi(self) -> None:
        super().load_wsgi()
        loaded: WSGIApplication = self.wsgi
        self._direct: DirectRpc = self.app.wsgi().wsgi_app
        self.wsgi: WSGIApplication = self._after_the_body(loaded)

    def handle(self, conn: Any) -> Any:
        thread = get_ident()
        if not conn.initialized:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))
        while True:
            self._receiving[thread] = (monotonic() + self._timeout_s, conn)
            try:
                result = super().handle(conn)
            finally:
                self._receiving.pop(thread, None)
            if result is not True:
                return result
            while self._more_comes(conn):
                more = self._short_way(conn, thread)
                if more is None:
                    break  # gunicorn's turn
                if not more:
                    return False
            else:
                return True

    def _short_way(self, conn: Any, thread: int) -> bool | None:
        """True: answered; False: the connection is at its end; None: gunicorn must read what came."""
        self._receiving[thread] = (monotonic() + self._timeout_s, conn)
        try:
            data = conn.sock.recv(short_way.LARGEST)
            self._receiving.pop(thread, None)
            if not data:
                return False
            peer = conn.client[0] if isinstance(conn.client, tuple) else ""
            answer = short_way.answer(data, peer, self._direct)
            if answer is None:
                conn.parser.unreader.unread(data)
                return None
            conn.sock.sendall(answer)
        except OSError:
            return False
        else:
            return True
        finally:
            self._receiving.pop(thread, None)

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
        now = monotonic()
        for deadline, conn in list(self._receiving.values()):
            if deadline < now:
                try:
                    # of the plain socket: a TLS one would wait for the other side to agree
                    socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)
                except OSError:
                    continue  # closed already

    def _after_the_body(self, application: WSGIApplication) -> WSGIApplication:
        def receive(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            length = environ.get("CONTENT_LENGTH", "0")
            size = int(length) if length.isascii() and length.isdecimal() else 0
            if 0 < size <= self._max_body:
                body = environ["wsgi.input"].read(size)
                if len(body) < size:
                    start_response("408 Request Timeout", [("Content-Length", "0"), ("Connection", "close")])
                    return []
                environ["wsgi.input"] = BytesIO(body)
            self._receiving.pop(get_ident(), None)
            return application(environ, start_response)

        return receive
