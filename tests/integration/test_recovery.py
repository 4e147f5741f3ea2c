"""Redis set back to an earlier moment under a run: everything is booked once, and the books still close."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from domain.audit import AuditResult
from domain.chains import Refused
from domain.state import ThreadState
from tasks.audit import run_audit
from tests.support.rollback import RollbackWorld, rollback_world

pytestmark = pytest.mark.timeout(300)

AMOUNT = 10**12
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}


@pytest.fixture
def world() -> Iterator[RollbackWorld]:
    with rollback_world() as running:
        yield running


def new_threads(world: RollbackWorld) -> list[str]:
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    threads = [
        world.call("create_deposit_thread", pool_id=pool_id, token_type=side, initial_amount=AMOUNT)["thread_id"]
        for side in "AB"
    ]
    threads += [world.call("create_withdrawal_thread", pool_id=pool_id, token_type=side)["thread_id"] for side in "AAB"]
    threads += [
        world.call("create_swap_thread", pool_id=pool_id, direction=way, initial_amount=AMOUNT)["thread_id"]
        for way in ("a_to_b", "b_to_a")
    ]
    for thread in threads:
        world.call("start_thread", thread_id=thread)
    return threads


def state(world: RollbackWorld, thread_id: str) -> ThreadState:
    record = world.runtime.store.get_chain(thread_id)
    assert record is not None
    return ThreadState.from_text(record.state)


def booked(world: RollbackWorld, threads: list[str]) -> Counter[str]:
    total: Counter[str] = Counter()
    for thread in threads:
        life = state(world, thread).lifetime
        total.update(confirmed=life.confirmed, recovered=life.recovered, expired=life.expired)
    return total


def play(world: RollbackWorld, threads: list[str], more: int) -> None:
    """Until so many further operations of threads are confirmed."""
    before = booked(world, threads)["confirmed"]
    world.until(lambda: booked(world, threads)["confirmed"] >= before + more, f"{more} operations", timeout_s=60)


def closing_audit(world: RollbackWorld, threads: list[str]) -> AuditResult:
    for thread in threads:
        world.call("stop_thread", thread_id=thread)
    world.until(lambda: not world.runtime.store.live_chains(), "every chain ending", timeout_s=60)
    world.spill()
    return run_audit(world.runtime, journal_path=world.journal, settle_timeout_s=5)


def closes(result: AuditResult) -> None:
    assert [f"{found['id']}: {found['message']}" for found in result.violations] == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)


@pytest.mark.parametrize(("seed", "lost"), [(1, 3), (2, 12), (3, 30)])
def test_what_redis_lost_is_booked_once_and_the_books_close(world, seed, lost):
    rng = random.Random(seed)
    threads = new_threads(world)
    play(world, threads, 6)
    for _ in range(rng.randint(0, 9)):
        world.deliver(rng.choice(world.runtime.store.live_chains())[0])
    if rng.random() < 0.5:
        world.spill()
    world.remember("a")
    at_a = booked(world, threads)
    play(world, threads, lost // 2)
    if seed % 2 == 0:
        world.spill()  # the file knows half of what Redis loses
    play(world, threads, lost - lost // 2)
    before = booked(world, threads)
    world.roll_back("a")
    assert booked(world, threads) == at_a
    assert world.runtime.store.recovering()
    world.recover()
    after = booked(world, threads)
    assert after["confirmed"] + after["recovered"] >= before["confirmed"]
    assert after["recovered"] > 0
    play(world, threads, 5)
    closes(closing_audit(world, threads))
    assert not world.runtime.store.faults()


def test_an_outage_is_no_operations_duration(world):
    threads = new_threads(world)
    play(world, threads, 6)
    world.remember("a")
    known = {thread: state(world, thread) for thread in threads}
    play(world, threads, 14)
    world.roll_back("a")
    world.recover()
    after = {thread: state(world, thread) for thread in threads}
    assert any(each.session.recovered for each in after.values())
    for thread, each in after.items():
        assert each.session_started_at_ms <= each.first_operation_at_ms <= each.last_operation_at_ms
        assert each.last_confirm_ms == known[thread].last_confirm_ms


def in_the_lost_time(world: RollbackWorld, what: str, threads: list[str]) -> None:
    pool_id = world.runtime.store.list_pools()[0].pool_id
    match what:
        case "empty":
            world.call("empty_thread", thread_id=threads[0])
        case "delete":
            world.call("stop_thread", thread_id=threads[-1])
            world.call("delete_thread", thread_id=threads[-1])
        case "create":
            world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=AMOUNT)
        case "fees":
            world.call("update_pool_fees", pool_id=pool_id, liquidity_fee=200_000, swap_fee=30_000)
        case "pool":
            world.call("create_pool", **POOL)


@pytest.mark.parametrize("spilled", [False, True])
@pytest.mark.parametrize("what", ["empty", "delete", "create", "fees", "pool"])
def test_a_command_that_redis_lost_leaves_the_books_closed(world, what, spilled):
    threads = new_threads(world)
    pool_id = world.runtime.store.list_pools()[0].pool_id
    play(world, threads, 10)
    world.remember("a")
    play(world, threads, 2)
    in_the_lost_time(world, what, threads)
    if spilled:
        world.spill()
    world.roll_back("a")
    world.recover()
    play(world, [thread for thread in threads if thread not in (threads[0], threads[-1])], 3)
    if what == "create":  # the name was given away, to a wallet whose key is lost
        made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=1)
        assert made["thread_id"] == ("deposit_4" if spilled else "deposit_3")
    result = closing_audit(world, threads)
    closes(result)


def test_no_chain_begins_between_the_restart_and_the_recovery(world):
    threads = new_threads(world)
    world.remember("a")
    play(world, threads, 4)
    world.roll_back("a")
    record = world.runtime.store.get_chain(threads[0])
    assert record is not None
    begun = world.runtime.store.begin(record.chain_id, record.generation, record.seq, 1_000)
    assert isinstance(begun, Refused)
    assert begun.reason.value == "epoch"
