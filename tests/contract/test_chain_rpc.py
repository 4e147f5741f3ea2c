"""The RPC client against a real server on 127.0.0.1 that misbehaves in every way nodes and proxies do."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from domain.chain.errors import (
    RpcErrorObject,
    RpcMalformed,
    RpcMissingAnswer,
    RpcThrottled,
    RpcTimeout,
    RpcUnavailable,
)
from domain.chain.rpc import Call, RpcClient, safe_url
from tests.support.rpc_server import scripted_server

CALLS = [Call("a", "getSlot"), Call("b", "getBalance", ["key"]), Call("c", "getHealth")]


@pytest.fixture
def connect():
    """RpcClient, whose connections are closed when the test is over."""
    clients = []

    def of(url, **options):
        clients.append(RpcClient(url, **options))
        return clients[-1]

    yield of
    for client in clients:
        client.close()


def echo(exchange):
    """Every call's result is its own params."""
    request = exchange.request
    if isinstance(request, list):
        exchange.reply([{"jsonrpc": "2.0", "id": each["id"], "result": each["params"]} for each in request])
    else:
        exchange.result(request["params"])


def chunks(answer: bytes, size: int) -> bytes:
    parts = [answer[start : start + size] for start in range(0, len(answer), size)]
    return b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nTrailer: x\r\n\r\n"


def test_calls_share_one_connection_and_send_one_json_rpc_object(connect):
    with scripted_server(echo) as server:
        client = connect(server.url)
        assert client.call("getBalance", ["k", {"commitment": "confirmed"}]) == ["k", {"commitment": "confirmed"}]
        assert client.call("getSlot") == []
        assert server.connections == 1
        first = server.exchanges[0]
        assert first.request["jsonrpc"] == "2.0"
        assert first.request["method"] == "getBalance"
        assert "POST / HTTP/1.1" in first.head


def test_a_null_result_is_a_result(connect):
    with scripted_server(lambda exchange: exchange.result(None)) as server:
        assert connect(server.url).call("getTransaction", ["s"]) is None


def test_chunked_answers_arrive_whole_even_in_single_bytes_and_the_connection_is_kept(connect):
    def handler(exchange):
        value = {"jsonrpc": "2.0", "id": exchange.request["id"], "result": "x" * 50}
        body = chunks(str(value).replace("'", '"').encode(), 7)
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        for index in range(len(answer)):
            exchange.raw(answer[index : index + 1])

    with scripted_server(handler) as server:
        client = connect(server.url)
        assert [client.call("getSlot"), client.call("getSlot")] == ["x" * 50] * 2
        assert server.connections == 1


def test_an_answer_may_end_with_the_connection_or_follow_an_interim_one(connect):
    def handler(exchange):
        body = b'{"jsonrpc":"2.0","id":%d,"result":5}' % exchange.request["id"]
        exchange.raw(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + body)
        exchange.close()

    with scripted_server(handler) as server:
        client = connect(server.url)
        assert [client.call("getSlot"), client.call("getSlot")] == [5, 5]
        assert server.connections == 2


def test_large_answers_arrive_whole(connect):
    with scripted_server(lambda exchange: exchange.result("y" * 5_000_000)) as server:
        assert connect(server.url).call("getProgramAccounts") == "y" * 5_000_000


@pytest.mark.parametrize("announced", [True, False], ids=["connection: close", "closed silently"])
def test_a_connection_closed_after_an_answer_costs_nothing(connect, announced):
    def handler(exchange):
        answer = {"jsonrpc": "2.0", "id": exchange.request["id"], "result": 1}
        exchange.reply(answer, headers="Connection: close\r\n" if announced else "")
        exchange.close()

    with scripted_server(handler) as server:
        client = connect(server.url)
        assert [client.call("getSlot") for _ in range(5)] == [1] * 5
        assert server.connections == len(server.exchanges) == 5


def closes_on_the_second_request(exchange):
    if exchange.nth == 2:
        exchange.close()
    else:
        exchange.result(exchange.connection)


def test_a_reused_connection_closed_before_the_answer_is_asked_again_once(connect):
    with scripted_server(closes_on_the_second_request) as server:
        client = connect(server.url)
        assert client.call("sendTransaction", ["wire"]) == 1
        assert client.call("sendTransaction", ["wire"]) == 2
        assert [(each.connection, each.nth) for each in server.exchanges] == [(1, 1), (1, 2), (2, 1)]
        assert server.exchanges[1].request == server.exchanges[2].request


def test_what_must_not_happen_twice_is_not_asked_twice(connect):
    with scripted_server(closes_on_the_second_request) as server:
        client = connect(server.url)
        client.call("getSlot")
        with pytest.raises(RpcUnavailable, match="not sent again"):
            client.call("requestAirdrop", ["key", 1])
        assert len(server.exchanges) == 2


@pytest.mark.parametrize("partial", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"], ids=["nothing", "cut"])
def test_a_fresh_connection_cut_off_is_an_error_and_not_repeated(connect, partial):
    def handler(exchange):
        exchange.raw(partial)
        exchange.close()

    with scripted_server(handler) as server:
        with pytest.raises(RpcUnavailable) as caught:
            connect(server.url).call("getSlot")
        assert not isinstance(caught.value, RpcMalformed)
        assert len(server.exchanges) == 1


def test_a_proxy_s_late_word_on_an_idle_connection_is_not_taken_for_an_answer(connect):
    said = Event()

    def handler(exchange):
        exchange.result(exchange.connection)
        if exchange.connection == 1:
            exchange.raw(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            exchange.close()
            said.set()

    with scripted_server(handler) as server:
        client = connect(server.url)
        assert client.call("getSlot") == 1
        assert said.wait(10)
        assert client.call("getSlot") == 2


def test_nobody_listening_is_unavailable(connect):
    with scripted_server(echo) as server:
        url = server.url
    with pytest.raises(RpcUnavailable, match="refused"):
        connect(url).call("getSlot")


@pytest.mark.parametrize(("header", "seconds"), [("Retry-After: 7\r\n", 7.0), ("", None), ("Retry-After: x\r\n", None)])
def test_429_is_throttling_with_the_node_s_wish(connect, header, seconds):
    with scripted_server(lambda each: each.reply(b"slow down", status="429 Too Many", headers=header)) as server:
        client = connect(server.url)
        for ask in (lambda: client.call("getSlot"), lambda: client.batch(CALLS)):
            with pytest.raises(RpcThrottled) as caught:
                ask()
            assert caught.value.retry_after_seconds == seconds
        assert server.connections == 1


def test_a_json_rpc_429_is_throttling_too(connect):
    def handler(exchange):
        exchange.reply({"jsonrpc": "2.0", "id": None, "error": {"code": 429, "message": "slow down"}})

    with scripted_server(handler) as server, pytest.raises(RpcThrottled):
        connect(server.url).batch(CALLS)


@pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "502 Bad Gateway", "404 Gone", "301 Moved"])
def test_other_statuses_are_unavailability(connect, status):
    with scripted_server(lambda each: each.reply(b"<html>", status=status)) as server:
        with pytest.raises(RpcUnavailable) as caught:
            connect(server.url).call("getSlot")
        assert caught.value.status == int(status[:3])


def test_a_silent_node_is_a_timeout_and_its_connection_is_not_used_again(connect):
    def handler(exchange):
        if exchange.connection == 1:
            exchange.hang()
        exchange.result("fresh")

    with scripted_server(handler) as server:
        client = connect(server.url, timeout_seconds=0.2)
        started = time.monotonic()
        with pytest.raises(RpcTimeout):
            client.call("getSlot")
        assert 0.2 <= time.monotonic() - started < 2
        assert client.call("getSlot", timeout_seconds=5) == "fresh"
        assert server.connections == 2


def test_the_deadline_is_for_the_whole_answer_not_for_each_byte(connect):
    def handler(exchange):
        exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not exchange.stopping.wait(0.02):
            exchange.raw(b" ")

    with scripted_server(handler) as server:
        started = time.monotonic()
        with pytest.raises(RpcTimeout):
            connect(server.url, timeout_seconds=0.3).call("getSlot")
        assert time.monotonic() - started < 2


def test_a_reordered_batch_is_put_in_order_and_errors_stay_in_their_place(connect):
    def handler(exchange):
        answers = [{"jsonrpc": "2.0", "id": each["id"], "result": each["method"]} for each in exchange.request]
        answers[1] = {
            "jsonrpc": "2.0",
            "id": exchange.request[1]["id"],
            "error": {"code": -32602, "message": "bad", "data": {"x": 1}},
        }
        exchange.reply(answers[::-1])

    with scripted_server(handler) as server:
        first, refused, last = connect(server.url).batch(CALLS)
        assert (first, last) == ("getSlot", "getHealth")
        assert isinstance(refused, RpcErrorObject)
        assert (refused.code, refused.message, refused.data) == (-32602, "bad", {"x": 1})


def test_left_out_answers_are_named_and_foreign_ones_are_ignored(connect):
    def handler(exchange):
        exchange.reply(
            [
                {"jsonrpc": "2.0", "id": exchange.request[2]["id"], "result": 3},
                {"jsonrpc": "2.0", "id": exchange.request[0]["id"] - 1, "result": "foreign"},
                {"jsonrpc": "2.0", "id": str(exchange.request[1]["id"]), "result": "a text is not our number"},
            ]
        )

    with scripted_server(handler) as server:
        first, second, third = connect(server.url).batch(CALLS)
        assert isinstance(first, RpcMissingAnswer)
        assert isinstance(second, RpcMissingAnswer)
        assert third == 3


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: [{"id": request[0]["id"], "result": n} for n in (1, 2)],
        lambda request: [{"id": each["id"]} for each in request],
        lambda request: [{"id": each["id"], "error": "no"} for each in request],
        lambda request: ["x"],
        lambda request: {"id": request[0]["id"], "result": 1},
        lambda request: 5,
        lambda request: b"",
        lambda request: b"{truncated",
        lambda request: b"\xff\xfe",
    ],
)
def test_garbage_for_a_batch_is_malformed(connect, answer):
    with scripted_server(lambda each: each.reply(answer(each.request))) as server, pytest.raises(RpcMalformed):
        connect(server.url).batch(CALLS)


@pytest.mark.parametrize(
    "answer", [[], "x", None, {}, {"id": 1, "result": 1}, {"id": [], "result": 1}, {"id": None, "result": 1}]
)
def test_garbage_for_a_call_is_malformed(connect, answer):
    with scripted_server(lambda each: each.reply(answer)) as server, pytest.raises(RpcMalformed):
        connect(server.url).call("getSlot")


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
        b"x" * 200_000,
    ],
)
def test_what_is_not_http_is_malformed(connect, raw):
    with scripted_server(lambda each: each.raw(raw)) as server, pytest.raises(RpcMalformed):
        connect(server.url, timeout_seconds=5).call("getSlot")


def test_a_refused_batch_and_a_refused_call_raise_the_node_s_error(connect):
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
    with scripted_server(lambda each: each.reply(error)) as server:
        client = connect(server.url)
        for ask in (lambda: client.batch(CALLS), lambda: client.call("getSlot")):
            with pytest.raises(RpcErrorObject, match="no batches") as caught:
                ask()
            assert caught.value.code == -32600
        assert client.batch([]) == []


def test_bytes_behind_an_answer_end_the_connection(connect):
    def handler(exchange):
        answer = b'{"jsonrpc":"2.0","id":%d,"result":1}' % exchange.request["id"]
        exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sJUNK" % (len(answer), answer))

    with scripted_server(handler) as server:
        client = connect(server.url)
        assert [client.call("getSlot"), client.call("getSlot")] == [1, 1]
        assert server.connections == 2


def test_threads_get_their_own_answers(connect):
    with scripted_server(echo) as server:
        client = connect(server.url, max_connections=4)

        def work(thread):
            return all(client.batch([Call("x", "m", [thread, n])]) == [[thread, n]] for n in range(50))

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
        assert server.connections <= 4


def test_the_number_of_connections_is_bounded_and_waiting_counts_into_the_deadline(connect):
    both_in = Barrier(3, timeout=10)
    release = Event()

    def handler(exchange):
        both_in.wait()
        release.wait(10)
        exchange.result(1)

    with scripted_server(handler) as server, ThreadPoolExecutor(2) as pool:
        client = connect(server.url, max_connections=2)
        busy = [pool.submit(client.call, "getSlot") for _ in range(2)]
        both_in.wait()
        with pytest.raises(RpcTimeout, match="all 2 connections are busy"):
            client.call("getSlot", timeout_seconds=0.1)
        release.set()
        assert [each.result(10) for each in busy] == [1, 1]


def test_secrets_of_the_url_are_sent_but_never_shown(connect):
    with scripted_server(lambda each: each.reply(b"", status="403 No")) as server:
        url = server.url.replace("http://", "http://us%40er:hunter2@") + "/v2/pathkey?api-key=querykey"
        client = connect(url)
        with pytest.raises(RpcUnavailable) as caught:
            client.call("getSlot")
        head = server.exchanges[0].head
    assert "POST /v2/pathkey?api-key=querykey HTTP/1.1" in head
    assert "Authorization: Basic dXNAZXI6aHVudGVyMg==" in head
    shown = f"{client!r} {client.endpoint} {caught.value!r} {caught.value} {client._target!r} {safe_url(url)}"
    for secret in ("hunter2", "pathkey", "querykey", "us%40er", "us@er", "dXNA"):
        assert secret not in shown
    assert f"127.0.0.1:{server.port}" in shown


def test_requests_are_reported_with_their_outcome(connect):
    seen = []

    def handler(exchange):
        if isinstance(exchange.request, list):
            exchange.reply(b"", status="429 No")
        elif exchange.request["method"] == "refused":
            exchange.reply({"id": None, "error": {"code": -1, "message": ""}})
        elif exchange.request["method"] == "hang":
            exchange.hang()
        elif exchange.request["method"] == "garbage":
            exchange.reply(b"?")
        else:
            exchange.result(1)

    with scripted_server(handler) as server:
        client = connect(server.url, observer=lambda *event: seen.append(event), timeout_seconds=0.3)
        client.call("good")
        for method in ("refused", "hang", "garbage"):
            with pytest.raises(Exception, match=r"127\.0\.0\.1"):
                client.call(method)
        with pytest.raises(RpcThrottled):
            client.batch(CALLS)
    assert [(method, outcome) for _, method, _, outcome in seen] == [
        ("good", "ok"),
        ("refused", "error"),
        ("hang", "timeout"),
        ("garbage", "unavailable"),
        ("batch", "throttled"),
    ]
    assert all(endpoint == server.url and seconds >= 0 for endpoint, _, seconds, _ in seen)


def test_a_forked_child_opens_its_own_connection(connect):
    with scripted_server(echo) as server:
        client = connect(server.url)
        client.call("getSlot")
        child = os.fork()
        if child == 0:
            ok = False
            try:
                ok = client.call("child", [7]) == [7]
            finally:
                os._exit(0 if ok else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0
        assert client.call("parent", [8]) == [8]
        assert [each.connection for each in server.exchanges] == [1, 2, 1]


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_https_works_with_a_trusted_certificate_and_refuses_another(connect, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with scripted_server(echo, tls=context) as server:
        trusting = connect(server.url, tls_context=ssl.create_default_context(cafile=str(certificate)))
        assert [trusting.call("m", [n]) for n in range(3)] == [[0], [1], [2]]
        assert server.connections == 1
        with pytest.raises(RpcUnavailable, match="connection failed"):
            connect(server.url).call("getSlot")
