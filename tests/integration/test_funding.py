"""Money and tokens brought by commands: exact, once, in the books of thread and audit, whenever a worker dies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from solders.keypair import Keypair

from domain.chain.build import token_address
from domain.chain.gateway import ChainUnreachableError, Want
from domain.ids import Address, PoolId, ThreadId
from domain.operations import CreateTokenAccount, Deposit, Transfer
from domain.pool import Asset, Side
from domain.state import ThreadState
from tasks.audit import run_audit
from tests.support.driver import Driver, driver

pytestmark = pytest.mark.timeout(300)

AMOUNT = 10**9
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run"), finalized_lag=4) as running:
        yield running


@pytest.fixture(scope="module")
def pool_id(world: Driver) -> str:
    return world.call("create_pool", **POOL)["pool_id"]


@pytest.fixture(scope="module")
def thread_id(world: Driver, pool_id: str) -> str:
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=AMOUNT)
    return made["thread_id"]


def wallet_of(world: Driver, thread_id: str) -> Address:
    return world.runtime.thread(ThreadId(thread_id)).wallet


def held(world: Driver, thread_id: str) -> dict[str, int]:
    config = world.runtime.thread(ThreadId(thread_id))
    seen = world.runtime.chain.observe(Want(addresses=(config.wallet, *config.accounts.values())))
    tokens = {asset.value: seen.tokens(address) for asset, address in config.accounts.items()}
    return {"sol": seen.lamports(config.wallet), **tokens}


def shown(world: Driver, thread_id: str) -> dict[str, int]:
    return ThreadState.from_text(world.runtime.store.get_chain(thread_id).state).balances


def error_of(world: Driver, method: str, **params: Any) -> dict[str, Any]:
    return world.answer(world.send(method, **params))["error"]


KINDS = [("sol", "sol"), ("token_a", "token_a"), ("lp_tokens", "lp_a")]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_thread_gets_exactly_what_it_is_funded_with(world, thread_id, kind, name):
    before = held(world, thread_id)
    answer = world.call("fund_thread", thread_id=thread_id, funding_type=kind, amount=12_345_678)
    after = held(world, thread_id)
    assert after == {**before, name: before[name] + 12_345_678}
    assert answer["balance_after"] == after[name]
    assert answer["wallet_address"] == wallet_of(world, thread_id)
    assert shown(world, thread_id)[name] == after[name]  # at rest, too, where no cycle looks
    landed = world.localnet.call("getTransaction", answer["transaction_signature"], {"commitment": "confirmed"})
    assert landed["meta"]["err"] is None
    assert answer["network_fee_paid"] == landed["meta"]["fee"]


def test_what_a_thread_cannot_hold_is_refused(world, thread_id):
    error = error_of(world, "fund_thread", thread_id=thread_id, funding_type="token_b", amount=1)
    assert error["code"] == -1005
    assert "token_a, lp_tokens" in error["message"]
    error = error_of(world, "fund_thread", thread_id=thread_id, funding_type="token_a", amount=2**64 - 1)
    assert (error["code"], error["data"]["field"]) == (-32602, "amount")
    assert error_of(world, "fund_thread", thread_id="deposit_99", funding_type="sol", amount=1)["code"] == -1004


@pytest.mark.parametrize("kind", ["sol", "lp_tokens"])
def test_too_little_in_the_core_wallet_is_said_beforehand(world, thread_id, kind):
    store, core = world.runtime.store, world.runtime.chain.keyring.core_address
    had = world.runtime.chain.observe(Want(addresses=(core,))).lamports(core)
    assert store.reserve_core("test", had - 1_000_000, had)
    before = world.runtime.store.get_chain(thread_id)
    error = error_of(world, "fund_thread", thread_id=thread_id, funding_type=kind, amount=5_000_000)
    store.release_core("test")
    assert error["code"] == -1007
    assert error["data"]["had"] == had
    assert error["data"]["needed"] > 1_000_000
    assert error["data"]["reserved"] == had - 1_000_000
    assert store.get_chain(thread_id) == before
    assert store.core_reservations() == {}


def test_any_address_gets_tokens_and_an_account_for_them(world, pool_id):
    recipient, pool = str(Keypair().pubkey()), world.runtime.pool(PoolId(pool_id))
    for times in (1, 2):
        answer = world.call(
            "mint_and_send_tokens", pool_id=pool_id, token_type="B", recipient_address=recipient, amount=777
        )
        account = token_address(Address(recipient), pool.mint_b)
        assert world.runtime.chain.observe(Want(addresses=(account,))).tokens(account) == 777 * times
    assert set(answer) == {
        "transaction_signature",
        "pool_id",
        "token_mint",
        "token_type",
        "recipient_address",
        "amount_minted",
        "network_fee_paid",
    }
    assert (answer["token_mint"], answer["amount_minted"], answer["network_fee_paid"]) == (pool.mint_b, 777, 5000)
    again = {"pool_id": pool_id, "token_type": "B", "amount": 3, "recipient_address": account}
    world.call("mint_and_send_tokens", **again)  # the token account itself
    assert world.runtime.chain.observe(Want(addresses=(account,))).tokens(account) == 777 * 2 + 3
    error = error_of(world, "mint_and_send_tokens", **again | {"token_type": "A"})
    assert (error["code"], error["data"]["field"]) == (-32602, "recipient_address")
    error = error_of(world, "mint_and_send_tokens", **again | {"pool_id": "nobody-knows"})
    assert error["code"] == -1002


def test_a_mint_to_a_thread_is_in_its_books(world, pool_id, thread_id):
    ledger = world.runtime.store.thread_ledger(PoolId(pool_id), ThreadId(thread_id))
    before = int(json.loads(ledger[f"fund:{thread_id}"])["token_a"])
    wallet = wallet_of(world, thread_id)
    world.call("mint_and_send_tokens", pool_id=pool_id, token_type="A", recipient_address=wallet, amount=5)
    ledger = world.runtime.store.thread_ledger(PoolId(pool_id), ThreadId(thread_id))
    assert int(json.loads(ledger[f"fund:{thread_id}"])["token_a"]) == before + 5


def test_a_mint_to_a_threads_token_account_is_in_its_books_too(world, pool_id, thread_id):
    booked = lambda: json.loads(  # noqa: E731
        world.runtime.store.thread_ledger(PoolId(pool_id), ThreadId(thread_id))[f"fund:{thread_id}"]
    )
    before, account = int(booked()["token_a"]), world.runtime.thread(ThreadId(thread_id)).accounts[Asset.TOKEN_A]
    world.call("mint_and_send_tokens", pool_id=pool_id, token_type="A", recipient_address=account, amount=6)
    assert int(booked()["token_a"]) == before + 6


def test_lamports_at_the_place_of_a_token_account_do_not_keep_it_from_coming(world, pool_id):
    """Anybody can send them there, before there is a token account."""
    pool, recipient = world.runtime.pool(PoolId(pool_id)), str(Keypair().pubkey())
    account = token_address(Address(recipient), pool.mint_a)
    read = lambda: world.runtime.chain.observe(Want(addresses=(account,)))  # noqa: E731
    world.localnet.call("requestAirdrop", account, 10**7)
    world.until(lambda: read().lamports(account), "the lamports")
    world.call("mint_and_send_tokens", pool_id=pool_id, token_type="A", recipient_address=recipient, amount=9)
    assert read().tokens(account) == 9


def test_a_thread_is_not_created_with_more_than_its_mint_can_give(world, pool_id):
    params = {"pool_id": pool_id, "token_type": "A", "initial_amount": 2**64 - 1}
    error = error_of(world, "create_deposit_thread", **params)
    assert (error["code"], error["data"]["field"]) == (-32602, "initial_amount")
    pool = world.runtime.pool(PoolId(pool_id))
    most = 2**64 - 1 - world.runtime.chain.observe(Want(addresses=(pool.mint_a,))).supply(pool.mint_a)
    assert f"at most {most} base units" in error["message"]


@pytest.mark.parametrize("to_thread", [False, True])
def test_an_airdrop_is_asked_once_though_its_answer_is_lost(world, thread_id, monkeypatch, to_thread):
    target = {"thread_id": thread_id} if to_thread else {}
    wallet = wallet_of(world, thread_id) if to_thread else world.runtime.chain.keyring.core_address
    read = lambda: world.runtime.chain.observe(Want(addresses=(wallet,))).lamports(wallet)  # noqa: E731
    before = read()
    assert world.call("airdrop_sol", amount=3_000_000_007, **target)["balance_after"] == before + 3_000_000_007
    endpoints = world.runtime.chain.endpoints
    honest, asked = endpoints.call, []

    def deaf(method, params=(), **options):
        found = honest(method, params, **options)
        if method == "requestAirdrop":
            asked.append(found)
            raise ChainUnreachableError("the answer is lost")
        return found

    monkeypatch.setattr(endpoints, "call", deaf)
    answer = world.call("airdrop_sol", amount=3_000_000_011, **target)
    assert [answer["transaction_signature"]] == asked
    assert read() == before + 3_000_000_007 + 3_000_000_011


def test_without_a_faucet_the_error_says_so(world, monkeypatch):
    monkeypatch.setattr(world.runtime, "settings", world.runtime.settings.model_copy(update={"local_chain": False}))
    error = error_of(world, "airdrop_sol", amount=1)
    assert error["code"] == -1005
    assert "devnet" in error["message"]


COMMANDS = [
    ("fund_thread", {"funding_type": "sol"}),
    ("fund_thread", {"funding_type": "token_a"}),
    ("fund_thread", {"funding_type": "lp_tokens"}),
    ("mint_and_send_tokens", {"token_type": "A"}),
]


DEATHS = 4  # whoever dies after each of its commits never sends anything


class Killed(BaseException):
    """The worker dies here."""


@pytest.mark.parametrize(("method", "params"), COMMANDS, ids=str)
@pytest.mark.parametrize("place", ["before commit", "after commit", "answer lost"])
def test_killed_at_every_step_it_acts_once(world, pool_id, thread_id, monkeypatch, method, params, place):
    """Every step dies once, before or after its commit, and is delivered again."""
    more = {"thread_id": thread_id} if method == "fund_thread" else {"pool_id": pool_id}
    if method == "mint_and_send_tokens":
        more["recipient_address"] = wallet_of(world, thread_id)
    before = held(world, thread_id)
    killed: set[int] = set()
    store, chain = world.runtime.store, world.runtime.chain
    commit, submit = store.commit, chain.submit

    def dying_commit(written):
        mine = (
            written.begun.chain_id == f"command:{command_id}"
            and written.begun.seq not in killed
            and len(killed) < DEATHS
        )
        if mine and place == "before commit":
            killed.add(written.begun.seq)
            raise Killed
        found = commit(written)
        if mine and place == "after commit":
            killed.add(written.begun.seq)
            raise Killed
        return found

    def dying_submit(intents):
        if place == "answer lost" and intents and intents[0].operation_id.startswith(f"command:{command_id}"):
            submit(intents)
            raise Killed
        submit(intents)

    monkeypatch.setattr(type(store), "commit", lambda _, written: dying_commit(written))
    monkeypatch.setattr(chain, "submit", dying_submit)
    command_id = world.send(method, amount=1_000_003, **more, **params)
    step = world.step

    def surviving():
        try:
            step()
        except Killed:  # the lease of the dead step has passed when it is delivered again
            store._edge.call("HSET", f"frt:chain:command:{command_id}", "lease_until_ms", "0")

    monkeypatch.setattr(world, "step", surviving)
    answer = world.answer(command_id)
    assert "ok" in answer, answer
    assert killed or place == "answer lost"
    gained = {name: amount - before[name] for name, amount in held(world, thread_id).items() if amount != before[name]}
    assert list(gained.values()) == [1_000_003]


def test_an_order_to_delete_waits_for_the_money_under_way(world, pool_id):
    thread = world.call("create_withdrawal_thread", pool_id=pool_id, token_type="A")["thread_id"]
    funding = world.send("fund_thread", thread_id=thread, funding_type="lp_tokens", amount=50_000)
    chain = f"command:{funding}"
    world.until(lambda: json.loads(world.runtime.store.get_chain(chain).intents or "[]"), "the funding being sent")
    accounts = world.runtime.thread(ThreadId(thread)).accounts
    deleted = world.call("delete_thread", thread_id=thread)
    assert deleted["status"] == "deleted"
    assert "ok" in world.answer(funding)
    seen = world.runtime.chain.observe(Want(addresses=tuple(accounts.values())))
    assert [seen.accounts[address] for address in accounts.values()] == [None, None]  # used up, burned and closed
    assert error_of(world, "fund_thread", thread_id=thread, funding_type="sol", amount=10**9)["code"] == -1004


def test_a_running_thread_may_be_funded_and_its_session_adds_up(world, pool_id):
    made = world.call("create_swap_thread", pool_id=pool_id, direction="a_to_b", initial_amount=AMOUNT)
    giver = world.call("create_deposit_thread", pool_id=pool_id, token_type="B", initial_amount=AMOUNT)["thread_id"]
    thread = made["thread_id"]
    for each in (giver, thread):
        world.call("start_thread", thread_id=each)
    for kind in ("token_a", "token_b", "sol"):
        world.call("fund_thread", thread_id=thread, funding_type=kind, amount=1_000_000)
    for each in (thread, giver):
        world.call("stop_thread", thread_id=each)
    sessions = [json.loads(text) for _, text in world.runtime.store.read_sessions()]
    (record,) = [doc for doc in sessions if doc["thread_id"] == thread]
    totals = record["verification_totals"]
    assert totals["balance_verification"]["verified"] is True
    assert [totals["token_flows"][f"funded_{name}"] for name in ("token_a", "token_b", "sol")] == [1_000_000] * 3


def test_whoever_was_given_tokens_may_play_and_hand_them_on(world, pool_id):
    """STR-25: the closing audit follows a stranger's tokens, into the pool and from hand to hand."""
    pool, guest, other = world.runtime.pool(PoolId(pool_id)), Keypair(), Keypair()
    wallet, friend = Address(str(guest.pubkey())), Address(str(other.pubkey()))
    token, lp = token_address(wallet, pool.mint_a), token_address(wallet, pool.lp_mint_a)
    world.localnet.call("requestAirdrop", wallet, 10**9)
    world.localnet.call("requestAirdrop", friend, 10**9)
    world.call("mint_and_send_tokens", pool_id=pool_id, token_type="A", recipient_address=wallet, amount=5_000)
    world.as_guest(
        guest,
        CreateTokenAccount(payer=wallet, owner=wallet, mint=pool.lp_mint_a),
        CreateTokenAccount(payer=wallet, owner=friend, mint=pool.mint_a),
        Deposit(user=wallet, pool_id=pool.pool_id, side=Side.A, amount=3_000, user_token=token, user_lp=lp),
        Transfer(owner=wallet, source=token, destination=token_address(friend, pool.mint_a), amount=1_500),
    )
    third = Address(str(Keypair().pubkey()))
    world.as_guest(
        other,
        CreateTokenAccount(payer=friend, owner=third, mint=pool.mint_a),
        Transfer(
            owner=friend,
            source=token_address(friend, pool.mint_a),
            destination=token_address(third, pool.mint_a),
            amount=700,
        ),
    )


def test_the_books_close_over_all_of_it(world, tmp_path):
    world.until(lambda: not world.runtime.store.live_chains(), "every chain ending", timeout_s=90)
    result = run_audit(world.runtime, journal_path=tmp_path / "journal.jsonl", settle_timeout_s=5)
    assert result.violations == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)


def test_a_ledger_that_says_one_unit_more_is_found(world, thread_id, pool_id, tmp_path):
    store, field = world.runtime.store, f"fund:{thread_id}"
    record = json.loads(store.thread_ledger(PoolId(pool_id), ThreadId(thread_id))[field])
    record["lp_a"] = str(int(record["lp_a"]) + 1)
    store._edge.call("HSET", f"frt:ledger:{pool_id}", field, json.dumps(record))
    result = run_audit(world.runtime, journal_path=tmp_path / "journal.jsonl", settle_timeout_s=5)
    assert {violation["id"] for violation in result.violations} == {"AUDIT-fundings"}
