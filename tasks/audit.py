"""The closing audit: wait until everything is settled, read books and chain, compare (DESIGN.md 6, net 3).

Runs in the process that ends a run, after every thread was stopped; it may wait, which no task may.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from domain.audit import AuditResult, audit
from domain.audit_findings import Findings
from domain.audit_journal import read_journal
from domain.audit_records import Books, ChainTx, Journal, PaymentBook, PoolBook, Rents, ThreadBook, guests_of
from domain.chain import program
from domain.chain.receipts import AccountReader
from domain.chains import ChainKind, pool_chain_id
from domain.facts import Account
from domain.ids import Address, Signature
from domain.operations import Outcome
from domain.state import ThreadState
from domain.store.gateway import RedisStore
from domain.store.records import ChainRecord, config_from_text
from tasks.audit_chain import ChainArchive
from tasks.cycles.payments import PaymentState
from tasks.runtime import Runtime
from tasks.spill import read_spilled

SETTLE_TIMEOUT_S = 60.0
READ_TIMEOUT_S = 600.0
POLL_S = 0.1
LISTINGS = 10  # how often a landed signature may be missing from every history before that is a finding
LISTING_PAUSE_S = 1.0
READINGS = 3

Progress = Callable[[str], None]


def run_audit(
    runtime: Runtime,
    *,
    journal_path: Path,
    progress: Progress | None = None,
    settle_timeout_s: float = SETTLE_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> AuditResult:
    """Every thread was stopped before. Raises StressError when store or chain cannot be asked: that is no pass."""
    tell = progress or (lambda _: None)
    found = Findings()
    _wait_settled(runtime.store, found, monotonic() + settle_timeout_s, tell)
    journal = load_journal(runtime.store, journal_path)
    chain = runtime.chain
    reader = AccountReader(str(chain.program_id), chain.system_state, chain.treasury)
    archive = ChainArchive(
        chain.endpoints,
        reader,
        deadline=monotonic() + read_timeout_s,
        progress=tell,
        private=runtime.settings.local_chain,
    )
    books = gather(runtime, journal, archive, tell)
    for pool in runtime.store.archived_pools():
        found.note(f"pool {pool.pool_id} is archived: the chain does not know it any more; it was not audited")
    tell(f"comparing {len(journal.operations)} operations with {len(books.transactions)} transactions")
    return audit(books, found)


def _wait_settled(store: RedisStore, found: Findings, deadline: float, tell: Progress) -> None:
    """No chain is live: every intent has its outcome, every payment chain has ended."""
    while (live := store.live_chains()) and monotonic() < deadline:
        tell(f"waiting for {len(live)} chains to settle what they have sent")
        sleep(POLL_S)
    for chain_id, _ in live:
        found.holds("live", condition=False, message="a chain was still live when the audit began", chain_id=chain_id)
    for record in [*store.thread_records(), *_pool_chains(store)]:
        for intent in json.loads(record.intents or "[]"):
            found.holds(
                "open",
                condition=False,
                message="an intent was still open when the audit began",
                chain_id=record.chain_id,
                operation_id=intent["id"],
                signature=intent["sig"],
            )


def _pool_chains(store: RedisStore) -> list[ChainRecord]:
    kinds = (ChainKind.SHARE, ChainKind.REFILL, ChainKind.PROBE)
    ids = [pool_chain_id(kind, pool.pool_id) for pool in store.list_pools() for kind in kinds]
    return [record for record in store.get_chains(ids) if record is not None]


def load_journal(store: RedisStore, path: Path) -> Journal:
    """What was spilled, and what is still in the stream."""
    lines = read_spilled(path)
    after = "0-0"
    while entries := store.read_journal(after):
        lines += [line for _, line in entries]
        after = entries[-1][0]
    return read_journal(lines)


def gather(runtime: Runtime, journal: Journal, archive: ChainArchive, tell: Progress) -> Books:
    """Our own documents, and everything the chain has on the addresses in them."""
    store, chain = runtime.store, runtime.chain
    private = runtime.settings.local_chain
    threads = _threads(store)
    pools = _pools(store)
    base = _base_addresses(runtime, threads, pools)
    archive.wait_finalized()
    history = _histories(archive, base, threads)
    landed = {op.signature for op in journal.operations if op.settled and op.settled.outcome is not Outcome.EXPIRED}
    for _ in range(LISTINGS):
        if archive.throttled or landed <= {signature for listed in history.values() for signature in listed}:
            break
        tell("some landed signatures are not listed yet; reading the histories again")
        sleep(LISTING_PAUSE_S)
        history = _histories(archive, base, threads)
    transactions: dict[Signature, ChainTx] = {}
    owners = {address for address in base if address in {book.config.wallet for book in threads}}
    owners.add(chain.keyring.core_address)
    while True:
        wanted = dict.fromkeys(signature for listed in history.values() for signature in listed)
        wanted |= dict.fromkeys(op.signature for op in journal.operations)
        new = [signature for signature in wanted if signature not in transactions]
        transactions |= {tx.signature: tx for tx in archive.transactions(new)}
        guests = guests_of(journal, transactions, frozenset(owners))
        more = _further_accounts(transactions, history, owners | guests, private=private, throttled=archive.throttled)
        if not more:
            break
        history |= archive.histories(sorted(more))
    accounts = _final_accounts(archive, chain.system_state, history, transactions, private=private)
    return Books(
        journal=journal,
        transactions=transactions,
        history=history,
        accounts=accounts,
        pools=pools,
        threads=threads,
        payments=_payments(store),
        core=chain.keyring.core_address,
        program=Address(str(chain.program_id)),
        treasury=chain.treasury,
        system_state=chain.system_state,
        private=private,
        throttled=archive.throttled,
        rollbacks=store.epoch(),
        from_slot=0 if private else _first_slot(journal),
        rents=Rents(
            pool_state=program.rent_minimum_lamports(program.POOL_STATE_BYTES),
            protected=program.rent_minimum_lamports(program.CONSOLIDATION_RENT_BYTES),
            treasury=program.rent_minimum_lamports(program.TREASURY_BYTES),
        ),
    )


def _histories(
    archive: ChainArchive, base: list[Address], threads: tuple[ThreadBook, ...]
) -> dict[Address, tuple[Signature, ...]]:
    """Wallets, vaults, pool states and mints first; the wallets' token accounts only where nobody throttles us."""
    less = {account for thread in threads for account in thread.config.accounts.values()}
    history = archive.histories([address for address in base if address not in less])
    return history if archive.throttled else history | archive.histories(sorted(less))


def _threads(store: RedisStore) -> tuple[ThreadBook, ...]:
    books = [
        ThreadBook(config=config_from_text(record.config), state=ThreadState.from_text(record.state))
        for record in store.thread_records()
    ]
    books += [ThreadBook(config=gone.config, state=gone.state, deleted=True) for gone in store.tombstones()]
    return tuple(books)


def _pools(store: RedisStore) -> tuple[PoolBook, ...]:
    return tuple(
        PoolBook(
            pool=pool,
            ledger={name: json.loads(text) for name, text in store.ledger(pool.pool_id).items()},
            outbox={name: json.loads(text) for name, text in store.outbox(pool.pool_id).items()},
        )
        for pool in store.list_pools()
    )


def _payments(store: RedisStore) -> tuple[PaymentBook, ...]:
    books = []
    for record in _pool_chains(store):
        if record.kind is ChainKind.PROBE:
            continue
        state = PaymentState.from_text(record.state)
        books.append(
            PaymentBook(
                chain_id=record.chain_id,
                totals=state.totals,
                volume=state.volume,
                operation_number=state.operation_number,
            )
        )
    return tuple(books)


def _base_addresses(runtime: Runtime, threads: tuple[ThreadBook, ...], pools: tuple[PoolBook, ...]) -> list[Address]:
    """Wallets (also of deleted threads), token accounts, and what belongs to the pools and the program."""
    chain = runtime.chain
    addresses = [chain.keyring.core_address, chain.treasury]
    for thread in threads:
        addresses += [thread.config.wallet, *thread.config.accounts.values()]
    for book in pools:
        pool = book.pool
        addresses += [Address(pool.pool_id), pool.vault_a, pool.vault_b]
        addresses += [pool.mint_a, pool.mint_b, pool.lp_mint_a, pool.lp_mint_b]
    return list(dict.fromkeys(addresses))


def _further_accounts(
    transactions: dict[Signature, ChainTx],
    history: dict[Address, tuple[Signature, ...]],
    owners: set[Address],
    *,
    private: bool,
    throttled: bool,
) -> set[Address]:
    """Token accounts and mints that only the transactions name; on a shared chain only what our wallets own."""
    if throttled:
        return set()
    found: set[Address] = set()
    for tx in transactions.values():
        for account, move in tx.tokens.items():
            if private or move.owner in owners:
                found |= {account, move.mint}
    return found - history.keys()


def _final_accounts(
    archive: ChainArchive,
    system_state: Address,
    history: dict[Address, tuple[Signature, ...]],
    transactions: dict[Signature, ChainTx],
    *,
    private: bool,
) -> dict[Address, Account | None]:
    """Accounts as they are after the newest of their transactions.

    On a shared chain others go on: what they did up to the reading is taken in, what came later is not in the accounts
    and stays out of the histories. Between the slots of two answers nobody can say: then all is read again.
    """
    addresses = [*history]
    token_accounts = {account for tx in transactions.values() for account in tx.tokens}
    addresses += sorted((token_accounts | {system_state}) - history.keys())
    for _ in range(READINGS):
        newest = max((tx.slot for tx in transactions.values()), default=0)
        oldest_read, newest_read, accounts = archive.accounts(addresses, newest)
        if private:
            break
        listed = archive.histories(history)
        fresh = sorted({s for signatures in listed.values() for s in signatures} - transactions.keys())
        found = {tx.signature: tx for tx in archive.transactions(fresh)}
        taken = {signature: tx for signature, tx in found.items() if tx.slot <= newest_read}
        transactions.update(taken)
        history.update(
            {address: tuple(s for s in signatures if s in transactions) for address, signatures in listed.items()}
        )
        if all(tx.slot <= oldest_read for tx in taken.values()):
            break
    return accounts


def _first_slot(journal: Journal) -> int:
    slots = [int(op.inputs["slot"]) for op in journal.operations if "slot" in op.inputs]
    slots += [op.settled.slot for op in journal.operations if op.settled and op.settled.slot is not None]
    return min(slots, default=0)
