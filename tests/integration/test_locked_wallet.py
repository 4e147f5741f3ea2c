"""A wallet that cannot be opened stops its thread, in the open, and comes back by a person's hand (DESIGN.md 7)."""

from __future__ import annotations

from pathlib import Path

from domain.ids import ThreadId
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

        store._edge.call("HSET", wallets, thread_id, sealed)
        world.call("start_thread", thread_id=thread_id)
        world.until(lambda: store.all_counts(0).operations.get("deposit.confirmed"), "a deposit")
