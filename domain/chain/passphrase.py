"""A sealing key from a passphrase: scrypt, its parameters and salt in a file beside what the key seals."""

from __future__ import annotations

import json
import secrets
from hashlib import scrypt
from pathlib import Path
from typing import Any, Final

from domain.chain.keystore import SEALING_KEY_BYTES, KeystoreError, create_secret, read_secret

SHORTEST: Final = 8
_COST, _BLOCK, _PARALLEL = 2**15, 8, 1  # 32 MiB and about a tenth of a second
_LARGEST_COST: Final = 2**20
_SALT_BYTES: Final = 16
_MEMORY: Final = 2**31 - 1


def key_of_passphrase(passphrase: str, parameters: Path, *, create: bool = False) -> bytes:
    """32 bytes. ``parameters`` is made first when missing and ``create`` is set; it holds no secret.

    Raises KeystoreError: the passphrase is too short, the parameters are missing or damaged.
    """
    if len(passphrase) < SHORTEST:
        raise KeystoreError(f"the sealing passphrase has at least {SHORTEST} characters")
    if create and not parameters.exists():
        create_secret(parameters, json.dumps(_fresh()).encode() + b"\n")
    salt, cost, block, parallel = _read(parameters)
    return scrypt(passphrase.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=SEALING_KEY_BYTES)


def read_passphrase(path: Path) -> str:
    """The first line of a file that only its owner may read."""
    try:
        text = read_secret(path, "sealing passphrase").decode()
    except (OSError, UnicodeDecodeError) as error:
        raise KeystoreError(f"the sealing passphrase file {path} cannot be read: {type(error).__name__}") from None
    return text.split("\n", 1)[0].rstrip("\r")


def _fresh() -> dict[str, Any]:
    salt = secrets.token_bytes(_SALT_BYTES).hex()
    return {"kdf": "scrypt", "salt": salt, "n": _COST, "r": _BLOCK, "p": _PARALLEL}


def _read(path: Path) -> tuple[bytes, int, int, int]:
    try:
        doc = json.loads(path.read_bytes())
        salt, cost, block, parallel = bytes.fromhex(doc["salt"]), int(doc["n"]), int(doc["r"]), int(doc["p"])
    except FileNotFoundError:
        raise KeystoreError(
            f"{path} does not exist; it holds the passphrase's parameters: copy it from where the keys were sealed"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise KeystoreError(f"{path} does not hold the parameters of a passphrase") from None
    if (
        doc.get("kdf") != "scrypt"
        or not 2**10 <= cost <= _LARGEST_COST
        or not 0 < block <= 32
        or not 0 < parallel <= 16
    ):
        raise KeystoreError(f"{path} does not hold the parameters of a passphrase")
    return salt, cost, block, parallel
