"""The Python client over HTTP against the real application: types, errors, batches, and commands that act once."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fakeredis
import pytest
from flask.testing import FlaskClient

from api import client as client_module
from api.client import CallError, Client, NoAnswer
from tests.support.api_kit import POOL_ID, THREAD_ID, Api, furnish, make_api, worker

STARTED = {"thread_id": THREAD_ID, "status": "running"}


class Handler(BaseHTTPRequestHandler):
    """HTTP with connections that stay open, before the application; remembers connections and keys."""

    protocol_version = "HTTP/1.1"
    application: FlaskClient
    connections: list[tuple[str, int]]
    keys: list[str | None]

    def do_POST(self) -> None:
        self.connections.append(self.client_address)
        self.keys.append(self.headers.get("X-API-Key"))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        answer = self.application.post(self.path, data=body, headers=headers)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        self.wfile.write(answer.data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(name="api", scope="module")
def api_fixture() -> Iterator[Api]:
    connection: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    api = make_api(connection, request_timeout_s=0.3)
    furnish(api.store)
    yield api
    connection.close()


@pytest.fixture(name="url")
def url_fixture(api: Api) -> Iterator[str]:
    Handler.application, Handler.connections, Handler.keys = api.client, [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class LossyClient(Client):
    """Loses the first answers on the way: the service has carried the request out, nobody has heard of it."""

    lost = 1

    def _exchange(self, body: bytes) -> bytes:
        data = super()._exchange(body)
        if self.lost > 0:
            self.lost -= 1
            raise http.client.RemoteDisconnected("the connection broke before the answer")
        return data


def test_reads_and_errors(url: str) -> None:
    with Client(url) as service:
        assert [pool["pool_id"] for pool in service.list_pools()] == [POOL_ID]
        with pytest.raises(CallError, match="nobody") as caught:
            service.get_thread_status("nobody")
        assert (caught.value.code, caught.value.data) == (-1004, {"thread_id": "nobody"})
        with pytest.raises(CallError, match="limit") as caught:
            service.call("list_threads", {"limit": 0})
        assert (caught.value.method, caught.value.code) == ("list_threads", -32602)
        assert caught.value.data["field"] == "limit"


def test_a_batch_keeps_order_and_holds_errors(url: str) -> None:
    with Client(url) as service:
        calls = [("list_pools", {}), ("get_pool", {"pool_id": "x"}), ("list_threads", {})]
        pools, error, threads = service.batch(calls)
        assert service.batch([]) == []
        assert len(service.batch([("list_pools", {})])) == 1
    assert pools["pools"][0]["pool_id"] == POOL_ID
    assert isinstance(error, CallError)
    assert error.code == -1002
    assert threads["total"] == 1


def test_one_connection_serves_all(url: str) -> None:
    with Client(url) as service:
        for _ in range(3):
            service.list_pools()
    assert len(Handler.connections) >= 3
    assert len(set(Handler.connections)) == 1
    assert set(Handler.keys) == {None}


def test_the_key_goes_along_and_one_that_is_not_known_is_an_error(url: str) -> None:
    with Client(url, api_key="secret") as service, pytest.raises(CallError) as caught:
        service.list_pools()
    assert caught.value.code == -32001
    assert Handler.keys == ["secret"]


def test_a_connection_that_was_closed_meanwhile_is_opened_again(url: str) -> None:
    with Client(url) as service:
        service.list_pools()
        service._connection.sock.shutdown(2)
        assert service.list_pools()


def test_nobody_there_and_nonsense_are_no_answer(url: str) -> None:
    with Client("http://127.0.0.1:9", timeout_s=1) as service, pytest.raises(NoAnswer, match="no service answers"):
        service.list_pools()
    with Client(f"{url}/health/live") as service, pytest.raises(NoAnswer, match="is it this service"):
        service.call("list_pools")
    with pytest.raises(ValueError, match="http"):
        Client("ftp://x")
    for address in ("http://me:hunter2@x", "http://x/?key=hunter2"):
        with pytest.raises(ValueError, match="neither a user nor a query") as caught:
            Client(address)
        assert "hunter2" not in str(caught.value)
    for key in ("frt_x\n", "schlüssel"):
        with pytest.raises(ValueError, match="characters") as caught:
            Client("http://x", api_key=key)
        assert key.strip() not in str(caught.value)


def test_a_command_whose_answer_is_lost_acts_once(api: Api, url: str) -> None:
    with worker(api.store, lambda _: {"ok": STARTED}) as carried_out, LossyClient(url, pause=lambda _: None) as service:
        service.lost = 3
        assert service.start_thread(THREAD_ID) == STARTED
    assert [record.method for record in carried_out] == ["start_thread"]


def test_the_same_id_acts_once_for_two_clients(api: Api, url: str) -> None:
    params = {"thread_id": THREAD_ID, "command_id": "from-two-clients"}
    with worker(api.store, lambda _: {"ok": STARTED}) as carried_out, Client(url) as one, Client(url) as two:
        assert one.command("start_thread", params) == STARTED
        assert two.command("start_thread", params) == STARTED
        with pytest.raises(CallError) as caught:
            two.command("start_thread", params | {"thread_id": "another"})
    assert caught.value.code in (-32602, -1004)
    assert len(carried_out) == 1


def test_a_command_that_takes_longer_is_waited_for(api: Api, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "POLL_S", 0.01)
    asked_again = threading.Event()

    def pause(_: float) -> None:
        asked_again.set()
        threading.Event().wait(0.01)

    def answer(_: Any) -> dict[str, Any]:
        assert asked_again.wait(20)  # the request has ended with -1009 and the client has asked for the command
        return {"ok": STARTED}

    with worker(api.store, answer), Client(url, pause=pause) as service:
        assert service.start_thread(THREAD_ID) == STARTED


def test_a_commands_own_error_comes_through_the_wait(api: Api, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "POLL_S", 0.01)
    asked_again = threading.Event()

    def pause(_: float) -> None:
        asked_again.set()
        threading.Event().wait(0.01)

    def answer(_: Any) -> dict[str, Any]:
        assert asked_again.wait(20)
        return {"error": {"code": -1005, "message": "it is running", "data": {"status": "running"}}}

    with worker(api.store, answer), Client(url, pause=pause) as service, pytest.raises(CallError) as caught:
        service.start_thread(THREAD_ID)
    assert (caught.value.code, caught.value.data) == (-1005, {"status": "running"})


def test_waiting_ends(api: Api, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "POLL_S", 0.01)
    with Client(url, wait_s=0.1) as service, pytest.raises(CallError) as caught:
        service.stop_thread(THREAD_ID)
    assert caught.value.code == -1009
    with contextlib.suppress(CallError):
        api.store.answer_command(caught.value.data["command_id"], '{"ok": {}}')
    with Client("http://127.0.0.1:9", wait_s=0.0) as service, pytest.raises(NoAnswer):
        service.stop_thread(THREAD_ID)


def test_pages_are_turned(api: Api, url: str) -> None:
    api.store.append_journal([f'{{"event":"settled","op":"deposit_1/{n}"}}' for n in range(5)])
    api.store.add_faults([f'{{"check":"I4","message":"{n}","evidence":{{}}}}' for n in range(45)])
    with Client(url) as service:
        assert [entry["op"] for entry in service.journal(thread_id=THREAD_ID)] == [f"deposit_1/{n}" for n in range(5)]
        assert [fault["number"] for fault in service.faults()] == list(range(45))


class Vanishing(BaseHTTPRequestHandler):
    """Answers the first request of a connection, takes a second one and goes away without a word."""

    protocol_version = "HTTP/1.1"
    taken = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).taken += 1
        if self.taken % 2 == 0:
            self.close_connection = True
            return
        answer = b'{"jsonrpc":"2.0","id":1,"result":{}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


def test_what_may_have_been_taken_is_not_sent_again_by_a_call() -> None:
    Vanishing.taken = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vanishing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}") as service:
            assert service.call("anything") == {}
            with pytest.raises(NoAnswer):
                service.call("anything")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert Vanishing.taken == 2
