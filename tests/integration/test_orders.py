"""Orders that a thread's chain carries out, while others reach for the same wallet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from solders.keypair import Keypair

from domain.chain.build import token_address
from domain.chain.gateway import Want
from domain.chain.keyring import KeyMissingError
from domain.chain.program import DEFAULT_LIQUIDITY_FEE_LAMPORTS
from domain.chains import ChainKind, Committed, pool_chain_id
from domain.ids import Address, ThreadId
from domain.operations import OperationKind, SolTransfer, Transfer
from domain.pool import Asset, Pool
from domain.state import Order, ThreadState
from domain.store.gateway import RedisStore
from domain.thread import ThreadConfig, ThreadStatus
from tasks.audit import run_audit
from tests.support.driver import Driver, driver

pytestmark = pytest.mark.timeout(300)

AMOUNT = 10**9
EMPTIED = {
    "used": "0",
    "successful": False,
    "burned_before": {"token_a": "0", "lp_a": "0"},
    "emptied": True,
}
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run"), finalized_lag=4) as running:
        yield running


@pytest.fixture(scope="module")
def pool(world: Driver) -> Pool:
    return world.runtime.pool(world.call("create_pool", **POOL)["pool_id"])


@pytest.fixture(scope="module")
def guest(world: Driver, pool: Pool) -> Keypair:
    """Somebody with tokens and SOL who has no part in the service."""
    keypair = Keypair()
    address = str(keypair.pubkey())
    world.localnet.call("requestAirdrop", address, 10**10)
    for side in "AB":
        world.call(
            "mint_and_send_tokens", pool_id=pool.pool_id, token_type=side, recipient_address=address, amount=10**6
        )
    return keypair


def new_thread(world: Driver, pool: Pool, kind: str = "deposit", **more: Any) -> ThreadConfig:
    params = {"token_type": "A", "initial_amount": AMOUNT} | more
    named = {name: value for name, value in params.items() if value is not None}
    made = world.call(f"create_{kind}_thread", pool_id=pool.pool_id, **named)
    return world.runtime.thread(ThreadId(made["thread_id"]))


def tokens_to(guest: Keypair, pool: Pool, config: ThreadConfig, asset: Asset, amount: int) -> Transfer:
    owner = Address(str(guest.pubkey()))
    source = token_address(owner, pool.mint(asset))
    return Transfer(owner=owner, source=source, destination=config.accounts[asset], amount=amount)


def sol_to(guest: Keypair, config: ThreadConfig, lamports: int) -> SolTransfer:
    return SolTransfer(source=Address(str(guest.pubkey())), destination=config.wallet, lamports=lamports)


def order_of(world: Driver, thread_id: str) -> Order | None:
    record = world.runtime.store.get_chain(thread_id)
    return Order.from_text(record.order) if record else None


def before_sending(world: Driver, monkeypatch, kind: OperationKind, deed: Callable[[], None]) -> None:
    """``deed`` happens once, after the first intent of this kind is signed and before it is sent."""
    honest, done = world.runtime.chain.submit, []

    def submit(intents):
        if not done and any(intent.kind is kind for intent in intents):
            done.append(True)
            deed()
        honest(intents)

    monkeypatch.setattr(world.runtime.chain, "submit", submit)


def test_what_comes_while_it_is_emptied_is_burned_and_counted(world, pool, guest, monkeypatch):
    config = new_thread(world, pool, "swap", token_type=None, direction="a_to_b", initial_amount=7)  # too few to swap
    before_sending(
        world,
        monkeypatch,
        OperationKind.BURN,
        lambda: world.as_guest(guest, tokens_to(guest, pool, config, Asset.TOKEN_B, 33)),
    )
    done = world.call("empty_thread", thread_id=config.thread_id)
    assert done["empty_operation"]["tokens_burned_by_kind"] == {"token_a": 7, "token_b": 33}
    assert done["empty_operation"]["tokens_burned"] == 40
    balances = done["post_empty_balances"]
    assert (balances["token_a_balance"], balances["token_b_balance"]) == (0, 0)
    state = ThreadState.from_text(world.runtime.store.get_chain(config.thread_id).state)
    assert (state.lifetime.burned_token_a, state.lifetime.burned_token_b, state.lifetime.empties) == (7, 33, 1)


def test_what_comes_while_it_is_deleted_does_not_keep_it_alive(world, pool, guest, monkeypatch):
    config = new_thread(world, pool)
    held = world.runtime.chain.observe(Want(addresses=(config.wallet, *config.accounts.values())))
    whole = sum(held.lamports(address) for address in held.accounts)

    def deed() -> None:
        world.as_guest(guest, tokens_to(guest, pool, config, Asset.TOKEN_A, 21), sol_to(guest, config, 2_000_000))

    before_sending(world, monkeypatch, OperationKind.BURN, deed)
    answer = world.call("delete_thread", thread_id=config.thread_id)
    assert answer["status"] == "deleted"
    fees = DEFAULT_LIQUIDITY_FEE_LAMPORTS + 5_000  # of the deposit it was emptied by
    assert answer["sol_returned"] == whole + 2_000_000 - fees
    seen = world.runtime.chain.observe(Want(addresses=(config.wallet, *config.accounts.values())))
    assert set(seen.accounts.values()) == {None}
    (grave,) = [one for one in world.runtime.store.tombstones() if one.thread_id == config.thread_id]
    assert (grave.state.lifetime.burned_token_a, grave.state.lifetime.empties) == (21, 1)


class Killed(BaseException):
    """The worker dies here."""


@pytest.mark.parametrize("place", ["before commit", "after commit"])
def test_killed_at_every_step_it_deposits_burns_and_sweeps_once(world, pool, monkeypatch, place):
    config, store, step, commit = new_thread(world, pool), world.runtime.store, world.step, RedisStore.commit
    held = world.runtime.chain.observe(Want(addresses=(config.wallet, *config.accounts.values())))
    whole, killed, before = sum(held.lamports(address) for address in held.accounts), set(), store.counts("operations")

    def dying_commit(self, written):
        begun = written.begun
        # who dies after each of its commits never sends anything
        mine = begun.chain_id == config.thread_id and begun.seq not in killed
        mine = mine and (place == "before commit" or begun.seq % 2 == 1)
        killed.update({begun.seq} if mine else ())
        if mine and place == "before commit":
            raise Killed
        found = commit(self, written)
        if mine:
            raise Killed
        return found

    def surviving() -> None:
        try:
            step()
        except Killed:  # the lease of the dead step has passed when it is delivered again
            if store.get_chain(config.thread_id):
                store._edge.call("HSET", f"frt:chain:{config.thread_id}", "lease_until_ms", "0")

    monkeypatch.setattr(RedisStore, "commit", dying_commit)
    monkeypatch.setattr(world, "step", surviving)
    answer = world.call("delete_thread", thread_id=config.thread_id)
    assert answer["sol_returned"] == whole - DEFAULT_LIQUIDITY_FEE_LAMPORTS - 5_000
    assert len(killed) >= 4
    after = store.counts("operations")
    made = {name: after[name] - before.get(name, 0) for name in after if name.endswith(".confirmed")}
    assert {name: n for name, n in made.items() if n} == {
        "deposit.confirmed": 1,
        "burn.confirmed": 1,
        "sweep.confirmed": 1,
    }
    (grave,) = [one for one in store.tombstones() if one.thread_id == config.thread_id]
    assert (grave.state.lifetime.burned_lp_a, grave.state.lifetime.empties) == (AMOUNT, 1)


def test_tokens_that_come_before_the_sweep_are_burned_first(world, pool, guest):
    config = new_thread(world, pool, "withdrawal", token_type="A", initial_amount=None)
    command = world.send("delete_thread", thread_id=config.thread_id)
    world.as_guest(guest, tokens_to(guest, pool, config, Asset.TOKEN_A, 5))
    # as if they had come after the last look at them
    world.until(lambda: order_of(world, config.thread_id), "the order")
    order = Order(kind=order_of(world, config.thread_id).kind, command_id=command, step=3, data=EMPTIED)
    world.runtime.store._edge.call("HSET", f"frt:chain:{config.thread_id}", "order", order.to_text())
    assert world.answer(command)["ok"]["status"] == "deleted"


def test_a_payment_that_starts_while_the_order_looks_is_waited_for(world, pool, monkeypatch):
    """The share chain takes the thread's entry out of the outbox between the order's look at it and its commit."""
    owner, taker = new_thread(world, pool), new_thread(world, pool, "withdrawal", initial_amount=None)
    store, share = world.runtime.store, pool_chain_id(ChainKind.SHARE, pool.pool_id)
    step, paid, left = world.step, [], []

    def without_payments() -> None:
        for chain_id, _ in store.live_chains():
            if chain_id != share:
                world.deliver(chain_id)

    def pay() -> None:
        if not paid:
            paid.append(True)
            world.deliver(share)

    def being_paid() -> bool:
        intents = json.loads(store.get_chain(share).intents or "[]")
        return any(owner.wallet in intent["in"]["wallets"] for intent in intents)

    monkeypatch.setattr(world, "step", without_payments)
    for config in (owner, taker):
        world.call("start_thread", thread_id=config.thread_id)
    world.until(lambda: store.outbox(pool.pool_id), "something owed")
    look, commit = RedisStore.lease_holder, RedisStore.commit

    def dying_look(self, name):
        pay()
        return look(self, name)

    def late_commit(self, written):
        ordered = Order.from_text(written.order) if written.begun.chain_id == owner.thread_id else None
        if ordered is not None:
            pay()
        found = commit(self, written)
        if ordered is not None and ordered.step > 0 and isinstance(found, Committed):
            left.append(being_paid())
            monkeypatch.setattr(world, "step", step)
        elif paid:
            monkeypatch.setattr(world, "step", step)
        return found

    monkeypatch.setattr(RedisStore, "lease_holder", dying_look)
    monkeypatch.setattr(RedisStore, "commit", late_commit)
    world.call("empty_thread", thread_id=owner.thread_id)
    assert paid
    assert left
    assert not any(left)
    for config in (owner, taker):
        world.call("stop_thread", thread_id=config.thread_id)


def test_a_stop_waits_for_the_order_at_work(world, pool):
    """Else stop_all would leave a thread running that is just being emptied."""
    config = new_thread(world, pool)
    world.call("start_thread", thread_id=config.thread_id)
    emptying = world.send("empty_thread", thread_id=config.thread_id)
    world.until(lambda: order_of(world, config.thread_id), "the order")
    refused = world.answer(world.send("delete_thread", thread_id=config.thread_id))["error"]
    assert (refused["code"], refused["data"]["order"]) == (-1005, "empty")
    answer = world.call("stop_all")
    assert (answer["succeeded"], answer["failed"]) == (1, 0)
    assert "ok" in world.answer(emptying)
    record = world.runtime.store.get_chain(config.thread_id)
    assert record is not None
    assert record.status is ThreadStatus.STOPPED


def test_an_order_on_a_wallet_that_cannot_be_opened_says_so(world, pool, monkeypatch):
    config = new_thread(world, pool)
    keyring = world.runtime.chain.keyring
    honest = type(keyring).get

    def get(self, address):
        if address == config.wallet:
            raise KeyMissingError("no key")
        return honest(self, address)

    with monkeypatch.context() as patched:
        patched.setattr(type(keyring), "get", get)
        for method in ("empty_thread", "delete_thread"):
            error = world.answer(world.send(method, thread_id=config.thread_id))["error"]
            assert (error["code"], "no key" in error["message"]) == (-1005, True)
            record = world.runtime.store.get_chain(config.thread_id)
            assert record is not None
            assert (record.status, record.live) == (ThreadStatus.ERROR, False)
        assert world.answer(world.send("empty_thread", thread_id=config.thread_id))["error"]["code"] == -1003
    assert world.call("delete_thread", thread_id=config.thread_id)["status"] == "deleted"


def test_the_books_close_over_all_of_it(world, tmp_path):
    world.until(lambda: not world.runtime.store.live_chains(), "every chain ending", timeout_s=90)
    assert [json.loads(fault)["check"] for fault in world.runtime.store.faults()] == []
    result = run_audit(world.runtime, journal_path=tmp_path / "journal.jsonl", settle_timeout_s=5)
    assert result.violations == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)
