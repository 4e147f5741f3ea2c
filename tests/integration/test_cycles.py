"""What cycles, payments, orders and administrative steps do on a real chain and a real Redis, without Celery."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from domain.chain.gateway import ChainUnreachableError, Want
from domain.chains import ChainKind, Refused, pool_chain_id
from domain.ids import ThreadId
from domain.state import ThreadState
from tests.support.driver import Driver, driver

AMOUNT = 10**12


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run")) as running:
        yield running


def new_pool(world: Driver, **params) -> str:
    defaults = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
    return world.call("create_pool", **defaults | params)["pool_id"]


def deposit_thread(world: Driver, pool_id: str, side: str = "A", **params) -> str:
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type=side, **{"initial_amount": AMOUNT} | params)
    return made["thread_id"]


def withdrawal_thread(world: Driver, pool_id: str, side: str = "A") -> str:
    return world.call("create_withdrawal_thread", pool_id=pool_id, token_type=side)["thread_id"]


def swap_thread(world: Driver, pool_id: str, direction: str) -> str:
    made = world.call("create_swap_thread", pool_id=pool_id, direction=direction, initial_amount=AMOUNT)
    return made["thread_id"]


def start(world: Driver, *thread_ids: str) -> None:
    for thread_id in thread_ids:
        assert world.call("start_thread", thread_id=thread_id)["status"] == "running"


def stop(world: Driver, *thread_ids: str) -> None:
    for thread_id in thread_ids:
        assert world.call("stop_thread", thread_id=thread_id)["status"] == "stopped"


def state(world: Driver, thread_id: str) -> ThreadState:
    record = world.runtime.store.get_chain(thread_id)
    assert record is not None
    return ThreadState.from_text(record.state)


def confirmed(world: Driver, thread_id: str) -> int:
    return state(world, thread_id).lifetime.confirmed


def holdings(world: Driver, thread_id: str) -> dict[str, int]:
    config = world.runtime.thread(ThreadId(thread_id))
    seen = world.runtime.chain.observe(Want(addresses=tuple(config.accounts.values())))
    return {asset.value: seen.tokens(address) for asset, address in config.accounts.items()}


def probes_volume(world: Driver, pool_id: str) -> dict[str, int]:
    record = world.runtime.store.get_chain(pool_chain_id(ChainKind.PROBE, pool_id))
    return {name: int(amount) for name, amount in json.loads(record.state)["volume"].items()}


def faults(world: Driver) -> list[str]:
    return [json.loads(text)["check"] + ": " + json.loads(text)["message"] for text in world.runtime.store.faults()]


def test_every_kind_confirms_and_the_pool_holds_what_the_threads_say(world):
    pool_id = new_pool(world)
    deposits = [deposit_thread(world, pool_id, side) for side in "AB"]
    withdrawal = withdrawal_thread(world, pool_id)
    swaps = [swap_thread(world, pool_id, direction) for direction in ("a_to_b", "b_to_a")]
    threads = [*deposits, withdrawal, *swaps]
    start(world, *threads)
    world.until(lambda: all(confirmed(world, thread) >= 5 for thread in threads), "five operations of every thread")
    stop(world, *threads)
    probe = pool_chain_id(ChainKind.PROBE, pool_id)
    world.until(lambda: not world.runtime.store.get_chain(probe).live, "the probe chain ending by itself")
    pool = world.runtime.pool(pool_id)
    seen = world.runtime.chain.observe(Want(addresses=(pool.vault_a, pool.vault_b, pool.lp_mint_a, pool.lp_mint_b)))
    total = {thread: state(world, thread).lifetime for thread in threads}
    in_a = total[deposits[0]].spent - total[withdrawal].received + total[swaps[0]].spent - total[swaps[1]].received
    in_b = total[deposits[1]].spent + total[swaps[1]].spent - total[swaps[0]].received
    probed = probes_volume(world, pool_id)  # what left the core wallet's accounts is in the vaults
    assert seen.tokens(pool.vault_a) == in_a - probed.get("token_a", 0)
    assert seen.tokens(pool.vault_b) == in_b - probed.get("token_b", 0)
    lp_a = total[deposits[0]].received - total[withdrawal].spent
    assert seen.supply(pool.lp_mint_a) == lp_a + probed.get("lp_a", 0)
    shown = world.runtime.store.observed_pools()[pool_id]
    assert shown.slot <= seen.slot
    assert shown.surplus <= world.runtime.store.marks(pool_id)["I4-G"].value
    assert shown.liquidity_a > 0
    assert shown.lp_supply_b > 0
    assert faults(world) == []


def test_what_is_owed_reaches_the_takers_to_the_last_unit(world):
    pool_id = new_pool(world)
    giver, takers = deposit_thread(world, pool_id), [withdrawal_thread(world, pool_id) for _ in range(3)]
    start(world, giver, *takers)
    world.until(lambda: all(confirmed(world, taker) >= 2 for taker in takers), "all takers being paid")
    stop(world, giver, *takers)
    share = pool_chain_id(ChainKind.SHARE, pool_id)
    world.until(lambda: not world.runtime.store.get_chain(share).live, "the share chain ending by itself")
    ledger = {name: json.loads(text) for name, text in world.runtime.store.ledger(pool_id).items()}
    of_giver = ledger[f"share:{giver}"]
    paid, retained = int(of_giver["paid"]["lp_a"]), int(of_giver["retained"].get("lp_a", "0"))
    assert world.runtime.store.outbox(pool_id) == {}
    assert paid + retained == state(world, giver).lifetime.owed == state(world, giver).lifetime.received
    assert sum(int(ledger[f"share:{taker}"]["received"][giver]) for taker in takers) == paid
    assert holdings(world, giver)["lp_a"] == retained


def test_an_operation_that_was_stored_but_never_sent_is_sent_once(world, monkeypatch):
    thread = deposit_thread(world, new_pool(world))
    start(world, thread)
    sent = world.runtime.chain.submit

    def lost(intents, **_):
        raise ChainUnreachableError("the process died here")

    monkeypatch.setattr(world.runtime.chain, "submit", lost)
    world.until(lambda: json.loads(world.runtime.store.get_chain(thread).intents or "[]"), "a stored intent")
    intent = json.loads(world.runtime.store.get_chain(thread).intents)[0]
    monkeypatch.setattr(world.runtime.chain, "submit", sent)
    world.until(lambda: confirmed(world, thread) >= 1, "the stored operation being confirmed")
    first = world.localnet.call("getTransaction", intent["sig"], {"encoding": "json", "commitment": "confirmed"})
    assert first["meta"]["err"] is None
    stop(world, thread)
    assert AMOUNT - holdings(world, thread)["token_a"] == state(world, thread).lifetime.spent


def test_a_second_delivery_of_a_message_changes_nothing(world):
    thread = deposit_thread(world, new_pool(world))
    start(world, thread)
    world.until(lambda: confirmed(world, thread) >= 1, "an operation")
    record = world.runtime.store.get_chain(thread)
    world.deliver(record.chain_id)
    after = world.runtime.store.get_chain(thread)
    again = world.runtime.store.begin(record.chain_id, record.generation, record.seq, lease_ms=1000)
    assert isinstance(again, Refused)
    assert world.runtime.store.get_chain(thread) == after
    stop(world, thread)


def test_empty_uses_and_burns_everything(world):
    pool_id = new_pool(world)
    thread = deposit_thread(world, pool_id)
    pool = world.runtime.pool(pool_id)
    result = world.call("empty_thread", thread_id=thread)
    done = result["empty_operation"]
    assert done["tokens_used"] == done["lp_tokens_received"] == done["tokens_burned"] == AMOUNT
    assert done["operation_successful"]
    assert set(holdings(world, thread).values()) == {0}
    seen = world.runtime.chain.observe(Want(addresses=(pool.lp_mint_a, pool.vault_a)))
    assert seen.supply(pool.lp_mint_a) == 0, "a burn lowers the supply"
    assert seen.tokens(pool.vault_a) == AMOUNT
    nothing = world.call("empty_thread", thread_id=thread)["empty_operation"]
    assert nothing["error_message"] == "No tokens available"


def test_empty_of_a_running_thread_goes_on_afterwards(world):
    pool_id = new_pool(world)
    thread = deposit_thread(world, pool_id, auto_refill=True)
    start(world, thread)
    world.until(lambda: confirmed(world, thread) >= 2, "operations before")
    world.call("empty_thread", thread_id=thread)
    before = confirmed(world, thread)
    world.until(lambda: confirmed(world, thread) >= before + 2, "operations after a refill")
    refilled = json.loads(world.runtime.store.ledger(pool_id)[f"refill:{thread}"])
    assert refilled["times"] >= 1
    assert int(refilled["tokens"]) == refilled["times"] * AMOUNT
    stop(world, thread)


def test_delete_empties_returns_the_sol_and_frees_the_direction(world):
    pool_id = new_pool(world)
    thread = swap_thread(world, pool_id, "a_to_b")
    taken = world.answer(world.send("create_swap_thread", pool_id=pool_id, direction="a_to_b", initial_amount=5))
    assert taken["error"]["code"] == -1001
    wallet = world.runtime.thread(ThreadId(thread)).wallet
    answer = world.call("delete_thread", thread_id=thread)
    assert answer["status"] == "deleted"
    assert answer["sol_returned"] > 0
    assert world.runtime.chain.observe(Want(addresses=(wallet,))).lamports(wallet) == 0
    assert world.runtime.store.get_chain(thread) is None
    assert thread in [tombstone.thread_id for tombstone in world.runtime.store.tombstones()]
    swap_thread(world, pool_id, "a_to_b")


@pytest.mark.parametrize(
    ("method", "thread", "code"),
    [("start_thread", "deposit_999", -1004), ("stop_thread", None, -1005), ("delete_thread", "swap_999", -1004)],
)
def test_orders_that_cannot_be_carried_out_say_why(world, method, thread, code):
    thread = thread or deposit_thread(world, new_pool(world))
    error = world.answer(world.send(method, thread_id=thread))["error"]
    assert error["code"] == code
    assert thread in error["message"]


def test_a_pause_is_waited_out_and_its_refusals_are_expected(world):
    pool_id = new_pool(world)
    thread = deposit_thread(world, pool_id)
    start(world, thread)
    world.until(lambda: confirmed(world, thread) >= 1, "an operation before the pause")
    shown = world.call("pause_pool", pool_id=pool_id, liquidity=True, swaps=True)
    assert shown["flags"] == 0x06
    world.until(lambda: state(world, thread).lifetime.failed_expected >= 2, "refusals that were tried on purpose")
    world.until(lambda: state(world, thread).waits >= 2, "cycles that wait")
    world.call("unpause_pool", pool_id=pool_id, liquidity=True, swaps=True)
    before = confirmed(world, thread)
    world.until(lambda: confirmed(world, thread) > before, "operations after the pause")
    stop(world, thread)
    assert state(world, thread).error_counts["PoolLiquidityPaused"] >= 2
    assert faults(world) == []


def test_administrative_steps_show_their_effect_under_load(world):
    pool_id = new_pool(world)
    threads = [deposit_thread(world, pool_id), swap_thread(world, pool_id, "b_to_a")]
    start(world, *threads)
    world.until(lambda: confirmed(world, threads[1]) >= 1, "swaps")
    fees = world.call("update_pool_fees", pool_id=pool_id, liquidity_fee=200_000, swap_fee=20_000)
    assert (fees["liquidity_fee"], fees["swap_fee"]) == (200_000, 20_000)
    before = confirmed(world, threads[0])
    world.until(lambda: confirmed(world, threads[0]) >= before + 2, "operations at the new fee")
    core = world.runtime.chain.keyring.core_address
    owner_only = world.call("set_swap_owner_only", pool_id=pool_id, enable=True)
    assert owner_only["owner"] == core
    world.until(lambda: state(world, threads[1]).lifetime.failed_expected >= 1, "a swap refused to a stranger")
    world.call("set_swap_owner_only", pool_id=pool_id, enable=False)
    world.call("pause_pool", pool_id=pool_id)
    moved = world.call("consolidate_pool_fees", pool_ids=[pool_id])
    assert moved["lamports_moved"] == moved["treasury_gained"] > 0
    assert moved["pools"][0]["compared"]
    world.call("unpause_pool", pool_id=pool_id)
    stop(world, *threads)
    assert faults(world) == []


def test_a_pool_of_an_unsupported_ratio_is_refused_before_anything_is_paid(world):
    # Not the core wallet's balance: probes of the pools before may still be paying their fees.
    store = world.runtime.store
    before, pools = store.counts("operations").get("setup.submitted", 0), len(store.list_pools())
    params = {"token_a_decimals": 6, "token_b_decimals": 6, "ratio_a": 2, "ratio_b": 3}
    command = world.send("create_pool", **params)
    assert world.answer(command)["error"]["code"] == -32602
    assert store.counts("operations").get("setup.submitted", 0) == before
    assert store.get_chain(f"command:{command}").intents in ("", "[]")
    assert len(store.list_pools()) == pools


def test_a_command_delivered_twice_acts_once(world):
    command = world.send("create_pool", token_a_decimals=0, token_b_decimals=9, ratio_whole_number=1)
    chain = world.runtime.store.get_chain(f"command:{command}")
    world.deliver(chain.chain_id)
    again = world.runtime.store.begin(chain.chain_id, chain.generation, chain.seq, lease_ms=1000)
    assert isinstance(again, Refused)
    pools = len(world.runtime.store.list_pools())
    world.answer(command)
    assert len(world.runtime.store.list_pools()) == pools + 1


def test_an_outage_is_one_error_however_long_it_lasts(world, monkeypatch):
    thread = deposit_thread(world, new_pool(world))
    start(world, thread)
    world.until(lambda: confirmed(world, thread) >= 1, "an operation")
    before, observe = state(world, thread), world.runtime.chain.observe

    def silent(_):
        raise ChainUnreachableError("nobody answers")

    monkeypatch.setattr(world.runtime.chain, "observe", silent)
    world.until(lambda: state(world, thread).waits >= before.waits + 3, "cycles without an answer")
    monkeypatch.setattr(world.runtime.chain, "observe", observe)
    world.until(lambda: confirmed(world, thread) > before.lifetime.confirmed, "operations after the outage")
    stop(world, thread)
    after = state(world, thread)
    assert after.error_counts["NoAnswer"] - before.error_counts.get("NoAnswer", 0) == 1
    (note,) = [note for note in after.errors if note.error == "NoAnswer"]
    assert (note.category, note.recovery_action) == ("network", "asks again in the next cycle")
    assert note.available_balance == str(before.balances["token_a"])


def test_an_outage_is_not_counted_as_activity(world):
    thread_id = deposit_thread(world, new_pool(world))
    start(world, thread_id)
    world.until(lambda: confirmed(world, thread_id) >= 1, "an operation")
    hour_ms, before = 3_600_000, state(world, thread_id)
    aged = {name: getattr(before, name) - hour_ms for name in ("session_started_at_ms", "balances_at_ms")}
    store = world.runtime.store
    store._edge.call("HSET", store._keys.chain(thread_id), "state", before.evolved(**aged).to_text())
    world.until(lambda: confirmed(world, thread_id) > before.lifetime.confirmed, "an operation after it")
    after, now_ms = state(world, thread_id), store.now_ms()
    assert hour_ms <= after.session_idle_ms < hour_ms + 60_000
    assert after.session_ms(now_ms) < 60_000
    stop(world, thread_id)
