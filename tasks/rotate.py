"""Puts every wallet key under a new sealing key: in Redis, in the files and their copies, in the core wallet's file.

The service stands still meanwhile. Both keys exist until the end, and every step opens what it finds with either of
them, so that a rotation that was killed is finished by running it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domain.chain.core_wallet import reseal_core_wallet
from domain.chain.keystore import KeystoreError, Sealer, WrongSealingKey
from domain.chains import ChainKind
from domain.documents import SERVICE, THREADS, Document
from domain.files.folder import DataFolder
from domain.ids import Address, ThreadId
from domain.store.gateway import RedisStore
from domain.store.records import config_from_text

_CHECK: Final = "sealing-check"
_COMMAND: Final = f"chain:{ChainKind.COMMAND.value}:"  # one that makes a thread keeps its key until there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How many keys lie in Redis, and how many exports and daily copies were written again."""

    keys: int
    files: int


class Rotation:
    """``old`` and ``new`` may be in use side by side when an earlier rotation was interrupted."""

    def __init__(self, old: Sealer, new: Sealer) -> None:
        self._old = old
        self._new = new
        self._new_check = new.make_check()

    def run(self, store: RedisStore, data_dir: Path, core_wallet: Path) -> Rotated:
        """Raises KeystoreError, WrongSealingKey, DamagedFile, StoreError; nothing is lost, run it again."""
        _refuse_while_running(store)
        known = store.sealing_check()
        if known is not None:
            self._check(known)
        sealed = store.sealed_keys()
        addresses = _addresses_in(store)
        resealed = {name: self._reseal(text, addresses, name) for name, text in sealed.items()}
        files = DataFolder(data_dir).rewrite(self._reseal_documents)
        if store.has_run():
            store.replace_sealed(resealed, self._new_check)
        if core_wallet.exists():
            reseal_core_wallet(core_wallet, self._old, self._new)
        return Rotated(keys=len(resealed), files=files)

    def _check(self, sealed: str) -> None:
        try:
            self._new.check(sealed)
        except WrongSealingKey:
            self._old.check(sealed)

    def _reseal(self, sealed: str, addresses: Mapping[ThreadId, Address], name: ThreadId) -> str:
        address = addresses.get(name)
        if address is None:
            raise KeystoreError(f"{name} has a sealed key, but nothing says which wallet it is; nothing was changed")
        try:
            return self._new.seal(self._new.open(sealed, address), address)
        except WrongSealingKey:
            return self._new.seal(self._old.open(sealed, address), address)

    def _reseal_documents(self, documents: Mapping[str, Document]) -> dict[str, Document]:
        changed = deepcopy(dict(documents))
        values, threads = changed[SERVICE]["values"], changed[THREADS]
        for thread_id, entry in threads["threads"].items():
            if entry["wallet_keypair"] is not None:
                addresses = {ThreadId(thread_id): Address(entry["wallet_address"])}
                entry["wallet_keypair"] = self._reseal(entry["wallet_keypair"], addresses, ThreadId(thread_id))
        gone = {
            ThreadId(name): config_from_text(json.loads(text)["config"]).wallet
            for name, text in values.get("tombstones", {}).items()
        }
        for name, sealed in threads["other_wallets"].items():
            threads["other_wallets"][name] = self._reseal(sealed, gone, ThreadId(name))
        for name, record in values.items():
            if name.startswith(_COMMAND) and "sealed" in (data := json.loads(record["state"] or "{}").get("data", {})):
                owner = ThreadId(data["thread"])
                data["sealed"] = self._reseal(data["sealed"], {owner: Address(data["wallet"])}, owner)
                record["state"] = json.dumps(json.loads(record["state"]) | {"data": data}, separators=(",", ":"))
        if _CHECK in values:
            self._check(values[_CHECK])
            values[_CHECK] = self._new_check
        return changed


def _refuse_while_running(store: RedisStore) -> None:
    """A process that holds the old key would seal with it, or fail to open."""
    if store.lease_holder("supervisor") is not None:
        raise KeystoreError("the service is running: stop it first, all of its workers, too")
    commands = len(store.open_commands())
    if commands:
        raise KeystoreError(f"{commands} commands are not finished and may hold a key: start the service, let them end")


def _addresses_in(store: RedisStore) -> dict[ThreadId, Address]:
    found = {gone.thread_id: gone.config.wallet for gone in store.tombstones()}
    return found | {
        ThreadId(record.chain_id): config_from_text(record.config).wallet for record in store.thread_records()
    }
