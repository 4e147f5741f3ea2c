"""The short way of a status read: a whole request that came in one piece is read by httptools and answered at once.

Gunicorn's own reading and writing cost several times what the read itself costs. Only the plainest requests go this way
(one POST /rpc, each header once, nothing before or after it); of all others nothing was touched, and gunicorn has them.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import httptools
from gunicorn.util import http_date  # type: ignore[import-untyped]

from api.direct import DirectRpc

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

LARGEST: Final = 65_536  # bytes of a request
LARGEST_HEAD: Final = 2_048
MOST_FIELDS: Final = 16
STRANGE: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"connection", b"trailer", b"te"})


class PlainRequest:
    """What httptools found. ``plain`` turns false with anything that gunicorn should look at."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.complete = 0
        self.plain = True
        self.method = b""
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.plain = False
            return
        self.method = parser.get_method()
        self.plain = self.plain and self.complete == 1 and parser.get_http_version() == "1.1"

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self.complete or name in self.fields or name in STRANGE or b"_" in name:
            self.plain = False
        self.fields[name] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_begin(self) -> None:
        self.plain = self.plain and not self.complete

    def on_message_complete(self) -> None:
        self.complete += 1

    def environ(self, peer: str) -> dict[str, Any]:
        """As much of a WSGI environment as the door and the site ask for."""
        found: dict[str, Any] = {
            f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1")
            for name, value in self.fields.items()
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            found[name] = found.pop(f"HTTP_{name}", "")
        path = self.url.decode("latin-1")
        return found | {
            "REQUEST_METHOD": self.method.decode("latin-1"),
            "PATH_INFO": path,
            "REMOTE_ADDR": peer,
            "wsgi.input": BytesIO(self.body),
        }


def answer(data: bytes, peer: str, application: DirectRpc) -> bytes | None:
    """The whole HTTP answer, or None when the request does not go this way; then nothing has happened."""
    if not data.startswith(b"POST /rpc HTTP/1.1\r\n") or len(data) >= LARGEST:
        return None
    found = PlainRequest(data)
    if not found.plain or len(found.fields) > MOST_FIELDS or len(data) - len(found.body) > LARGEST_HEAD:
        return None
    environ = found.environ(peer)
    if not application.takes(environ):
        return None
    head = bytearray()

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        lines = [f"HTTP/1.1 {status}", "Server: gunicorn", f"Date: {http_date()}", "Connection: keep-alive"]
        if not any(name == "Content-Length" for name, _ in headers) and not status.startswith("204"):
            lines.append("Content-Length: 0")
        head.extend("\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "\r\n"]).encode("latin-1"))

    started: StartResponse = start_response
    body = b"".join(application(environ, started))
    return bytes(head) + body
