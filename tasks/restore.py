"""Puts the data folder's last export into an empty Redis, checked against the chain (DESIGN.md 5, PER-22 to PER-30).

All of it is written in one step, the run record with it, so that a start that dies begins anew. Balances are read from
the chain; what happened after the export is found by the recovery that the raised epoch begins: it compares every
wallet's signatures on the chain with the books, and open intents are looked up by their recorded signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any, Final
from uuid import uuid4

import structlog

from domain.chain.gateway import ChainUnreachableError, Want
from domain.documents import values_of
from domain.errors import CommandCode, CommandError
from domain.facts import Observation, TokenAccount
from domain.files.faults import FaultFile
from domain.files.folder import DataFolder
from domain.files.writing import FilesError
from domain.ids import Address
from domain.state import ErrorNote, ThreadState
from domain.store.records import config_from_text
from domain.thread import ThreadConfig, ThreadStatus
from tasks.runtime import Runtime

log = structlog.get_logger()

LEASE: Final = "importer"
LEASE_MS: Final = 60_000
CHAIN_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.1
_WALLETS_AT_ONCE: Final = 30  # three accounts each, of the hundred that one request may name
_CHAIN: Final = "chain:"
NOT_ON_CHAIN: Final = "AccountMissing"

Values = dict[str, Any]


def restore(runtime: Runtime, *, timeout_s: float = CHAIN_TIMEOUT_S) -> bool:
    """Import the files when Redis holds no run; False when there is nothing to import, or no need to.

    Nothing is written when it fails: DamagedFile (files and backups), WrongSealingKey, CommandError
    CHAIN_UNREACHABLE, StoreError. Any number of processes may call it at once.
    """
    store, token = runtime.store, uuid4().hex
    deadline = monotonic() + timeout_s
    if store.has_run():
        return False
    while not store.acquire_lease(LEASE, token, LEASE_MS):
        if store.has_run():
            return False
        if monotonic() > deadline:
            raise FilesError("another process has been importing the data folder for too long")
        sleep(POLL_S)
    try:
        return _restore(runtime, deadline)
    finally:
        store.release_lease(LEASE, token)


def _restore(runtime: Runtime, deadline: float) -> bool:
    store, settings = runtime.store, runtime.settings
    if store.has_run():
        return False
    export = DataFolder(settings.data_dir).load()
    if export is None:
        return False
    if store.list_pools() or store.list_threads():
        raise FilesError(
            f"Redis holds pools or threads and no run record, so {settings.data_dir} was not imported into it: "
            "point the service at an empty Redis, or move the folder away"
        )
    try:
        values = values_of(export.documents)
    except ValueError as error:
        raise FilesError(f"{settings.data_dir} cannot be imported: {error}. Nothing was changed") from error
    _check_keys(runtime, values)
    _check_threads(runtime, values, deadline)
    _rest_all(values, store.now_ms())
    faults = FaultFile(settings.data_dir).read()
    if faults:
        values["faults"] = faults
    if not store.restore(values):
        return False
    epoch = store.raise_epoch(store.redis_run_id())
    log.warning(
        "restored",
        action="restored",
        threads=len(values.get("threads", [])),
        pools=len(values.get("pools", {})),
        written_at_ms=export.header.written_at_ms,
        epoch=epoch,
        from_backup=sorted(export.from_backup),
    )
    return True


def check_sealing_key(runtime: Runtime) -> None:
    """Whoever seals or opens a key asks first. Raises WrongSealingKey; the first key ever seen is the right one."""
    sealer = runtime.chain.keyring.sealer
    sealer.check(runtime.store.set_sealing_check_once(sealer.make_check()))


def _check_keys(runtime: Runtime, values: Mapping[str, Any]) -> None:
    """Every sealed key opens with the sealing key at hand. Raises WrongSealingKey, KeystoreError."""
    sealer = runtime.chain.keyring.sealer
    if "sealing-check" in values:
        sealer.check(values["sealing-check"])
    for name, sealed in values.get("wallets", {}).items():
        text = values.get(_CHAIN + name, {}).get("config")
        if text:
            sealer.open(sealed, config_from_text(text).wallet)


def _check_threads(runtime: Runtime, values: Values, deadline: float) -> None:
    """Balances from the chain; a thread whose accounts are not there by a valid answer goes to ``error`` (PER-30)."""
    configs = [config_from_text(values[_CHAIN + thread_id]["config"]) for thread_id, _ in values.get("threads", [])]
    now_ms = runtime.store.now_ms()
    for start in range(0, len(configs), _WALLETS_AT_ONCE):
        some = configs[start : start + _WALLETS_AT_ONCE]
        addresses = tuple(address for config in some for address in (config.wallet, *config.accounts.values()))
        states = [ThreadState.from_text(values[_CHAIN + config.thread_id]["state"]) for config in some]
        # A node that is behind what was seen before does not know yet what it calls missing.
        since_slot = max(max(state.balances_slot, state.last_slot) for state in states)
        seen = _observe(runtime, Want(addresses=addresses, since_slot=since_slot), deadline)
        for config in some:
            _take_over(values, config, seen, now_ms)


def _observe(runtime: Runtime, want: Want, deadline: float) -> Observation:
    while True:
        try:
            return runtime.chain.observe(want)
        except ChainUnreachableError as error:
            if monotonic() > deadline:
                raise CommandError(
                    CommandCode.CHAIN_UNREACHABLE,
                    f"the chain does not tell the balances at slot {want.since_slot} or later, so nothing was "
                    f"imported from {runtime.settings.data_dir}: {error}",
                ) from error
            sleep(POLL_S)


def _take_over(values: Values, config: ThreadConfig, seen: Observation, now_ms: int) -> None:
    record = values[_CHAIN + config.thread_id]
    state = ThreadState.from_text(record["state"])
    if record["ready"] != "1":
        return  # its setup goes on by itself, or is given up
    missing = [asset.value for asset, address in config.accounts.items() if not _is_own(config, address, seen)]
    if not missing:
        balances = {"sol": seen.lamports(config.wallet)}
        balances |= {asset.value: seen.tokens(address) for asset, address in config.accounts.items()}
        state = state.looked(balances, seen.slot, now_ms)
    elif record["status"] != ThreadStatus.ERROR.value and not record["order"]:  # a delete order closes accounts
        log.warning("thread_not_on_chain", action="thread_not_on_chain", thread=config.thread_id, missing=missing)
        state = state.noted(_missing(config, missing, now_ms)).evolved(stop_reason=NOT_ON_CHAIN, stopped_at_ms=now_ms)
        record["status"] = ThreadStatus.ERROR.value
        if eligible := values.get(f"eligible:{config.pool_id}"):
            values[f"eligible:{config.pool_id}"] = [name for name in eligible if name != config.thread_id]
    record["state"] = state.to_text()


def _is_own(config: ThreadConfig, address: Address, seen: Observation) -> bool:
    account = seen.accounts[address]
    decoded = None if account is None else account.decoded
    return isinstance(decoded, TokenAccount) and decoded.owner == config.wallet


def _missing(config: ThreadConfig, missing: list[str], now_ms: int) -> ErrorNote:
    return ErrorNote(
        at_ms=now_ms,
        error=NOT_ON_CHAIN,
        message=f"the chain does not know the thread's {' and '.join(missing)} account",
        category="system",
        operation_type=config.kind.value,
        attempted_amount="0",
        available_balance="0",
        recovery_action="delete the thread and create another one",
    )


def _rest_all(values: Values, now_ms: int) -> None:
    """Nobody holds a lease, and every live chain is due now: the supervisor sends it again."""
    due = {}
    for name, record in values.items():
        if name.startswith(_CHAIN):
            record["lease_token"], record["lease_until_ms"] = "", "0"
            if record.get("live") == "1":
                due[name.removeprefix(_CHAIN)] = record["due_ms"] = str(now_ms)
    values["due"] = [[chain_id, at] for chain_id, at in due.items()]
