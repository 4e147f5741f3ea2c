"""Every row of the monitoring list has its place in the answers, and the answers have the published shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fakeredis
import jsonschema
import pytest
from referencing import Registry, Resource

import api
from domain.chains import Commit, Mark
from domain.ids import Address, PoolId, ThreadId
from domain.pool import Asset, Side, lp_of, token_of
from domain.state import ErrorNote, ThreadState, Totals
from domain.store.gateway import RedisStore
from domain.thread import ThreadKind
from tests.support.api_kit import Api, make_api
from tests.support.mon_paths import ALL, MON_PATHS, values_at
from tests.support.store_kit import sample_pool, started_thread, thread_config

POOL_ID = PoolId("5" * 43)
NOW_MS = 1_736_937_045_123
NOTE = ErrorNote(
    at_ms=NOW_MS,
    error="PoolSwapsPaused",
    message="PoolSwapsPaused in swap_1/3",
    category="logic",
    operation_type="swap",
    attempted_amount="5",
    available_balance="7",
    recovery_action="waits until the pause ends",
)


def validator(name: str) -> jsonschema.Draft202012Validator:
    folder = Path(api.__file__).parent / "schemas"
    documents = {path.name: json.loads(path.read_text()) for path in folder.glob("get_*.json")}
    registry = Registry().with_resources((known, Resource.from_contents(doc)) for known, doc in documents.items())
    jsonschema.Draft202012Validator.check_schema(documents[f"{name}.json"])
    return jsonschema.Draft202012Validator(documents[f"{name}.json"], registry=registry)


def problems(name: str, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(document)]


@pytest.fixture(name="service")
def service_fixture() -> Api:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    return make_api(client)


def furnish(store: RedisStore, *, used: bool) -> None:
    """One thread of each kind; ``used``: running, with something in every list."""
    addresses = dict.fromkeys(("mint_a", "mint_b", "vault_a", "vault_b", "lp_mint_a", "lp_mint_b"), Address("6" * 43))
    store.put_pool(sample_pool(POOL_ID, **addresses))
    for index, kind in enumerate(ThreadKind):
        name = f"{kind.value}_1"
        other = token_of(Side.B) if kind is ThreadKind.SWAP else lp_of(Side.A)
        accounts = {token_of(Side.A): Address("7" * 43), other: Address("8" * 43)}
        more = {"pool_id": POOL_ID, "wallet": Address(f"9{index + 1}" * 20), "accounts": accounts, "index": index}
        if not used:
            store.create_thread(thread_config(name, **more), "v1:sealed", ready=True)
            continue
        begun = started_thread(store, name, share=True, **more)
        totals = Totals(submitted=4, confirmed=2, failed_expected=1, spent=9, received=3, smallest=4, largest=5)
        state = ThreadState(
            session=totals,
            lifetime=totals,
            session_started_at_ms=NOW_MS,
            session_reason="manual",
            balances={"sol": 5, "token_a": 3},
            balances_at_ms=NOW_MS,
            last_success_at_ms=NOW_MS,
            last_operation_at_ms=NOW_MS,
            waiting="paused",
            waiting_since_ms=NOW_MS,
        ).noted(NOTE)
        source = {"withdrawal": "deposit_1", "deposit": "withdrawal_1", "swap": "swap_2"}[kind.value]
        asset = Asset.LP_A.value if kind is ThreadKind.DEPOSIT else Asset.TOKEN_A.value
        share = {"paid": {asset: "5"}, "paid_to": {}, "received": {source: "8"}, "retained": {}}
        records = ((f"share:{name}", json.dumps(share | {"last_amount": "5", "last_at_ms": NOW_MS})),)
        marks = (Mark(name="I10-CT", slot=1, value=10),)
        commit = Commit(begun=begun, state=state.to_text(), intents="[]", records=records, marks=marks)
        store.commit(commit)


@pytest.mark.parametrize("kind", ALL)
def test_every_row_has_its_place(service: Api, kind: str) -> None:
    furnish(service.store, used=True)
    status = service.result("get_thread_status", {"thread_id": f"{kind}_1"})
    missing = []
    for row, (kinds, paths) in MON_PATHS.items():
        for path in paths if kind in kinds else ():
            try:
                values_at(status, path)
            except (KeyError, AssertionError) as error:
                missing.append(f"{row} {path}: {error!r}")
    assert missing == []
    assert list(MON_PATHS) == [f"MON-{number:02}" for number in range(1, 97)]


@pytest.mark.parametrize("used", [False, True], ids=["created", "used"])
def test_the_answers_have_the_published_shape(service: Api, used: bool) -> None:
    furnish(service.store, used=used)
    listed = service.result("get_all_threads")
    assert [one["type"] for one in listed["threads"]] == list(ALL)
    assert problems("get_all_threads", listed) == []
    for one in listed["threads"]:
        status = service.result("get_thread_status", {"thread_id": one["thread_id"]})
        assert problems("get_thread_status", status) == []
        status["health_monitoring"]["performance_indicators"].pop("time_since_last_success_seconds")
        one["health_monitoring"]["performance_indicators"].pop("time_since_last_success_seconds")
        status["statistics"].pop("timing_stats")
        one["statistics"].pop("timing_stats")
        status["lifetime"].pop("total_active_time_seconds")
        one["lifetime"].pop("total_active_time_seconds")
        assert status == one


def test_the_shape_demands_every_row(service: Api) -> None:
    """Without any one of the listed fields the answer has no longer the published shape."""
    furnish(service.store, used=True)
    for kind in ALL:
        status = service.result("get_thread_status", {"thread_id": f"{kind}_1"})
        checks = validator("get_thread_status")
        for kinds, paths in MON_PATHS.values():
            for path in paths if kind in kinds else ():
                poorer = json.loads(json.dumps(status))
                parent, _, name = path.rpartition(".")
                for holder in values_at(poorer, parent) if parent else [poorer]:
                    holder.pop(name)
                optional = path.endswith(("lp_token_a", "lp_token_b"))  # ours, beside the documented one
                assert optional or not checks.is_valid(poorer), path


def test_the_shape_is_closed(service: Api) -> None:
    furnish(service.store, used=True)
    status = service.result("get_thread_status", {"thread_id": "deposit_1"})
    assert problems("get_thread_status", status | {"sealed_key": "x"}) != []
    assert problems("get_thread_status", status | {"swap_specific": {}}) != []
    assert problems("get_thread_status", status | {"type": "swap"}) != []
    balances = status["balances"] | {"sol": 1.5}
    assert problems("get_thread_status", status | {"balances": balances}) != []


def test_a_status_needs_one_round_trip_and_all_statuses_two(service: Api) -> None:
    furnish(service.store, used=True)
    service.result("get_thread_status", {"thread_id": "swap_1"})  # what never changes is known now
    trips: list[int] = []
    edge = service.store._edge
    batch, call = edge.batch, edge.call
    edge.batch = lambda commands, **options: (trips.append(1), batch(commands, **options))[1]
    edge.call = lambda *command, **options: (trips.append(1), call(*command, **options))[1]
    service.result("get_thread_status", {"thread_id": "swap_1"})
    assert len(trips) == 1
    service.result("get_all_threads")
    assert len(trips) == 3


def test_a_deleted_thread_is_not_found_although_it_was_remembered(service: Api) -> None:
    furnish(service.store, used=False)
    service.result("get_thread_status", {"thread_id": "deposit_1"})
    service.redis.delete("frt:chain:deposit_1")
    assert service.error("get_thread_status", {"thread_id": "deposit_1"})["code"] == -1004


def test_another_thread_of_the_same_name_is_not_mistaken_for_the_old_one(service: Api) -> None:
    """Redis was emptied while the web server ran."""
    furnish(service.store, used=False)
    service.result("get_thread_status", {"thread_id": "deposit_1"})
    service.redis.flushall()
    service.store.put_pool(sample_pool(POOL_ID))
    config = thread_config("deposit_1", pool_id=POOL_ID, wallet=Address("2" * 43))
    service.store.create_thread(config, "v1:sealed", ready=True)
    assert service.result("get_thread_status", {"thread_id": "deposit_1"})["wallet_address"] == "2" * 43
    assert service.store.thread_config(ThreadId("deposit_1")) == config
