"""The closing audit of a real run: nothing is found, and every falsified line, record or answer is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from domain.audit import AuditResult, audit
from domain.audit_journal import read_journal
from domain.audit_records import Books
from domain.chain.receipts import AccountReader
from domain.facts import TokenAccount
from domain.ids import Address
from domain.state import ThreadState
from tasks.audit import gather, load_journal, run_audit
from tasks.audit_chain import ChainArchive
from tasks.spill import Spiller, read_spilled
from tests.support.driver import Driver, driver

pytestmark = pytest.mark.timeout(400)  # the run comes first, and its probes are more than a thousand transactions

AMOUNT = 10**12


@dataclass
class World:
    driver: Driver
    journal: Path
    books: Books
    result: AuditResult
    lines: list[str]


def _play(world: Driver) -> None:
    """A pool with every kind of thread, administrative steps, refills, an emptied and a deleted thread."""
    pool = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
    pool_id = world.call("create_pool", **pool)["pool_id"]
    world.call("create_pool", **pool | {"ratio_whole_number": 3})
    threads = [
        world.call(
            "create_deposit_thread", pool_id=pool_id, token_type=side, initial_amount=AMOUNT, auto_refill=refill
        )["thread_id"]
        for side, refill in (("A", False), ("B", True))
    ]
    threads += [world.call("create_withdrawal_thread", pool_id=pool_id, token_type=side)["thread_id"] for side in "AAB"]
    threads += [
        world.call("create_swap_thread", pool_id=pool_id, direction=way, initial_amount=AMOUNT)["thread_id"]
        for way in ("a_to_b", "b_to_a")
    ]

    def confirmed(thread_id: str) -> int:
        record = world.runtime.store.get_chain(thread_id)
        assert record is not None
        return ThreadState.from_text(record.state).lifetime.confirmed

    for thread in threads:
        world.call("start_thread", thread_id=thread)
    world.until(
        lambda: all(confirmed(thread) >= 2 for thread in threads), "two operations of every thread", timeout_s=90
    )
    world.call("update_pool_fees", pool_id=pool_id, liquidity_fee=200_000, swap_fee=30_000)
    world.call("pause_pool", pool_id=pool_id)
    world.call("consolidate_pool_fees", pool_ids=[pool_id])
    world.call("unpause_pool", pool_id=pool_id)
    sofar = {thread: confirmed(thread) for thread in threads}
    world.until(lambda: all(confirmed(t) > sofar[t] for t in threads), "one of each at the new fees", timeout_s=90)
    world.call("empty_thread", thread_id=threads[0])
    for thread in threads:
        world.call("stop_thread", thread_id=thread)
    world.call("delete_thread", thread_id=threads[-1])
    world.until(lambda: not world.runtime.store.live_chains(), "every chain ending", timeout_s=90)


def _gather(runtime: Any, path: Path) -> Books:
    chain = runtime.chain
    reader = AccountReader(str(chain.program_id), chain.system_state, chain.treasury)
    archive = ChainArchive(chain.endpoints, reader, deadline=monotonic() + 60, progress=lambda _: None)
    return gather(runtime, load_journal(runtime.store, path), archive, lambda _: None)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("run")
    with driver(folder, finalized_lag=4) as running:
        _play(running)
        path = folder / "journal.jsonl"
        spiller = Spiller(running.runtime.store, path)
        assert spiller.spill() > 50
        result = run_audit(running.runtime, journal_path=path, settle_timeout_s=5)
        lines = read_spilled(path)
        yield World(running, path, _gather(running.runtime, path), result, lines)


def test_an_honest_run_is_explained_to_the_last_unit(world):
    assert world.result.violations == []
    assert (world.result.unexplained_units, world.result.unexplained_lamports) == (0, 0)
    kinds = {op.kind.value for op in world.books.journal.operations}
    assert kinds >= {"deposit", "withdrawal", "swap", "share", "setup", "admin", "burn", "sweep"}
    for check in ("outcome", "spent", "pool-flow", "I2", "J6", "conservation", "ways", "shares", "totals"):
        assert world.result.by_check[check] > 0


def _falsified(world: World, event: str, change: dict[str, Any], kind: str = "swap") -> AuditResult:
    """The audit of the same run with one line changed."""
    done = {json.loads(line)["op"]: json.loads(line) for line in world.lines if '"confirmed"' in line}
    docs = [json.loads(line) for line in world.lines]
    kinds = {doc["op"]: doc["kind"] for doc in docs if doc["event"] == "submitted"}
    target = next(name for name in done if kinds[name] == kind)
    for doc in docs:
        if doc["event"] == event and doc["op"] == target:
            for name, value in change.items():
                doc[name] = str(int(doc[name]) + value) if isinstance(value, int) else value
    return audit(replace(world.books, journal=read_journal(json.dumps(doc) for doc in docs)))


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"spent": 1}, "AUDIT-spent"),
        ({"received": -1}, "AUDIT-received"),
        ({"fee": 1}, "AUDIT-fee"),
        ({"pool_fee": -1}, "AUDIT-pool-fee"),
        ({"outcome": "expired"}, "AUDIT-outcome"),
        ({"outcome": "failed_expected"}, "AUDIT-outcome"),
        ({"outcome": "recovered"}, "AUDIT-recovered"),
    ],
)
def test_one_falsified_outcome_is_found(world, change, check):
    found = _falsified(world, "settled", change)
    assert check in {violation["id"] for violation in found.violations}


def test_a_line_that_is_missing_is_found(world):
    for event, check in (("submitted", "AUDIT-unbooked"), ("settled", "AUDIT-open")):
        index = next(
            n for n, line in enumerate(world.lines) if json.loads(line)["event"] == event and '"deposit_1/2"' in line
        )
        journal = read_journal(line for n, line in enumerate(world.lines) if n != index)
        found = audit(replace(world.books, journal=journal))
        assert check in {violation["id"] for violation in found.violations}


def test_one_base_unit_too_few_in_an_account_is_unexplained(world):
    pool = world.books.pools[0].pool
    holder = next(
        address
        for address, account in world.books.accounts.items()
        if account and isinstance(account.decoded, TokenAccount) and account.decoded.mint == pool.mint_a
        if account.decoded.amount and address != pool.vault_a
    )
    account = world.books.accounts[holder]
    assert account is not None
    assert isinstance(account.decoded, TokenAccount)
    robbed = replace(account, decoded=replace(account.decoded, amount=account.decoded.amount - 1))
    found = audit(replace(world.books, accounts={**world.books.accounts, holder: robbed}))
    assert found.unexplained_units > 0
    assert {"AUDIT-conservation", "AUDIT-token-balance"} <= {violation["id"] for violation in found.violations}


def test_one_lamport_too_few_in_a_wallet_is_unexplained(world):
    for wallet in (world.books.core, world.books.threads[0].config.wallet, Address(world.books.pools[0].pool.pool_id)):
        account = world.books.accounts[wallet]
        assert account is not None
        robbed = replace(account, lamports=account.lamports - 1)
        found = audit(replace(world.books, accounts={**world.books.accounts, wallet: robbed}))
        assert found.unexplained_lamports > 0
        assert "AUDIT-lamport-balance" in {violation["id"] for violation in found.violations}


def test_a_transaction_that_the_node_hides_is_found(world):
    operation = next(op for op in world.books.journal.operations if op.kind.value == "deposit")
    hidden = {s: tx for s, tx in world.books.transactions.items() if s != operation.signature}
    found = audit(replace(world.books, transactions=hidden))
    ids = {violation["id"] for violation in found.violations}
    assert {"AUDIT-outcome", "AUDIT-I2", "AUDIT-fees", "AUDIT-lamport-balance", "AUDIT-supply"} <= ids
