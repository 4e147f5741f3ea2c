"""Wallet keys at rest: sealed with AES-256-GCM for the store, and the key files that open them.

A sealed key is bound to its wallet's address, so that one wallet's entry cannot be put in another's place.
"""

from __future__ import annotations

import binascii
import json
import os
import secrets
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from domain.errors import StressError
from domain.ids import Address

SEALING_KEY_BYTES: Final = 32
_KEYPAIR_BYTES: Final = 64
_NONCE_BYTES: Final = 12
_VERSION: Final = "v1:"
_CONTEXT: Final = b"frt-stress wallet key v1 "
_CHECK_CONTEXT: Final = b"frt-stress sealing check v1"
_CHECK: Final = b"the sealing key is right"


class KeystoreError(StressError):
    """A key or a key file is not what it should be. The message never holds key material."""


class WrongSealingKey(KeystoreError):  # noqa: N818  # says what is wrong
    """The sealed key does not open: another sealing key, another wallet's entry, or altered text."""


class Sealer:
    """Seals and opens wallet keys with one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != SEALING_KEY_BYTES:
            raise KeystoreError(f"a sealing key has {SEALING_KEY_BYTES} bytes, got {len(key)}")
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Sealer(...)"

    def seal(self, keypair: Keypair | bytes, address: Address) -> str:
        """Text "v1:" and base64 of nonce and ciphertext. Raises KeystoreError when the key is not the address's."""
        raw = bytes(keypair)
        _check_owner(raw, address)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, raw, _CONTEXT + address.encode())
        return _VERSION + b64encode(sealed).decode()

    def make_check(self) -> str:
        """A sealed value to keep beside the sealed keys: whoever comes with another key is told by it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + b64encode(nonce + self._cipher.encrypt(nonce, _CHECK, _CHECK_CONTEXT)).decode()

    def check(self, sealed: str) -> None:
        """Raises WrongSealingKey when ``sealed`` was made with another key."""
        try:
            content = b64decode(sealed.removeprefix(_VERSION), validate=True)
            self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], _CHECK_CONTEXT)
        except (InvalidTag, ValueError):
            raise WrongSealingKey(
                "the sealing key is not the one that the thread keys were sealed with; nothing was changed. Set the "
                "right key (sealing_key, sealing_passphrase or sealing_key_file); after an interrupted rotation run "
                "`frt keys rotate` again"
            ) from None

    def open(self, sealed: str, address: Address) -> Keypair:
        """The keypair of `address`. Raises WrongSealingKey, or KeystoreError for text that was never sealed here."""
        if not sealed.startswith(_VERSION):
            raise KeystoreError(f"wallet {address}: the sealed key is not of version {_VERSION!r}")
        try:
            content = b64decode(sealed[len(_VERSION) :], validate=True)
        except binascii.Error:
            raise KeystoreError(f"wallet {address}: the sealed key is not base64") from None
        try:
            raw = self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], _CONTEXT + address.encode())
        except (InvalidTag, ValueError):
            raise WrongSealingKey(
                f"wallet {address}: its key does not open with this sealing key; it was sealed with another one"
            ) from None
        _check_owner(raw, address)
        return Keypair.from_bytes(raw)


def sealing_key_from_text(text: str) -> bytes:
    """A 32-byte key written as 64 hexadecimal digits or as base64, as in an environment variable."""
    stripped = text.strip()
    for decode in (bytes.fromhex, lambda value: b64decode(value, validate=True)):
        try:
            key = decode(stripped)
        except ValueError:
            continue
        if len(key) == SEALING_KEY_BYTES:
            return key
    raise KeystoreError(f"a sealing key is {SEALING_KEY_BYTES} bytes as hexadecimal digits or base64")


def load_sealing_key(path: Path, *, create: bool = False) -> bytes:
    """The key in a file that only its owner may read (mode 0600), made first when missing and `create` is set.

    Any number of processes may ask to create it at once: all get the same key, and it is on disk before it is used.
    """
    try:
        return _read_sealing_key(path)
    except FileNotFoundError:
        if not create:
            raise KeystoreError(f"the sealing key file {path} does not exist") from None
    except OSError as error:
        raise KeystoreError(f"the sealing key file {path} cannot be read: {error.strerror}") from error
    _create_sealing_key(path)
    return _read_sealing_key(path)


def read_keypair_file(path: Path) -> Keypair:
    """A solana-keygen file: a JSON list of 64 bytes. Errors name the file, never its content."""
    return keypair_of(read_json(path), path)


def read_json(path: Path) -> object:
    """What stands in a wallet file; None when it is not JSON. KeystoreError when it cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeystoreError(f"the wallet file {path} cannot be read: {type(error).__name__}") from None
    try:
        found: object = json.loads(text)
    except ValueError:
        # The decoder's own error carries the document, and with it the key: not even as a context may it go on.
        return None
    return found


def keypair_of(values: object, path: Path) -> Keypair:
    """The keypair of a solana-keygen list. KeystoreError naming the file."""
    if (
        not isinstance(values, list)
        or len(values) != _KEYPAIR_BYTES
        or not all(type(value) is int and 0 <= value <= 255 for value in values)
    ):
        raise KeystoreError(f"the wallet file {path} is not a list of {_KEYPAIR_BYTES} bytes, as solana-keygen writes")
    try:
        return Keypair.from_bytes(bytes(values))
    except ValueError:
        raise KeystoreError(f"the wallet file {path} holds two halves that do not belong together") from None


def _check_owner(raw: bytes, address: Address) -> None:
    if len(raw) != _KEYPAIR_BYTES or str(Pubkey.from_bytes(raw[32:])) != address:
        raise KeystoreError(f"wallet {address}: the key given is not this wallet's")


def read_secret(path: Path, what: str) -> bytes:
    """A small file that only its owner may read. OSError as it comes; KeystoreError for another mode."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise KeystoreError(f"the {what} file {path} must be a file with mode 0600, not {stat.filemode(mode)}")
        return file.read(4096)


def _read_sealing_key(path: Path) -> bytes:
    content = read_secret(path, "sealing key")
    try:
        return sealing_key_from_text(content.decode("ascii"))
    except (UnicodeDecodeError, KeystoreError):
        raise KeystoreError(f"the sealing key file {path} does not hold {SEALING_KEY_BYTES} bytes in hex") from None


def _create_sealing_key(path: Path) -> None:
    create_secret(path, secrets.token_bytes(SEALING_KEY_BYTES).hex().encode() + b"\n")


def create_secret(path: Path, content: bytes) -> bool:
    """Make a file with mode 0600 unless it is there; False when it is. Nobody ever sees it incomplete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and linked into place.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    made = True
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            made = False
    finally:
        draft.unlink()
    _sync(path.parent)
    return made


def replace_secret(path: Path, content: bytes) -> None:
    """The old content or all of the new one, whatever happens. Mode 0600, on the disk when this returns.

    Of a symbolic link the file behind it: there the old secret would stay.
    """
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    create_secret(draft, content)
    put_in_place(draft, target)


def put_in_place(draft: Path, target: Path) -> None:
    """``draft``, of the same folder, becomes ``target``; on the disk when this returns."""
    draft.replace(target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
