"""Deliveries, twins, crashes, zombies, lost messages and orders, in any order: one live chain per thread, every
operation booked exactly once. FRT_TEST_EXAMPLES and FRT_TEST_STEPS set how long the search for a counter-example is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domain.chains import Begun, ChainKind, Commit, Committed, Refused
from domain.errors import CommandError
from domain.ids import ChainId, CommandId, ThreadId
from domain.state import Order
from domain.store.client import connect
from domain.store.gateway import RedisStore
from domain.thread import OrderKind, ThreadStatus
from tests.support.redis_server import redis_server
from tests.support.store_kit import leaked_keys, thread_config
from tests.support.store_model import POOL, QUEUE, SHARE, Model, ModelChain, failing, next_of, pending, plan

EXAMPLES = int(os.environ.get("FRT_TEST_EXAMPLES", "25"))
STEPS = int(os.environ.get("FRT_TEST_STEPS", "50"))
THREADS = ("deposit_1", "withdrawal_1", "swap_1")
LEASE_MS = 3_600_000
ANY_AGE = -3_600_000
ANY = st.integers(min_value=0, max_value=10**6)  # chooses from a list, whatever its length


class StoreMachine(RuleBasedStateMachine):
    """Hands are workers between begin and commit: one that is never used again has crashed, a late one is a zombie."""

    client: Any

    @initialize()
    def empty(self) -> None:
        self.client.flushall()
        self.store = RedisStore(self.client)
        self.model = Model()
        self.hands: list[Commit] = []
        self.landed: set[str] = set()
        self.commands = 0
        for index, thread_id in enumerate(THREADS):
            self.store.create_thread(thread_config(thread_id, index=index), "v1:sealed", ready=True)
            self.model.chains[thread_id] = ModelChain(ThreadStatus.CREATED, 0, 0, live=False)

    # what a person does

    @rule(choice=ANY, kind=st.sampled_from([OrderKind.START, *OrderKind]))
    def order(self, choice: int, kind: OrderKind) -> None:
        thread_id = THREADS[choice % len(THREADS)]
        self.commands += 1
        order = Order(kind=kind, command_id=CommandId(f"cmd-{self.commands}"))
        if thread_id not in self.model.chains or not self.model.accepts(thread_id, kind):
            with pytest.raises(CommandError):
                self.store.place_order(ThreadId(thread_id), order, next_of(thread_id))
            return
        self.model.order(thread_id, order)
        status = self.store.place_order(ThreadId(thread_id), order, next_of(thread_id))
        assert status is self.model.chains[thread_id].status
        if status is ThreadStatus.RUNNING:
            self.start_share()

    # what the queue and the workers do

    @precondition(lambda self: self.model.queue)
    @rule(choice=ANY, again=st.booleans())
    def deliver(self, choice: int, again: bool) -> None:
        """One message reaches a worker; with ``again`` it stays in the queue and a twin will follow."""
        place = choice % len(self.model.queue)
        chain_id, generation, seq = json.loads(self.model.queue[place])
        if not again:
            self.take_out(place)
        expected = self.model.begin(chain_id, generation, seq)
        answer = self.store.begin(ChainId(chain_id), generation, seq, LEASE_MS)
        if expected is not None:
            assert answer == Refused(reason=expected)
            return
        assert isinstance(answer, Begun)
        chain = self.model.chains[chain_id]
        assert (answer.state, answer.intents, answer.order) == (chain.state, chain.intents, chain.order)
        self.model.chains[chain_id] = replace(chain, holder=answer.token, held=True)
        outbox, eligible = self.store.outbox(POOL), self.store.eligible(POOL)
        self.hands.append(plan(answer, self.landed, outbox, eligible))

    @precondition(lambda self: self.hands)
    @rule(choice=ANY, submits=st.booleans(), reply_lost=st.booleans(), fails=st.sampled_from([False] * 5 + [True]))
    def finish(self, choice: int, submits: bool, reply_lost: bool, fails: bool) -> None:
        """A worker commits, perhaps twice, perhaps long after its lease; it may die before it submits."""
        commit = self.hands.pop(choice % len(self.hands))
        begun = commit.begun
        if fails and begun.kind.is_thread and begun.status is ThreadStatus.RUNNING and pending(begun.order) is None:
            commit = failing(commit)
        expected = self.model.refusal(commit)
        answer = self.store.commit(commit)
        if reply_lost:
            assert self.store.commit(commit) == answer
        if expected is not None:
            assert answer == Refused(reason=expected)
            return
        self.model.commit(commit)
        generation = begun.generation + (commit.status is not None)
        assert answer == Committed(generation=generation, seq=begun.seq + 1)
        if submits and commit.intents:
            self.landed.add(commit.intents)
        if commit.outbox_put:
            self.start_share()

    @precondition(lambda self: self.model.queue)
    @rule(choice=ANY)
    def an_honest_cycle(self, choice: int) -> None:
        """What happens nearly always; without it the search would seldom get past a thread's first operation."""
        hands = len(self.hands)
        self.deliver(choice, again=False)
        if len(self.hands) > hands:
            self.hands.insert(0, self.hands.pop())
            self.finish(0, submits=True, reply_lost=False, fails=False)

    @precondition(lambda self: self.hands)
    @rule(choice=ANY)
    def a_twin_takes_over(self, choice: int) -> None:
        """A worker hangs beyond its lease and the broker delivers its message again: the first is a zombie now."""
        begun = self.hands[choice % len(self.hands)].begun
        self.leases_run_out()
        message = next_of(begun.chain_id)(begun.generation, begun.seq).message
        self.store.push_message(QUEUE, message)
        self.model.send(begun.chain_id, begun.generation, begun.seq)
        self.deliver(0, again=False)

    @precondition(lambda self: self.model.queue)
    @rule(choice=ANY)
    def lose_a_message(self, choice: int) -> None:
        self.take_out(choice % len(self.model.queue))

    # what time and the supervisor do

    @rule()
    def leases_run_out(self) -> None:
        for name, chain in self.model.chains.items():
            chain.held = False
            if chain.holder:
                self.client.hset(f"frt:chain:{name}", "lease_until_ms", 0)

    @rule()
    def revive(self) -> None:
        """The supervisor sends the same (generation, seq) again for whatever is due and in nobody's hands."""
        # by name: due times are real ones, and a run must be repeatable
        found = sorted(self.store.overdue(ANY_AGE, 100), key=lambda item: item.chain_id)
        expected = {name for name, chain in self.model.chains.items() if chain.live and not chain.held}
        assert {item.chain_id for item in found} == expected
        for item in found:
            chain = self.model.chains[item.chain_id]
            assert (item.generation, item.seq) == (chain.generation, chain.seq)
            message = next_of(item.chain_id)(item.generation, item.seq)
            self.store.push_message(QUEUE, message.message)
            self.model.send(item.chain_id, item.generation, item.seq)

    # what must hold at every moment

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        for name, chain in self.model.chains.items():
            record = self.store.get_chain(name)
            assert record is not None
            assert (record.status, record.generation, record.seq) == (chain.status, chain.generation, chain.seq)
            assert (record.live, record.leased) == (chain.live, bool(chain.holder))
            assert (record.state, record.intents, record.order) == (chain.state, chain.intents, chain.order)
        assert sorted(name for name, _ in self.store.live_chains()) == sorted(
            name for name, chain in self.model.chains.items() if chain.live
        )
        assert self.client.lrange(QUEUE, 0, -1) == self.model.queue
        assert self.store.running(POOL) == self.model.running()
        assert self.store.eligible(POOL) == self.model.eligible()
        assert self.store.outbox(POOL) == self.model.outbox
        assert [line for _, line in self.store.read_journal()] == self.model.journal

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        booked = self.model.booked()
        assert len(booked) == len(set(booked))
        still_open = {chain.intents for chain in self.model.chains.values() if chain.intents}
        assert self.landed <= set(booked) | still_open
        assert set(booked) <= self.landed
        paid = [line.removeprefix("paid ") for line in self.model.journal if line.startswith("paid ")]
        assert sorted([*paid, *self.model.outbox]) == sorted(booked)

    def teardown(self) -> None:
        """Whatever happened, the supervisor and honest workers bring everything to its end."""
        if not hasattr(self, "model"):
            return
        self.hands.clear()
        self.settle_down()
        for thread_id in sorted(self.model.eligible()):
            self.order(THREADS.index(thread_id), OrderKind.STOP)
        self.settle_down()
        self.the_store_agrees_with_the_model()
        self.nothing_is_lost_or_doubled()
        assert self.store.live_chains() == []
        assert sorted(self.model.booked()) == sorted(self.landed)
        assert self.model.outbox == {}
        assert leaked_keys(self.client) == []

    def settle_down(self) -> None:
        """Every message is lost, then enough rounds of revival and honest work for any order to be carried out."""
        for _ in range(6 + len(self.model.outbox)):
            while self.model.queue:
                self.take_out(0)
            self.leases_run_out()
            self.revive()
            while self.model.queue:
                self.deliver(len(self.model.queue) - 1, again=False)
            while self.hands:
                self.finish(0, submits=True, reply_lost=False, fails=False)
                # what the commit sent is for the next round

    def start_share(self) -> None:
        expected = self.model.start_share()
        assert self.store.start_chain(SHARE, ChainKind.SHARE, POOL, "", next_of(SHARE)) is expected

    def take_out(self, place: int) -> None:
        del self.model.queue[place]
        self.client.lset(QUEUE, place, "taken")
        self.client.lrem(QUEUE, 1, "taken")


@pytest.fixture(params=["fakeredis", "redis-server"], name="backend")
def backend_fixture(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "fakeredis":
        yield fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
        return
    with redis_server() as url:
        client = connect(url)
        yield client
        client.close()


def test_one_live_chain_and_every_operation_once(backend: Any) -> None:
    machine = type("BackedMachine", (StoreMachine,), {"client": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
