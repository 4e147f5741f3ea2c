"""The documents' totals against the sums of the journal: threads, share and refill ledgers, the outbox."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from domain.audit_findings import Findings
from domain.audit_operations import TRADES
from domain.audit_records import Books, JournalOp, PoolBook, ThreadBook
from domain.facts import TokenAccount
from domain.flows import FUND
from domain.ids import Address
from domain.operations import OperationKind, Outcome
from domain.pool import Asset, Pool
from domain.thread import ThreadKind

SOL = "sol"
_AMOUNTS = {"spent": "spent", "received": "received", "network_fees": "fee", "pool_fees": "pool_fee"}


def check_totals(books: Books, found: Findings) -> None:
    by_chain: defaultdict[str, list[JournalOp]] = defaultdict(list)
    for operation in books.journal.operations:
        by_chain[operation.chain_id].append(operation)
    for book in books.threads:
        _check_thread(books, book, by_chain[book.thread_id], found)
    for payment in books.payments:
        outcomes = _outcomes(by_chain[payment.chain_id])
        wanted = {"submitted": len(by_chain[payment.chain_id]), **outcomes}
        shown = {name: number for name, number in payment.totals.items() if number}
        wanted = {name: number for name, number in wanted.items() if number}
        found.equal("totals", wanted, shown, "a paying chain's totals differ", chain_id=payment.chain_id)
        volume = _volume(by_chain[payment.chain_id])
        booked = {name: amount for name, amount in payment.volume.items() if amount}
        found.equal("totals", volume, booked, "a paying chain's volume differs", chain_id=payment.chain_id)
    for pool in books.pools:
        _check_shares(books, pool, found)
        _check_refills(books, pool, found)
    if books.rollbacks:
        found.note("fundings were not compared with the ledgers: Redis may have lost the newest of its records")
    else:
        _check_fundings(books, found)


def _outcomes(operations: list[JournalOp]) -> Counter[str]:
    return Counter(operation.settled.outcome.value for operation in operations if operation.settled)


def _volume(operations: list[JournalOp]) -> dict[str, int]:
    """Shares count base units by asset; refills count what they minted as "tokens", what they sent as "lamports"."""
    volume: Counter[str] = Counter()
    for operation in operations:
        if operation.settled is None or not operation.settled.succeeded:
            continue
        for entry in operation.inputs.get("entries", ()):
            if operation.kind is OperationKind.SHARE:
                volume[entry["asset"]] += int(entry["amount"])
            else:
                volume["tokens"] += int(entry["tokens"])
                volume["lamports"] += int(entry["lamports"])
    return {name: amount for name, amount in volume.items() if amount}


def _rounding_loss(book: ThreadBook, pool: Pool, confirmed: list[int]) -> int:
    """What the floor kept from the user, in 1e-9 base units of the output, rounded down swap by swap."""
    if book.config.kind is not ThreadKind.SWAP:
        return 0
    ratio_in, ratio_out = pool.ratio(book.config.side), pool.ratio(book.config.side.other)
    return sum(amount * ratio_out % ratio_in * 10**9 // ratio_in for amount in confirmed)


def _check_thread(books: Books, book: ThreadBook, operations: list[JournalOp], found: Findings) -> None:
    own = [operation for operation in operations if operation.kind in TRADES]
    totals = book.state.lifetime
    where = {"chain_id": book.thread_id, "pool_id": book.config.pool_id}
    outcomes = _outcomes(own)
    wanted = {"submitted": len(own)} | {outcome.value: outcomes[outcome.value] for outcome in Outcome}
    shown = {name: getattr(totals, name) for name in wanted}
    found.equal("totals", wanted, shown, "the thread counts other operations than the journal", **where)
    ended = sum(shown[outcome.value] for outcome in Outcome)
    found.equal("totals", totals.submitted, ended, "submitted is not confirmed + failed + expired + recovered", **where)
    settled = [operation.settled for operation in own if operation.settled]
    for name, field in _AMOUNTS.items():
        total = sum(getattr(each, field) or 0 for each in settled)
        found.equal("totals", total, getattr(totals, name), f"{name} is not the journal's sum", **where)
    confirmed = [each.spent or 0 for each in settled if each.succeeded]
    pool = books.pools_by_id.get(Address(book.config.pool_id))
    if pool is not None:
        loss = _rounding_loss(book, pool.pool, confirmed)
        found.equal("totals", loss, totals.rounding_loss_nano, "the rounding loss differs", **where)
    sizes = (min((n for n in confirmed if n), default=0), max(confirmed, default=0))
    found.equal("totals", sizes, (totals.smallest, totals.largest), "smallest or largest operation", **where)
    brought = sum(
        op.settled.received or 0 for op in own if op.settled and op.settled.succeeded and not op.inputs.get("empty")
    )
    found.equal("totals", brought, totals.owed + totals.kept, "received is not owed + kept", **where)
    burned: Counter[str] = Counter()
    for operation in operations:
        ended_well = operation.settled is not None and operation.settled.succeeded
        if operation.kind is OperationKind.BURN and ended_well:
            burned.update({name: int(amount) for name, amount in operation.inputs.get("burned", {}).items()})
    for asset in Asset:
        shown_burned = getattr(totals, f"burned_{asset.value}")
        found.equal("totals", burned[asset.value], shown_burned, f"burned {asset.value} differs", **where)


def _entries(books: Books, book: PoolBook, kind: OperationKind) -> list[dict[str, Any]]:
    """What the confirmed payments of a pool's chain consisted of."""
    return [
        entry
        for operation in books.journal.operations
        if operation.kind is kind and operation.pool_id == book.pool.pool_id
        if operation.settled is not None and operation.settled.succeeded
        for entry in operation.inputs.get("entries", ())
    ]


def _check_shares(books: Books, book: PoolBook, found: Findings) -> None:
    """Paid per owner, asset and taker; then: what was owed is paid, retained, or still in the outbox."""
    paid: defaultdict[str, Counter[str]] = defaultdict(Counter)
    paid_to: defaultdict[str, Counter[str]] = defaultdict(Counter)
    received: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for entry in _entries(books, book, OperationKind.SHARE):
        amount = int(entry["amount"])
        paid[entry["owner"]][entry["asset"]] += amount
        paid_to[entry["owner"]][entry["taker"]] += amount
        received[entry["taker"]][entry["owner"]] += amount
    ledger = {name[6:]: record for name, record in book.ledger.items() if name.startswith("share:")}
    for thread_id in sorted({*paid, *received, *ledger}):
        record: Mapping[str, Any] = ledger.get(thread_id, {})
        wanted = (dict(paid[thread_id]), dict(paid_to[thread_id]), dict(received[thread_id]))
        shown = (_sums(record.get("paid")), _sums(record.get("paid_to")), _sums(record.get("received")))
        found.equal("shares", wanted, shown, "the share ledger differs", chain_id=thread_id, pool_id=book.pool.pool_id)
    owed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for owes in book.outbox.values():
        owed[owes["owner"]][owes["asset"]] += int(owes["amount"])
    for thread in books.threads:
        if thread.config.pool_id == book.pool.pool_id:
            retained = _sums(ledger.get(thread.thread_id, {}).get("retained"))
            _check_owed(books, thread, paid[thread.thread_id], retained, owed[thread.thread_id], found)


def _sums(amounts: Mapping[str, str] | None) -> dict[str, int]:
    return {name: int(amount) for name, amount in (amounts or {}).items() if int(amount)}


def _check_owed(
    books: Books,
    thread: ThreadBook,
    paid: Mapping[str, int],
    retained: Mapping[str, int],
    left: Mapping[str, int],
    found: Findings,
) -> None:
    """An order to empty takes entries back for good: such a thread may owe less than the rest, never more."""
    where = {"chain_id": thread.thread_id, "pool_id": thread.config.pool_id}
    explained = sum(paid.values()) + sum(retained.values()) + sum(left.values())
    owed = thread.state.lifetime.owed
    emptied = thread.deleted or thread.state.lifetime.empties > 0
    if emptied:
        found.holds("owed", explained <= owed, f"paid, retained and still owed are {explained} of {owed}", **where)
    else:
        found.equal("owed", owed, explained, "owed is not paid + retained + still in the outbox", **where)
    for name, amount in left.items():
        address = thread.config.accounts.get(Asset(name))
        account = books.accounts.get(address) if address else None
        held = account.decoded.amount if account and isinstance(account.decoded, TokenAccount) else 0
        found.holds("outbox", amount <= held, f"{amount} of {name} are owed, the account holds {held}", **where)
        found.note(f"{thread.thread_id}: {amount} of {name} were owed but not yet paid when all stopped: retained")


def _check_refills(books: Books, book: PoolBook, found: Findings) -> None:
    tokens: Counter[str] = Counter()
    lamports: Counter[str] = Counter()
    for entry in _entries(books, book, OperationKind.REFILL):
        tokens[entry["thread"]] += int(entry["tokens"])
        lamports[entry["thread"]] += int(entry["lamports"])
    ledger = {name[7:]: record for name, record in book.ledger.items() if name.startswith("refill:")}
    for thread_id in sorted({*tokens, *lamports, *ledger}):
        record = ledger.get(thread_id, {})
        wanted = (tokens[thread_id], lamports[thread_id])
        shown = (int(record.get("tokens", "0")), int(record.get("sol", "0")))
        found.equal(
            "refills", wanted, shown, "the refill ledger differs", chain_id=thread_id, pool_id=book.pool.pool_id
        )


def _check_fundings(books: Books, found: Findings) -> None:
    """What commands brought to threads, against what the ledgers say; a faucet's SOL comes on top."""
    owner_of = {
        address: (book.thread_id, asset.value)
        for book in books.threads
        for asset, address in book.config.accounts.items()
    }
    tokens: defaultdict[str, Counter[str]] = defaultdict(Counter)
    lamports: Counter[str] = Counter()
    for operation in books.journal.operations:
        landed = operation.settled is not None and operation.settled.succeeded
        if operation.kind is not OperationKind.FUND or "asset" not in operation.inputs or not landed:
            continue
        for account, amount in (operation.inputs.get("deltas") or {}).items():
            if account in owner_of:
                funded, asset = owner_of[account]
                tokens[funded][asset] += int(amount)
        if operation.inputs.get("asset") == SOL:
            lamports[operation.inputs["thread"]] += int(operation.inputs["amount"])
    ledgers = {
        name.removeprefix(f"{FUND}:"): record
        for pool in books.pools
        for name, record in pool.ledger.items()
        if name.startswith(f"{FUND}:")
    }
    for thread_id in sorted({*tokens, *lamports, *ledgers}):
        record = ledgers.get(thread_id, {})
        shown = {asset.value: int(record[asset.value]) for asset in Asset if asset.value in record}
        text = "the funding ledger differs"
        found.equal("fundings", dict(tokens[thread_id]), shown, text, chain_id=thread_id)
        booked = int(record.get(SOL, "0"))
        found.holds("fundings", lamports[thread_id] <= booked, f"{text}: {booked} lamports", chain_id=thread_id)
