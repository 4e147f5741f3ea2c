"""Keys at rest: sealing, the key file, solana-keygen files, and that nothing secret reaches a message."""

from __future__ import annotations

import json
import os
import traceback
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest
from solders.keypair import Keypair

from domain.chain.core_wallet import read_core_wallet, seal_core_wallet
from domain.chain.keystore import (
    KeystoreError,
    Sealer,
    WrongSealingKey,
    create_secret,
    load_sealing_key,
    read_keypair_file,
    sealing_key_from_text,
)

KEY = bytes(range(32))
WALLET, OTHER = Keypair.from_seed(b"\x05" * 32), Keypair.from_seed(b"\x06" * 32)
ADDRESS, OTHER_ADDRESS = str(WALLET.pubkey()), str(OTHER.pubkey())


def test_a_sealed_key_opens_and_never_looks_the_same_twice():
    sealer = Sealer(KEY)
    first, second = sealer.seal(WALLET, ADDRESS), sealer.seal(bytes(WALLET), ADDRESS)
    assert first != second
    assert first.startswith("v1:")
    assert Sealer(KEY).open(first, ADDRESS) == sealer.open(second, ADDRESS) == WALLET
    assert bytes(WALLET)[:32] not in b64decode(first[3:])


def test_another_sealing_key_says_so():
    sealed = Sealer(KEY).seal(WALLET, ADDRESS)
    with pytest.raises(WrongSealingKey, match=f"wallet {ADDRESS}: .* another one"):
        Sealer(KEY[::-1]).open(sealed, ADDRESS)


def test_one_wallet_s_entry_does_not_open_in_another_s_place():
    sealed = Sealer(KEY).seal(OTHER, OTHER_ADDRESS)
    with pytest.raises(WrongSealingKey):
        Sealer(KEY).open(sealed, ADDRESS)
    with pytest.raises(KeystoreError, match="not this wallet's"):
        Sealer(KEY).seal(OTHER, ADDRESS)


@pytest.mark.parametrize("position", [0, 11, 12, 40, -1])
def test_an_altered_entry_does_not_open(position):
    raw = bytearray(b64decode(Sealer(KEY).seal(WALLET, ADDRESS)[3:]))
    raw[position] ^= 1
    with pytest.raises(WrongSealingKey):
        Sealer(KEY).open("v1:" + b64encode(raw).decode(), ADDRESS)


@pytest.mark.parametrize("text", ["", "v2:AAAA", "v1:*", "v1:", "v1:AAAA", "AAAA"])
def test_text_that_was_never_sealed_is_refused(text):
    with pytest.raises(KeystoreError):
        Sealer(KEY).open(text, ADDRESS)


def test_a_sealing_key_has_32_bytes_in_hex_or_base64():
    assert sealing_key_from_text(KEY.hex() + "\n") == KEY
    assert sealing_key_from_text(b64encode(KEY).decode()) == KEY
    for text in ("", "00" * 31, "g" * 64, b64encode(KEY + b"x").decode(), "ä" * 44):
        with pytest.raises(KeystoreError, match="32 bytes"):
            sealing_key_from_text(text)
    with pytest.raises(KeystoreError, match="got 16"):
        Sealer(b"x" * 16)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "data" / "sealing.key"
    with pytest.raises(KeystoreError, match="does not exist"):
        load_sealing_key(path)
    key = load_sealing_key(path, create=True)
    assert len(key) == 32
    assert load_sealing_key(path, create=True) == load_sealing_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["sealing.key"]


def test_everybody_who_creates_the_file_at_once_gets_the_same_key(tmp_path):
    for attempt in range(20):
        path = tmp_path / str(attempt)
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(lambda _, path=path: load_sealing_key(path, create=True), range(8)))
        assert len(keys) == 1


def test_a_key_file_others_can_read_and_one_with_other_content_are_refused(tmp_path):
    path = tmp_path / "sealing.key"
    load_sealing_key(path, create=True)
    path.chmod(0o640)
    with pytest.raises(KeystoreError, match="0600"):
        load_sealing_key(path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(KeystoreError, match="does not hold 32 bytes"):
        load_sealing_key(path)
    with pytest.raises(KeystoreError, match="cannot be read"):
        load_sealing_key(path / "below a file")


def test_a_solana_keygen_file_is_read(tmp_path):
    path = tmp_path / "id.json"
    path.write_text(json.dumps(list(bytes(WALLET))))
    assert read_keypair_file(path) == WALLET


SECRET = list(bytes(WALLET))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(SECRET)[:-1],
        json.dumps(SECRET[:-1]),
        json.dumps([*SECRET[:-1], 256]),
        json.dumps([*SECRET[:-1], True]),
        json.dumps([*SECRET[:32], *bytes(OTHER)[32:]]),
        json.dumps({"key": SECRET}),
        "",
    ],
)
def test_a_broken_wallet_file_is_named_but_not_quoted(tmp_path, content):
    path = tmp_path / "id.json"
    path.write_text(content)
    with pytest.raises(KeystoreError, match=r"id\.json") as caught:
        read_keypair_file(path)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert str(SECRET[0:4])[1:-1] not in shown
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value.__context__, "doc")


def test_a_missing_wallet_file_is_a_keystore_error(tmp_path):
    with pytest.raises(KeystoreError, match="FileNotFoundError"):
        read_keypair_file(tmp_path / "none.json")


def test_no_repr_or_error_shows_key_material():
    sealer = Sealer(KEY)
    sealed = sealer.seal(WALLET, ADDRESS)
    with pytest.raises(WrongSealingKey) as caught:
        Sealer(os.urandom(32)).open(sealed, ADDRESS)
    shown = f"{sealer!r} {sealer} {caught.value!r} {vars(caught.value)}"
    for secret in (KEY.hex(), b64encode(KEY).decode(), bytes(WALLET)[:32].hex(), str(WALLET), sealed):
        assert secret not in shown


def test_a_wallet_that_is_sealed_behind_a_link_is_nowhere_left_plain(tmp_path):
    wallet, link = tmp_path / "safe" / "id.json", tmp_path / "core-wallet.json"
    keypair, sealer = Keypair(), Sealer(bytes(32))
    create_secret(wallet, json.dumps(list(bytes(keypair))).encode())
    link.symlink_to(wallet)
    assert seal_core_wallet(link, sealer)
    assert link.is_symlink()
    assert read_core_wallet(link, sealer) == keypair
    assert str(list(bytes(keypair)))[1:60] not in wallet.read_text()
    assert [path.name for path in wallet.parent.iterdir()] == ["id.json"]
