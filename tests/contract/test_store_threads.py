"""Threads: creation with the swap slot, orders against the transition table, sealed keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.chains import Commit
from domain.errors import CommandCode, CommandError
from domain.ids import Address, PoolId, ThreadId
from domain.pool import Side
from domain.state import ThreadState, Totals
from domain.store.errors import KeyNotSealed, StoreConflict
from domain.store.gateway import RedisStore
from domain.thread import TRANSITIONS, OrderKind, ThreadKind, ThreadStatus
from tests.support.store_kit import (
    BIG,
    POOL,
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
    started_thread,
    store_fixture,
    thread_config,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]


def test_a_thread_is_created_once(store: RedisStore, client: Any) -> None:
    assert store.create_thread(thread_config(), "v1:sealed")
    before = dump(client)
    assert not store.create_thread(thread_config(), "v1:sealed again")
    assert dump(client) == before
    assert store.thread_config(THREAD) == thread_config()
    assert store.sealed_key(THREAD) == "v1:sealed"


def test_an_id_of_another_wallet_is_refused(store: RedisStore, client: Any) -> None:
    store.create_thread(thread_config(), "v1:sealed")
    before = dump(client)
    with pytest.raises(StoreConflict):
        store.create_thread(thread_config(wallet=Address("Other")), "v1:other")
    assert dump(client) == before


@pytest.mark.parametrize("key", ["", "v1:", "v2:x", "5KQwr...", " v1:x"])
def test_a_key_in_the_clear_is_never_stored(store: RedisStore, client: Any, key: str) -> None:
    with pytest.raises(KeyNotSealed):
        store.create_thread(thread_config(), key)
    assert dump(client) == {}


def test_one_swap_thread_per_pool_and_direction(store: RedisStore, client: Any) -> None:
    store.create_thread(thread_config("swap_1"), "v1:a")
    before = dump(client)
    with pytest.raises(CommandError) as error:
        store.create_thread(thread_config("swap_2"), "v1:b")
    assert error.value.code is CommandCode.SWAP_DIRECTION_TAKEN
    assert str(error.value) == f"Swap thread for direction 'a_to_b' already exists for pool {POOL}"
    assert dump(client) == before
    assert store.create_thread(thread_config("swap_2", side=Side.B), "v1:b")
    assert store.create_thread(thread_config("swap_3", pool_id=PoolId("PoolTwo")), "v1:c")


def test_an_abandoned_thread_frees_its_slot_and_keeps_its_key(store: RedisStore) -> None:
    store.create_thread(thread_config("swap_1"), "v1:a")
    assert store.abandon_thread(ThreadId("swap_1"))
    assert not store.abandon_thread(ThreadId("swap_1"))
    assert [stone.thread_id for stone in store.tombstones()] == ["swap_1"]
    assert store.sealed_keys() == {"swap_1": "v1:a"}
    assert store.list_threads() == []
    assert store.create_thread(thread_config("swap_2"), "v1:b")
    with pytest.raises(StoreConflict):  # the id of a tombstone is never used again
        store.create_thread(thread_config("swap_1", side=Side.B), "v1:c")


def test_a_thread_becomes_ready_with_the_balances_it_begins_with(store: RedisStore) -> None:
    store.create_thread(thread_config(), "v1:a")
    store.mark_ready(THREAD, '{"balances":{"sol":"5"}}')
    store.mark_ready(THREAD, '{"balances":{"sol":"0"}}')  # the command's step was delivered twice
    record = store.get_chain(THREAD)
    assert record is not None
    assert record.ready
    assert record.state == '{"balances":{"sol":"5"}}'


def test_a_ready_thread_cannot_be_abandoned(store: RedisStore) -> None:
    store.create_thread(thread_config(), "v1:a")
    store.mark_ready(THREAD)
    assert not store.abandon_thread(THREAD)
    assert store.list_threads() == [THREAD]


def test_threads_are_listed_by_index_and_by_pool(store: RedisStore) -> None:
    for index, name in ((2, "deposit_1"), (0, "deposit_2"), (10, "withdrawal_1"), (1, "swap_1")):
        pool = PoolId("PoolTwo") if index == 1 else POOL
        store.create_thread(thread_config(name, index=index, pool_id=pool), "v1:a")
    assert store.list_threads() == ["deposit_2", "swap_1", "deposit_1", "withdrawal_1"]
    assert store.threads_of_pool(POOL) == ["deposit_2", "deposit_1", "withdrawal_1"]


def test_an_import_brings_state_and_status(store: RedisStore) -> None:
    state = ThreadState(lifetime=Totals(spent=BIG))
    store.create_thread(thread_config(), "v1:a", state=state.to_text(), status=ThreadStatus.STOPPED)
    record = store.get_chain(THREAD)
    assert record is not None
    assert ThreadState.from_text(record.state) == state
    assert record.status is ThreadStatus.STOPPED
    with pytest.raises(ValueError, match="starts by an order"):
        store.create_thread(thread_config("deposit_2"), "v1:a", status=ThreadStatus.RUNNING)


def test_numbers_and_indexes_rise(store: RedisStore) -> None:
    assert [store.next_thread_number(ThreadKind.SWAP) for _ in range(3)] == [1, 2, 3]
    assert store.next_thread_id(ThreadKind.DEPOSIT) == "deposit_1"
    assert [store.next_index() for _ in range(3)] == [0, 1, 2]


def test_numbers_go_on_after_imported_ones(store: RedisStore) -> None:
    store.create_thread(thread_config("deposit_41", index=99), "v1:a")
    assert store.next_thread_number(ThreadKind.DEPOSIT) == 42
    assert store.next_thread_number(ThreadKind.SWAP) == 1
    assert store.next_index() == 100


def thread_in(store: RedisStore, status: ThreadStatus) -> None:
    """deposit_1, idle, in the given status."""
    if status is ThreadStatus.RUNNING:
        committed(store, going_on(started_thread(store)))
        return
    store.create_thread(thread_config(), "v1:a", ready=True, status=status)


STATUSES = [ThreadStatus.CREATED, ThreadStatus.RUNNING, ThreadStatus.STOPPED, ThreadStatus.ERROR]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", list(OrderKind))
def test_the_script_and_the_transition_table_agree(
    store: RedisStore, client: Any, kind: OrderKind, status: ThreadStatus
) -> None:
    thread_in(store, status)
    before, record = dump(client), store.get_chain(THREAD)
    assert record is not None
    target = TRANSITIONS[kind].get(status)
    if target is None:
        with pytest.raises(CommandError) as error:
            store.place_order(THREAD, order(kind), next_message)
        emptied_in_error = kind is OrderKind.EMPTY and status is ThreadStatus.ERROR
        expected = CommandCode.THREAD_IN_ERROR if emptied_in_error else CommandCode.WRONG_STATE
        assert error.value.code is expected
        assert dump(client) == before
        return
    assert store.place_order(THREAD, order(kind), next_message) is target
    after = store.get_chain(THREAD)
    assert after is not None
    assert (after.status, after.generation, after.seq) == (target, record.generation + 1, record.seq)
    assert after.live
    assert after.order == order(kind).to_text()
    assert client.lindex(QUEUE, 0) == f"{record.generation + 1}:{record.seq}"
    assert store.live_chains() == [(THREAD, after.due_ms)]
    runs = target is ThreadStatus.RUNNING
    # a stopped thread leaves when its last operation is settled, with the commit that ends its chain
    assert store.running(POOL) == ({THREAD} if runs or status is ThreadStatus.RUNNING else set())
    assert store.eligible(POOL) == ({THREAD} if runs and kind is OrderKind.START else set())


def test_texts_of_refused_orders(store: RedisStore) -> None:
    thread_in(store, ThreadStatus.RUNNING)
    with pytest.raises(CommandError, match=r"^Cannot start thread deposit_1: it is running$"):
        store.place_order(THREAD, order(OrderKind.START), next_message)
    with pytest.raises(CommandError, match=r"^Cannot delete thread deposit_1: it is running$"):
        store.place_order(THREAD, order(OrderKind.DELETE), next_message)
    with pytest.raises(CommandError, match=r"^Thread deposit_9 not found$") as error:
        store.place_order(ThreadId("deposit_9"), order(OrderKind.START), next_message)
    assert error.value.code is CommandCode.THREAD_NOT_FOUND


def test_a_thread_whose_wallet_is_not_set_up_takes_no_order(store: RedisStore) -> None:
    store.create_thread(thread_config(), "v1:a")
    with pytest.raises(CommandError, match="still being set up") as error:
        store.place_order(THREAD, order(OrderKind.START), next_message)
    assert error.value.code is CommandCode.WRONG_STATE
    store.mark_ready(THREAD)
    assert store.place_order(THREAD, order(OrderKind.START), next_message) is ThreadStatus.RUNNING
    with pytest.raises(CommandError):
        store.mark_ready(ThreadId("deposit_9"))


def test_one_order_at_a_time(store: RedisStore, client: Any) -> None:
    thread_in(store, ThreadStatus.RUNNING)
    store.place_order(THREAD, order(OrderKind.EMPTY, "first"), next_message)
    before = dump(client)
    with pytest.raises(CommandError, match="its empty order is still being carried out") as error:
        store.place_order(THREAD, order(OrderKind.STOP, "second"), next_message)
    assert error.value.code is CommandCode.WRONG_STATE
    assert dump(client) == before


def test_the_same_command_orders_once(store: RedisStore, client: Any) -> None:
    thread_in(store, ThreadStatus.STOPPED)
    store.place_order(THREAD, order(OrderKind.START, "cmd"), next_message)
    before = dump(client)
    assert store.place_order(THREAD, order(OrderKind.START, "cmd"), next_message) is ThreadStatus.RUNNING
    assert dump(client) == before


def test_an_order_is_built_again_when_a_cycle_commits_in_between(store: RedisStore, client: Any) -> None:
    begun = started_thread(store)
    built: list[tuple[int, int]] = []

    def make_next(generation: int, seq: int) -> Any:
        if not built:
            committed(store, going_on(begun))
        built.append((generation, seq))
        return next_message(generation, seq)

    store.place_order(THREAD, order(OrderKind.STOP), make_next)
    assert built == [(begun.generation + 1, begun.seq), (begun.generation + 1, begun.seq + 1)]
    assert client.lindex(QUEUE, 0) == f"{begun.generation + 1}:{begun.seq + 1}"
    begin(store, THREAD)


def test_an_order_gives_up_when_cycles_never_stop_getting_in_between(store: RedisStore) -> None:
    committed(store, going_on(started_thread(store)))

    def make_next(generation: int, seq: int) -> Any:
        committed(store, going_on(begin(store, THREAD)))
        return next_message(generation, seq)

    with pytest.raises(StoreConflict):
        store.place_order(THREAD, order(OrderKind.STOP), make_next)


def test_configurations_survive_their_text(store: RedisStore) -> None:
    config = thread_config("withdrawal_1", share=True, auto_refill=False, side=Side.B, initial_amount=2**64 - 1)
    store.create_thread(config, "v1:a")
    assert store.thread_config(config.thread_id) == config
    assert replace(config, index=1) != config
    assert store.thread_config(ThreadId("deposit_9")) is None


def test_a_deleted_swap_thread_frees_its_direction(store: RedisStore) -> None:
    store.create_thread(thread_config("swap_1"), "v1:a", ready=True)
    store.place_order(ThreadId("swap_1"), order(OrderKind.DELETE), next_message)
    last = Commit(begun=begin(store, "swap_1"), state="{}", intents="[]", delete_thread=True)
    committed(store, last)
    assert store.create_thread(thread_config("swap_2"), "v1:b")
