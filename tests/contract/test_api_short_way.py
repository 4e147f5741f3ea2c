"""The short way answers what Flask and gunicorn would answer, and leaves everything unusual to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from api import short_way
from api.direct import DirectRpc
from tests.support.api_kit import POOL_ID, THREAD_ID, Api, furnish, make_api, request

KEY = "a-key-for-these-tests-only"
STATUS = request("get_thread_status", {"thread_id": THREAD_ID})


@pytest.fixture(name="api")
def api_fixture() -> Iterator[Api]:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    api = make_api(client, api_keys=f"ops:read:{KEY}")
    furnish(api.store)
    yield api
    client.close()


def raw(body: Any = STATUS, start: str = "POST /rpc HTTP/1.1", length: int | None = None, **fields: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Host": "h", "Content-Type": "application/json", "Content-Length": str(length or len(data))}
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [start, *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + data


def direct(api: Api) -> DirectRpc:
    application = api.client.application.wsgi_app
    assert isinstance(application, DirectRpc)
    return application


def parts(answer: bytes | None) -> tuple[str, dict[str, str], bytes]:
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "each header once"
    assert int(headers.get("Content-Length", 0)) == len(body)
    return status, headers, body


@pytest.mark.parametrize(
    ("body", "key", "status"),
    [
        (STATUS, KEY, 200),
        ([STATUS, STATUS], KEY, 200),
        (STATUS, "wrong", 401),
        (request("pause_pool", {"pool_id": POOL_ID}), KEY, 403),
        ({"jsonrpc": "2.0", "method": "list_pools"}, KEY, 204),
        (b"{", KEY, 200),
    ],
)
def test_the_same_answer_as_through_flask(api: Api, body: Any, key: str, status: int) -> None:
    line, headers, content = parts(short_way.answer(raw(body, X_API_Key=key), "127.0.0.1", direct(api)))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    flask = api.client.post(
        "/rpc", data=data, content_type="application/json", headers={"X-API-Key": key, "Accept-Encoding": "identity"}
    )
    assert line.split()[1] == str(flask.status_code) == str(status)
    assert content.strip() == flask.get_data().strip()
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Cache-Control", "WWW-Authenticate"):
        assert headers.get(name) == flask.headers.get(name)


@pytest.mark.parametrize(
    "data",
    [
        raw(start="POST /rpc HTTP/1.0", X_API_Key=KEY),
        raw(start="POST /rpc?x=1 HTTP/1.1", X_API_Key=KEY),
        raw(start="GET /rpc HTTP/1.1", X_API_Key=KEY),
        raw(start="POST /live/events HTTP/1.1", X_API_Key=KEY),
        raw(X_API_Key=KEY)[:-1],
        raw(X_API_Key=KEY)[:60],
        raw(X_API_Key=KEY) * 2,
        raw(X_API_Key=KEY) + b"POST",
        raw(X_API_Key=KEY, Transfer_Encoding="chunked"),
        raw(X_API_Key=KEY, Expect="100-continue"),
        raw(X_API_Key=KEY, Connection="close"),
        raw(X_API_Key=KEY, Accept_Encoding="gzip"),
        raw(X_API_Key=KEY, Content_Type="text/plain"),
        raw(X_API_Key=KEY, X_Long="a" * 3_000),
        raw(X_API_Key=KEY, **{f"X_{number}": "1" for number in range(20)}),
        raw(X_API_Key=KEY).replace(b"\r\nHost: h", b"\r\nHost: h\r\nhost: g"),
        raw(X_API_Key=KEY).replace(b"\r\nHost: h", b"\r\nContent-Length: 3\r\nHost: h"),
        raw(X_API_Key=KEY).replace(b"X-API-Key", b"X_API_Key"),
        raw(X_API_Key=KEY).replace(b"\r\nHost: h", b"\r\nHost : h"),
        raw(X_API_Key=KEY).replace(b"\r\nHost: h", b"\nHost: h"),
        b"",
        b"\x16\x03\x01",
    ],
)
def test_whatever_is_unusual_is_not_touched(api: Api, data: bytes) -> None:
    assert short_way.answer(raw(X_API_Key=KEY), "127.0.0.1", direct(api)) is not None
    assert short_way.answer(data, "127.0.0.1", direct(api)) is None


def test_a_header_cannot_take_the_place_of_what_the_server_says(api: Api) -> None:
    answer = short_way.answer(raw(Remote_Addr="10.0.0.1", Request_Method="GET"), "127.0.0.1", direct(api))
    assert parts(answer)[0].startswith("HTTP/1.1 401"), "headers are prefixed, so none of them is a variable"
