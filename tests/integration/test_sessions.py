"""Session files against what the chain itself says: every account's history between the two slots of a session."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from domain.cycle import Halt
from domain.ids import ThreadId
from domain.operations import Outcome
from tasks.audit import load_journal
from tasks.export import export_now
from tasks.spill import Spiller
from tests.support.driver import Driver, driver
from tests.support.files_kit import note

AMOUNT = 10**12
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run")) as running:
        yield running


def confirmed(world: Driver, thread_id: str) -> int:
    state = json.loads(world.runtime.store.get_chain(thread_id).state or "{}")
    return int(state.get("session", {}).get("confirmed", "0"))


def run_session(world: Driver, threads: list[str], operations: int) -> None:
    for thread in threads:
        world.call("start_thread", thread_id=thread)
    world.until(lambda: all(confirmed(world, thread) >= operations for thread in threads), "operations", timeout_s=60)
    for thread in threads:
        world.call("stop_thread", thread_id=thread)


def files(world: Driver, thread_id: str) -> list[dict[str, Any]]:
    folder = world.runtime.settings.data_dir / "sessions" / thread_id
    return [json.loads(path.read_text()) for path in sorted(folder.glob("session_*.json"))]


def history(world: Driver, address: str) -> list[dict[str, Any]]:
    """Every transaction of an account with its slot, read with the chain's own methods, oldest first."""
    listed = world.localnet.call("getSignaturesForAddress", address, {"limit": 1000, "commitment": "confirmed"})
    assert len(listed) < 1000
    options = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    return [world.localnet.call("getTransaction", item["signature"], options) for item in reversed(listed)]


def balance_at(world: Driver, address: str, slot: int, *, token: bool) -> int:
    """After the last transaction at or before the slot."""
    amount = 0
    for transaction in history(world, address):
        if transaction["slot"] > slot:
            continue
        index = transaction["transaction"]["message"]["accountKeys"].index(address)
        meta = transaction["meta"]
        if not token:
            amount = meta["postBalances"][index]
            continue
        for entry in meta["postTokenBalances"]:
            if entry["accountIndex"] == index:
                amount = int(entry["uiTokenAmount"]["amount"])
    return amount


def test_a_session_is_what_chain_and_journal_say(world):
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    deposit = {"initial_amount": AMOUNT, "auto_refill": True}
    threads = [world.call("create_deposit_thread", pool_id=pool_id, token_type="A", **deposit)["thread_id"]]
    threads.append(world.call("create_withdrawal_thread", pool_id=pool_id, token_type="A")["thread_id"])
    threads += [
        world.call("create_swap_thread", pool_id=pool_id, direction=way, initial_amount=AMOUNT)["thread_id"]
        for way in ("a_to_b", "b_to_a")
    ]
    run_session(world, threads, 6)
    run_session(world, threads, 4)
    store, settings = world.runtime.store, world.runtime.settings
    path = settings.data_dir / "journal.jsonl"
    assert store.sessions_waiting() == 2 * len(threads)
    assert export_now(store, settings)
    assert store.sessions_waiting() == 0
    Spiller(store, path).spill()
    journal = load_journal(store, path)
    assert journal.operations
    for thread in threads:
        config = world.runtime.thread(ThreadId(thread))
        sessions = files(world, thread)
        assert len(sessions) == 2
        for session in sessions:
            totals = session["verification_totals"]
            shown = totals["balance_verification"]
            assert shown["verified"] is True, (thread, shown)
            spends, receives = config.accounts[config.spends], config.accounts[config.receives]
            own = {"deposit": (spends, receives), "withdrawal": (receives, spends), "swap": (spends, receives)}
            other = "output_token" if config.kind.value == "swap" else "lp"
            for label, address in zip(("token", other), own[config.kind.value], strict=True):
                for moment in ("starting", "ending"):
                    expected = balance_at(world, address, shown[f"{moment}_slot"], token=True)
                    assert shown[f"{moment}_{label}_balance"] == expected, (thread, moment, label)
            for moment in ("starting", "ending"):
                expected = balance_at(world, config.wallet, shown[f"{moment}_slot"], token=False)
                assert shown[f"{moment}_sol_balance"] == expected
            inside = [
                operation
                for operation in journal.operations
                if operation.chain_id == thread
                and operation.kind.value == config.kind.value
                and operation.settled is not None
                and shown["starting_slot"] < (operation.settled.slot or 0) <= shown["ending_slot"]
            ]
            counted = Counter(operation.settled.outcome for operation in inside)
            counts, kind = totals["operation_counts"], config.kind.value
            assert counts[f"successful_{kind}s"] == counted[Outcome.CONFIRMED] > 0
            assert counts[f"failed_{kind}s"] - counts["expired"] == sum(counted.values()) - counted[Outcome.CONFIRMED]
            fees = sum(operation.settled.fee or 0 for operation in inside)
            assert totals["fee_tracking"]["network_fees_paid"] == fees
            spent = sum(operation.settled.spent or 0 for operation in inside)
            name = {"deposit": "tokens_deposited", "withdrawal": "lp_tokens_used", "swap": "tokens_swapped_in"}[kind]
            assert totals["token_flows"][name] == spent


def test_a_thread_that_fails_ends_its_session_with_the_error(world, monkeypatch):
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type="B", initial_amount=AMOUNT)
    thread = made["thread_id"]
    world.call("start_thread", thread_id=thread)
    world.until(lambda: confirmed(world, thread) >= 2, "two operations")
    with monkeypatch.context() as patched:
        patched.setattr(
            "tasks.cycles.thread.plan", lambda *_, **__: Halt(note=note("the account is of the wrong kind"))
        )
        world.until(lambda: world.runtime.store.get_chain(thread).status == "error", "the error")
    world.until(lambda: not world.runtime.store.get_chain(thread).live, "the chain's end")
    assert export_now(world.runtime.store, world.runtime.settings)
    (session,) = files(world, thread)
    assert session["session_info"]["stop_reason"] == "NetworkError"
    assert session["verification_totals"]["balance_verification"]["verified"] is True
    world.call("start_thread", thread_id=thread)
    world.call("stop_thread", thread_id=thread)
    assert export_now(world.runtime.store, world.runtime.settings)
    assert len(files(world, thread)) == 2


def test_a_session_that_is_stopped_with_payments_under_way_waits_for_them(world):
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=AMOUNT)
    taker = world.call("create_withdrawal_thread", pool_id=pool_id, token_type="A")["thread_id"]
    giver, share = made["thread_id"], f"share:{pool_id}"
    for thread in (giver, taker):
        world.call("start_thread", thread_id=thread)
    store = world.runtime.store
    world.until(lambda: json.loads(store.get_chain(share).intents or "[]"), "a payment under way", timeout_s=60)
    stop = world.send("stop_thread", thread_id=giver)
    world.deliver(f"command:{stop}")
    world.deliver(giver)
    world.deliver(giver)
    if json.loads(store.get_chain(share).intents or "[]"):  # nobody has looked for its outcome yet
        assert store.command_answer(stop) is None
    world.answer(stop)
    world.call("stop_thread", thread_id=taker)
    assert export_now(store, world.runtime.settings)
    (session,) = files(world, giver)
    assert session["verification_totals"]["balance_verification"]["verified"] is True


def test_what_a_person_sends_and_empties_is_part_of_what_the_wallet_adds_up_to(world):
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=AMOUNT)
    thread = made["thread_id"]
    world.call("start_thread", thread_id=thread)
    world.until(lambda: confirmed(world, thread) >= 2, "two operations")
    world.call("fund_thread", thread_id=thread, funding_type="sol", amount=123_456_789)
    world.call("fund_thread", thread_id=thread, funding_type="token_a", amount=987_654)
    world.call("empty_thread", thread_id=thread)
    world.call("stop_thread", thread_id=thread)
    assert export_now(world.runtime.store, world.runtime.settings)
    (session,) = files(world, thread)
    totals = session["verification_totals"]
    assert totals["balance_verification"]["verified"] is True, totals["balance_verification"]
    assert totals["token_flows"]["funded_sol"] == 123_456_789
    assert totals["token_flows"]["funded_token_a"] == 987_654
    assert totals["token_flows"]["burned_lp_a"] > 0
    assert totals["operation_counts"]["empty_operations"] == 1
