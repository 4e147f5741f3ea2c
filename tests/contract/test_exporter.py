"""The exporter on a real store: killed between any two steps it loses nothing and doubles nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from structlog.testing import capture_logs

from domain.chain.keystore import Sealer
from domain.documents import values_of
from domain.files import folder as folder_module
from domain.files.folder import DataFolder
from domain.files.sessions import SessionFiles
from domain.files.writing import FilesError, write_atomic
from domain.ids import Address
from domain.runtime.settings import Settings
from domain.store.gateway import RedisStore
from domain.thread import ThreadStatus
from tasks.spill import read_spilled
from tests.support.files_kit import (
    OLD_KEY,
    busy_state,
    dying,
    exporter,
    files_settings,
    finish_session,
    furnish_store,
    killed,
    note,
)
from tests.support.store_kit import (
    begin,
    client_fixture,
    committed,
    going_on,
    real_url_fixture,
    store_fixture,
    thread_config,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]


@pytest.fixture(name="settings")
def settings_fixture(tmp_path: Path) -> Settings:
    return files_settings(tmp_path / "data")


def session(number: int) -> str:
    info = {"start_ms": 1_700_000_000_000 + number * 60_000}
    return json.dumps({"thread_id": "deposit_1", "session_info": info, "number": number})


def kept_sessions(settings: Settings) -> list[int]:
    return [record["number"] for _, record in SessionFiles(settings.data_dir).read("deposit_1", 100)]


def exported(settings: Settings) -> dict[str, Any]:
    export = DataFolder(settings.data_dir).load()
    assert export is not None
    return values_of(export.documents)


def test_the_files_hold_what_redis_holds_and_the_journal_knows_it(store: RedisStore, settings: Settings) -> None:
    furnish_store(store)
    assert exporter(store, settings).export()
    snapshot = store.snapshot()
    assert snapshot is not None
    assert exported(settings) == snapshot.values
    assert json.loads(read_spilled(settings.data_dir / "journal.jsonl")[0])["op"] == "deposit_1/9"
    assert (settings.data_dir / "faults.jsonl").read_text() == '{"check":"I1","message":"x"}\n'


def test_a_fault_that_redis_lost_is_put_back_and_the_next_one_is_not_missed(
    store: RedisStore, settings: Settings
) -> None:
    furnish_store(store)
    store.add_faults(["lost"])
    process = exporter(store, settings)
    process.export()
    store._edge.call("RPOP", "frt:faults")
    process.export()
    assert store.faults() == ['{"check":"I1","message":"x"}', "lost"]
    store.add_faults(["next"])
    for each in (process, exporter(store, settings)):
        each.export()
        assert (settings.data_dir / "faults.jsonl").read_text().splitlines() == store.faults()
        assert store.fault_count() == 3


def test_nothing_new_is_not_written_again(store: RedisStore, settings: Settings) -> None:
    furnish_store(store)
    process = exporter(store, settings)
    assert process.export()
    assert not process.export()
    store.set_service_paused(True)
    assert process.export()
    assert exported(settings)["paused"] == "1"


def test_an_empty_redis_writes_nothing(store: RedisStore, settings: Settings) -> None:
    assert not exporter(store, settings).export()
    assert not settings.data_dir.exists()


def test_foreign_files_are_never_written_over(store: RedisStore, settings: Settings) -> None:
    furnish_store(store)
    exporter(store, settings).export()
    there = {path: path.read_bytes() for path in settings.data_dir.rglob("*.json*")}
    store._edge.call("FLUSHALL")
    store.set_run_once("seed", "9")  # another service's Redis
    with capture_logs() as logged:
        assert not exporter(store, settings).export()
    assert "export_refused" in {line["action"] for line in logged}
    store.set_run_once("instance", "another")
    assert not exporter(store, settings).export()
    assert {path: path.read_bytes() for path in settings.data_dir.rglob("*.json*")} == there


def test_damaged_files_of_a_living_redis_are_set_aside(store: RedisStore, settings: Settings) -> None:
    furnish_store(store)
    exporter(store, settings).export()
    for name in ("threads.json", "threads.json.backup"):
        (settings.data_dir / name).write_bytes(b"not json")
    assert exporter(store, settings).export()
    assert "wallets" in exported(settings)
    aside = list((settings.data_dir / "backups").glob("damaged-*/threads.json"))
    assert [path.read_bytes() for path in aside] == [b"not json"]


def test_one_process_exports_at_a_time(store: RedisStore, settings: Settings) -> None:
    furnish_store(store)
    first = exporter(store, settings)
    assert first.export()
    store.set_service_paused(True)
    second = exporter(store, settings)  # takes the lease
    assert second.export()
    store.set_service_paused(False)
    assert not first.export()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 9))
def test_killed_in_an_export_the_next_one_is_whole(
    store: RedisStore, settings: Settings, monkeypatch: Any, step: int, after: bool
) -> None:
    furnish_store(store)
    process = exporter(store, settings)
    process.export()
    before = exported(settings)
    store.set_service_paused(True)
    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "write_atomic", dying(write_atomic, step, after=after))
        with killed():
            process.export()
    assert exported(settings) in (before, before | {"paused": "1"})
    exporter(store, settings).export()
    snapshot = store.snapshot()
    assert snapshot is not None
    assert exported(settings) == snapshot.values


@pytest.mark.parametrize(
    ("where", "name"),
    [("files", "save"), ("store", "drop_sessions"), ("store", "snapshot"), ("store", "read_sessions")],
)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_killed_beside_a_session_none_is_lost_and_none_doubled(
    store: RedisStore, settings: Settings, monkeypatch: Any, where: str, name: str, after: bool, step: int
) -> None:
    furnish_store(store)
    for number in (1, 2):
        finish_session(store, session(number))
    process = exporter(store, settings)
    owner = store if where == "store" else process._sessions
    died = False
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dying(getattr(owner, name), step, after=after))
        try:
            process.export()
        except BaseException as error:  # noqa: BLE001
            died = type(error).__name__ == "Killed"
    assert died or step == 2
    known = sorted({*kept_sessions(settings), *(json.loads(text)["number"] for _, text in store.read_sessions())})
    assert known == [1, 2]  # in Redis, in a file, or in both
    exporter(store, settings).export()
    assert kept_sessions(settings) == [2, 1]
    assert store.sessions_waiting() == 0
    assert len(list(settings.data_dir.rglob("session_*.json"))) == 2


def test_error_files_come_with_the_thread_rotate_and_go_with_it(store: RedisStore, settings: Settings) -> None:
    furnish_store(store)
    process = exporter(store, settings)
    process.export()
    path = settings.data_dir / "errors" / "deposit_1.json"
    assert json.loads((settings.data_dir / "errors" / "swap_3.json").read_text())["errors"] == []
    state = busy_state()
    for number in range(12):
        state = state.noted(note(f"error {number}"), limit=10)
    committed(store, going_on(begin(store, "deposit_1"), state=state.to_text()))
    process.export()
    shown = [error["error_message"] for error in json.loads(path.read_text())["errors"]]
    assert shown == [f"error {number}" for number in range(2, 12)]
    gone = going_on(begin(store, "deposit_1"), status=ThreadStatus.DELETED, next=None, delete_thread=True)
    committed(store, gone)
    process.export()
    assert not path.exists()
    assert [each.name for each in path.parent.iterdir()] == ["swap_3.json"]
    assert exported(settings)["tombstones"].keys() == {"deposit_1"}


def test_a_copy_of_the_day_and_no_more_sessions_than_wanted(store: RedisStore, tmp_path: Path) -> None:
    settings = files_settings(tmp_path / "data", session_retention_days=1)
    furnish_store(store)
    finish_session(store, session(1))  # years ago
    exporter(store, settings).export()
    assert kept_sessions(settings) == []
    assert len(DataFolder(settings.data_dir).daily_copies()) == 1
    without = files_settings(tmp_path / "other", backup_enabled=False)
    store._edge.call("HDEL", "frt:run", "instance")
    finish_session(store, session(2))
    exporter(store, without).export()
    assert DataFolder(without.data_dir).daily_copies() == []
    assert kept_sessions(without) == [2]


def test_a_process_that_lost_its_turn_stops_in_the_midst(
    store: RedisStore, settings: Settings, monkeypatch: Any
) -> None:
    furnish_store(store)
    process = exporter(store, settings)
    process.export()
    before = exported(settings)
    store.set_service_paused(True)

    def frozen_meanwhile(*args: Any, **kwargs: Any) -> None:
        write_atomic(*args, **kwargs)
        store._edge.call("SET", "frt:lease:exporter", "another", "PX", 60_000)

    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "write_atomic", frozen_meanwhile)
        with pytest.raises(FilesError, match="another process"):
            process.export()
    assert exported(settings) == before


def new_key(store: RedisStore) -> None:
    wallet = Keypair.from_seed(bytes([9]) * 32)
    address = Address(str(wallet.pubkey()))
    store.create_thread(thread_config("deposit_9", wallet=address), Sealer(OLD_KEY).seal(wallet, address))


@pytest.mark.parametrize("event", [lambda store: finish_session(store, session(1)), new_key], ids=["session", "key"])
def test_it_is_never_far_behind_and_at_once_there_when_something_must_not_wait(
    store: RedisStore, settings: Settings, monkeypatch: Any, event: Callable[[RedisStore], None]
) -> None:
    furnish_store(store)
    process = exporter(store, settings)
    clock, exports = [100.0], []
    monkeypatch.setattr("tasks.export.monotonic", lambda: clock[0])
    export = process.export
    monkeypatch.setattr(process, "export", lambda: exports.append(clock[0]) or export())
    happened: list[float] = []

    def stopped(seconds: float) -> bool:
        clock[0] += seconds
        if not happened and clock[0] >= 112.0 and 1.0 < clock[0] - exports[-1] < 2.0:
            event(store)
            happened.append(clock[0])
        return clock[0] > 121.0

    process.run(stopped)
    gaps = [later - earlier for earlier, later in pairwise(exports)]
    assert max(gaps) <= 5.0
    assert [at for at in exports if happened[0] <= at <= happened[0] + 0.5]  # not only when its turn came
    assert kept_sessions(settings) == [1] * (event is not new_key)
    assert exported(settings)["wallets"] == store.sealed_keys()
    assert store.lease_holder("exporter") is None


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("a bug")])
@pytest.mark.parametrize("place", ["copy_of_the_day", "save_errors", "save"])
def test_a_failed_export_is_loud_and_tried_again(
    store: RedisStore, settings: Settings, monkeypatch: Any, place: str, error: Exception
) -> None:
    furnish_store(store)
    process = exporter(store, settings)
    clock, calls = [100.0], []
    monkeypatch.setattr("tasks.export.monotonic", lambda: clock[0])
    original = getattr(process._folder, place)

    def first_fails(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise error
        return original(*args)

    monkeypatch.setattr(process._folder, place, first_fails)

    def stopped(seconds: float) -> bool:
        clock[0] += seconds
        return clock[0] > 110.0

    with capture_logs() as logged:
        process.run(stopped)
    assert "export_failed" in {line["action"] for line in logged}
    snapshot = store.snapshot()
    assert snapshot is not None
    assert exported(settings) == snapshot.values
    assert (settings.data_dir / "errors" / "deposit_1.json").exists()
    assert DataFolder(settings.data_dir).daily_copies()
