"""What a cycle does where its work is refused, cut short, or meets what no rule foresees; without Celery."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from domain.chains import ChainKind, command_chain_id, pool_chain_id
from domain.ids import ChainId, ThreadId
from domain.state import Order, ThreadState
from domain.thread import OrderKind, ThreadStatus
from tasks.cycles.orders import Step
from tasks.cycles.thread import ThreadCycle, thread_cycle
from tasks.runtime import Snapshots
from tasks.walk import walk
from tests.integration.test_cycles import confirmed, deposit_thread, new_pool, start, withdrawal_thread
from tests.support.driver import Driver, driver
from tests.support.localnet import wait_for


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run")) as running:
        yield running


@pytest.fixture
def thread(world):
    """A running deposit thread with a confirmed operation, whose LP a withdrawal thread may take."""
    pool_id = new_pool(world)
    thread_id, taker = deposit_thread(world, pool_id), withdrawal_thread(world, pool_id)
    start(world, thread_id, taker)
    world.until(lambda: confirmed(world, thread_id) >= 1, "an operation")
    return ChainId(thread_id)


def record_of(world, thread):
    record = world.runtime.store.get_chain(thread)
    assert record is not None
    return record


def landed(world, thread) -> None:
    """Leave the thread with one operation that has landed and is not settled yet."""
    store, chain = world.runtime.store, world.runtime.chain
    world.until(lambda: json.loads(record_of(world, thread).intents or "[]"), "an open operation")
    (intent,) = json.loads(record_of(world, thread).intents)
    answer = wait_for(lambda: chain.endpoints.call("getTransaction", [intent["sig"], {"commitment": "confirmed"}]))
    assert answer["meta"]["err"] is None
    assert store.get_chain(thread).intents  # nobody has settled it meanwhile


def alone(world, thread) -> None:
    """Leave the thread with an open operation, and no payment of its pool under way."""
    pool_id = world.runtime.thread(ThreadId(thread)).pool_id
    payers = [pool_chain_id(kind, pool_id) for kind in (ChainKind.SHARE, ChainKind.REFILL)]

    def is_open(chain_id) -> bool:
        return bool(json.loads(record_of(world, chain_id).intents or "[]"))

    world.until(lambda: is_open(thread) and not any(map(is_open, payers)), "an open operation and nothing else")


def ordered(world, thread, method) -> None:
    """Give the thread an order, and let nothing but its command run."""
    command = command_chain_id(world.send(method, thread_id=thread))
    while not record_of(world, thread).order:
        world.deliver(command)


def owners(world, thread) -> set[str]:
    pool_id = world.runtime.thread(ThreadId(thread)).pool_id
    return {json.loads(text)["owner"] for text in world.runtime.store.outbox(pool_id).values()}


def test_a_snapshot_counts_as_checked_once_its_check_is_committed(world, thread):
    world.runtime.snapshots = Snapshots()
    record = record_of(world, thread)
    drafts = []

    def decide(cycle):
        drafts.append(thread_cycle(cycle))
        if len(drafts) == 1:  # an order comes in between: the commit will be refused
            ordered(world, thread, "stop_thread")
        return drafts[-1]

    walk(world.runtime, decide, thread, record.generation, record.seq)
    assert drafts[0].counts["checks", "snapshot"] > 0
    assert world.runtime.snapshots.is_new(*drafts[0].checked)
    record = record_of(world, thread)
    walk(world.runtime, decide, thread, record.generation, record.seq)
    assert not world.runtime.snapshots.is_new(*drafts[1].checked)
    world.until(lambda: not record_of(world, thread).live, "the order's end")


def test_what_is_settled_as_an_order_begins_is_not_owed_by_a_wallet_that_is_emptied(world, thread):
    """Were it, its payment and the order's own operations would reach for the same tokens."""
    alone(world, thread)
    landed(world, thread)
    ordered(world, thread, "empty_thread")

    def step() -> Step:
        order = Order.from_text(record_of(world, thread).order)
        assert order is not None
        return Step(order.step)

    while step() is Step.ISOLATE:
        world.deliver(thread)
    assert thread not in owners(world, thread)
    world.until(lambda: not record_of(world, thread).order, "the order's end")
    assert thread not in owners(world, thread)


def test_a_payment_that_begins_while_a_wallet_is_isolated_is_noticed(world, thread, monkeypatch):
    """Whenever the share chain moves what is owed: the order goes on only with a wallet that nobody reaches for."""
    landed(world, thread)
    world.deliver(thread)
    assert owners(world, thread) == {thread}
    store, pool_id = world.runtime.store, world.runtime.thread(ThreadId(thread)).pool_id
    ordered(world, thread, "empty_thread")
    read = store._edge.batch
    moved = []

    def batch(commands, **options):
        answers = read(commands, **options)
        if options.get("atomic") and not moved:
            moved.append(True)
            world.deliver(ChainId(f"share:{pool_id}"))
        return answers

    monkeypatch.setattr(store._edge, "batch", batch)
    while not moved:
        world.deliver(thread)
    order = Order.from_text(record_of(world, thread).order)
    paying = json.loads(record_of(world, ChainId(f"share:{pool_id}")).intents or "[]")
    assert order is not None
    assert order.step == Step.ISOLATE
    assert [intent["in"]["entries"][0]["owner"] for intent in paying] == [thread]
    world.until(lambda: not record_of(world, thread).order, "the order's end")


@pytest.fixture
def foreseen(monkeypatch):
    """Let the cycle's planning meet what no rule foresees, until the test says otherwise."""

    def burst(*_):
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr(ThreadCycle, "_plan", burst)
    return monkeypatch.undo


def test_what_no_rule_foresees_puts_the_thread_into_error_and_loses_nothing(world, thread, foreseen):
    landed(world, thread)
    before = ThreadState.from_text(record_of(world, thread).state)
    world.deliver(thread)
    record = record_of(world, thread)
    state = ThreadState.from_text(record.state)
    assert record.status is ThreadStatus.ERROR
    assert state.stop_reason == "UnexpectedError"
    assert state.errors[-1].message == "ZeroDivisionError: by accident"
    assert (state.lifetime, state.operation_number) == (before.lifetime, before.operation_number)
    assert len(json.loads(record.intents)) == 1
    world.until(lambda: not record_of(world, thread).live, "the end of the chain")
    state = ThreadState.from_text(record_of(world, thread).state)
    assert state.lifetime.confirmed == before.lifetime.confirmed + 1, "what was open is settled"
    foreseen()
    start(world, thread)
    world.until(lambda: confirmed(world, thread) > state.lifetime.confirmed, "operations after the restart")


def test_an_order_outlives_what_no_rule_foresees(world, thread, monkeypatch):
    def burst(*_):
        raise ZeroDivisionError("by accident")

    ordered(world, thread, "stop_thread")
    monkeypatch.setattr(ThreadCycle, "_settle_all", burst)
    with pytest.raises(ZeroDivisionError):
        world.deliver(thread)
    order = Order.from_text(record_of(world, thread).order)
    assert order is not None
    assert order.kind is OrderKind.STOP
    monkeypatch.undo()
    world.runtime.store._edge.call("HSET", f"{world.runtime.store.prefix}chain:{thread}", "lease_token", "")
    world.until(lambda: not record_of(world, thread).live, "the order's end")
    assert record_of(world, thread).status is ThreadStatus.STOPPED
