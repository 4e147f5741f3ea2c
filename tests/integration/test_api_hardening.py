"""The web server as a process against clients that mean harm: slow ones, large heads; and with TLS."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from domain.store.client import connect
from domain.store.gateway import RedisStore
from tests.support.api_kit import POOL_ID, furnish, request
from tests.support.api_process import DEADLINE_S, api_process
from tests.support.redis_server import redis_server

BODY = json.dumps(request("list_pools")).encode()
HEADERS = {"Content-Type": "application/json"}


@contextmanager
def serving(folder: Path, before: str = "", **settings: str) -> Iterator[int]:
    """The port of a web server over a real Redis with one pool."""
    with redis_server() as url:
        furnish(RedisStore(connect(url)))
        with api_process(folder, url, before=before, **settings) as api:
            yield api.port


def ask(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", "/rpc", BODY, HEADERS)
    with connection.getresponse() as answer:
        document = json.loads(answer.read())
    assert document["result"]["pools"][0]["pool_id"] == POOL_ID
    return answer.status


def closed_by_server(client: socket.socket) -> bool:
    """Waits for the end of the connection; an answer that refuses may come before it."""
    client.settimeout(DEADLINE_S)
    try:
        while client.recv(65_536):
            pass
    except ConnectionError:
        return True
    return True


def trickle(client: socket.socket, text: bytes, ended: threading.Event) -> None:
    """One byte at a time, so that no time limit on a single read would ever end it."""
    for number in range(len(text)):
        if ended.wait(0.05):
            return
        try:
            client.sendall(text[number : number + 1])
        except OSError:
            return


def test_slow_senders_are_cut_off_and_hold_nobody_up(tmp_path: Path) -> None:
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    slow_heads = [head + b"X-Slow: " + b"a" * 4_000] * 3
    slow_bodies = [head + b"Content-Length: 4000\r\n\r\n" + b"a" * 3_000] * 3
    slow_chunks = [head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 500] * 3
    settings = {"max_waiting_requests": "0", "max_live_listeners": "0", "receive_timeout_s": "1.5"}
    with serving(tmp_path, **settings) as port:
        ended = threading.Event()
        texts = (slow_heads + slow_bodies + slow_chunks) * 6  # more than the threads
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in texts]
        threads = [
            threading.Thread(target=trickle, args=(client, text, ended))
            for client, text in zip(clients, texts, strict=True)
        ]
        try:
            for thread in threads:
                thread.start()
            began = time.monotonic()
            assert all(closed_by_server(client) for client in clients)
            assert time.monotonic() - began < DEADLINE_S
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
            assert ask(connection) == 200
            assert ask(connection) == 200, "the connection is kept alive"
            connection.close()
        finally:
            ended.set()
            for thread in threads:
                thread.join(timeout=DEADLINE_S)
            for client in clients:
                client.close()


def test_who_says_nothing_holds_no_thread(tmp_path: Path) -> None:
    settings = {"max_waiting_requests": "0", "max_live_listeners": "0", "receive_timeout_s": "30"}
    with ExitStack() as stack:
        with serving(tmp_path, **settings) as port:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(100)]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
            began = time.monotonic()
            assert ask(connection) == 200
            assert time.monotonic() - began < 4, "gunicorn by itself gives each silent connection a thread for 5 s"
            connection.close()
            clients[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            clients[0].settimeout(DEADLINE_S)
            assert clients[0].recv(65_536).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
        assert time.monotonic() - began < 8, "at the end, who said nothing is not waited for"


def test_an_answer_that_nobody_takes_holds_its_thread_only_for_so_long(tmp_path: Path) -> None:
    batch = json.dumps([request("list_pools")] * 8_000).encode()
    head = f"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(batch)}\r\n"
    two_threads = (
        "import api.receiving, api.serve\n"
        "api.receiving.TAKE_TIMEOUT_S = 0\n"
        "api.serve.READ_THREADS = api.serve.LINGERERS = 1\n"
    )
    settings = {"max_batch": "10000", "request_timeout_s": "2", "max_waiting_requests": "0", "max_live_listeners": "0"}
    with serving(tmp_path, two_threads, **settings) as port:
        clients = [socket.socket() for _ in range(2)]
        try:
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                client.connect(("127.0.0.1", port))
                client.settimeout(DEADLINE_S)
                client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + batch)
                assert client.recv(12) == b"HTTP/1.1 200", "the answer is on its way"
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
            began = time.monotonic()
            assert ask(connection) == 200
            assert time.monotonic() - began < 15, "else it is half a minute, or for ever if a byte is taken meanwhile"
            connection.close()
        finally:
            for client in clients:
                client.close()


def test_bodies_in_chunks(tmp_path: Path) -> None:
    with serving(tmp_path, max_body_bytes="4096") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        for number, size in enumerate((0, 3_000, 5_000)):
            body = BODY + b" " * size
            pieces = (body[at : at + 700] for at in range(0, len(body), 700))
            connection.request("POST", "/rpc", pieces, HEADERS, encode_chunked=True)
            with connection.getresponse() as answer:
                document = json.loads(answer.read())
                assert answer.status == (413 if number == 2 else 200)
                assert ("result" in document) == (number < 2)
        connection.close()


def test_few_connections_are_kept_alive_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, max_connections="8") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        assert ask(connection) == 200
        assert connection.sock is not None, "the server did not say that it closes"
        connection.close()


def test_pipelined_requests_and_large_heads(tmp_path: Path) -> None:
    with serving(tmp_path, max_header_fields="20", max_header_bytes="1000") as port:
        head = f"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}"
        one = head.encode() + b"\r\n\r\n" + BODY
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
            client.sendall(one * 5)
            seen = b""
            while seen.count(b"HTTP/1.1 200 OK") < 5 or not seen.endswith(b"}"):
                data = client.recv(65_536)
                assert data, seen
                seen += data
            for pieces in ([one], [one[:30], one[30:-5], one[-5:]], [one + one[:40], one[40:]], [one]):
                seen, wanted = b"", 2 if len(pieces) == 2 else 1
                for piece in pieces:
                    client.sendall(piece)
                    threading.Event().wait(0.05)  # so that the server sees them one by one
                while seen.count(b"HTTP/1.1 200 OK") < wanted or not seen.endswith(b"}"):
                    data = client.recv(65_536)
                    assert data, seen
                    seen += data
        for extra in ({f"X-{number}": "1" for number in range(30)}, {"X-Long": "a" * 2_000}):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
            connection.request("POST", "/rpc", BODY, HEADERS | extra)
            assert connection.getresponse().status in (400, 431)
            connection.close()


def test_https(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with serving(tmp_path, tls_certificate=str(certificate), tls_key=str(key)) as port:
        context = ssl.create_default_context(cafile=str(certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=DEADLINE_S, context=context)
        assert ask(connection) == 200
        assert ask(connection) == 200
        connection.request("GET", "/health/live")
        assert "max-age" in connection.getresponse().headers["Strict-Transport-Security"]
        connection.close()
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        try:
            plain.request("POST", "/rpc", BODY, HEADERS)
            assert plain.getresponse().status == 400
        except (http.client.HTTPException, ConnectionError):
            pass  # the server hung up
        finally:
            plain.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
