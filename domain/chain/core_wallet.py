"""The core wallet's file: as solana-keygen writes it, or sealed with the sealing key (SEC-07). Never made twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypeGuard

from solders.keypair import Keypair

from domain.chain.keystore import KeystoreError, Sealer, create_secret, keypair_of, read_json, replace_secret
from domain.ids import Address

_FORMAT: Final = "frt-stress sealed wallet v1"


def read_core_wallet(path: Path, sealer: Sealer) -> Keypair:
    """Raises KeystoreError, WrongSealingKey."""
    found = read_json(path)
    if not _is_sealed(found):
        return keypair_of(found, path)
    return sealer.open(found["sealed"], Address(found["address"]))


def core_address(path: Path) -> Address:
    """The wallet's address, which a sealed file says openly. Raises KeystoreError."""
    found = read_json(path)
    return Address(found["address"]) if _is_sealed(found) else Address(str(keypair_of(found, path).pubkey()))


def create_core_wallet(path: Path, sealer: Sealer, *, sealed: bool) -> bool:
    """A new keypair, unless there is a file; False then, whatever it holds."""
    keypair = Keypair()
    return create_secret(path, _sealed(keypair, sealer) if sealed else json.dumps(list(bytes(keypair))).encode())


def seal_core_wallet(path: Path, sealer: Sealer) -> bool:
    """Replace a plain file by a sealed one, on the disk at once; False when it is sealed already."""
    if _is_sealed(read_json(path)):
        return False
    replace_secret(path, _sealed(read_core_wallet(path, sealer), sealer))
    return True


def reseal_core_wallet(path: Path, old: Sealer, new: Sealer) -> None:
    """A sealed file under the new key; a plain one stays. It may be sealed with the new key already."""
    found = read_json(path)
    if not _is_sealed(found):
        return
    try:
        keypair = read_core_wallet(path, new)
    except KeystoreError:
        keypair = read_core_wallet(path, old)
    replace_secret(path, _sealed(keypair, new))


def _sealed(keypair: Keypair, sealer: Sealer) -> bytes:
    address = Address(str(keypair.pubkey()))
    doc = {"format": _FORMAT, "address": address, "sealed": sealer.seal(keypair, address)}
    return json.dumps(doc, indent=2).encode() + b"\n"


def _is_sealed(found: object) -> TypeGuard[dict[str, str]]:
    return (
        isinstance(found, dict)
        and found.get("format") == _FORMAT
        and isinstance(found.get("sealed"), str)
        and isinstance(found.get("address"), str)
    )
