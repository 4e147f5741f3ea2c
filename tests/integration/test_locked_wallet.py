"""A wallet that cannot be opened stops its thread, in the open, and comes back by a person's hand (DESIGN.md 7)."""

from __future__ import annotations

import json
from pathlib import Path

from domain.errors import CommandCode
from domain.flows import share_field
from domain.ids import ChainId, ThreadId
from domain.state import ThreadState
from domain.thread import ThreadStatus
from tests.support.driver import driver


def test_a_thread_whose_wallet_cannot_be_opened_goes_to_error_and_can_be_started_again(tmp_path: Path) -> None:
    with driver(tmp_path) as world:
        store, keyring = world.runtime.store, world.runtime.chain.keyring
        pool_id = world.call("create_pool", token_a_decimals=6, token_b_decimals=6, ratio_a=1, ratio_b=3)["pool_id"]
        made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=10**9)
        thread_id = ThreadId(made["thread_id"])
        wallets = store._keys.named("wallets")
        sealed = store.sealed_key(thread_id)
        store._edge.call("HSET", wallets, thread_id, "v1:unreadable")
        keyring._opened.pop(made["wallet_address"], None)  # as in a process that has not opened it yet
        world.call("start_thread", thread_id=thread_id)
        record = world.until(
            lambda: next((r for r in [store.get_chain(thread_id)] if r.status is ThreadStatus.ERROR), None), "the error"
        )
        (note,) = ThreadState.from_text(record.state).errors
        assert (note.error, note.category) == ("WalletUnusable", "system")
        world.until(lambda: not store.get_chain(thread_id).live, "the chain to end")

        refused = world.answer(world.send("delete_thread", thread_id=thread_id))["error"]
        assert refused["code"] == CommandCode.WRONG_STATE
        assert "Cannot delete thread deposit_1: wallet" in refused["message"]
        assert store.get_chain(thread_id).status is ThreadStatus.ERROR

        store._edge.call("HSET", wallets, thread_id, sealed)
        world.call("start_thread", thread_id=thread_id)
        world.until(lambda: store.all_counts(0).operations.get("deposit.confirmed"), "a deposit")


def test_an_owner_whose_wallet_cannot_be_opened_holds_no_other_owner_up(tmp_path: Path) -> None:
    with driver(tmp_path) as world:
        store, keyring = world.runtime.store, world.runtime.chain.keyring
        pool_id = world.call("create_pool", token_a_decimals=6, token_b_decimals=6, ratio_a=1, ratio_b=3)["pool_id"]
        deposit = {"pool_id": pool_id, "token_type": "A", "initial_amount": 10**9}
        locked, other = (world.call("create_deposit_thread", **deposit) for _ in range(2))
        taker = world.call("create_withdrawal_thread", pool_id=pool_id, token_type="A")["thread_id"]
        for made in (locked, other):
            world.call("start_thread", thread_id=made["thread_id"])
        world.call("start_thread", thread_id=taker)

        def owners() -> set[str]:
            return {json.loads(text)["owner"] for text in store.outbox(pool_id).values()}

        def paid_by(made: dict[str, str]) -> int:
            ledger = json.loads(store.ledger(pool_id).get(share_field(taker), "{}"))
            return int(ledger.get("received", {}).get(made["thread_id"], "0"))

        def owed_by(made: dict[str, str]) -> dict[str, str]:
            outbox = store.outbox(pool_id)
            return {name: text for name, text in outbox.items() if json.loads(text)["owner"] == made["thread_id"]}

        while owners() != {locked["thread_id"], other["thread_id"]}:
            for made in (locked, other):
                world.deliver(ChainId(made["thread_id"]))
        wallets = store._keys.named("wallets")
        sealed = store.sealed_key(ThreadId(locked["thread_id"]))
        store._edge.call("HSET", wallets, locked["thread_id"], "v1:unreadable")
        keyring._opened.pop(locked["wallet_address"])
        owed, paid = owed_by(locked), paid_by(other)
        world.until(lambda: paid_by(other) > paid, "the other owner's payment")
        assert owed.items() <= owed_by(locked).items(), "what cannot be paid stays owed"

        store._edge.call("HSET", wallets, locked["thread_id"], sealed)
        world.until(lambda: not owed.keys() & owed_by(locked).keys(), "the payment after all")
