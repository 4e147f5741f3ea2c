"""A new sealing key: every sealed key opens with it afterwards, whenever the process died before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

import tasks.rotate as rotate_module
from domain.chain.core_wallet import core_address, create_core_wallet, read_core_wallet, seal_core_wallet
from domain.chain.keystore import KeystoreError, Sealer, WrongSealingKey
from domain.files import folder as folder_module
from domain.files.folder import DataFolder
from domain.files.writing import read_document
from domain.ids import Address, ThreadId
from domain.runtime.settings import Settings
from domain.store.gateway import RedisStore
from tasks.rotate import Rotation
from tests.support.files_kit import (
    NEW_KEY,
    OLD_KEY,
    WALLETS,
    dying,
    exporter,
    files_settings,
    furnish_store,
    killed,
)
from tests.support.store_kit import client_fixture, real_url_fixture, store_fixture

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]


@pytest.fixture(name="settings")
def settings_fixture(store: RedisStore, tmp_path: Path) -> Settings:
    settings = files_settings(tmp_path / "data")
    furnish_store(store, Sealer(OLD_KEY))
    store.set_sealing_check_once(Sealer(OLD_KEY).make_check())
    assert exporter(store, settings).export()
    create_core_wallet(settings.core_wallet, Sealer(OLD_KEY), sealed=True)
    return settings


def rotate(store: RedisStore, settings: Settings) -> None:
    rotation = Rotation(Sealer(OLD_KEY), Sealer(NEW_KEY))
    done = rotation.run(store, settings.data_dir, settings.core_wallet)
    assert (done.keys, done.files) == (2, 2)


def everything_opens(store: RedisStore, settings: Settings, sealer: Sealer) -> None:
    sealed = [store.sealed_keys()]
    folder = DataFolder(settings.data_dir)
    places = [settings.data_dir, *folder.daily_copies()]
    for path in [*(place / "threads.json" for place in places), settings.data_dir / "threads.json.backup"]:
        document = read_document(path)
        assert document is not None
        sealed.append({name: entry["wallet_keypair"] for name, entry in document["threads"].items()})
    assert len(sealed) == 4
    for keys in sealed:
        for name, wallet in WALLETS.items():
            assert sealer.open(keys[ThreadId(name)], str(wallet.pubkey())) == wallet
    check = store.sealing_check()
    assert check is not None
    sealer.check(check)
    export = folder.load()
    assert export is not None
    sealer.check(export.documents["service"]["values"]["sealing-check"])
    read_core_wallet(settings.core_wallet, sealer)


def test_every_key_is_sealed_anew(store: RedisStore, settings: Settings) -> None:
    address = core_address(settings.core_wallet)
    everything_opens(store, settings, Sealer(OLD_KEY))
    rotate(store, settings)
    everything_opens(store, settings, Sealer(NEW_KEY))
    assert core_address(settings.core_wallet) == address
    with pytest.raises(WrongSealingKey, match="nothing was changed"):
        Sealer(OLD_KEY).check(str(store.sealing_check()))
    rotate(store, settings)  # once more, as after an interruption at the very end
    everything_opens(store, settings, Sealer(NEW_KEY))


def test_a_copy_made_while_a_thread_was_being_made_keeps_its_key(store: RedisStore, settings: Settings) -> None:
    wallet = Keypair.from_seed(b"\x09" * 32)
    address = Address(str(wallet.pubkey()))
    data = {"thread": "deposit_7", "wallet": address, "sealed": Sealer(OLD_KEY).seal(wallet, address)}
    record = {"kind": "command", "state": json.dumps({"attempts": 1, "data": data})}
    folder = DataFolder(settings.data_dir)
    folder.rewrite(lambda documents: with_value(documents, "chain:command:make-7", record))
    rotate(store, settings)
    places = [folder.load().documents["service"], read_document(folder.daily_copies()[0] / "service.json")]
    for document in places:
        state = json.loads(document["values"]["chain:command:make-7"]["state"])
        assert state["attempts"] == 1
        assert Sealer(NEW_KEY).open(state["data"]["sealed"], address) == wallet


def with_value(documents: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    documents["service"]["values"][name] = value
    return documents


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("module", "name", "steps"),
    [(folder_module, "write_atomic", 12), (rotate_module, "reseal_core_wallet", 1), (RedisStore, "replace_sealed", 1)],
)
def test_killed_anywhere_it_is_finished_by_running_it_again(
    store: RedisStore, settings: Settings, monkeypatch: Any, module: Any, name: str, steps: int, after: bool
) -> None:
    for step in range(1, steps + 1):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, dying(getattr(module, name), step, after=after))
            with killed():
                Rotation(Sealer(OLD_KEY), Sealer(NEW_KEY)).run(store, settings.data_dir, settings.core_wallet)
        rotate(store, settings)
        everything_opens(store, settings, Sealer(NEW_KEY))


def test_a_third_key_changes_nothing(store: RedisStore, settings: Settings) -> None:
    before = {path: path.read_bytes() for path in settings.data_dir.rglob("*.json*")}
    keys = store.sealed_keys()
    with pytest.raises(WrongSealingKey):
        Rotation(Sealer(b"x" * 32), Sealer(NEW_KEY)).run(store, settings.data_dir, settings.core_wallet)
    assert {path: path.read_bytes() for path in settings.data_dir.rglob("*.json*")} == before
    assert store.sealed_keys() == keys


def test_not_while_the_service_runs_or_a_command_is_open(store: RedisStore, settings: Settings) -> None:
    store.acquire_lease("supervisor", "somebody", 60_000)
    with pytest.raises(KeystoreError, match="the service is running"):
        rotate(store, settings)
    store.release_lease("supervisor", "somebody")
    store.register_command("cmd-1", "create_deposit_thread", "{}")
    with pytest.raises(KeystoreError, match="1 commands are not finished"):
        rotate(store, settings)


def test_a_plain_core_wallet_can_be_sealed_and_stays_plain_otherwise(tmp_path: Path) -> None:
    path, sealer = tmp_path / "core.json", Sealer(OLD_KEY)
    wallet = Keypair.from_seed(b"\x09" * 32)
    path.write_text(json.dumps(list(bytes(wallet))))
    rotate_module.reseal_core_wallet(path, sealer, Sealer(NEW_KEY))
    assert json.loads(path.read_text()) == list(bytes(wallet))
    assert seal_core_wallet(path, sealer)
    assert not seal_core_wallet(path, sealer)
    assert json.dumps(list(bytes(wallet)))[1:-1] not in path.read_text()
    assert read_core_wallet(path, sealer) == wallet
    with pytest.raises(WrongSealingKey):
        read_core_wallet(path, Sealer(NEW_KEY))
    assert not create_core_wallet(path, sealer, sealed=False)
    assert read_core_wallet(path, sealer) == wallet


@pytest.mark.parametrize("content", ["", "[1, 2", "{}", '{"format": "frt-stress sealed wallet v1"}', "\x00"])
def test_a_core_wallet_that_cannot_be_read_is_never_written_over(tmp_path: Path, content: str) -> None:
    path, sealer = tmp_path / "core.json", Sealer(OLD_KEY)
    path.write_text(content)
    for action in (read_core_wallet, seal_core_wallet):
        with pytest.raises(KeystoreError):
            action(path, sealer)
    assert not create_core_wallet(path, sealer, sealed=True)
    assert path.read_text() == content
