"""A supervisor's sweep where the ground gives way: no room on the disk, Redis emptied under the running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from domain.chains import command_chain_id
from domain.files.writing import FilesError
from domain.ids import CommandId
from tasks.export import export_now
from tasks.recovery import Recovery
from tasks.spill import Spiller
from tasks.supervisor import ORPHAN_MS, Supervisor
from tests.support.driver import Driver, driver
from tests.support.localnet import wait_for

POOL = {"token_a_decimals": 6, "token_b_decimals": 6, "ratio_a": 1, "ratio_b": 3}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Driver]:
    with driver(tmp_path, slot_ms=20, finalized_lag=4) as running:
        yield running


def supervisor(world: Driver, journal: Path) -> Supervisor:
    return Supervisor(world.runtime, Spiller(world.runtime.store, journal), Recovery(world.runtime, journal))


def running_thread(world: Driver) -> str:
    pool_id = world.call("create_pool", **POOL)["pool_id"]
    made = world.call("create_deposit_thread", pool_id=pool_id, token_type="A", initial_amount=10**9)
    world.call("start_thread", thread_id=made["thread_id"])
    return str(made["thread_id"])


def test_without_room_for_the_journal_chains_are_still_revived(world: Driver, tmp_path: Path) -> None:
    store, journal = world.runtime.store, tmp_path / "journal.jsonl"
    journal.symlink_to("/dev/full")
    running_thread(world)
    waiting = store.journal_length()
    assert waiting > 0
    sweeps = supervisor(world, journal)
    with capture_logs() as logged:
        wait_for(lambda: sweeps.sweep() > 0)  # nobody delivers: the thread's next message is overdue
    assert {"spill_failed", "revived"} <= {line["action"] for line in logged}
    assert store.journal_length() == waiting
    journal.unlink()
    sweeps.sweep()
    assert store.journal_length() == 0


def test_a_command_whose_sender_died_before_starting_it_is_carried_out(world: Driver, tmp_path: Path) -> None:
    store, command_id = world.runtime.store, CommandId("orphan")
    assert store.register_command(command_id, "create_pool", json.dumps(POOL, sort_keys=True))
    sweeps = supervisor(world, tmp_path / "journal.jsonl")
    sweeps.sweep()
    assert store.get_chain(command_chain_id(command_id)) is None  # its sender may be about to start it
    ((_, registered_ms),) = store.open_commands()
    store._edge.call("ZADD", store._keys.named("open-commands"), registered_ms - ORPHAN_MS, command_id)
    sweeps.sweep()
    assert "ok" in world.answer(command_id)
    assert (len(store.list_pools()), store.open_commands()) == (1, [])


def test_a_redis_that_is_emptied_under_the_service_gets_its_files_back(world: Driver, tmp_path: Path) -> None:
    store, journal = world.runtime.store, world.runtime.settings.data_dir / "journal.jsonl"
    thread_id = running_thread(world)
    sweeps = supervisor(world, journal)
    sweeps.sweep()
    store.release_lease("supervisor", sweeps._token)
    assert export_now(store, world.runtime.settings)
    keys, run = store.sealed_keys(), store.get_run()
    store._edge.call("FLUSHALL")
    sweeps.sweep()
    assert (store.sealed_keys(), store.get_run()) == (keys, run)
    assert store.recovering()
    wait_for(lambda: not sweeps.sweep() and not store.recovering(), 60)
    world.until(lambda: store.all_counts(0).operations.get("deposit.confirmed"), f"a deposit of {thread_id}")


def test_what_was_made_in_an_emptied_redis_is_not_mixed_with_the_files(world: Driver) -> None:
    store, settings = world.runtime.store, world.runtime.settings
    running_thread(world)
    assert export_now(store, settings)
    pool = store.list_pools()[0]
    store._edge.call("FLUSHALL")
    store.put_pool(pool)
    with pytest.raises(FilesError, match="Redis holds pools or threads and no run record"):
        supervisor(world, settings.data_dir / "journal.jsonl").sweep()
    assert not store.list_threads()
