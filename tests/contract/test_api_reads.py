"""Reads over what Redis holds: pools as seen last, threads by filter, the core wallet, faults and the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from domain.chains import Mark
from domain.faults import Fault
from domain.ids import PoolId
from domain.observed import ObservedPool
from domain.policy import Policy, PolicyStep
from domain.pool import Side
from domain.thread import ThreadStatus
from tests.support.api_kit import POOL_ID, UNKNOWN, Api, make_api
from tests.support.store_kit import committed, going_on, sample_pool, started_thread, thread_config

OTHER = PoolId("PoolTwo")
STEP = PolicyStep(operation_id="command:a/4", flags=0x06, liquidity_fee=7, swap_fee=8, owner="o", slot=9)


@pytest.fixture(name="api")
def api_fixture(tmp_path: Path) -> Iterator[Api]:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    yield make_api(client, data_dir=tmp_path)
    client.close()


def test_a_pool_before_anybody_has_looked(api: Api) -> None:
    api.store.put_pool(sample_pool(POOL_ID))
    pool = api.result("get_pool", {"pool_id": POOL_ID})
    assert (pool["pool_id"], pool["observed"], pool["invariant_marks"], pool["policy"]) == (POOL_ID, None, [], [])
    assert pool["threads"] == {"created": 0, "running": 0, "stopped": 0, "error": 0}
    assert api.error("get_pool", {"pool_id": UNKNOWN})["code"] == -1002


def test_a_pool_as_cycles_and_administrators_left_it(api: Api) -> None:
    store = api.store
    store.put_pool(sample_pool(POOL_ID))
    store.set_first_policy(
        PoolId(POOL_ID), Policy(steps=(STEP, replace(STEP, operation_id="b/1", slot=None, flags=0x20)))
    )
    seen = ObservedPool(
        slot=44,
        liquidity_a=2**64 - 1,
        liquidity_b=5,
        lp_supply_a=6,
        lp_supply_b=7,
        surplus=-(10**30),
        fees_held=8,
        liquidity_fee=9,
        swap_fee=10,
        flags=0x01 | 0x04 | 0x40,
    )
    begun = started_thread(store, "deposit_1")
    mark = Mark(name="I4", slot=44, value=10**30)
    committed(store, replace(going_on(begun), observed=seen.to_text(), marks=(mark,)))
    store.create_thread(thread_config("swap_1"), "v1:sealed")
    pool = api.result("get_pool", {"pool_id": POOL_ID})
    assert pool["observed"]["reserve_a"] == 2**64 - 1
    assert pool["observed"]["value_surplus"] == -(10**30)
    assert pool["observed"]["flags"] == {
        "simple_ratio": True,
        "liquidity_paused": False,
        "swaps_paused": True,
        "swap_owner_only": False,
        "exact_exchange": True,
    }
    assert pool["invariant_marks"] == [{"name": "I4", "slot": 44, "value": 10**30}]
    assert [(step["slot"], step["liquidity_paused"], step["swap_owner_only"]) for step in pool["policy"]] == [
        (9, True, False),
        (None, False, True),
    ]
    assert pool["threads"] == {"created": 1, "running": 1, "stopped": 0, "error": 0}


def test_threads_are_filtered_and_paged(api: Api) -> None:
    store = api.store
    started_thread(store, "deposit_1")
    begun = started_thread(store, "withdrawal_1")
    committed(store, going_on(begun, status=ThreadStatus.ERROR))
    store.create_thread(thread_config("swap_1", side=Side.B), "v1:sealed")
    store.create_thread(thread_config("deposit_2", pool_id=OTHER, side=Side.B, index=9), "v1:sealed")

    def listed(**params: Any) -> tuple[list[str], int]:
        found = api.result("list_threads", params)
        return [thread["thread_id"] for thread in found["threads"]], found["total"]

    assert listed()[1] == 4
    assert listed(kind="deposit") == (["deposit_1", "deposit_2"], 2)
    assert listed(pool_id=OTHER) == (["deposit_2"], 1)
    assert listed(status="error") == (["withdrawal_1"], 1)
    assert listed(status="running", kind="swap") == ([], 0)
    assert listed(direction="b_to_a") == (["swap_1"], 1)
    assert set(listed(token_type="B")[0]) == {"swap_1", "deposit_2"}
    everyone = listed()[0]
    assert listed(limit=2, offset=1) == (everyone[1:3], 4)
    assert listed(offset=4) == ([], 4)


def test_the_core_wallet_is_what_the_supervisor_saw(api: Api) -> None:
    unknown = api.result("core_wallet_status")
    assert (unknown["address"], unknown["lamports"], unknown["available_lamports"]) == (None, None, None)
    api.store.set_run({"core_wallet": "Core"})
    api.store.note_heartbeat(
        "chain", {"at_ms": 1, "endpoints": [], "core_lamports": 900, "core_at_ms": 1_700_000_000_000}
    )
    api.store.reserve_core("a", 200, 900)
    api.store.reserve_core("b", 100, 900)
    assert api.result("core_wallet_status") == {
        "address": "Core",
        "lamports": 900,
        "read_at": "2023-11-14T22:13:20Z",
        "reserved_lamports": 300,
        "available_lamports": 600,
        "reservations": 2,
    }


def test_faults_are_paged_from_either_end(api: Api) -> None:
    assert api.result("get_faults") == {"faults": [], "count": 0, "next_offset": None}
    api.store.add_faults([Fault(check="I4", message=str(n), evidence={"n": n}).to_text() for n in range(5)])

    def page(**params: Any) -> tuple[list[int], int | None]:
        found = api.result("get_faults", {"limit": 2, **params})
        assert found["count"] == 5
        assert [fault["message"] for fault in found["faults"]] == [str(fault["number"]) for fault in found["faults"]]
        return [fault["number"] for fault in found["faults"]], found["next_offset"]

    assert [page(offset=n) for n in (0, 2, 4)] == [([4, 3], 2), ([2, 1], 4), ([0], None)]
    assert [page(offset=n, order="oldest") for n in (0, 2, 4)] == [([0, 1], 2), ([2, 3], 4), ([4], None)]
    assert page(offset=7) == ([], None)
    with_evidence = api.result("get_faults", {"limit": 1})["faults"][0]
    assert with_evidence["evidence"] == {"n": 4}
    assert "evidence" not in api.result("get_faults", {"limit": 1, "evidence": False})["faults"][0]


def test_the_journal_is_read_from_stream_and_file_and_filtered(api: Api, tmp_path: Path) -> None:
    def entry(op: str, event: str, kind: str, pool: str | None = POOL_ID) -> str:
        return json.dumps({"event": event, "op": op, "kind": kind, "pool": pool})

    spilled = [
        f"{n}-0\t{entry(f'deposit_{n % 2}/{n}', 'submitted' if n % 3 else 'settled', 'deposit')}\n"
        for n in range(1, 10)
    ]
    (tmp_path / "journal.jsonl").write_text("".join(spilled))
    api.store.append_journal(
        [entry("share:PoolTwo/1", "submitted", "share", OTHER), entry("swap_1/1", "settled", "swap")]
    )

    def ops(**params: Any) -> list[str]:
        found = api.result("get_journal", params)
        assert found["spilled"]
        return [one["op"] for one in found["entries"]]

    assert ops(limit=2) == ["swap_1/1", "share:PoolTwo/1"]
    assert ops(limit=3)[2] == "deposit_1/9"
    assert ops(order="oldest", limit=2) == ["deposit_1/1", "deposit_0/2"]
    assert ops(thread_id="deposit_0") == ["deposit_0/8", "deposit_0/6", "deposit_0/4", "deposit_0/2"]
    assert ops(thread_id="deposit_0", event="settled") == ["deposit_0/6"]
    assert ops(pool_id=OTHER) == ["share:PoolTwo/1"]
    assert ops(kind="swap") == ["swap_1/1"]
    first = api.result("get_journal", {"limit": 4})
    second = api.result("get_journal", {"limit": 4, "cursor": first["next_cursor"]})
    assert [one["op"] for one in second["entries"]] == ["deposit_1/7", "deposit_0/6", "deposit_1/5", "deposit_0/4"]
    assert api.error("get_journal", {"order": "oldest", "cursor": first["next_cursor"]})["data"]["field"] == "cursor"


def test_an_audit_is_refused_at_once_while_threads_run(api: Api) -> None:
    started_thread(api.store, "deposit_1")
    error = api.error("run_audit")
    assert (error["code"], error["data"]) == (-1005, {"running": 1})
    assert api.store.open_commands() == []
