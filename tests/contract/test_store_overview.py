"""One read of everything an operator looks at: every part of it agrees with what was written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from domain.chains import ChainKind
from domain.ids import ChainId, CommandId, PoolId
from domain.store.gateway import RedisStore
from domain.store.histogram import bucket_of
from domain.store.keys import CONTROL_QUEUE, CYCLES_QUEUE
from domain.thread import OrderKind, ThreadKind, ThreadStatus
from tests.support.store_kit import (
    POOL,
    begin,
    client_fixture,
    committed,
    going_on,
    next_message,
    order,
    real_url_fixture,
    sample_pool,
    started_thread,
    store_fixture,
    thread_config,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]


def test_an_empty_service_has_an_overview(store: RedisStore) -> None:
    seen = store.overview()
    assert seen.at_ms > 0
    assert (seen.groups, seen.pools, seen.live_chains, seen.overdue_ms) == ((), (), 0, 0)
    assert seen.states() == {"created": 0, "running": 0, "stopped": 0, "error": 0}
    assert seen.queues == {CYCLES_QUEUE: 0, CONTROL_QUEUE: 0}
    assert (seen.paused, seen.recovering, seen.epoch) == (False, False, 0)
    assert (seen.heartbeat.swept_ms, seen.heartbeat.endpoints, seen.heartbeat.core_lamports) == (0, (), None)


def test_threads_are_counted_by_pool_kind_and_status(store: RedisStore) -> None:
    other = PoolId("PoolTwo")
    started_thread(store, "deposit_1")
    begun = started_thread(store, "deposit_2")
    committed(store, going_on(begun, status=ThreadStatus.ERROR))
    store.create_thread(thread_config("swap_1"), "v1:sealed")
    store.create_thread(replace(thread_config("swap_2"), pool_id=other), "v1:sealed")
    store.create_thread(replace(thread_config("withdrawal_1"), pool_id=other), "v1:sealed", status=ThreadStatus.STOPPED)
    seen = store.overview()
    groups = [(each.pool_id, each.kind.value, each.status.value, each.count) for each in seen.groups]
    assert groups == [
        (POOL, "deposit", "error", 1),
        (POOL, "deposit", "running", 1),
        (POOL, "swap", "created", 1),
        (other, "swap", "created", 1),
        (other, "withdrawal", "stopped", 1),
    ]
    assert seen.states() == {"created": 2, "running": 1, "stopped": 1, "error": 1}
    assert seen.states(kind=ThreadKind.SWAP, pool_id=other)["created"] == 1
    assert seen.running == 1


def test_many_threads_are_counted_in_portions(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.store.overview.THREADS_AT_ONCE", 2)
    for n in range(1, 6):
        store.create_thread(thread_config(f"deposit_{n}"), "v1:sealed")
    (group,) = store.overview().groups
    assert (group.kind, group.status, group.count) == (ThreadKind.DEPOSIT, ThreadStatus.CREATED, 5)


def test_a_deleted_thread_is_counted_no_more(store: RedisStore) -> None:
    store.create_thread(thread_config("deposit_1"), "v1:sealed")
    assert store.overview().states()["created"] == 1
    store.abandon_thread(thread_config("deposit_1").thread_id)
    assert store.overview().groups == ()


def test_schedule_queues_commands_and_flags(store: RedisStore, client: redis.Redis) -> None:
    begun = started_thread(store, "deposit_1")
    committed(store, going_on(begun, next=next_message(1, 2, 60_000)))
    assert (store.overview().live_chains, store.overview().overdue_ms) == (1, 0)
    store.start_chain(
        ChainId("share:PoolOne"), ChainKind.SHARE, POOL, "", lambda g, s: next_message(g, s, countdown_ms=-5_000)
    )
    store.push_message("frt:cycles", b"m")
    store.register_command(CommandId("c-1"), "create_pool", "{}")
    store.set_run({"seed": "7"})
    store.set_service_paused(True)
    store.raise_epoch("one")
    store.raise_epoch("two")
    store.reserve_core("r1", 5, 100)
    store.reserve_core("r2", 7, 100)
    seen = store.overview()
    assert (seen.live_chains, seen.queues, seen.open_commands) == (2, {"cycles": 1, "control": 0}, 1)
    assert 5_000 <= seen.overdue_ms < 65_000
    assert seen.oldest_command_ms < 60_000
    assert (seen.run["seed"], seen.paused, seen.epoch, seen.recovering) == ("7", True, 1, True)
    assert seen.core_reserved_lamports == 12
    client.delete("frt:cycles")  # the broker's key, not one of ours


def test_pools_show_their_outbox_their_low_wallets_and_who_runs(store: RedisStore) -> None:
    store.put_pool(sample_pool("PoolOne"))
    store.put_pool(sample_pool("PoolTwo"))
    begun = started_thread(store, "deposit_1")
    committed(store, going_on(begun, outbox_put=(("e1", "{}"), ("e2", "{}")), low=("sol",)))
    sizes = [(each.pool_id, each.outbox, each.low, each.running) for each in store.overview().pools]
    assert sizes == [("PoolOne", 2, 1, 1), ("PoolTwo", 0, 0, 0)]
    assert store.overview().outbox_entries == 2


def test_counters_histograms_journal_and_faults(store: RedisStore) -> None:
    begun = started_thread(store, "deposit_1")
    counts = (
        ("operations", "deposit.submitted", 3),
        ("operations", "deposit.confirmed", 1),
        ("operations", "deposit.expired", 1),
        ("errors", "PoolLiquidityPaused", 2),
        ("confirm", f"deposit:{bucket_of(700)}", 4),
        ("faults", "I4", 1),
    )
    committed(store, going_on(begun, counts=counts, journal=("{}", "{}"), faults=("{}",)))
    begin(store, "deposit_1")
    seen = store.overview()
    assert seen.counts.operations["deposit.confirmed"] == 1
    assert seen.counts.in_flight == 1
    assert seen.counts.errors == {"PoolLiquidityPaused": 2}
    assert seen.counts.confirm == {"deposit": {bucket_of(700): 4}}
    assert seen.counts.cycles["deposit.started"] == sum(seen.counts.lateness["deposit"].values()) == 3
    assert (seen.journal_length, seen.fault_count, seen.counts.faults) == (2, 1, {"I4": 1})
    assert replace(seen.counts, at_s=1.0) == store.all_counts(1.0)


def test_the_supervisors_notes_come_back(store: RedisStore) -> None:
    endpoint = {"endpoint": "http://a", "ok": False, "latency_ms": 3, "backoff_ms": 250, "error": "no answer"}
    store.note_heartbeat("sweep", {"at_ms": 5, "cycle_ms": 4})
    store.note_heartbeat("chain", {"at_ms": 9, "endpoints": [endpoint], "core_lamports": str(2**63), "core_at_ms": 8})
    beat = store.overview().heartbeat
    assert beat == store.heartbeat()
    assert (beat.swept_ms, beat.cycle_ms, beat.asked_ms, beat.core_lamports, beat.core_asked_ms) == (5, 4, 9, 2**63, 8)
    assert [(each.endpoint, each.ok, each.error) for each in beat.endpoints] == [("http://a", False, "no answer")]


def test_an_order_shows_at_once(store: RedisStore) -> None:
    begun = started_thread(store, "deposit_1")
    committed(store, going_on(begun))
    store.place_order(thread_config("deposit_1").thread_id, order(OrderKind.STOP, "stop"), next_message)
    assert store.overview().states()["stopped"] == 1
