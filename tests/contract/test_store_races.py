"""What only a real server shows: deliveries that race, and a Redis that dies and comes back."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from domain.chains import Begun, ChainKind, Committed, Refusal, Refused
from domain.ids import ChainId, CommandId
from domain.store.client import connect
from domain.store.gateway import RedisStore
from domain.thread import OrderKind, ThreadStatus
from tests.support.redis_server import RedisServer
from tests.support.store_kit import (
    LEASE_MS,
    POOL,
    QUEUE,
    THREAD,
    begin,
    committed,
    going_on,
    next_message,
    order,
    real_url_fixture,
    refused,
    started_thread,
)

__all__ = ["real_url_fixture"]
ROUNDS = 20
RACERS = 6


def race(url: str, runners: list[Callable[[RedisStore], Any]]) -> list[Any]:
    """Run all at once, each on a connection of its own that is already open; their answers in order."""
    barrier = threading.Barrier(len(runners))
    answers: list[Any] = [None] * len(runners)

    def run(place: int) -> None:
        store = RedisStore(connect(url))
        store.ping()
        barrier.wait(timeout=30)
        answers[place] = runners[place](store)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(runners))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return answers


def fresh(url: str) -> RedisStore:
    client = connect(url)
    client.flushall()
    return RedisStore(client)


def test_of_many_deliveries_one_begins(real_url: str) -> None:
    store = fresh(real_url)
    committed(store, going_on(started_thread(store)))
    for _ in range(ROUNDS):
        record = store.get_chain(THREAD)
        assert record is not None
        step = (record.generation, record.seq)
        answers = race(real_url, [lambda one, at=step: one.begin(ChainId(THREAD), *at, LEASE_MS)] * RACERS)
        winners = [answer for answer in answers if isinstance(answer, Begun)]
        assert len(winners) == 1
        assert answers.count(Refused(reason=Refusal.BUSY)) == RACERS - 1
        committed(store, going_on(winners[0]))


def test_an_order_and_a_commit_that_race_never_both_win_the_old_generation(real_url: str) -> None:
    store = fresh(real_url)
    begun = started_thread(store)
    for number in range(ROUNDS):
        commit = going_on(begun)
        stop = order(OrderKind.STOP, f"stop-{number}")

        def halt(one: RedisStore, stop: Any = stop) -> ThreadStatus:
            return one.place_order(THREAD, stop, next_message)

        def save(one: RedisStore, commit: Any = commit) -> Any:
            return one.commit(commit)

        status, answer = race(real_url, [halt, save])
        assert status is ThreadStatus.STOPPED
        record = store.get_chain(THREAD)
        assert record is not None
        assert record.generation == begun.generation + 1
        assert record.seq == begun.seq + (1 if isinstance(answer, Committed) else 0)
        # whoever came first, the one message that begins is the order's
        assert store._edge.call("LINDEX", QUEUE, 0) == f"{record.generation}:{record.seq}"
        stopped = begin(store, THREAD)
        committed(store, going_on(stopped, order="", next=None))
        store.place_order(THREAD, order(OrderKind.START, f"again-{number}"), next_message)
        committed(store, going_on(begin(store, THREAD)))
        begun = begin(store, THREAD)


def test_of_many_registrations_and_starts_one_wins(real_url: str) -> None:
    store = fresh(real_url)
    for number in range(ROUNDS):
        command_id = CommandId(f"cmd-{number}")
        chain_id = ChainId(f"share:{number}")
        assert (
            race(real_url, [lambda one, name=command_id: one.register_command(name, "m", "{}")] * RACERS).count(True)
            == 1
        )
        starts = race(
            real_url,
            [lambda one, name=chain_id: one.start_chain(name, ChainKind.SHARE, POOL, "", next_message)] * RACERS,
        )
        assert starts.count(True) == 1
    assert store.queue_length(QUEUE) == ROUNDS


def test_a_killed_redis_comes_back_in_one_piece_and_raises_the_epoch() -> None:
    with tempfile.TemporaryDirectory(prefix="frt-redis-") as folder:
        server = RedisServer(Path(folder), "--appendonly", "yes", "--appendfsync", "always")
        server.start()
        try:
            store = RedisStore(connect(server.url))
            store.raise_epoch(store.redis_run_id())
            begun = started_thread(store)
            for _ in range(50):
                committed(store, going_on(begun, journal=("{}",)))
                begun = begin(store, THREAD)
            before = store.get_chain(THREAD)
            server.stop(signal.SIGKILL)
            server.start()
            assert store.get_chain(THREAD) == before
            assert store.journal_length() == 50
            assert [chain for chain, _ in store.live_chains()] == [THREAD]
            assert not store.check_epoch()
            assert store.raise_epoch(store.redis_run_id()) == 1
            assert store.check_epoch()
            assert refused(store.commit(going_on(begun))) == "epoch"
        finally:
            server.stop()
