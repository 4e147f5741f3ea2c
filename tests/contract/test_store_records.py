"""Pools, commands, pool chains, the journal and counters."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from domain.chains import Begun, ChainKind, Commit, command_chain_id, pool_chain_id
from domain.ids import CommandId, PoolId
from domain.policy import Policy, PolicyStep
from domain.store.gateway import RedisStore
from domain.thread import ThreadStatus
from tests.support.store_kit import (
    POOL,
    QUEUE,
    begin,
    client_fixture,
    committed,
    dump,
    next_message,
    real_url_fixture,
    refused,
    sample_pool,
    started_thread,
    store_fixture,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]
COMMAND = CommandId("cmd-1")


def test_pools_survive_their_text_and_are_listed_by_age(store: RedisStore) -> None:
    old = sample_pool("Old", created_at_ms=1, probe_only=True, managed=False)
    new = sample_pool("New")
    store.put_pool(new)
    store.put_pool(old)
    assert store.list_pools() == [old, new]
    assert store.get_pool(PoolId("New")) == new
    assert store.get_pool(PoolId("None")) is None


def test_an_archived_pool_is_kept_apart_until_it_is_put_again(store: RedisStore) -> None:
    store.put_pool(sample_pool())
    assert store.archive_pool(POOL)
    assert not store.archive_pool(POOL)
    assert (store.list_pools(), store.archived_pools()) == ([], [sample_pool()])
    store.put_pool(sample_pool())
    assert (store.list_pools(), store.archived_pools()) == ([sample_pool()], [])


def test_the_first_policy_stays(store: RedisStore) -> None:
    first = Policy(steps=(PolicyStep(operation_id="a", flags=1, liquidity_fee=1, swap_fee=2, owner="o", slot=1),))
    assert store.policy(POOL) is None
    assert store.set_first_policy(POOL, first)
    assert not store.set_first_policy(POOL, Policy(steps=()))
    assert store.policy(POOL) == first


def test_a_command_is_registered_once_and_answered_once(store: RedisStore, client: Any) -> None:
    assert store.register_command(COMMAND, "stop_thread", '{"thread_id":"deposit_1"}')
    assert not store.register_command(COMMAND, "stop_thread", "{}")
    assert [name for name, _ in store.open_commands()] == [COMMAND]
    assert store.command_answer(COMMAND) is None
    assert store.answer_command(COMMAND, '{"ok":1}')
    before = dump(client)
    assert not store.answer_command(COMMAND, '{"ok":2}')
    assert dump(client) == before
    assert store.open_commands() == []
    record = store.command(COMMAND)
    assert record is not None
    assert (record.method, record.params, record.answer) == ("stop_thread", '{"thread_id":"deposit_1"}', '{"ok":1}')
    assert record.done_ms is not None
    assert record.created_ms <= record.done_ms
    assert not store.register_command(COMMAND, "stop_thread", "{}")
    assert store.command(CommandId("unknown")) is None


def test_waiting_ends_with_the_timeout_or_at_once(store: RedisStore) -> None:
    store.register_command(COMMAND, "m", "{}")
    assert store.wait_for_command(COMMAND, 0.02) is None
    store.answer_command(COMMAND, "answer")
    assert [store.wait_for_command(COMMAND, 0) for _ in range(3)] == ["answer"] * 3


def test_every_waiter_is_served(store: RedisStore) -> None:
    store.register_command(COMMAND, "m", "{}")
    answers: list[str | None] = []
    waiters = [threading.Thread(target=lambda: answers.append(store.wait_for_command(COMMAND, 20))) for _ in range(5)]
    for waiter in waiters:
        waiter.start()
    store.answer_command(COMMAND, "answer")
    for waiter in waiters:
        waiter.join(timeout=30)
    assert answers == ["answer"] * 5


def test_a_pool_chain_starts_once_and_again_after_its_end(store: RedisStore, client: Any) -> None:
    chain_id = pool_chain_id(ChainKind.SHARE, POOL)
    assert store.start_chain(chain_id, ChainKind.SHARE, POOL, "first", next_message)
    before = dump(client)
    assert not store.start_chain(chain_id, ChainKind.SHARE, POOL, "second", next_message)
    assert dump(client) == before
    begun = begin(store, chain_id)
    assert (begun.generation, begun.seq, begun.status, begun.config) == (1, 0, ThreadStatus.RUNNING, "first")
    committed(store, Commit(begun=begun, state="kept", intents="", end_only_if_pool_idle=True))
    assert store.start_chain(chain_id, ChainKind.SHARE, POOL, "third", next_message)
    again = begin(store, chain_id)
    assert (again.generation, again.seq, again.state, again.config) == (2, 1, "kept", "third")
    assert client.lrange(QUEUE, 0, -1) == ["2:1", "1:0"]


def test_a_start_that_was_overtaken_reads_again(store: RedisStore, client: Any) -> None:
    """Between the reading and the starting, another starts the chain and it ends: no generation comes twice."""
    chain_id = pool_chain_id(ChainKind.PROBE, POOL)
    built: list[tuple[int, int]] = []

    def make_next(generation: int, seq: int) -> Any:
        if not built:
            store.start_chain(chain_id, ChainKind.PROBE, POOL, "", next_message)
            committed(store, Commit(begun=begin(store, chain_id), state="", intents=""))
        built.append((generation, seq))
        return next_message(generation, seq)

    assert store.start_chain(chain_id, ChainKind.PROBE, POOL, "", make_next)
    assert built == [(1, 0), (2, 1)]
    assert client.lrange(QUEUE, 0, -1) == ["2:1", "1:0"]
    assert begin(store, chain_id).generation == 2


def test_a_recovery_at_work_on_an_ended_chain_does_not_hold_up_its_start(store: RedisStore) -> None:
    chain_id = pool_chain_id(ChainKind.PROBE, POOL)
    store.start_chain(chain_id, ChainKind.PROBE, POOL, "", next_message)
    committed(store, Commit(begun=begin(store, chain_id), state="", intents=""))
    recovery = store.begin(chain_id, 1, 1, 60_000, recovery=True)
    assert isinstance(recovery, Begun)
    assert store.start_chain(chain_id, ChainKind.PROBE, POOL, "", next_message)
    begin(store, chain_id)
    assert refused(store.commit(Commit(begun=recovery, state="", intents=""))) == "superseded"


def test_a_commands_chain_runs_once_and_expires(store: RedisStore, client: Any) -> None:
    chain_id = command_chain_id(COMMAND)
    store.register_command(COMMAND, "create_pool", "{}")
    assert store.start_chain(chain_id, ChainKind.COMMAND, None, "{}", next_message)
    assert client.pttl("frt:chain:" + chain_id) == -1
    begun = begin(store, chain_id)
    assert begun.pool_id is None
    committed(store, Commit(begun=begun, state="", intents="", answer=(COMMAND, "done")))
    assert not store.start_chain(chain_id, ChainKind.COMMAND, None, "{}", next_message)
    assert refused(store.begin(chain_id, 1, 1, 0)) == "stopped"
    assert client.pttl("frt:chain:" + chain_id) > 0
    assert store.wait_for_command(COMMAND, 0) == "done"


def test_a_chain_without_a_pool_writes_to_none(store: RedisStore) -> None:
    store.start_chain(command_chain_id(COMMAND), ChainKind.COMMAND, None, "{}", next_message)
    begun = begin(store, command_chain_id(COMMAND))
    with pytest.raises(ValueError, match="no pool"):
        store.commit(Commit(begun=begun, state="", intents="", outbox_put=(("e", "{}"),)))
    with pytest.raises(ValueError, match="not a thread"):
        store.commit(Commit(begun=begun, state="", intents="", status=ThreadStatus.ERROR))
    committed(store, Commit(begun=begun, state="", intents=""))


def test_records_of_many_chains_in_one_trip(store: RedisStore) -> None:
    started_thread(store)
    started_thread(store, "deposit_2")
    found = store.get_chains(["deposit_2", "deposit_9", "deposit_1"])
    assert [record and record.chain_id for record in found] == ["deposit_2", None, "deposit_1"]
    assert store.get_chains([]) == []
    assert [record.chain_id for record in store.thread_records()] == ["deposit_1", "deposit_2"]


def test_the_journal_is_read_in_pages_and_trimmed(store: RedisStore) -> None:
    store.append_journal([f"line {number}" for number in range(10)])
    first = store.read_journal(count=4)
    second = store.read_journal(first[-1][0], count=100)
    assert [line for _, line in first + second] == [f"line {number}" for number in range(10)]
    assert [line for _, line in store.last_journal(2)] == ["line 8", "line 9"]
    assert store.trim_journal(first[-1][0]) == 4
    assert store.read_journal() == second
    assert store.trim_journal(first[-1][0]) == 0
    assert store.journal_length() == 6


def test_recovered_lines_are_booked_with_their_counts_in_one_step(store: RedisStore) -> None:
    store.append_journal(["a", "b"], {"swap.recovered": 2})
    store.append_journal([], {})
    assert [line for _, line in store.read_journal()] == ["a", "b"]
    assert store.counts("operations") == {"swap.recovered": 2}


def test_faults_are_paged_and_counted(store: RedisStore) -> None:
    store.add_faults(["a", "b", "c"])
    store.add_faults([])
    assert store.fault_count() == 3
    assert store.faults(1, 1) == ["b"]
    assert store.faults() == ["a", "b", "c"]


def test_counts_and_histograms(store: RedisStore) -> None:
    store.add_counts([("confirm", "deposit:12", 2), ("confirm", "swap:130", 1), ("confirm", "deposit:12", 1)])
    assert store.histogram("confirm") == {"deposit": {12: 3}, "swap": {130: 1}}
    assert store.counts("nothing") == {}


def test_the_queue_can_be_looked_at(store: RedisStore) -> None:
    assert store.oldest_queued(QUEUE) is None
    store.push_message(QUEUE, b"old \xff")
    store.push_message(QUEUE, b"new")
    assert store.oldest_queued(QUEUE) == b"old \xff"
    assert store.queue_length(QUEUE) == 2
