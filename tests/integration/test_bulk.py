"""Bulk commands: every member on its own, once, whatever dies in between; the whole service paused and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from domain.chain.gateway import Want
from domain.chains import ChainKind
from domain.ids import CommandId
from domain.refill import RESERVE_LAMPORTS
from domain.state import ThreadState
from domain.thread import ThreadStatus
from tasks.audit import run_audit
from tests.support.driver import Driver, driver

pytestmark = pytest.mark.timeout(300)

AMOUNT = 10**9
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}


class Killed(BaseException):
    """The worker dies here."""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run"), finalized_lag=4) as running:
        yield running


@pytest.fixture(scope="module")
def pools(world: Driver) -> list[str]:
    return [world.call("create_pool", **POOL)["pool_id"], world.call("create_pool_random")["pool_id"]]


def statuses(world: Driver) -> dict[str, ThreadStatus]:
    return {config.thread_id: status for config, status in world.runtime.store.thread_heads()}


def error_of(world: Driver, method: str, **params: Any) -> dict[str, Any]:
    return world.answer(world.send(method, **params))["error"]


def template(pool_id: str, **more: Any) -> dict[str, Any]:
    return {"kind": "deposit", "pool_id": pool_id, "token_type": "A", "initial_amount": AMOUNT} | more


def test_a_random_pool_is_accepted_by_the_program(world, pools):
    pool = world.runtime.store.get_pool(pools[1])
    assert pool is not None
    assert 0 <= pool.decimals_a <= 9
    assert 0 <= pool.decimals_b <= 9


def test_what_is_random_about_a_pool_follows_from_the_seed(world, monkeypatch):
    """The same seed and the same number give the same pool; another number another one."""
    shapes = []
    for number in (101, 101, 102, 103):
        monkeypatch.setattr(type(world.runtime.store), "next_pool_number", lambda _, number=number: number)
        pool = world.runtime.store.get_pool(world.call("create_pool_random")["pool_id"])
        assert pool is not None
        shapes.append((pool.decimals_a, pool.decimals_b, pool.ratio_a, pool.ratio_b))
    assert shapes[0] == shapes[1]
    assert len(set(shapes)) > 1


@pytest.fixture(scope="module")
def threads(world: Driver, pools: list[str]) -> list[str]:
    made = world.call("create_threads", count=5, template=template(pools[0]))
    assert (made["total"], made["succeeded"], made["failed"]) == (5, 5, 0)
    mixed = [
        template(pools[1]),
        {"kind": "withdrawal", "pool_id": pools[1], "token_type": "A"},
        {"kind": "swap", "pool_id": pools[1], "direction": "a_to_b", "initial_amount": AMOUNT},
        {"kind": "swap", "pool_id": pools[1], "direction": "a_to_b", "initial_amount": AMOUNT},
        template("nobody-knows"),
    ]
    more = world.call("create_threads", threads=mixed)
    assert (more["total"], more["succeeded"], more["failed"]) == (5, 3, 2)
    codes = [entry["error"]["code"] for entry in more["results"] if entry["error"]]
    assert sorted(codes) == [-1002, -1001]  # the two swap threads race for one direction; one of them has it
    return [entry["thread_id"] for entry in (*made["results"], *more["results"]) if entry["thread_id"]]


def test_all_are_started_stopped_and_deleted_by_pool_by_id_or_at_once(world, pools, threads):
    started = world.call("start_threads", pool_id=pools[0])
    assert started["succeeded"] == started["total"] == 5
    assert world.call("start_threads", all=True)["succeeded"] == 3
    assert set(statuses(world).values()) == {ThreadStatus.RUNNING}
    again = world.call("start_threads", thread_ids=[threads[0], "deposit_99", "command:x"])
    assert [entry["error"]["code"] for entry in again["results"]] == [-1005, -1004, -1004]
    assert world.call("stop_all_pool_threads", pool_id=pools[0])["succeeded"] == 5
    assert world.call("stop_all")["succeeded"] == 3
    assert set(statuses(world).values()) == {ThreadStatus.STOPPED}
    assert world.call("stop_all") == {"total": 0, "succeeded": 0, "failed": 0, "results": []}
    gone = world.call("delete_threads", thread_ids=threads[:2])
    assert [entry["result"]["status"] for entry in gone["results"]] == ["deleted"] * 2
    assert not set(threads[:2]) & set(statuses(world))


def test_the_same_command_again_acts_once(world, pools):
    before, command_id = len(statuses(world)), CommandId("bulk-once")
    for _ in range(2):
        params = {"count": 3, "template": template(pools[0])}
        answer = world.answer(world.runtime.commands.send("create_threads", params, command_id))
    assert answer["ok"]["succeeded"] == 3
    assert len(statuses(world)) == before + 3


@contextmanager
def deaths(world: Driver, monkeypatch, place: str) -> Iterator[set[Any]]:
    """Every step of every command dies once, three times per command at most, and is delivered again."""
    killed: set[Any] = set()
    store, step, commit = world.runtime.store, world.step, world.runtime.store.commit

    def dying_commit(_, written):
        begun = written.begun
        mine = begun.kind is ChainKind.COMMAND and (begun.chain_id, begun.seq) not in killed
        mine = mine and sum(1 for chain, _ in killed if chain == begun.chain_id) < 3
        if mine and place == "before commit":
            killed.add((begun.chain_id, begun.seq))
            raise Killed(begun.chain_id)
        found = commit(written)
        if mine:
            killed.add((begun.chain_id, begun.seq))
            raise Killed(begun.chain_id)
        return found

    def surviving():
        try:
            step()
        except Killed as death:  # the lease of the dead step has passed when it is delivered again
            if store.get_chain(str(death)).live:
                store._edge.call("HSET", f"frt:chain:{death}", "lease_until_ms", "0")

    with monkeypatch.context() as patched:
        patched.setattr(type(store), "commit", dying_commit)
        patched.setattr(world, "step", surviving)
        yield killed


@contextmanager
def left_in_the_core_wallet(world: Driver, lamports: int) -> Iterator[None]:
    """Everything else of it is somebody's reservation."""
    store, core = world.runtime.store, world.runtime.chain.keyring.core_address
    had = world.runtime.chain.observe(Want(addresses=(core,))).lamports(core)
    assert store.reserve_core("test", had - RESERVE_LAMPORTS - lamports, had)
    yield
    store.release_core("test")


def test_members_and_money_are_settled_on_before_the_first_is_sent(world, monkeypatch):
    """The step that begins to send dies: when it comes again, what was sent has changed what it would choose."""
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    with left_in_the_core_wallet(world, 0):
        one = error_of(world, "create_threads", count=1, template=template(pool_id))["data"]["needed"]
    for place in ("before commit", "after commit"):
        with deaths(world, monkeypatch, place), left_in_the_core_wallet(world, 4 * one):
            made = world.call("create_threads", count=3, template=template(pool_id))
        assert (made["succeeded"], made["failed"]) == (3, 0)
        with deaths(world, monkeypatch, place):
            for method in ("start_threads", "stop_all_pool_threads", "delete_threads"):
                answer = world.call(method, pool_id=pool_id)
                assert (answer["total"], answer["succeeded"]) == (3, 3), (method, place)


@pytest.mark.parametrize("place", ["before commit", "after commit"])
def test_killed_at_every_step_each_member_acts_once(world, pools, monkeypatch, place):
    before = statuses(world)
    with deaths(world, monkeypatch, place) as killed:
        made = world.call("create_threads", count=3, template=template(pools[0]))
        assert made["succeeded"] == 3
        names = [entry["thread_id"] for entry in made["results"]]
        assert set(statuses(world)) == set(before) | set(names)
        for method, result in (("start", "running"), ("stop", "stopped"), ("delete", "deleted")):
            answer = world.call(f"{method}_threads", thread_ids=names)
            assert [entry["result"]["status"] for entry in answer["results"]] == [result] * 3
        assert statuses(world) == before
        pools_before = len(world.runtime.store.list_pools())
        world.call("create_pool_random")
        assert len(world.runtime.store.list_pools()) == pools_before + 1
        asked, ask = [], world.runtime.chain.endpoints.call
        monkeypatch.setattr(
            world.runtime.chain.endpoints, "call", lambda *call, **more: asked.append(call[0]) or ask(*call, **more)
        )
        assert world.call("airdrop_sol", amount=1_234_567_891)["amount"] == 1_234_567_891
        assert asked.count("requestAirdrop") == 1
        assert world.call("stop_service")["total"] == 0
        assert world.runtime.store.service_paused()
        world.call("resume")
        assert not world.runtime.store.service_paused()
    assert len({chain for chain, _ in killed}) >= 4 * 4 + 4


def test_more_threads_than_the_core_wallet_can_pay_are_refused_before_the_first(world, pools):
    store, core = world.runtime.store, world.runtime.chain.keyring.core_address
    before = world.runtime.store.tombstones(), statuses(world)
    balance = world.localnet.call("getBalance", core, {"commitment": "processed"})["value"]
    assert store.reserve_core("test", balance - 10**8, balance)
    error = error_of(world, "create_threads", count=1_000, template=template(pools[0]))
    alone = error_of(world, "create_deposit_thread", pool_id=pools[0], token_type="A", initial_amount=1)
    pool = error_of(world, "create_pool", **POOL)
    store.release_core("test")
    assert [found["code"] for found in (error, alone, pool)] == [-1007] * 3
    for found in (error, alone, pool):
        assert found["data"]["needed"] > found["data"]["had"] - found["data"]["reserved"]
    assert (world.runtime.store.tombstones(), statuses(world)) == before


def test_a_paused_service_submits_nothing_until_it_is_resumed(world, pools):
    assert world.call("pause") == {"status": "paused"}
    thread = world.call("create_threads", count=1, template=template(pools[0]))["results"][0]["thread_id"]
    world.call("start_thread", thread_id=thread)

    def state():
        return ThreadState.from_text(world.runtime.store.get_chain(thread).state)

    world.until(lambda: state().waiting == "service_paused", "the thread waiting")
    assert state().operation_number == 0
    assert world.call("resume") == {"status": "running"}
    world.until(lambda: state().operation_number > 0, "the thread going on")
    assert world.call("stop_service")["succeeded"] == 1
    assert world.runtime.store.service_paused()
    world.call("resume")


def test_the_books_close_over_all_of_it(world, tmp_path):
    world.until(lambda: not world.runtime.store.live_chains(), "every chain ending", timeout_s=90)
    result = run_audit(world.runtime, journal_path=tmp_path / "journal.jsonl", settle_timeout_s=5)
    assert result.violations == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)
