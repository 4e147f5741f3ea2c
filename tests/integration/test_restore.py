"""Redis' data deleted under a run: the files bring everything back, the chain tells the balances, the books close."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.chain.gateway import Want
from domain.documents import NAMES
from domain.errors import CommandCode, CommandError
from domain.files.folder import DataFolder
from domain.files.writing import DamagedFile
from domain.state import ThreadState
from domain.store.records import config_from_text
from tasks.audit import run_audit
from tasks.export import export_now
from tasks.restore import restore
from tests.support.rollback import RollbackWorld, rollback_world

pytestmark = pytest.mark.timeout(300)

AMOUNT = 10**12
POOL = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
GARBAGE = b"\x00\xffnot json at all"


@pytest.fixture
def world() -> Iterator[RollbackWorld]:
    with rollback_world() as running:
        yield running


def new_threads(world: RollbackWorld) -> list[str]:
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    deposit = {"initial_amount": AMOUNT, "auto_refill": True}
    threads = [world.call("create_deposit_thread", pool_id=pool_id, token_type="A", **deposit)["thread_id"]]
    threads.append(world.call("create_withdrawal_thread", pool_id=pool_id, token_type="A")["thread_id"])
    threads += [
        world.call("create_swap_thread", pool_id=pool_id, direction=way, initial_amount=AMOUNT)["thread_id"]
        for way in ("a_to_b", "b_to_a")
    ]
    for thread in threads:
        world.call("start_thread", thread_id=thread)
    return threads


def state(world: RollbackWorld, thread_id: str) -> ThreadState:
    record = world.runtime.store.get_chain(thread_id)
    assert record is not None
    return ThreadState.from_text(record.state)


def play(world: RollbackWorld, threads: list[str], more: int) -> None:
    """Until every one of the threads has so many further operations."""
    goal = {thread: state(world, thread).lifetime.confirmed + more for thread in threads}
    world.until(
        lambda: all(state(world, thread).lifetime.confirmed >= goal[thread] for thread in threads),
        f"{more} operations of each",
        timeout_s=90,
    )


def export(world: RollbackWorld) -> None:
    assert export_now(world.runtime.store, world.runtime.settings)


def lose_everything(world: RollbackWorld) -> None:
    """Kill Redis and delete its files."""
    world.server.stop(signal.SIGKILL)
    for part in sorted((world.folder / "redis").rglob("append*"), reverse=True):
        part.rmdir() if part.is_dir() else part.unlink()
    world.server.start()
    assert not world.runtime.store.has_run()


def kept(world: RollbackWorld) -> dict[str, object]:
    """What must come back as it was."""
    store = world.runtime.store
    return {
        "pools": store.list_pools(),
        "threads": {record.chain_id: (record.config, record.status) for record in store.thread_records()},
        "totals": {name: (state(world, name).session, state(world, name).lifetime) for name in store.list_threads()},
        "keys": store.sealed_keys(),
        "slots": {name: value for name, value in store.snapshot().values.items() if name.startswith("swap-slot:")},
        "tombstones": store.tombstones(),
        "run": store.get_run(),
        "numbers": store.snapshot().values["numbers"],
        "intents": {record.chain_id: json.loads(record.intents or "[]") for record in store.thread_records()},
        "policies": {pool.pool_id: store.policy(pool.pool_id) for pool in store.list_pools()},
        "ledger": {pool.pool_id: store.ledger(pool.pool_id) for pool in store.list_pools()},
        "outbox": {pool.pool_id: store.outbox(pool.pool_id) for pool in store.list_pools()},
    }


def closing_audit(world: RollbackWorld) -> None:
    for thread in world.runtime.store.list_threads():
        if world.runtime.store.get_chain(thread).status == "running":
            world.call("stop_thread", thread_id=thread)
    world.until(lambda: not world.runtime.store.live_chains(), "every chain ending", timeout_s=60)
    world.spill()
    result = run_audit(world.runtime, journal_path=world.journal, settle_timeout_s=5)
    assert result.violations == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)
    assert not world.runtime.store.faults()


def test_everything_comes_back_and_the_threads_go_on(world):
    threads = new_threads(world)
    play(world, threads, 3)
    world.call("stop_thread", thread_id=threads[0])
    world.call("start_thread", thread_id=threads[0])
    world.call("stop_thread", thread_id=threads[3])
    world.call("delete_thread", thread_id=threads[3])
    export(world)
    before = kept(world)
    assert any(before["intents"].values())  # some operation is under way
    lose_everything(world)

    assert restore(world.runtime)
    assert not restore(world.runtime)  # once
    after = kept(world)
    assert after == before
    store = world.runtime.store
    for record in store.thread_records():
        config = config_from_text(record.config)
        seen = world.runtime.chain.observe(Want(addresses=(config.wallet, *config.accounts.values())))
        held = {"sol": seen.lamports(config.wallet)}
        held |= {asset.value: seen.tokens(address) for asset, address in config.accounts.items()}
        assert ThreadState.from_text(record.state).balances == held
    assert store.recovering()
    world.recover()
    play(world, threads[:3], 3)
    closing_audit(world)


def test_what_happened_after_the_last_export_is_found_on_the_chain(world):
    threads = new_threads(world)
    play(world, threads, 2)
    export(world)
    exported = {thread: state(world, thread).lifetime for thread in threads}
    play(world, threads, 4)  # nobody exports or spills this
    done = {thread: state(world, thread).lifetime.confirmed for thread in threads}
    lose_everything(world)
    assert restore(world.runtime)
    assert {thread: state(world, thread).lifetime for thread in threads} == exported
    world.recover()
    for thread in threads:
        life = state(world, thread).lifetime
        assert life.confirmed + life.recovered >= done[thread]
        assert life.recovered > 0
    play(world, threads, 2)
    closing_audit(world)


@pytest.mark.parametrize("damage", [b"", GARBAGE, None], ids=["empty", "garbage", "truncated"])
def test_a_damaged_file_is_read_from_its_backup(world, damage):
    threads = new_threads(world)
    play(world, threads[:1], 1)
    export(world)
    before = kept(world)
    folder = world.runtime.settings.data_dir
    for name in NAMES:
        path = folder / f"{name}.json"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
        lose_everything(world)
        with capture_logs() as logged:
            assert restore(world.runtime)
        assert [line["file"] for line in logged if line["action"] == "backup_read"] == [f"{path.name}.backup"]
        assert kept(world) == before
        path.write_bytes(whole)


@pytest.mark.parametrize("name", NAMES)
def test_file_and_backup_damaged_is_an_error_and_nothing_is_written(world, name):
    new_threads(world)
    export(world)
    folder: Path = world.runtime.settings.data_dir
    path = folder / f"{name}.json"
    path.write_bytes(GARBAGE)
    (folder / f"{name}.json.backup").write_bytes(b"")
    there = {each: each.read_bytes() for each in folder.glob("*.json*")}
    lose_everything(world)
    with pytest.raises(DamagedFile, match=f"{name}.json is damaged: it is not JSON.*{name}.json.backup.*is empty"):
        restore(world.runtime)
    assert not world.runtime.store.has_run()
    world.runtime.store.set_run_once("seed", "8")  # a service that begins anew all the same
    assert not export_now(world.runtime.store, world.runtime.settings)
    assert {each: each.read_bytes() for each in folder.glob("*.json*")} == there


def test_a_node_that_is_behind_the_files_is_not_believed(world):
    threads = new_threads(world)
    export(world)
    folder = DataFolder(world.runtime.settings.data_dir)

    def seen_later(documents: dict[str, Any]) -> dict[str, Any]:
        documents["statistics"]["statistics"][threads[0]]["state"]["balances_slot"] = 10**9
        return documents

    folder.rewrite(seen_later)
    lose_everything(world)
    with pytest.raises(CommandError, match="balances at slot 1000000000 or later, so nothing was imported") as raised:
        restore(world.runtime, timeout_s=0.5)
    assert raised.value.code == CommandCode.CHAIN_UNREACHABLE
    assert not world.runtime.store.has_run()


def test_a_thread_whose_accounts_are_gone_comes_back_in_error(world):
    threads = new_threads(world)
    play(world, threads, 2)
    world.call("stop_thread", thread_id=threads[0])
    export(world)
    world.call("delete_thread", thread_id=threads[0])  # nobody exports this
    lose_everything(world)
    assert restore(world.runtime)
    record = world.runtime.store.get_chain(threads[0])
    assert record is not None
    assert record.status == "error"
    last = state(world, threads[0]).errors[-1]
    assert (last.error, last.category) == ("AccountMissing", "system")
    assert "does not know the thread's" in last.message
    assert world.runtime.store.get_chain(threads[1]).status == "running"
    world.recover()
    play(world, threads[1:], 2)
    closing_audit(world)
