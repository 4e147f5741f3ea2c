"""The live page's server side over a real Redis: its stream, its history, its tables, and what it never gives away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import pytest
import redis

from api.app import SERVICE
from api.live.feed import KEPT, Feed
from api.live.routes import FEED, STATIC
from domain.observed import ObservedPool
from domain.store.client import connect
from domain.store.gateway import RedisStore
from domain.thread import OrderKind, ThreadStatus
from tests.support.api_kit import Api, make_api
from tests.support.store_kit import (
    POOL,
    begin,
    committed,
    going_on,
    next_message,
    order,
    real_url_fixture,
    sample_pool,
    started_thread,
    thread_config,
)

__all__ = ["real_url_fixture"]

PLACES = 2


@pytest.fixture(name="redis_client")
def redis_client_fixture(real_url: str) -> Iterator[redis.Redis]:
    client = connect(real_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(name="api")
def api_fixture(redis_client: redis.Redis) -> Iterator[Api]:
    api = make_api(redis_client, max_live_listeners=PLACES)
    yield api
    service_of(api).closing.set()


def service_of(api: Api) -> Any:
    return api.client.application.extensions[SERVICE]


def feed_of(api: Api) -> Feed:
    return api.client.application.extensions[FEED]


def events(chunk: bytes) -> list[tuple[str, Any]]:
    """(name, document) of every event in what one read of the stream brought."""
    found = []
    for block in chunk.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def observed(slot: int, amount: int) -> ObservedPool:
    return ObservedPool(**(dict.fromkeys(ObservedPool.__dataclass_fields__, amount) | {"slot": slot}))


def look(store: RedisStore, seen: ObservedPool) -> None:
    committed(store, going_on(begin_again(store), observed=seen.to_text()))


def begin_again(store: RedisStore) -> Any:
    return begin(store, "deposit_1") if store.get_chain("deposit_1") else started_thread(store)


def get(api: Api, path: str) -> tuple[int, Any]:
    response = api.client.get(path)
    return response.status_code, json.loads(response.get_data(as_text=True))


def test_a_stream_begins_with_the_past_the_pools_and_a_snapshot(api: Api) -> None:
    api.store.put_pool(sample_pool())
    look(api.store, observed(7, 2**80))
    response = api.client.get("/live/events", buffered=False)
    assert (response.status_code, response.mimetype) == (200, "text/event-stream")
    stream = iter(response.response)
    found = events(next(stream))
    assert [name for name, _ in found] == ["hello", "pools", "snapshot"]
    documents = dict(found)
    assert "stop_thread" in documents["hello"]["methods"]
    assert documents["pools"][0]["id"] == POOL
    (pool,) = documents["snapshot"]["pools"]
    assert (pool["surplus"], pool["slot"]) == (str(2**80), "7")
    assert [name for name, _ in events(next(stream))] == ["snapshot"], "what is known is not sent again"
    response.close()


def test_no_more_than_so_many_may_watch_and_a_place_becomes_free_again(api: Api) -> None:
    watching = [api.client.get("/live/events", buffered=False) for _ in range(PLACES)]
    assert feed_of(api).listeners == PLACES
    refused = api.client.get("/live/events")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert json.loads(refused.data)["error"] == "No more than 2 can watch at once"
    watching[0].close()
    again = api.client.get("/live/events", buffered=False)
    assert again.status_code == 200
    for response in (*watching, again):
        response.close()
    assert feed_of(api).listeners == 0


def test_a_stream_ends_when_the_server_closes(api: Api) -> None:
    response = api.client.get("/live/events", buffered=False)
    stream = iter(response.response)
    next(stream)
    service_of(api).closing.set()
    assert list(stream) == []
    response.close()


def test_a_store_that_fails_is_said_and_the_stream_goes_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ValueError("a secret text")

    monkeypatch.setattr(RedisStore, "overview", broken)
    response = api.client.get("/live/events", buffered=False)
    stream = iter(response.response)
    found = dict(events(next(stream)))
    assert found["unavailable"] == {"reason": "The snapshot could not be read"}
    monkeypatch.undo()
    for chunk in stream:
        if "snapshot" in dict(events(chunk)):
            break
    response.close()


def test_the_history_is_kept_in_steps_and_for_ten_minutes_only(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.store.put_pool(sample_pool())
    look(api.store, observed(1, 5))
    feed = feed_of(api)
    real, numbers = RedisStore.overview, count()

    def a_second_later(store: RedisStore) -> Any:
        seen, number = real(store), next(numbers)
        return replace(seen, at_ms=number * 1_000, counts=replace(seen.counts, at_s=float(number)))

    monkeypatch.setattr(RedisStore, "overview", a_second_later)
    shown = [feed.take() for _ in range(2 * KEPT + 20)]
    rows = feed.hello()["rows"]
    assert len(rows) == KEPT
    assert rows[-1] == next(one["row"] for one in reversed(shown) if "row" in one)
    assert {later[0] - earlier[0] for earlier, later in pairwise(rows)} == {2_000}
    assert sum("row" in one for one in shown) == KEPT + 10
    (pool,) = [feed.pool_history(POOL)]
    assert pool is not None
    assert (len(pool["rows"]), pool["rows"][0][1:]) == (KEPT, ["5", "5", "5"])
    assert get(api, f"/live/pools/{POOL}")[1]["columns"] == list(pool["columns"])
    assert get(api, "/live/pools/nobody") == (200, {"columns": [], "rows": []})


def test_what_another_worker_saw_before_does_not_come_back(api: Api) -> None:
    api.store.put_pool(sample_pool())
    look(api.store, observed(9, 90))
    feed = feed_of(api)
    assert feed.take()["pools"][0]["surplus"] == "90"
    look(api.store, observed(8, 80))
    assert feed.take()["pools"][0]["surplus"] == "90"
    look(api.store, observed(10, 100))
    assert feed.take()["pools"][0]["surplus"] == "100"


def test_counters_that_begin_anew_give_no_negative_rates(api: Api, redis_client: redis.Redis) -> None:
    begun = started_thread(api.store)
    committed(api.store, going_on(begun, counts=(("operations", "deposit.confirmed", 5),)))
    feed = feed_of(api)
    feed.take()
    redis_client.flushall()
    shown = feed.take()
    assert shown["rates"]["deposit"] is None
    assert shown["verdict"]["state"] == "idle"


def table(api: Api, **query: Any) -> dict[str, Any]:
    response = api.client.get("/live/threads", query_string={"fresh": "1", **query})
    assert response.status_code == 200, response.data
    return dict(json.loads(response.data))


def names(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["rows"]]


@pytest.fixture(name="fleet")
def fleet_fixture(api: Api) -> Api:
    """deposit_1 running and busy, deposit_2 and deposit_10 created, swap_1 in error."""
    begun = started_thread(api.store, index=0)
    state = {
        "session": {"confirmed": "12", "failed_expected": "2", "expired": "1"},
        "balances": {"sol": "5000000000"},
        "waiting": "stale",
        "last_operation_at_ms": 77,
    }
    committed(api.store, going_on(begun, state=json.dumps(state)))
    for name, index in (("deposit_10", 1), ("deposit_2", 2)):
        api.store.create_thread(thread_config(name, index=index), "v1:sealed", ready=True)
    begun = started_thread(api.store, "swap_1", index=3)
    note = {"error": "PoolSwapsPaused"} | dict.fromkeys(
        ("message", "category", "operation_type", "attempted_amount", "available_balance", "recovery_action"), ""
    )
    state = {
        "session": {"confirmed": "2", "recovered": "1"},
        "waiting": "over",
        "balances": {"sol": "900"},
        "errors": [{"at_ms": 1, **note}],
    }
    committed(api.store, going_on(begun, state=json.dumps(state), status=ThreadStatus.ERROR))
    return api


def test_the_table_shows_each_thread_as_it_stands(fleet: Api) -> None:
    page = table(fleet)
    assert (page["total"], page["matching"], page["offset"]) == (4, 4, 0)
    assert names(page) == ["deposit_1", "deposit_10", "deposit_2", "swap_1"]
    row = page["rows"][0]
    wanted = {"kind": "deposit", "side": "A", "status": "running", "confirmed": 12, "failed": 3, "unexpected": 0}
    wanted |= {"sol": "5000000000", "waiting": "stale", "last_ms": 77, "ready": True, "order": ""}
    assert {name: row[name] for name in wanted} == wanted
    assert page["rows"][3]["last_error"] == "PoolSwapsPaused"
    assert page["rows"][3]["waiting"] == "", "who does not run waits for nothing"
    assert page["rows"][3]["confirmed"] == 3
    assert page["rows"][1]["sol"] is None, "unknown is not zero"
    assert "sealed" not in json.dumps(page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "created"}, ["deposit_10", "deposit_2"]),
        ({"kind": "swap"}, ["swap_1"]),
        ({"pool": "nobody"}, []),
        ({"q": "Deposit_1"}, ["deposit_1", "deposit_10"]),
        ({"q": "Wallet-swap"}, ["swap_1"]),
        ({"sort": "id"}, ["deposit_1", "deposit_2", "deposit_10", "swap_1"]),
        ({"sort": "sol", "descending": "true", "limit": "2"}, ["deposit_1", "swap_1"]),
        ({"sort": "confirmed", "descending": "true", "limit": "1", "offset": "1"}, ["swap_1"]),
        ({"sort": "status", "limit": "1"}, ["deposit_10"]),
        ({"offset": "9"}, []),
    ],
)
def test_the_table_filters_sorts_and_cuts(fleet: Api, query: dict[str, str], found: list[str]) -> None:
    assert names(table(fleet, **query)) == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "201"}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"sort": "wallet"}, "sort"),
        ({"status": "deleted"}, "status"),
        ({"q": "x" * 65}, "q"),
        ({"colour": "red"}, "colour"),
        ({"descending": "perhaps"}, "descending"),
    ],
)
def test_a_bad_question_is_answered_with_its_field(fleet: Api, query: dict[str, str], field: str) -> None:
    response = fleet.client.get("/live/threads", query_string=query)
    assert response.status_code == 400
    assert json.loads(response.data)["error"].startswith(f"{field}: ")


def test_a_pending_order_shows_and_a_second_look_within_two_seconds_costs_nothing(fleet: Api) -> None:
    before = table(fleet)
    fleet.store.place_order(thread_config("deposit_1").thread_id, order(OrderKind.STOP, "s"), next_message)
    cached = json.loads(fleet.client.get("/live/threads").data)
    assert cached["rows"][0]["status"] == before["rows"][0]["status"] == "running"
    row = table(fleet)["rows"][0]
    assert (row["status"], row["order"]) == ("stopped", "stop")


def test_faults_come_the_newest_first_in_pages(api: Api) -> None:
    assert get(api, "/live/faults") == (200, {"count": 0, "faults": []})
    api.store.add_faults([json.dumps({"check": f"I{n}", "evidence": {"n": str(2**90)}}) for n in range(120)])
    _, first = get(api, "/live/faults")
    assert (first["count"], len(first["faults"])) == (120, 50)
    assert (first["faults"][0]["number"], first["faults"][0]["check"]) == (119, "I119")
    assert first["faults"][0]["evidence"]["n"] == str(2**90)
    _, last = get(api, "/live/faults?before=20")
    assert [fault["number"] for fault in last["faults"]] == list(range(19, -1, -1))
    assert get(api, "/live/faults?before=0")[1]["faults"] == []
    assert get(api, "/live/faults?before=999")[1]["faults"][0]["number"] == 119
    for bad in ("-1", "x", "1.5", "9" * 16, "٣"):
        status, answer = get(api, f"/live/faults?before={bad}")
        assert (status, answer["error"].split(":")[0]) == (400, "before")


@pytest.mark.parametrize("path", ["/live/threads", "/live/faults"])
def test_without_a_store_the_answer_says_so(api: Api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    nowhere = make_api(redis.Redis(unix_socket_path="/nonexistent/socket", decode_responses=True))
    status, answer = get(nowhere, path)
    assert (status, answer) == (503, {"error": "The store is not available, try again later"})


def test_the_page_allows_nothing_but_itself(api: Api) -> None:
    with api.client.get("/") as response:
        assert response.status_code == 200
        policy, text = response.headers["Content-Security-Policy"], response.get_data(as_text=True)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert " style=" not in text
    assert "//" not in text
    for name in (path.relative_to(STATIC) for path in STATIC.rglob("*") if path.is_file()):
        with api.client.get(f"/live/static/{name}") as response:
            assert response.status_code == 200
            assert response.headers["Content-Security-Policy"] == policy
    assert api.client.get("/live/static/../routes.py").status_code == 404


def test_what_is_vendored_is_what_was_released() -> None:
    import hashlib

    folder = STATIC / "vendor"
    notice = (folder / "NOTICE").read_text().split()
    files = [path for path in folder.iterdir() if path.suffix in (".js", ".css")]
    assert files
    for path in files:
        assert notice[notice.index(path.name) + 1] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "MIT" in (folder / "uPlot.LICENSE").read_text()
