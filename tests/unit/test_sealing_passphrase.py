"""A sealing key from a passphrase: the same everywhere with the same parameters, never from a wrong or open file."""

from __future__ import annotations

import json
import stat

import pytest
from solders.keypair import Keypair

from domain.chain.keystore import KeystoreError, Sealer, WrongSealingKey
from domain.chain.passphrase import key_of_passphrase, read_passphrase
from domain.runtime.settings import load
from domain.runtime.settings_sources import SettingsError
from domain.runtime.wiring import build_keyring, build_sealer

PASSPHRASE = "correct horse battery"


def test_the_same_passphrase_gives_the_same_key_and_another_one_another(tmp_path):
    path = tmp_path / "sealing.scrypt.json"
    key = key_of_passphrase(PASSPHRASE, path, create=True)
    assert len(key) == 32
    assert key_of_passphrase(PASSPHRASE, path) == key_of_passphrase(PASSPHRASE, path, create=True) == key
    assert key_of_passphrase(PASSPHRASE + "!", path) != key
    assert key_of_passphrase(PASSPHRASE, tmp_path / "other.json", create=True) != key  # a salt of its own
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSPHRASE not in path.read_text()
    assert key.hex() not in path.read_text()


@pytest.mark.parametrize(
    "change", [{"kdf": "md5"}, {"salt": "zz"}, {"n": 2}, {"n": 2**40}, {"r": 0}, {"p": 99}, {"salt": None}]
)
def test_parameters_that_are_not_ours_are_refused_and_stay(tmp_path, change):
    path = tmp_path / "sealing.scrypt.json"
    key_of_passphrase(PASSPHRASE, path, create=True)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = path.read_text()
    with pytest.raises(KeystoreError, match="does not hold the parameters"):
        key_of_passphrase(PASSPHRASE, path, create=True)
    assert path.read_text() == before


def test_missing_parameters_and_short_passphrases_are_refused(tmp_path):
    with pytest.raises(KeystoreError, match="copy it from where"):
        key_of_passphrase(PASSPHRASE, tmp_path / "none.json")
    with pytest.raises(KeystoreError, match="at least 8 characters"):
        key_of_passphrase("short", tmp_path / "none.json", create=True)


def test_a_passphrase_file_is_for_its_owner_only(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(f"{PASSPHRASE}\r\nsecond line\n")
    path.chmod(0o640)
    with pytest.raises(KeystoreError, match="mode 0600") as caught:
        read_passphrase(path)
    assert PASSPHRASE not in str(caught.value)
    path.chmod(0o600)
    assert read_passphrase(path) == PASSPHRASE


def test_the_settings_say_where_the_key_comes_from(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    own = {"data_dir": tmp_path / "data"}
    check = build_sealer(load({}, overrides=own | {"sealing_passphrase": PASSPHRASE})).make_check()
    build_sealer(load({}, overrides=own | {"sealing_passphrase_file": path})).check(check)
    with pytest.raises(WrongSealingKey, match="nothing was changed"):
        build_sealer(load({}, overrides=own | {"sealing_passphrase": "another one"})).check(check)
    with pytest.raises(SettingsError, match="which one is meant"):
        load({}, overrides=own | {"sealing_passphrase": PASSPHRASE, "sealing_passphrase_file": path})
    given = load({}, overrides=own | {"sealing_key": "11" * 32, "sealing_passphrase": PASSPHRASE})
    build_sealer(given).check(Sealer(bytes.fromhex("11" * 32)).make_check())
    assert PASSPHRASE not in json.dumps(given.safe_dump())
    assert given.safe_dump()["sealing_passphrase"] == "(set)"


def test_a_core_wallet_is_sealed_at_the_next_start_and_opens_with_the_same_key_only(tmp_path):
    wallet = Keypair.from_seed(b"\x09" * 32)
    path = tmp_path / "core.json"
    path.write_text(json.dumps(list(bytes(wallet))))
    own = {"data_dir": tmp_path / "data", "core_wallet": path, "sealing_key": "11" * 32}
    keyring = build_keyring(load({}, overrides=own | {"encrypt_core_wallet": True}), lambda _: None)
    assert keyring.core == wallet
    sealed = path.read_text()
    assert json.dumps(list(bytes(wallet)))[1:60] not in sealed
    assert json.loads(sealed)["address"] == str(wallet.pubkey())
    assert build_keyring(load({}, overrides=own), lambda _: None).core == wallet
    with pytest.raises(WrongSealingKey):
        build_keyring(load({}, overrides=own | {"sealing_key": "22" * 32}), lambda _: None)
    assert path.read_text() == sealed
