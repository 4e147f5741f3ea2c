"""begin: who gets the lease, who is refused and why, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from domain.chains import Begun, ChainKind, Commit
from domain.ids import ChainId
from domain.policy import Policy, PolicyStep
from domain.store.gateway import RedisStore
from domain.store.histogram import bucket_of
from domain.thread import OrderKind, ThreadStatus
from tests.support.store_kit import (
    LEASE_MS,
    POOL,
    THREAD,
    begin,
    client_fixture,
    committed,
    dump,
    next_message,
    order,
    real_url_fixture,
    refused,
    started_thread,
    store_fixture,
    thread_config,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]


@pytest.fixture(name="running")
def running_fixture(store: RedisStore) -> RedisStore:
    """A store with one running thread, due now, nobody at work on it: generation 1, seq 0."""
    store.create_thread(thread_config(), "v1:sealed", ready=True)
    store.place_order(THREAD, order(OrderKind.START), next_message)
    return store


def test_begin_returns_the_whole_record(running: RedisStore) -> None:
    step = PolicyStep(operation_id="o", flags=0, liquidity_fee=1, swap_fee=2**63, owner="me", slot=4)
    running.set_first_policy(POOL, Policy(steps=(step,)))
    running.append_journal(["{}", "{}"])
    running.set_service_paused(True)
    before_ms = running.now_ms()
    begun = running.begin(ChainId(THREAD), 1, 0, LEASE_MS)
    assert isinstance(begun, Begun)
    assert (begun.kind, begun.status, begun.pool_id) == (ChainKind.DEPOSIT, ThreadStatus.RUNNING, POOL)
    assert (begun.generation, begun.seq, begun.epoch) == (1, 0, 0)
    assert before_ms <= begun.now_ms <= running.now_ms()
    assert begun.due_ms <= begun.now_ms
    assert Policy.from_text(begun.policy) == Policy(steps=(step,))
    assert begun.journal_length == 2
    assert begun.service_paused
    assert begun.order == order(OrderKind.START).to_text()
    assert running.thread_config(THREAD) == thread_config()


def test_only_one_of_two_deliveries_begins(running: RedisStore) -> None:
    first = running.begin(ChainId(THREAD), 1, 0, LEASE_MS)
    assert isinstance(first, Begun)
    assert refused(running.begin(ChainId(THREAD), 1, 0, LEASE_MS)) == "busy"


def test_the_lease_leaves_the_due_time_alone(running: RedisStore) -> None:
    due = running.live_chains()
    begin(running, THREAD)
    assert running.live_chains() == due


def test_an_expired_lease_is_taken_over(running: RedisStore) -> None:
    lost = begin(running, THREAD, lease_ms=0)
    heir = begin(running, THREAD)
    assert heir.token != lost.token


def test_the_same_token_again_is_the_same_delivery(running: RedisStore) -> None:
    first = running.begin(ChainId(THREAD), 1, 0, LEASE_MS, token="mine")
    again = running.begin(ChainId(THREAD), 1, 0, LEASE_MS, token="mine")
    assert isinstance(first, Begun)
    assert isinstance(again, Begun)
    assert again.token == first.token
    assert running.counts("cycles") == {"deposit.started": 1}


@pytest.mark.parametrize(
    ("generation", "seq", "epoch", "reason"),
    [(0, 0, None, "superseded"), (2, 0, None, "superseded"), (1, 1, None, "superseded"), (1, 0, 1, "epoch")],
)
def test_a_wrong_message_is_refused(
    running: RedisStore, client: Any, generation: int, seq: int, epoch: int | None, reason: str
) -> None:
    before = dump(client, counters=False)
    assert refused(running.begin(ChainId(THREAD), generation, seq, LEASE_MS, epoch)) == reason
    assert dump(client, counters=False) == before
    assert running.counts("cycles") == {f"deposit.{reason}": 1}


def test_a_message_of_this_epoch_begins(running: RedisStore) -> None:
    assert isinstance(running.begin(ChainId(THREAD), 1, 0, LEASE_MS, 0), Begun)


def test_an_ended_or_unknown_chain_is_stopped(running: RedisStore) -> None:
    committed(running, Commit(begun=begin(running, THREAD), state="{}", intents="[]", status=ThreadStatus.STOPPED))
    assert refused(running.begin(ChainId(THREAD), 2, 1, LEASE_MS)) == "stopped"
    assert refused(running.begin(ChainId("deposit_404"), 1, 0, LEASE_MS)) == "stopped"
    assert running.counts("cycles") == {"deposit.started": 1, "deposit.stopped": 1, "gone.stopped": 1}


def test_while_recovering_only_the_recovery_begins(running: RedisStore) -> None:
    running.raise_epoch("run-1")
    assert running.raise_epoch("run-2") == 1
    assert refused(running.begin(ChainId(THREAD), 1, 0, LEASE_MS)) == "epoch"
    begun = running.begin(ChainId(THREAD), 1, 0, 0, recovery=True)
    assert isinstance(begun, Begun)
    assert begun.epoch == 1
    assert running.finish_recovery(1)
    assert isinstance(running.begin(ChainId(THREAD), 1, 0, LEASE_MS), Begun)


def test_the_recovery_begins_a_thread_that_does_not_run_and_its_commit_leaves_it_so(store: RedisStore) -> None:
    store.create_thread(thread_config(), "v1:sealed", ready=True)
    begun = store.begin(ChainId(THREAD), 0, 0, LEASE_MS, recovery=True)
    assert isinstance(begun, Begun)
    committed(store, Commit(begun=begun, state='{"recovered":1}', intents="[]"))
    record = store.get_chain(THREAD)
    assert record is not None
    assert (record.state, record.live, record.status) == ('{"recovered":1}', False, ThreadStatus.CREATED)
    assert store.live_chains() == []


@pytest.mark.parametrize("late_ms", [0, 100, 1_000, 4_321, 60_000, 10_000_000])
def test_lateness_is_counted_in_its_bucket(running: RedisStore, client: Any, late_ms: int) -> None:
    due_ms = running.now_ms() - late_ms
    client.hset("frt:chain:" + THREAD, "due_ms", due_ms)
    begin(running, THREAD)
    lowest, highest = bucket_of(late_ms), bucket_of(running.now_ms() - due_ms)
    ((bucket, count),) = running.lateness()["deposit"].items()
    assert lowest <= bucket <= highest
    assert count == 1


def test_a_cycle_that_is_early_is_not_late(running: RedisStore, client: Any) -> None:
    client.hset("frt:chain:" + THREAD, "due_ms", running.now_ms() + 5_000)
    begin(running, THREAD)
    assert running.lateness() == {"deposit": {0: 1}}


def test_two_prefixes_do_not_see_each_other(client: Any, running: RedisStore) -> None:
    other = RedisStore(client, "other:")
    assert other.get_chain(THREAD) is None
    started_thread(other)
    assert running.get_chain(THREAD) != other.get_chain(THREAD)
    for key in client.scan_iter("other:*"):
        client.delete(key)
