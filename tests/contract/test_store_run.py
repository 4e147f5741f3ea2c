"""The schedule, leases of singletons, the epoch, the core wallet's reservations, and Redis' own errors."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from domain.chains import Commit
from domain.ids import ChainId, CommandId
from domain.store.client import connect
from domain.store.errors import StoreFailed, StoreUnavailable
from domain.store.gateway import RedisStore
from domain.thread import OrderKind
from tests.support.redis_server import redis_server
from tests.support.store_kit import (
    QUEUE,
    THREAD,
    begin,
    client_fixture,
    committed,
    dump,
    going_on,
    next_message,
    order,
    real_url_fixture,
    refused,
    started_thread,
    store_fixture,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]
ANY_AGE = -60_000  # older than a minute from now: whatever is due


def idle_thread(store: RedisStore, thread_id: str = THREAD) -> None:
    """A running thread at (1, 2), due now, nobody at work on it."""
    committed(store, going_on(started_thread(store, thread_id)))


def test_overdue_chains_are_found_the_oldest_first(store: RedisStore, client: Any) -> None:
    now_ms = store.now_ms()
    for number, age_ms in ((1, 3_000), (2, 9_000), (3, 1_000), (4, -1_000)):
        idle_thread(store, f"deposit_{number}")
        client.zadd("frt:due", {f"deposit_{number}": now_ms - age_ms})
        client.hset(f"frt:chain:deposit_{number}", "due_ms", now_ms - age_ms)
    found = store.overdue(2_000, 10)
    assert [(item.chain_id, item.generation, item.seq) for item in found] == [("deposit_2", 1, 2), ("deposit_1", 1, 2)]
    assert found[0].due_ms == now_ms - 9_000
    assert [item.chain_id for item in store.overdue(2_000, 1)] == ["deposit_2"]


def test_a_chain_in_somebodys_hands_is_not_overdue(store: RedisStore) -> None:
    for number in range(1, 5):
        idle_thread(store, f"deposit_{number}")
    for number in range(1, 4):
        begin(store, f"deposit_{number}")
    # held chains fill whole pages without hiding the one behind them
    assert [item.chain_id for item in store.overdue(ANY_AGE, 1)] == ["deposit_4"]
    begin(store, "deposit_4", lease_ms=0)
    assert [item.chain_id for item in store.overdue(ANY_AGE, 9)] == ["deposit_4"]


def test_an_ended_chain_is_never_overdue(store: RedisStore) -> None:
    committed(store, Commit(begun=started_thread(store), state="", intents=""))
    assert store.overdue(ANY_AGE, 10) == []


def test_revivals_back_off_until_the_chain_moves(store: RedisStore, client: Any) -> None:
    idle_thread(store)
    chain_id = ChainId(THREAD)
    key = "frt:revival:" + THREAD

    def ago(milliseconds: int) -> None:
        step, count, at = client.get(key).rsplit(":", 2)
        client.set(key, f"{step}:{count}:{int(at) - milliseconds}", px=60_000)

    assert store.note_revival(chain_id)
    for pause_ms in (2_000, 4_000, 8_000, 16_000, 16_000):
        assert not store.note_revival(chain_id)
        ago(pause_ms - 1_000)
        assert not store.note_revival(chain_id)
        ago(1_000)
        assert store.note_revival(chain_id)
    committed(store, going_on(begin(store, THREAD)))
    assert store.note_revival(chain_id)
    assert store.counts("cycles")["deposit.revived"] == 7


def test_what_is_not_live_is_not_revived(store: RedisStore) -> None:
    committed(store, Commit(begun=started_thread(store), state="", intents=""))
    assert not store.note_revival(ChainId(THREAD))
    assert not store.note_revival(ChainId("deposit_9"))


def test_one_holder_of_a_lease(store: RedisStore, client: Any) -> None:
    assert store.acquire_lease("supervisor", "a", 60_000)
    assert store.acquire_lease("supervisor", "a", 60_000)
    assert not store.acquire_lease("supervisor", "b", 60_000)
    assert not store.renew_lease("supervisor", "b", 60_000)
    assert not store.release_lease("supervisor", "b")
    assert store.renew_lease("supervisor", "a", 90_000)
    assert 60_000 < client.pttl("frt:lease:supervisor") <= 90_000
    assert store.acquire_lease("spiller", "b", 60_000)
    assert store.release_lease("supervisor", "a")
    assert not store.renew_lease("supervisor", "a", 60_000)
    assert store.acquire_lease("supervisor", "b", 60_000)


def test_another_redis_process_raises_the_epoch_once(store: RedisStore) -> None:
    begun = started_thread(store)
    assert store.raise_epoch("run-1") == 0
    assert not store.recovering()
    assert store.raise_epoch("run-1") == 0
    assert store.raise_epoch("run-2") == store.raise_epoch("run-2") == store.epoch() == 1
    assert store.recovering()
    assert refused(store.commit(going_on(begun))) == "epoch"
    assert store.raise_epoch("run-3") == 2
    assert not store.finish_recovery(1)
    assert store.recovering()
    assert store.finish_recovery(2)
    assert not store.recovering()


def test_another_redis_process_is_told_from_the_same_one(real_url: str) -> None:
    store = RedisStore(connect(real_url), "restart:")
    assert not store.check_epoch()
    store.raise_epoch(store.redis_run_id())
    assert store.check_epoch()
    with redis_server() as url:
        assert RedisStore(connect(url)).redis_run_id() != store.redis_run_id()
    client: Any = connect(real_url)
    client.delete("restart:redis-run")


def test_reservations_stay_within_the_balance(store: RedisStore) -> None:
    top = 2**53 - 1
    assert store.reserve_core("a", top - 5, top)
    assert not store.reserve_core("b", 6, top)
    assert store.reserve_core("b", 5, top)
    assert store.reserve_core("a", 1, 0)  # there already: nothing more is taken
    assert store.core_reservations() == {"a": top - 5, "b": 5}
    assert not store.reserve_core("c", top, top)
    assert store.release_core("a")
    assert not store.release_core("a")
    assert store.reserve_core("c", top - 5, top)


def test_a_reservation_that_grows_is_checked_again(store: RedisStore) -> None:
    """A refill whose commit was refused decides again, under the same id and perhaps for more wallets."""
    assert store.reserve_core("a", 40, 100)
    assert store.reserve_core("b", 30, 100)
    assert not store.reserve_core("a", 71, 100)
    assert store.core_reservations() == {"a": 40, "b": 30}
    assert store.reserve_core("a", 70, 100)
    assert store.core_reservations() == {"a": 70, "b": 30}


def test_of_a_balance_beyond_exact_sums_only_so_much_counts(store: RedisStore) -> None:
    assert store.reserve_core("one", 2**53 - 2, 10**18)
    assert store.reserve_core("two", 1, 10**18)
    assert not store.reserve_core("three", 1, 10**18)


@pytest.mark.parametrize(("lamports", "balance"), [(2**53, 5), (-1, 5), (5, -1)])
def test_lamports_that_a_script_cannot_add_exactly_are_refused(store: RedisStore, lamports: int, balance: int) -> None:
    with pytest.raises(ValueError, match="2\\^53"):
        store.reserve_core("a", lamports, balance)


def test_facts_of_the_run_and_the_pause(store: RedisStore) -> None:
    store.set_run({"scenario": "default"})
    assert store.set_run_once("seed", "1") == "1"
    assert store.set_run_once("seed", "2") == "1"
    assert store.get_run() == {"scenario": "default", "seed": "1"}
    assert not store.service_paused()
    store.set_service_paused(True)
    assert store.service_paused()
    store.set_service_paused(False)
    assert not store.service_paused()


def test_an_unreachable_redis_is_unavailable(tmp_path: Any) -> None:
    store = RedisStore(connect(f"unix://{tmp_path}/nobody", socket_timeout_s=0.2))
    for ask in (store.ping, store.now_ms, lambda: store.get_chains(["a"]), lambda: begin(store, THREAD)):
        with pytest.raises(StoreUnavailable):
            ask()


def test_waiting_does_not_trip_over_a_short_socket_timeout(real_url: str) -> None:
    store = RedisStore(connect(real_url, socket_timeout_s=0.6), "short:")
    assert store.wait_for_command(CommandId("cmd"), 0.7) is None


def test_a_full_redis_is_unavailable_and_writes_nothing() -> None:
    with redis_server("--maxmemory-policy", "noeviction") as url:
        client: Any = connect(url)
        store = RedisStore(client)
        commit = going_on(started_thread(store), journal=("{}",))
        before = dump(client)
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable):
            store.commit(commit)
        assert dump(client) == before
        client.config_set("maxmemory", 0)
        committed(store, commit)


def test_a_redis_that_forgot_its_scripts_learns_them_again(store: RedisStore, client: Any) -> None:
    begun = started_thread(store)
    client.script_flush()
    committed(store, going_on(begun))


def test_foreign_data_under_our_keys_is_a_failure(store: RedisStore, client: Any) -> None:
    client.set("frt:chain:" + THREAD, "text")
    with pytest.raises(StoreFailed):
        store.begin(ChainId(THREAD), 1, 0, 1)
    client.delete("frt:chain:" + THREAD)


def test_a_client_that_does_not_decode_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_responses"):
        RedisStore(redis.Redis())


def test_orders_are_due_after_their_countdown(store: RedisStore, client: Any) -> None:
    idle_thread(store)
    before_ms = store.now_ms()
    store.place_order(THREAD, order(OrderKind.STOP), lambda generation, seq: next_message(generation, seq, 1_900))
    ((_, due_ms),) = store.live_chains()
    assert before_ms + 1_900 <= due_ms <= store.now_ms() + 1_900
    assert client.llen(QUEUE) == 4
