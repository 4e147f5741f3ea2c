"""JSON-RPC 2.0 by the letter: request objects, batches, notifications, documents that are none, hidden texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from api.app import SERVICE
from api.methods import pools
from domain.store.errors import StoreFailed, StoreUnavailable
from tests.support.api_kit import POOL_ID, Api, furnish, make_api, request

NOTIFICATION = {"jsonrpc": "2.0", "method": "list_pools"}


@pytest.fixture(name="api")
def api_fixture() -> Iterator[Api]:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    api = make_api(client, max_batch=5, max_body_bytes=200_000)
    furnish(api.store)
    yield api
    client.close()


def refused(api: Api, body: Any, code: int) -> dict[str, Any]:
    before = api.dump()
    status, answer = api.post(body)
    assert status == 200
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] is None
    assert answer["error"]["code"] == code
    assert api.dump() == before
    return dict(answer["error"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        b'[{"jsonrpc": "2.0", "method": "list_pools", "id": "1"}, {"jsonrpc": "2.0", "method"]',
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}',
        '{"jsonrpc":"2.0","id":1,"method":"list_pools"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"list_pools"}',
        b'{"jsonrpc":"2.0","id":NaN,"method":"list_pools"}',
        b'{"jsonrpc":"2.0","id":1,"method":"create_pool","params":[-Infinity]}',
        b'{"jsonrpc":"2.0","id":1,"method":"create_pool","params":[1e999]}',
        b'{"jsonrpc":"2.0","id":1,"method":"create_pool","params":[' + b"9" * 5_000 + b"]}",
        b'{"jsonrpc":"2.0","id":1,"method":"list_pools","method":"get_all_threads"}',
        b'{"jsonrpc":"2.0","id":1,"method":"start_thread","params":{"thread_id":"a","thread_id":"deposit_1"}}',
        b"[" * 100_000,
        b'{"a":' * 30_000,
        b"[" * 50_000 + b"]" * 50_000,
        b"'text'",
        b'{"jsonrpc":"2.0","id":1,"method":"list_pools"} trailing',
    ],
)
def test_a_document_that_is_none(api: Api, body: bytes) -> None:
    refused(api, body, -32700)


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "method": 1, "params": "bar"},
        {"foo": "boo"},
        {"method": "list_pools"},
        {"jsonrpc": "1.0", "method": "list_pools"},
        {"jsonrpc": 2.0, "method": "list_pools"},
        {"jsonrpc": "2.0"},
        {"jsonrpc": "2.0", "method": None},
        {"jsonrpc": "2.0", "method": ["list_pools"]},
        {"jsonrpc": "2.0", "method": "list_pools", "id": True},
        {"jsonrpc": "2.0", "method": "list_pools", "id": {}},
        {"jsonrpc": "2.0", "method": "list_pools", "id": [1]},
        "null",
        "1",
        '"text"',
        "true",
        [],
        [request("list_pools")] * 6,
    ],
)
def test_a_request_that_is_invalid(api: Api, body: Any) -> None:
    refused(api, body, -32600)


def test_an_invalid_request_keeps_its_id_where_it_has_one(api: Api) -> None:
    _, answer = api.post({"method": "list_pools", "id": "mine"})
    assert (answer["id"], answer["error"]["code"]) == ("mine", -32600)


@pytest.mark.parametrize("identity", [0, -1, 2**70, 1.5, "", "text", "\ud800", None, "💥"])
def test_the_id_comes_back_as_it_was(api: Api, identity: Any) -> None:
    for method in ("list_pools", "no_such_method"):
        _, answer = api.post({"jsonrpc": "2.0", "method": method, "id": identity})
        assert answer["id"] == identity
        assert type(answer["id"]) is type(identity)


@pytest.mark.parametrize(
    "method", ["nope", "", "list_pools ", "LIST_POOLS", "rpc.nope", "__init__", "💥", "x" * 10_000]
)
def test_an_unknown_method(api: Api, method: str) -> None:
    error = api.error(method, {"any": "thing"})
    assert error == {"code": -32601, "message": "Method not found"}


def test_absent_empty_and_positional_parameters_are_the_same(api: Api) -> None:
    assert api.result("list_pools") == api.result("list_pools", {}) == api.result("list_pools", [])


def test_a_batch_answers_each_call_and_no_notification(api: Api) -> None:
    batch = [request("list_pools", id="a"), NOTIFICATION, 1, {"foo": "boo"}, request("nope", id="b")]
    status, answers = api.post(batch)
    assert status == 200
    assert [(one["id"], one.get("error", {}).get("code")) for one in answers] == [
        ("a", None),
        (None, -32600),
        (None, -32600),
        ("b", -32601),
    ]
    _, answers = api.post([[request("list_pools")]])
    assert [one["error"]["code"] for one in answers] == [-32600]


@pytest.mark.parametrize(
    "body",
    [
        NOTIFICATION,
        [NOTIFICATION, NOTIFICATION],
        {"jsonrpc": "2.0", "method": "no_such_method"},
        {"jsonrpc": "2.0", "method": "start_thread", "params": {"thread_id": 1}},
        {"jsonrpc": "2.0", "method": "start_thread", "params": {"thread_id": "unknown"}},
    ],
)
def test_nobody_answers_a_notification(api: Api, body: Any) -> None:
    before = api.dump()
    assert api.post(body) == (204, None)
    assert api.dump() == before


def test_a_notified_command_is_sent_without_waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    commands, waits = api.client.application.extensions[SERVICE].commands, []
    monkeypatch.setattr(commands, "wait", lambda *arguments: waits.append(arguments))
    body = {"jsonrpc": "2.0", "method": "pause_pool", "params": {"pool_id": POOL_ID, "command_id": "c1"}}
    assert api.post(body) == (204, None)
    assert [command_id for command_id, _ in api.store.open_commands()] == ["c1"]
    assert waits == []
    assert api.error("pause_pool", {"pool_id": POOL_ID})["code"] == -1009
    assert waits != []


def test_http_itself_answers_in_json_too(api: Api) -> None:
    status, answer = api.post("x" * 200_001)
    assert (status, answer["error"]["code"]) == (413, -32600)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        status, answer = api.post(request("list_pools"), content_type=content_type)
        assert (status, answer["error"]["code"]) == (415, -32600)
    response = api.client.get("/rpc")
    assert (response.status_code, response.json["error"]["code"]) == (405, -32600)
    assert "POST" in response.headers["Allow"]
    assert api.client.get("/nowhere").status_code == 404
    assert api.client.get("/health/live").json == {"status": "ok"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("redis://:hunter2@host/0 /srv/secret.py"), -32603),
        (StoreUnavailable("hunter2"), -32000),
        (StoreFailed("hunter2"), -32000),
    ],
)
def test_an_exceptions_text_stays_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def broken(_: Any) -> Any:
        raise error

    monkeypatch.setattr(pools, "pool_entry", broken)
    shown = api.error("list_pools")
    assert shown["code"] == code
    assert "hunter2" not in json.dumps(shown)
    assert "secret" not in json.dumps(shown)
    _, answers = api.post([request("list_pools"), request("get_all_threads", id=2)])
    assert "error" in answers[0]
    assert answers[1]["result"]["summary"]["total_threads"] == 1


def test_a_dead_redis_is_an_error_and_not_a_crash() -> None:
    server = fakeredis.FakeServer(version=(6, 2))
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=server)
    api = make_api(client)
    furnish(api.store)
    server.connected = False
    assert api.error("list_pools")["code"] == -32000
    error = api.error("create_pool", {"command_id": "mine"})
    assert error["code"] == -32000
    assert "data" not in error or error["data"] == {"command_id": "mine"}
    server.connected = True
    assert len(api.result("list_pools")["pools"]) == 1


def test_the_service_describes_itself(api: Api) -> None:
    described = api.result("rpc.describe")["methods"]
    params = [(one["name"], one["type"]) for one in described["create_deposit_thread"]["params"]]
    assert params == [
        ("pool_id", "String"),
        ("token_type", "String"),
        ("initial_amount", "Number"),
        ("auto_refill", "Boolean"),
        ("share_lp_tokens", "Boolean"),
        ("command_id", "String"),
    ]
    assert api.error("rpc.describe", {"a": 1})["code"] == -32602
    assert SERVICE in api.client.application.extensions
