"""The pools at a start: validated, imported, archived on a valid answer only, created up to a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from solders.keypair import Keypair

from domain.chain.gateway import ChainUnreachableError
from domain.chain.program import CONTRACT_VERSION
from domain.chain.version import is_supported
from domain.ids import PoolId
from tasks import known_pools
from tasks.known_pools import check_version, create_missing_pools, pools_at_start
from tests.support.driver import Driver, driver

POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run")) as running:
        yield running


def test_a_known_pool_is_valid_and_one_that_redis_forgot_is_imported_as_it_was(world):
    store = world.runtime.store
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    assert pools_at_start(world.runtime).valid == [pool_id]
    known = store.get_pool(pool_id)
    assert known is not None
    store._edge.call("HDEL", store._keys.named("pools"), pool_id)
    found = pools_at_start(world.runtime)
    assert found.imported == [pool_id]
    again = store.get_pool(pool_id)
    assert again is not None
    unlike = {"created_slot": known.created_slot, "created_at_ms": known.created_at_ms}
    assert replace(again, **unlike) == known
    assert pools_at_start(world.runtime).imported == []


def test_an_imported_pool_takes_threads(world):
    pool_id = world.runtime.store.list_pools()[0].pool_id
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=10**9)
    world.call("start_thread", thread_id=made["thread_id"])
    chain = world.runtime.store
    world.until(lambda: '"confirmed"' in chain.get_chain(made["thread_id"]).state, "a deposit into it")
    world.call("stop_thread", thread_id=made["thread_id"])


def test_a_pool_is_archived_by_a_valid_answer_and_never_by_none(world, monkeypatch):
    store = world.runtime.store
    pool = store.list_pools()[0]
    gone = PoolId(str(Keypair().pubkey()))
    store.put_pool(replace(pool, pool_id=gone))

    def silent(*_: object) -> None:
        raise ChainUnreachableError("no node answers")

    with monkeypatch.context() as patched:
        patched.setattr(world.runtime.chain, "observe", silent)
        found = pools_at_start(world.runtime)
    assert found.unanswered
    assert gone in {known.pool_id for known in store.list_pools()}
    store.put_pool(replace(pool, pool_id=gone, created_slot=10**9))
    assert pools_at_start(world.runtime).unanswered  # a node that stands before the pool's creation proves nothing
    store.put_pool(replace(pool, pool_id=gone))
    assert pools_at_start(world.runtime).archived == [gone]
    assert [known.pool_id for known in store.archived_pools()] == [gone]


def test_pools_are_created_up_to_the_target(world, monkeypatch):
    def wait(command_id, timeout_s):
        return world.answer(command_id)

    monkeypatch.setattr(world.runtime.commands, "wait", wait, raising=False)
    there = len(world.runtime.store.list_pools())
    assert len(create_missing_pools(world.runtime, there + 2)) == 2
    assert create_missing_pools(world.runtime, there + 2) == []


def test_the_programs_version_is_read_and_compared(world):
    assert check_version(world.runtime) == CONTRACT_VERSION
    assert is_supported(CONTRACT_VERSION)
    assert not is_supported("1.0.0")
    assert not is_supported("what")
    assert known_pools.POOLS_AT_ONCE * 4 <= 100
