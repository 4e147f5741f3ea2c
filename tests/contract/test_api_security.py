"""The way in: keys, networks, hosts, limits, CORS, headers, compression, kept answers and the audit log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from werkzeug.test import TestResponse

from api import rpc
from api.cache import MOST_BYTES, AnswerCache
from api.direct import DirectRpc
from api.security.callers import client_behind, networks, parse_address
from api.security.keys import KeyFileError, load_keys, new_key
from api.security.limits import MOST_REFUSALS, READS, RateLimits
from api.serve import check
from domain.errors import StressError
from domain.runtime.clock import SystemClock
from domain.runtime.settings import load
from domain.store.client import connect
from ops.commands.api_keys import api_key
from tests.support.api_kit import POOL_ID, THREAD_ID, Api, furnish, make_api, request
from tests.support.redis_server import redis_server

FULL, READ = "full-key-for-these-tests-1", "read-key-for-these-tests-2"
KEYS = f"ops:full:{FULL},dash:read:sha256:{sha256(READ.encode()).hexdigest()}"
MakeApi = Callable[..., Api]
PAUSE = request("pause_pool", {"pool_id": POOL_ID})
STATUS = request("get_thread_status", {"thread_id": THREAD_ID})


@pytest.fixture(name="make")
def make_fixture() -> Iterator[MakeApi]:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))

    def make(**overrides: Any) -> Api:
        api = make_api(client, **overrides)
        if api.store.get_pool(POOL_ID) is None:
            furnish(api.store)
        return api

    yield make
    client.close()


def post(api: Api, body: Any = STATUS, *, peer: str = "127.0.0.1", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.post("/rpc", json=body, headers=named, environ_base={"REMOTE_ADDR": peer})


def code_of(response: TestResponse) -> int:
    return int(response.get_json()["error"]["code"])


@pytest.mark.parametrize("flask", [False, True])  # directly, and through Flask as for clients that want compression
@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, STATUS, 401, -32001),
        ({"X_API_Key": "wrong"}, STATUS, 401, -32001),
        ({"X_API_Key": ""}, STATUS, 401, -32001),
        ({"X_API_Key": FULL + "x"}, STATUS, 401, -32001),
        ({"X_API_Key": "\xff\xfe"}, STATUS, 401, -32001),
        ({"X_API_Key": sha256(READ.encode()).hexdigest()}, STATUS, 401, -32001),
        ({"Authorization": f"Basic {FULL}"}, STATUS, 401, -32001),
        ({"X_API_Key": FULL}, STATUS, 200, 0),
        ({"Authorization": f"Bearer {FULL}"}, STATUS, 200, 0),
        ({"Authorization": f"bearer  {READ}"}, STATUS, 200, 0),
        ({"X_API_Key": READ}, STATUS, 200, 0),
        ({"X_API_Key": READ}, PAUSE, 403, -32002),
        ({"X_API_Key": FULL}, PAUSE, 200, -1009),
    ],
)
def test_who_may_call(
    make: MakeApi, headers: dict[str, str], body: Any, status: int, code: int, *, flask: bool
) -> None:
    api = make(api_keys=KEYS)
    extra = {"Accept_Encoding": "gzip"} if flask else {}
    before = len(api.store.open_commands())
    answer = post(api, body, **headers, **extra)
    assert answer.status_code == status
    assert (answer.get_json().get("error") or {"code": 0})["code"] == code
    assert len(api.store.open_commands()) == before + (code == -1009)
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert len(answer.headers.getlist(name)) == 1
    assert FULL not in answer.get_data(as_text=True)


def test_a_read_only_key_in_a_batch_and_a_notification(make: MakeApi) -> None:
    api = make(api_keys=KEYS)
    answers = post(api, [PAUSE, STATUS], X_API_Key=READ).get_json()
    assert answers[0]["error"]["code"] == -32002
    assert "result" in answers[1]
    notification = {name: value for name, value in PAUSE.items() if name != "id"}
    refused = post(api, notification, X_API_Key=READ)
    assert (refused.status_code, refused.get_data()) == (403, b"")
    assert api.store.open_commands() == []


def test_every_route_but_liveness_and_the_bare_page_needs_a_key(make: MakeApi) -> None:
    api = make(api_keys=KEYS)
    open_to_all = {"/", "/docs", "/health/live", "/live/static/<path:filename>"}
    for rule in api.client.application.url_map.iter_rules():
        path = rule.rule.replace("<path:filename>", "nothing.js").replace("<pool_id>", "p")
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        with api.client.open(path, method=method) as answer:
            status = answer.status_code
        assert (status == 401) == (rule.rule not in open_to_all), (rule.rule, status)
    assert api.client.get("/no/such/path").status_code == 401


def test_without_keys_all_is_open_on_loopback_but_not_to_foreign_host_names(make: MakeApi) -> None:
    api = make()
    for host in ("localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"):
        assert post(api, Host=host).status_code == 200
    for host in ("rebound.example", "rebound.example:8080", "127.0.0.1.example", "10.0.0.1"):
        assert post(api, Host=host).status_code == 403
    assert post(make(allowed_hosts="frt.example"), Host="frt.example").status_code == 200
    assert post(make(api_keys=KEYS), Host="frt.example", X_API_Key=FULL).status_code == 200


def test_a_key_that_is_not_required_still_restricts(make: MakeApi) -> None:
    api = make(api_keys=KEYS, api_key_required=False)
    assert post(api).status_code == 200
    assert post(api, PAUSE, X_API_Key=READ).status_code == 403
    assert post(api, X_API_Key="wrong").status_code == 401


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("192.168.1.7", None, 200),
        ("::ffff:192.168.1.7", None, 200),
        ("fd00::5", None, 200),
        ("192.168.2.7", None, 403),
        ("192.168.2.7", "192.168.1.7", 403),  # not a proxy of ours
        ("10.0.0.1", None, 403),
        ("10.0.0.1", "192.168.1.7", 200),
        ("10.0.0.1", "192.168.1.7, 10.0.0.2", 200),
        ("10.0.0.1", "192.168.1.7, 8.8.8.8", 403),  # the client wrote the first one
        ("10.0.0.1", "192.168.1.7, nonsense", 403),
        ("10.0.0.1", "192.168.1.7:51000", 200),
        ("10.0.0.1", "[fd00::5]:51000", 200),
        ("", None, 403),
    ],
)
def test_networks_and_proxies(make: MakeApi, peer: str, forwarded: str | None, status: int) -> None:
    api = make(allowed_networks="192.168.1.0/24,fd00::/8", trusted_proxies="10.0.0.0/8")
    headers = {} if forwarded is None else {"X_Forwarded_For": forwarded}
    assert post(api, peer=peer, **headers).status_code == status


def test_the_first_untrusted_address_from_the_right_is_the_client() -> None:
    proxies = networks(["10.0.0.0/8"])
    peer = parse_address("10.0.0.1")
    assert peer is not None
    assert str(client_behind("1.1.1.1, 2.2.2.2, 10.0.0.2", peer, proxies)) == "2.2.2.2"
    assert client_behind("1.1.1.1, ?, 10.0.0.2", peer, proxies) is None
    assert client_behind("10.0.0.3", peer, proxies) == parse_address("10.0.0.3")


def test_limits_count_every_call_and_are_shared_by_processes() -> None:
    with redis_server() as url:
        client = connect(url)
        more = {"redis_url": url, "rate_limit_reads": 20, "rate_limit_changes": 3, "api_keys": KEYS}
        one, two = make_api(client, **more), make_api(client, **more)
        furnish(one.store)
        for api in (one, two, one, two):
            assert post(api, [STATUS] * 5, X_API_Key=FULL).status_code == 200
        refused = post(one, X_API_Key=FULL)
        assert (refused.status_code, code_of(refused)) == (429, -32003)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert two.client.get("/live/threads", headers={"X-API-Key": FULL}).status_code == 429
        assert post(one, X_API_Key=READ).status_code == 200, "each key has limits of its own"
        for _ in range(3):
            assert code_of(post(one, PAUSE, X_API_Key=FULL)) == -1009
        commands = len(one.store.open_commands())
        batch = post(two, [PAUSE, PAUSE], X_API_Key=FULL)
        assert (batch.status_code, len(one.store.open_commands())) == (429, commands), "nothing of it is called"
        assert [post(two, X_API_Key="wrong").status_code for _ in range(21)][-1] == 429, "guessing ends soon"
        assert all(one.redis.ttl(key) > 0 for key in one.redis.scan_iter("frt:limits*"))
        client.close()


def test_limits_go_on_when_redis_does_not_answer(tmp_path: Path) -> None:
    now = [0.0]
    settings = load({}, overrides={"redis_url": f"unix://{tmp_path / 'nobody'}", "rate_limit_reads": 5})
    limits = RateLimits(settings, lambda: now[0])
    assert [limits.take("a", READS, 1) for _ in range(5)] == [None] * 5
    exceeded = limits.take("a", READS, 1)
    assert exceeded is not None
    assert exceeded.first
    again = limits.take("a", READS, 1)
    assert again is not None
    assert not again.first
    assert limits.take("b", READS, 1) is None
    assert limits.take("b", READS, 6) is not None, "more than the limit never fits"
    now[0] += 61
    assert limits.take("a", READS, 1) is not None, "the window of its own memory is still open"


def test_origins(make: MakeApi) -> None:
    api = make(api_keys=KEYS, cors_origins="https://a.example")
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "content-type,x-api-key"
    preflight = api.client.options("/rpc", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "x-api-key" in preflight.headers["Access-Control-Allow-Headers"].lower()
    for headers, status in (({"X_API_Key": FULL}, 200), ({}, 401)):
        answer = post(api, Origin="https://a.example", **headers)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, "https://a.example")
    assert "Access-Control-Allow-Origin" not in post(api, Origin="https://b.example", X_API_Key=FULL).headers
    assert "Access-Control-Allow-Origin" not in post(make(), Origin="https://a.example").headers


def test_compression_of_what_is_large_enough(make: MakeApi) -> None:
    api = make(compress_min_bytes=2_000)
    large = post(api, [STATUS] * 10, Accept_Encoding="gzip")
    assert large.headers["Content-Encoding"] == "gzip"
    assert len(large.get_data()) < len(post(api, [STATUS] * 10).get_data()) / 5
    assert "Content-Encoding" not in post(api, request("nobody"), Accept_Encoding="gzip").headers
    assert "Content-Encoding" not in post(make(compress=False), [STATUS] * 10, Accept_Encoding="gzip").headers


@pytest.mark.parametrize(
    ("accepted", "direct"), [(None, True), ("identity", True), ("gzip", False), ("deflate, BR", False), ("*", False)]
)
def test_who_wants_no_compression_does_not_pay_for_flask(make: MakeApi, accepted: str | None, *, direct: bool) -> None:
    api = make()
    application = api.client.application.wsgi_app
    assert isinstance(application, DirectRpc)
    gone: list[str] = []

    def flask(environ: Any, start_response: Any) -> list[bytes]:
        gone.append(environ["PATH_INFO"])
        start_response("204 No Content", [])
        return []

    application._flask = flask
    post(api, **({} if accepted is None else {"Accept_Encoding": accepted}))
    assert (not gone) == direct


def test_hsts_only_with_tls(make: MakeApi) -> None:
    secure = make(tls_certificate="/c.pem", tls_key="/k.pem")
    assert "Strict-Transport-Security" in post(secure).headers
    assert "Strict-Transport-Security" not in post(make()).headers


def test_a_kept_answer_ends_with_the_next_command(make: MakeApi) -> None:
    api = make(read_cache_ms=60_000)
    pools = request("list_pools")
    first = post(api, pools).get_json()
    api.redis.delete("frt:pools")
    assert post(api, pools).get_json() == first
    assert post(api, pools | {"id": "other"}).get_json() == first | {"id": "other"}
    assert code_of(post(api, STATUS | {"params": {"thread_id": "nobody"}})) == -1004
    post(api, request("stop_thread", {"thread_id": THREAD_ID}))
    assert post(api, pools).get_json()["result"]["pools"] == []


def test_the_audit_log_has_who_what_and_how_but_no_secret(make: MakeApi, tmp_path: Path) -> None:
    api = make(api_keys=KEYS, audit_log="all", data_dir=tmp_path)
    private = "5" * 88
    post(api, PAUSE, X_API_Key=FULL, peer="10.1.2.3")
    post(api, PAUSE, X_API_Key=READ)
    post(api, STATUS, X_API_Key=READ)
    post(
        api, request("start_thread", {"thread_id": private, "private_key": private, "x" * 99: private}), X_API_Key=FULL
    )
    post(api, request("start_thread", [private, private]), X_API_Key=FULL)
    post(api, STATUS, X_API_Key=f"wrong-{private}")
    file = tmp_path / "logs" / "audit.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert not [secret for secret in (FULL, READ, private, KEYS) if secret in text]
    lines = [json.loads(line) for line in text.splitlines()]
    ((command_id, _),) = api.store.open_commands()
    pause = lines[0]
    assert (pause["caller"], pause["address"], pause["method"]) == ("ops", "10.1.2.3", "pause_pool")
    assert (pause["params"], pause["code"]) == ({"pool_id": POOL_ID}, -1009)
    assert pause["command_ids"] == [command_id]
    assert pause["duration_ms"] >= 0
    assert pause["time"].endswith("Z")
    assert [(line["caller"], line.get("code")) for line in lines[1:4]] == [
        ("dash", -32002),
        ("dash", 0),
        ("ops", -32602),
    ]
    assert (lines[-1]["event"], lines[-1]["status"]) == ("refused", 401)


@pytest.mark.parametrize(("level", "events"), [("off", 0), ("changes", 2), ("all", 3)])
def test_what_is_noted(make: MakeApi, tmp_path: Path, level: str, events: int) -> None:
    api = make(api_keys=KEYS, audit_log=level, data_dir=tmp_path)
    post(api, PAUSE, X_API_Key=FULL)
    post(api, STATUS, X_API_Key=FULL)
    post(api, STATUS)
    file = tmp_path / "logs" / "audit.jsonl"
    assert (len(file.read_text().splitlines()) if file.exists() else 0) == events


def test_keys_come_from_a_private_file_too(tmp_path: Path) -> None:
    text, key = new_key("ops", read_only=True)
    file = tmp_path / "keys"
    file.write_text(f"# people\n\n{key.entry()}\n")
    file.chmod(0o600)
    ring = load_keys(load({"FRT_API_KEYS_FILE": str(file)}))
    assert ring.find(text) == key
    assert ring.find(text[:-1]) is None
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match="0600"):
        load_keys(load({"FRT_API_KEYS_FILE": str(file)}))


def test_the_command_adds_keys_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys"
    api_key("ops", file=file)
    file.write_text(file.read_text().rstrip("\n"))  # as an editor may leave it
    api_key("dash", read_only=True, file=file)
    texts = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("key ")]
    ring = load_keys(load({"FRT_API_KEYS_FILE": str(file)}))
    found = [ring.find(text) for text in texts]
    assert [(key.name, key.read_only) for key in found if key] == [("ops", False), ("dash", True)]
    assert file.stat().st_mode & 0o777 == 0o600
    assert not [text for text in texts if text in file.read_text()]
    with pytest.raises(KeyFileError, match="name dash already"):
        api_key("dash", file=file)
    with pytest.raises(KeyFileError, match="cannot be written"):
        api_key("ops", file=file / "keys")


@pytest.mark.parametrize(
    "entries",
    [
        "ops",
        "ops:full",
        "ops:write:0123456789012345678901234",
        "a b:full:0123456789012345678901234",
        "ops:full:short",
        "ops:full:sha256:abcd",
        f"ops:full:{FULL},ops:read:{READ}",
        f"ops:full:{FULL},two:read:{FULL}",
        " , ",
    ],
)
def test_keys_that_cannot_be_meant(entries: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        load_keys(load({"FRT_API_KEYS": entries}))
    assert FULL not in str(caught.value)
    assert "0123456789" not in str(caught.value)


def test_refusals_have_a_low_limit_and_do_not_fill_the_audit_log(make: MakeApi, tmp_path: Path) -> None:
    with redis_server() as url:
        limited = {"redis_url": url, "rate_limit_reads": 10_000, "data_dir": tmp_path, "audit_log": "changes"}
        api = make(api_keys=KEYS, **limited)
        peers = [f"2001:db8:1:2::{number:x}" for number in range(200)]  # one machine has all of these
        answers = [post(api, X_API_Key="wrong", peer=peer).status_code for peer in peers]
        assert answers == [401] * MOST_REFUSALS + [429] * (200 - MOST_REFUSALS)
        assert len((tmp_path / "logs" / "audit.jsonl").read_text().splitlines()) == MOST_REFUSALS + 1
        assert post(api, X_API_Key=FULL, peer=peers[0]).status_code == 200, "a known key is not held up"
        assert post(api, X_API_Key="wrong", peer="2001:db8:1:3::1").status_code == 401


def test_the_audit_log_takes_whatever_comes(make: MakeApi, tmp_path: Path) -> None:
    api = make(api_keys=KEYS, audit_log="changes", data_dir=tmp_path)
    seed = list(range(100, 164))
    file = tmp_path / "logs" / "audit.jsonl"
    for ids in (seed, ["x"] * 30, [seed], {"a": 1}, 10**4_000):
        answer = post(api, request("start_threads", {"thread_ids": ids}), X_API_Key=FULL)
        assert code_of(answer) == -32602
    shown = [json.loads(line)["params"]["thread_ids"] for line in file.read_text().splitlines()]
    assert shown == [["(64 more)"], [*["x"] * 20, "(10 more)"], ["(1 more)"], "(1 fields)", "(4001 characters)"]


@pytest.mark.parametrize("depth", [100, 300, 500, 700, 900, 950, 2_000])
def test_a_command_nested_deeply_is_refused_and_noted(make: MakeApi, tmp_path: Path, depth: int) -> None:
    api = make(audit_log="changes", data_dir=tmp_path)
    body = b'{"jsonrpc":"2.0","id":1,"method":"start_threads","params":{"thread_ids":%s%s}}' % (
        b"[" * depth,
        b"]" * depth,
    )
    answer = api.client.post("/rpc", data=body, content_type="application/json")
    assert answer.status_code == 200
    assert code_of(answer) in (-32602, -32700)


def test_kept_answers_are_bounded_by_their_size() -> None:
    cache = AnswerCache(SystemClock(), 60_000)
    answer = bytes(MOST_BYTES // 4)
    for key in range(20):
        cache.get(key, lambda: answer)
        cache.get(key, lambda: answer)
    assert sum(len(kept) for _, kept in cache._entries.values()) == cache._bytes <= MOST_BYTES
    cache.get("large", lambda: bytes(2 * MOST_BYTES))
    cache.get("small", lambda: b"x")
    assert cache._bytes == 1


def test_a_batch_of_large_answers_ends(make: MakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = make()
    one = len(post(api, STATUS).get_data())
    monkeypatch.setattr(rpc, "MOST_ANSWER_BYTES", 2 * one)
    notification = {name: value for name, value in PAUSE.items() if name != "id"}
    answers = post(api, [STATUS, STATUS, STATUS | {"id": 7}, PAUSE, notification]).get_json()
    assert ["result" in answer for answer in answers] == [True, True, True, False]
    assert (answers[2]["id"], answers[3]["error"]["code"]) == (7, -32600)
    assert api.store.open_commands() == []


def test_what_cannot_be_used_is_told_before_the_server_starts(tmp_path: Path) -> None:
    usable = {"data_dir": tmp_path, "api_keys": KEYS}
    check(load({}, overrides=usable))
    with pytest.raises(KeyFileError, match="API key 1"):
        check(load({}, overrides=usable | {"api_keys": "bad"}))
    nothing = {"tls_certificate": str(tmp_path / "c.pem"), "tls_key": str(tmp_path / "k.pem")}
    with pytest.raises(StressError, match="tls_certificate"):
        check(load({}, overrides=usable | nothing))
    (tmp_path / "file").touch()
    with pytest.raises(StressError, match="audit log"):
        check(load({}, overrides=usable | {"data_dir": tmp_path / "file"}))
    check(load({}, overrides=usable | {"data_dir": tmp_path / "file", "audit_log": "off"}))
