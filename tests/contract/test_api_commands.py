"""Commands from the web edge to their answer, over a real Redis: sent once, waited for, never answered twice."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import SERVICE
from domain.ids import CommandId, PoolId, ThreadId
from domain.store.client import connect
from domain.store.keys import Keys
from tests.support.api_kit import POOL_ID, THREAD_ID, Api, furnish, make_api, request, worker
from tests.support.store_kit import leaked_keys, real_url_fixture, sample_pool

__all__ = ["real_url_fixture"]

LONG_S = 20.0  # nobody waits this long: answers come as soon as they are there


@pytest.fixture(name="redis_client")
def redis_client_fixture(real_url: str) -> Iterator[Any]:
    client = connect(real_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(name="api")
def api_fixture(redis_client: Any) -> Api:
    api = make_api(redis_client, request_timeout_s=LONG_S)
    furnish(api.store)
    return api


@pytest.fixture(name="hasty")
def hasty_fixture(redis_client: Any) -> Api:
    """An application that gives up after 50 ms."""
    api = make_api(redis_client)
    furnish(api.store)
    return api


def test_a_result_comes_back_as_the_command_gave_it(api: Api) -> None:
    result = {"pool_id": "X", "ratio_a_numerator": 2**64 - 1, "nested": [1, None, "ü"]}
    with worker(api.store, lambda _: {"ok": result}) as seen:
        assert api.result("create_pool", {"ratio_a": 10**9, "ratio_b": 2**64 - 1}) == result
    (record,) = seen
    assert record.method == "create_pool"
    assert json.loads(record.params) == {"ratio_a": 10**9, "ratio_b": 2**64 - 1, "exact_exchange": False}


def test_an_error_comes_back_with_code_message_and_data(api: Api) -> None:
    error = {"code": -1003, "message": "Cannot empty thread deposit_1", "data": {"thread_id": "deposit_1"}}
    with worker(api.store, lambda _: {"error": error}):
        assert api.error("empty_thread", {"thread_id": THREAD_ID}) == error
    with worker(api.store, lambda _: {"error": error | {"data": {}}}):
        assert "data" not in api.error("empty_thread", {"thread_id": THREAD_ID})


def test_defaults_are_sent_and_the_id_is_not(api: Api) -> None:
    params = {"pool_id": POOL_ID, "token_type": "A", "initial_amount": 5, "command_id": "c-1"}
    with worker(api.store, lambda _: {"ok": {}}) as seen:
        api.result("create_deposit_thread", params)
    assert seen[0].command_id == "c-1"
    assert json.loads(seen[0].params) == {
        "pool_id": POOL_ID,
        "token_type": "A",
        "initial_amount": 5,
        "auto_refill": False,
        "share_lp_tokens": True,
    }


def test_positional_parameters_reach_the_command_by_name(api: Api) -> None:
    with worker(api.store, lambda _: {"ok": {}}) as seen:
        api.result("create_swap_thread", [POOL_ID, "b_to_a", 7])
    assert json.loads(seen[0].params) == {"pool_id": POOL_ID, "direction": "b_to_a", "initial_amount": 7}


def test_a_command_is_one_message_on_the_control_queue(hasty: Api) -> None:
    hasty.error("pause_pool", {"pool_id": POOL_ID, "command_id": "c-1"})
    (text,) = hasty.redis.lrange("frt:control", 0, -1)
    message = json.loads(text)
    assert message["headers"]["task"] == "control.command"
    arguments = json.loads(base64.b64decode(message["body"]))[0]
    assert arguments == ["command:c-1", 1, 0]
    record = hasty.store.get_chain("command:c-1")
    assert record is not None
    assert json.loads(record.config)["method"] == "pause_pool"


def test_a_command_that_goes_on_answers_still_running(hasty: Api) -> None:
    error = hasty.error("start_thread", {"thread_id": THREAD_ID})
    assert error["code"] == -1009
    command_id = error["data"]["command_id"]
    running = hasty.result("get_command", {"command_id": command_id})
    assert (running["status"], running["method"]) == ("running", "start_thread")
    assert running["created_at"] is not None
    assert running["finished_at"] is None

    hasty.store.answer_command(command_id, json.dumps({"ok": {"thread_id": THREAD_ID, "status": "running"}}))
    done = hasty.result("get_command", {"command_id": command_id})
    assert (done["status"], done["result"]["status"], done["error"]) == ("done", "running", None)
    assert done["finished_at"] is not None


def test_get_command_tells_what_a_command_waits_for(hasty: Api) -> None:
    command_id = hasty.error("start_thread", {"thread_id": THREAD_ID})["data"]["command_id"]
    assert hasty.result("get_command", {"command_id": command_id})["unreachable"] is None
    state = {"data": {"unreachable": "http://me:secret@node:8899: timed out"}}
    hasty.redis.hset(Keys(hasty.settings.redis_prefix).chain(f"command:{command_id}"), "state", json.dumps(state))
    assert hasty.result("get_command", {"command_id": command_id})["unreachable"] == "http://***@node:8899: timed out"
    hasty.store.answer_command(command_id, json.dumps({"ok": {}}))
    assert hasty.result("get_command", {"command_id": command_id})["unreachable"] is None


def test_get_command_tells_of_a_failure(hasty: Api) -> None:
    command_id = hasty.error("start_thread", {"thread_id": THREAD_ID})["data"]["command_id"]
    error = {"code": -1005, "message": "it is running", "data": {}}
    hasty.store.answer_command(command_id, json.dumps({"error": error}))
    failed = hasty.result("get_command", {"command_id": command_id})
    assert (failed["status"], failed["result"], failed["error"]) == ("failed", None, error)


def test_the_same_id_acts_once_and_gets_the_same_answer(api: Api) -> None:
    params = {"thread_id": THREAD_ID, "command_id": "once"}
    with worker(api.store, lambda _: {"ok": {"n": 1}}) as seen:
        assert [api.result("stop_thread", params) for _ in range(3)] == [{"n": 1}] * 3
    assert len(seen) == 1
    assert api.redis.llen("frt:control") == 1


def test_a_repeated_delete_gets_its_answer_though_the_thread_is_gone(api: Api) -> None:
    params = {"thread_id": THREAD_ID, "command_id": "delete-1"}
    with worker(api.store, lambda _: {"ok": {"status": "deleted"}}):
        api.result("delete_thread", params)
    api.redis.delete(f"frt:chain:{THREAD_ID}")
    assert api.result("delete_thread", params) == {"status": "deleted"}
    assert api.error("delete_thread", {"thread_id": THREAD_ID})["code"] == -1004


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("start_thread", {"thread_id": THREAD_ID}),
        ("stop_thread", {"thread_id": "deposit_2"}),
        ("pause_pool", {"pool_id": POOL_ID}),
    ],
)
def test_an_id_belongs_to_one_command(api: Api, method: str, params: dict[str, Any]) -> None:
    with worker(api.store, lambda _: {"ok": {}}):
        api.result("stop_thread", {"thread_id": THREAD_ID, "command_id": "taken"})
    before = api.dump()
    error = api.error(method, params | {"command_id": "taken"})
    assert (error["code"], error["data"]["field"]) == (-32602, "command_id")
    assert api.dump() == before


@pytest.mark.parametrize(
    "method", ["start_thread", "stop_thread", "empty_thread", "delete_thread", "get_thread_status"]
)
def test_only_threads_are_threads(hasty: Api, method: str) -> None:
    """A pool's chain and a command have records too; an order to one of them would wreck it."""
    hasty.error("pause_pool", {"pool_id": POOL_ID, "command_id": "c-1"})
    before = hasty.dump()
    assert hasty.error(method, {"thread_id": "command:c-1"})["code"] == -1004
    assert hasty.dump() == before


@pytest.mark.parametrize("method", ["pause_pool", "unpause_pool", "set_swap_owner_only", "update_pool_fees"])
def test_foreign_pools_are_not_administered(api: Api, method: str) -> None:
    api.store.put_pool(sample_pool("Foreign", managed=False))
    extra: dict[str, Any] = {"set_swap_owner_only": {"enable": True}, "update_pool_fees": {"swap_fee": 10_000}}
    before = api.dump()
    assert api.error(method, {"pool_id": "Foreign"} | extra.get(method, {}))["code"] == -1005
    assert api.error("consolidate_pool_fees", {"pool_ids": [POOL_ID, "Foreign"]})["code"] == -1005
    assert api.dump() == before


def test_a_pool_for_probes_takes_no_threads(api: Api) -> None:
    api.store.put_pool(sample_pool("Probed", probe_only=True))
    before = api.dump()
    params = {"pool_id": "Probed", "direction": "a_to_b", "initial_amount": 0}
    assert api.error("create_swap_thread", params)["code"] == -1005
    assert api.dump() == before


def test_when_all_places_are_taken_a_command_answers_at_once(redis_client: Any) -> None:
    """Reads stay fast because at most so many requests wait; the command itself is sent all the same."""
    api = make_api(redis_client, request_timeout_s=LONG_S, max_waiting_requests=0)
    furnish(api.store)
    error = api.error("pause_pool", {"pool_id": POOL_ID, "command_id": "c-1"})
    assert (error["code"], error["data"]["command_id"]) == (-1009, "c-1")
    assert [command_id for command_id, _ in api.store.open_commands()] == ["c-1"]
    api.store.answer_command(api.store.open_commands()[0][0], json.dumps({"ok": {"done": True}}))
    assert api.result("pause_pool", {"pool_id": POOL_ID, "command_id": "c-1"}) == {"done": True}


def test_a_place_is_given_back(redis_client: Any) -> None:
    api = make_api(redis_client, request_timeout_s=LONG_S, max_waiting_requests=1)
    furnish(api.store)
    with worker(api.store, lambda _: {"ok": {}}):
        for _ in range(3):
            assert api.result("pause_pool", {"pool_id": POOL_ID}) == {}


def recorded_waits(api: Api) -> list[float]:
    """The time-outs of every wait for a command from now on."""
    commands = api.client.application.extensions[SERVICE].commands
    waits: list[float] = []
    genuine = commands.wait

    def wait(command_id: CommandId, timeout_s: float) -> Any:
        waits.append(timeout_s)
        return genuine(command_id, timeout_s)

    commands.wait = wait
    return waits


def test_a_batch_shares_the_requests_time(hasty: Api) -> None:
    waits = recorded_waits(hasty)
    batch = [request("pause_pool", {"pool_id": POOL_ID}, id=n) for n in range(4)]
    _, answers = hasty.post(batch)
    assert [answer["error"]["code"] for answer in answers] == [-1009] * 4
    assert len(hasty.store.open_commands()) == 4
    assert waits[0] > 0.02
    assert sum(waits) <= 2 * hasty.settings.request_timeout_s


def test_a_stop_waits_less_long_than_the_request_may_last(redis_client: Any) -> None:
    api = make_api(redis_client, request_timeout_s=LONG_S, stop_wait_s=0.05)
    furnish(api.store)
    waits = recorded_waits(api)
    assert api.error("stop_thread", {"thread_id": THREAD_ID})["code"] == -1009
    assert 0.0 < sum(waits) <= 0.05


def test_a_closing_server_ends_the_waits(api: Api) -> None:
    service = api.client.application.extensions[SERVICE]
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(api.error("pause_pool", {"pool_id": POOL_ID})))
    asking.start()
    service.closing.set()
    asking.join(timeout=10)
    assert not asking.is_alive()
    assert answers[0]["code"] == -1009


def test_many_callers_at_once_each_get_their_own_answer(api: Api) -> None:
    results: dict[int, Any] = {}
    app = api.client.application

    def ask(number: int) -> None:
        body = request("create_pool", {"token_a_decimals": number % 10, "command_id": f"c{number}"})
        results[number] = app.test_client().post("/rpc", json=body).json["result"]

    with worker(api.store, lambda record: {"ok": {"mine": record.command_id}}):
        callers = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(timeout=30)
    assert results == {number: {"mine": f"c{number}"} for number in range(12)}


def test_no_key_is_left_without_a_life_span(api: Api) -> None:
    with worker(api.store, lambda _: {"ok": {}}):
        api.result("pause_pool", {"pool_id": POOL_ID})
    api.redis.delete("frt:control")  # the broker's own list
    live = [key for key in leaked_keys(api.redis) if not key.startswith("frt:chain:command:")]
    assert live == []


def test_list_pools_has_the_documented_fields(api: Api) -> None:
    api.store.put_pool(
        sample_pool("Two", ratio_a=10**9, ratio_b=160 * 10**6, decimals_a=9, decimals_b=6, exact_exchange=True)
    )
    one = next(pool for pool in api.result("list_pools")["pools"] if pool["pool_id"] == "Two")
    documented = {
        "pool_id": "Two",
        "token_a_mint": "Two-mint_a",
        "token_a_decimals": 9,
        "token_b_mint": "Two-mint_b",
        "token_b_decimals": 6,
        "ratio_display": "1 Token A = 160 Token B",
        "ratio_a_numerator": 10**9,
        "ratio_b_denominator": 160_000_000,
        "exact_exchange": True,
    }
    assert documented.items() <= one.items()
    assert one["created_at"] == "2023-11-14T22:13:20Z"
    assert list(one)[: len(documented)] == list(documented)  # in the documented order, too


def test_statuses_come_from_the_store(api: Api) -> None:
    status = api.result("get_thread_status", {"thread_id": THREAD_ID})
    assert (status["thread_id"], status["type"], status["status"]) == (THREAD_ID, "deposit", "created")
    assert status["wallet_address"] == f"Wallet-{THREAD_ID}"
    ledger = {"paid": {"lp_a": "5"}, "received": {}, "retained": {}}
    api.redis.hset(f"frt:ledger:{POOL_ID}", f"share:{THREAD_ID}", json.dumps(ledger))
    status = api.result("get_thread_status", [THREAD_ID])
    assert status["verification_totals"]["lp_tokens_shared"] == 5
    listed = api.result("get_all_threads")
    assert listed["threads"] == [status]
    assert listed["summary"]["total_threads"] == listed["summary"]["created_threads"] == 1


def test_no_answer_carries_a_key(api: Api) -> None:
    sealed = "v1:c2VhbGVkLXNlY3JldA=="
    pool_id = PoolId(POOL_ID)
    config = api.store.thread_config(ThreadId(THREAD_ID))
    assert config is not None
    api.redis.hset("frt:wallets", THREAD_ID, sealed)
    shown = json.dumps([api.result("get_all_threads"), api.result("list_pools"), api.call("rpc.describe")])
    assert sealed not in shown
    assert "sealed" not in shown
    assert pool_id in shown
