"""What the tests of the data folder share: a furnished store, an exporter on it, and a process that dies on cue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from domain.chain.keystore import Sealer
from domain.chains import Commit
from domain.ids import Address, PoolId, ThreadId
from domain.policy import Policy
from domain.pool import Side
from domain.runtime.settings import Settings, load
from domain.state import ErrorNote, ThreadState, Totals
from domain.store.gateway import RedisStore
from domain.thread import OrderKind, ThreadKind
from tasks.export import Exporter, journal_file
from tasks.spill import Spiller
from tests.support.store_kit import (
    BIG,
    begin,
    committed,
    going_on,
    next_message,
    order,
    sample_pool,
    thread_config,
)

OLD_KEY, NEW_KEY = bytes(range(32)), bytes(range(32, 64))
WALLETS = {name: Keypair.from_seed(bytes([number]) * 32) for number, name in enumerate(("deposit_1", "swap_3"), 1)}


class Killed(BaseException):
    """The process ends here."""


def dying(function: Callable[..., Any], at: int, *, after: bool) -> Callable[..., Any]:
    """The function, until its call number ``at``: that one kills the process before or after it does its work."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise Killed
        result = function(*args, **kwargs)
        if calls == at:
            raise Killed
        return result

    return wrapped


@contextmanager
def killed() -> Iterator[None]:
    with pytest.raises(Killed):
        yield


def files_settings(folder: Path, **more: Any) -> Settings:
    return load({}, overrides={"data_dir": folder, **more})


def exporter(store: RedisStore, settings: Settings) -> Exporter:
    """A process of its own: what another one held is free."""
    store._edge.call("DEL", store._keys.lease("exporter"), store._keys.lease("spiller"))
    return Exporter(store, settings, Spiller(store, journal_file(settings)).spill)


def note(message: str, at_ms: int = 1_700_000_000_000) -> ErrorNote:
    return ErrorNote(
        at_ms=at_ms,
        error="NetworkError",
        message=message,
        category="network",
        operation_type="deposit",
        attempted_amount="5",
        available_balance="7",
        recovery_action="wait",
    )


def busy_state(**changes: Any) -> ThreadState:
    totals = Totals(submitted=9, confirmed=7, failed_expected=1, expired=1, spent=BIG, received=BIG - 1, pool_fees=11)
    state = ThreadState(
        operation_number=9,
        session=totals,
        lifetime=totals.plus(confirmed=3, submitted=3, spent=2),
        session_started_at_ms=1_700_000_000_000,
        session_reason="manual",
        session_slot=44,
        last_slot=55,
        balances={"sol": 2**63, "token_a": BIG, "lp_a": 3},
        balances_slot=56,
        last_operation_at_ms=1_700_000_123_000,
        fee_trend=(5_000, 5_000),
        errors=(note("first"), note("second")),
        error_counts={"NetworkError": 2},
    )
    return replace(state, **changes)


def furnish_store(store: RedisStore, sealer: Sealer | None = None) -> None:
    """A pool with everything, a running deposit thread with an open intent, a swap thread, an archived pool."""
    sealer = sealer or Sealer(OLD_KEY)
    store.set_run_once("seed", "7")
    store.put_pool(sample_pool())
    store.put_pool(sample_pool("Gone"))
    store.archive_pool(PoolId("Gone"))
    store.set_first_policy(PoolId("PoolOne"), Policy(steps=()))
    for name, wallet in WALLETS.items():
        kind, address = ThreadKind(name.partition("_")[0]), Address(str(wallet.pubkey()))
        config = thread_config(name, wallet=address, side=Side.A, kind=kind)
        store.create_thread(config, sealer.seal(wallet, address), ready=True)
    store.place_order(ThreadId("deposit_1"), order(OrderKind.START), next_message)
    begun = begin(store, "deposit_1")
    step = Commit(
        begun=begun,
        state=busy_state().to_text(),
        intents='[{"id":"deposit_1/9","n":9,"sig":"Sig","wire":"AAAA"}]',
        next=next_message(1, 1),
        journal=('{"event":"submitted","op":"deposit_1/9"}',),
        faults=('{"check":"I1","message":"x"}',),
        outbox_put=(("deposit_1/8", '{"owner":"deposit_1","asset":"lp_a","amount":"12"}'),),
        records=(("share:deposit_1", '{"paid":{"lp_a":"4"},"paid_to":{},"received":{"withdrawal_1":"6"}}'),),
        low=("sol",),
        counts=(("operations", "deposit.confirmed", 3),),
    )
    committed(store, step)


def finish_session(store: RedisStore, record: str) -> None:
    """One more commit of deposit_1, which ends a session."""
    state = busy_state().to_text()
    committed(store, going_on(begin(store, "deposit_1"), state=state, session=record))
