"""run_audit on a real chain and a real Redis: refused while threads run, made at rest, red when the books are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from domain.ids import CommandId
from tasks.auditor import Auditors, answer_audits
from tests.support.driver import Driver, driver


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run")) as running:
        yield running


def audit(world: Driver) -> dict:
    """Send the command, let its step hand it over, and be the auditor, while the chains go on."""
    command_id = world.send("run_audit")
    world.until(world.runtime.store.requested_audits, "the audit to be handed over")

    def pause(_: float) -> None:
        world.step()

    assert answer_audits(world.runtime, pause) == 1
    assert world.runtime.store.requested_audits() == []
    return world.answer(command_id)


def test_an_audit_is_refused_while_threads_run_and_passes_at_rest(world: Driver) -> None:
    pool_id = world.call("create_pool", token_a_decimals=6, token_b_decimals=6, ratio_a=1, ratio_b=3)["pool_id"]
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=10**9)
    thread_id = made["thread_id"]
    world.call("start_thread", thread_id=thread_id)
    refused = audit(world)["error"]
    assert (refused["code"], refused["data"]) == (-1005, {"running": 1})
    world.until(lambda: world.runtime.store.all_counts(0).operations.get("deposit.confirmed"), "a deposit")
    world.call("stop_thread", thread_id=thread_id)
    result = audit(world)["ok"]
    assert result["violations"] == []
    assert (result["verdict"], result["unexplained_units"], result["unexplained_lamports"]) == ("pass", 0, 0)
    assert result["checks"] > 100


def test_wrong_books_fail_the_audit(world: Driver) -> None:
    (thread_id,) = world.runtime.store.list_threads()
    key = world.runtime.store._keys.chain(thread_id)
    edge = world.runtime.store._edge
    state = json.loads(edge.call("HGET", key, "state"))
    state["lifetime"]["spent"] = str(int(state["lifetime"]["spent"]) + 1)
    edge.call("HSET", key, "state", json.dumps(state))
    result = audit(world)["ok"]
    assert result["verdict"] == "fail"
    assert result["violation_count"] >= 1
    assert any(violation["chain_id"] == thread_id for violation in result["violations"])


def test_only_one_process_audits_at_a_time(world: Driver) -> None:
    store = world.runtime.store
    store.request_audit(CommandId("a-command"))
    assert store.acquire_lease("auditor", "another process", 60_000)
    assert answer_audits(world.runtime, lambda _: None) == 0
    assert store.requested_audits() == ["a-command"]
    store.release_lease("auditor", "another process")
    store.drop_audit(CommandId("a-command"))


def test_the_supervisor_starts_one_process_for_what_is_asked(world: Driver) -> None:
    """A process of its own answers, here that it may not: a thread is running."""
    store = world.runtime.store
    (thread_id,) = store.list_threads()
    world.call("start_thread", thread_id=thread_id)
    command_id = world.send("run_audit")
    world.until(store.requested_audits, "the audit to be handed over")
    auditors = Auditors(store, world.runtime.settings)
    try:
        world.until(lambda: auditors.look() or store.command_answer(command_id), "the other process' answer")
        assert auditors._process is not None
        assert json.loads(store.command_answer(command_id))["error"]["code"] == -1005
        assert world.until(lambda: auditors._process.poll() is not None, "the process to end")
        assert auditors._process.returncode == 0
        assert store.lease_holder("auditor") is None
    finally:
        auditors.close()
