"""Commands that cannot be carried out: each says so, once, and holds nothing afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.chain.gateway import ChainUnreachableError, Want
from domain.errors import CommandCode
from domain.ids import PoolId, ThreadId
from domain.pool import Pool
from domain.refill import RESERVE_LAMPORTS, Refill
from tasks.control import commands, methods
from tests.support.driver import Driver, driver

pytestmark = pytest.mark.timeout(300)

POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run"), finalized_lag=4) as running:
        yield running


@pytest.fixture(scope="module")
def pool(world: Driver) -> Pool:
    return world.runtime.pool(world.call("create_pool", **POOL)["pool_id"])


@pytest.fixture(scope="module")
def thread(world: Driver, pool: Pool) -> ThreadId:
    made = world.call("create_deposit_thread", pool_id=pool.pool_id, token_type="A", initial_amount=10**9)
    return ThreadId(made["thread_id"])


def of(method: str, pool: Pool, thread: ThreadId) -> dict[str, Any]:
    """Parameters of a command that has to ask the chain."""
    return {
        "create_pool": POOL,
        "create_swap_thread": {"pool_id": pool.pool_id, "direction": "a_to_b", "initial_amount": 5},
        "create_threads": {"threads": [{"kind": "withdrawal", "pool_id": pool.pool_id, "token_type": "A"}]},
        "fund_thread": {"thread_id": thread, "funding_type": "token_a", "amount": 5},
        "mint_and_send_tokens": {
            "pool_id": pool.pool_id,
            "token_type": "A",
            "recipient_address": pool.owner,
            "amount": 5,
        },
        "airdrop_sol": {"amount": 10**9, "thread_id": thread},
        "pause_pool": {"pool_id": pool.pool_id},
        "consolidate_pool_fees": {"pool_ids": [pool.pool_id]},
        "attack_pool": {"pool_id": pool.pool_id, "kind": "whale", "amount": 5},
    }[method]


ALL = [
    "create_pool",
    "create_swap_thread",
    "create_threads",
    "fund_thread",
    "mint_and_send_tokens",
    "airdrop_sol",
    "pause_pool",
    "consolidate_pool_fees",
    "attack_pool",
]


def held(world: Driver, pool: Pool, thread: ThreadId) -> list[Any]:
    """What a command may leave behind by mistake."""
    store = world.runtime.store
    slot = store._edge.call("GET", f"frt:swap-slot:{pool.pool_id}:a_to_b")
    return [store.core_reservations(), store.lease_holder(f"fund:{thread}"), slot, store.list_threads()]


@pytest.mark.parametrize(
    ("what", "method"),
    # an administrative step asks for nothing before it is sent
    [("observe", method) for method in ALL if method != "pause_pool"] + [("blockhash", method) for method in ALL],
)
def test_a_chain_that_stays_silent_is_said_and_nothing_was_sent(world, pool, thread, monkeypatch, method, what):
    """-1006 within the time of a request, and nothing stays reserved, taken or locked."""
    chain, before = world.runtime.chain, held(world, pool, thread)
    sent = world.runtime.store.counts("operations")

    def silent(*_: Any, **__: Any) -> Any:
        raise ChainUnreachableError("nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(commands, "PATIENCE_MS", 50)
        patched.setattr(chain, what, silent)
        patched.setattr(chain.endpoints, "call", silent)
        command = world.send(method, **of(method, pool, thread))
        answer = world.answer(command)
    if what == "blockhash" and method == "create_threads":  # the bulk command asks for balances alone
        assert answer["ok"]["results"][0]["error"]["code"] == CommandCode.CHAIN_UNREACHABLE
    else:
        assert answer["error"]["code"] == CommandCode.CHAIN_UNREACHABLE
        assert "nobody answers" not in answer["error"]["message"]
    assert held(world, pool, thread) == before
    assert world.runtime.store.counts("operations") == sent


def test_once_something_was_sent_its_outcome_is_waited_for(world, pool, thread, monkeypatch):
    honest, outages = world.runtime.chain.observe, []

    def observe(want):
        if want.signatures and len(outages) < 5:
            outages.append(want)
            raise ChainUnreachableError("nobody answers")
        return honest(want)

    monkeypatch.setattr(commands, "PATIENCE_MS", 0)
    monkeypatch.setattr(world.runtime.chain, "observe", observe)
    assert world.call("fund_thread", **of("fund_thread", pool, thread))["amount"] == 5
    assert len(outages) == 5


@pytest.mark.parametrize("method", ["create_swap_thread", "fund_thread", "pause_pool"])
def test_an_unexpected_failure_is_answered_and_tells_no_secret(world, pool, thread, monkeypatch, caplog, method):
    """It would fail again at every delivery: what the method had prepared is not sent, what it held is given back."""
    before, sent = held(world, pool, thread), world.runtime.store.counts("operations")
    honest = methods.HANDLERS[method]

    def broken(command):
        honest(command)
        if command.draft.new:
            raise ZeroDivisionError("the-secret")

    monkeypatch.setitem(methods.HANDLERS, method, broken)
    error = world.answer(world.send(method, **of(method, pool, thread)))["error"]
    assert error["code"] == CommandCode.INTERNAL_ERROR
    assert "the-secret" not in str(error)
    assert held(world, pool, thread) == before
    assert world.runtime.store.counts("operations") == sent


def test_the_core_wallet_keeps_what_an_account_must_hold(world, thread):
    """Else the transaction would land, fail for rent, and cost its fee."""
    chain, core = world.runtime.chain, world.runtime.chain.keyring.core_address
    had = chain.observe(Want(addresses=(core,))).lamports(core)
    amount = had - 100_000 - RESERVE_LAMPORTS + 1
    error = world.answer(world.send("fund_thread", thread_id=thread, funding_type="sol", amount=amount))["error"]
    assert (error["code"], error["data"]["had"]) == (CommandCode.CORE_WALLET_SHORT, had)
    answer = world.answer(world.send("fund_thread", thread_id=thread, funding_type="sol", amount=amount - 1))
    assert "ok" in answer
    assert chain.observe(Want(addresses=(core,))).lamports(core) > RESERVE_LAMPORTS
    error = world.answer(world.send("create_pool", **POOL))["error"]
    assert error["code"] == CommandCode.CORE_WALLET_SHORT
    world.localnet.call("requestAirdrop", core, 10**12)
    world.until(lambda: chain.observe(Want(addresses=(core,))).lamports(core) > 10**11, "the airdrop")


def test_the_same_twice_at_once_is_done_twice(world, pool, monkeypatch):
    """Two equal commands within one blockhash differ in nothing but their ids: neither waits for a lease."""
    refused = world.runtime.store.counts("cycles").get("command.refused_signature", 0)
    params = of("mint_and_send_tokens", pool, ThreadId(""))
    sent = [world.send("mint_and_send_tokens", **params) for _ in range(4)]
    assert len({world.answer(command)["ok"]["transaction_signature"] for command in sent}) == 4
    assert world.runtime.store.counts("cycles").get("command.refused_signature", 0) == refused


def test_steps_of_one_pool_follow_each_other(world, pool):
    """Of two administrative steps that landed in one slot, nobody could say which came last."""
    sent = []
    for _ in range(3):
        sent += [world.send(method, pool_id=pool.pool_id) for method in ("pause_pool", "unpause_pool", "pause_pool")]
    sent.append(world.send("unpause_pool", pool_id=pool.pool_id))
    slots = [world.answer(command)["ok"]["slot"] for command in sent]
    assert len(set(slots)) == len(slots)
    policy = world.runtime.store.policy(PoolId(pool.pool_id))
    assert policy is not None
    assert [step.slot for step in policy.steps] == sorted(step.slot or 0 for step in policy.steps)
    assert world.runtime.store.faults() == []


def test_a_refill_leaves_the_core_wallet_what_an_account_must_hold(world, thread, monkeypatch):
    store, core = world.runtime.store, world.runtime.chain.keyring.core_address

    def nearly_all(*facts: Any) -> Refill:
        return Refill(lamports=facts[2].lamports(core) - RESERVE_LAMPORTS + 1)

    monkeypatch.setattr("tasks.cycles.thread.needs", lambda *_: {"sol"})
    monkeypatch.setattr("tasks.cycles.refill.refill_for", nearly_all)
    world.call("start_thread", thread_id=thread)
    world.until(lambda: store.counts("waits").get("refill.core_wallet_short"), "a refill that is put off")
    assert "refill.submitted" not in store.counts("operations")
    world.call("stop_thread", thread_id=thread)


def test_a_step_that_follows_while_the_first_looks_is_no_fault(world, pool, monkeypatch):
    """The worker stands still between reading the policy and the pool; meanwhile the pause is ended again."""
    honest, done = world.runtime.chain.observe, []

    def observe(want):
        if want.addresses == (pool.pool_id,) and not want.signatures and not done:
            done.append(True)
            world.call("unpause_pool", pool_id=pool.pool_id)
        return honest(want)

    monkeypatch.setattr(world.runtime.chain, "observe", observe)
    world.call("pause_pool", pool_id=pool.pool_id)
    assert done
    assert world.runtime.store.faults() == []
