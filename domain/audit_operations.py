"""The journal against the chain, operation by operation: outcomes and amounts, not membership (DESIGN.md 6, net 3)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from domain.audit_effects import Effects
from domain.audit_findings import Findings
from domain.audit_records import Books, ChainTx, JournalOp, Settled
from domain.contract_errors import InstructionKind
from domain.ids import Address, Signature
from domain.operations import OperationKind, Outcome
from domain.pool import Asset

TRADES = {
    OperationKind.DEPOSIT: InstructionKind.DEPOSIT,
    OperationKind.WITHDRAWAL: InstructionKind.WITHDRAW,
    OperationKind.SWAP: InstructionKind.SWAP,
}
_OF_A_THREAD = frozenset({"spent", "received", "pool-fee"})
FAILED = frozenset({Outcome.FAILED_EXPECTED, Outcome.FAILED_UNEXPECTED})


def check_operations(books: Books, effects: dict[Signature, Effects], found: Findings) -> None:
    """Every operation of the journal, and every transaction that one of our wallets signed."""
    for operation_id, problem in books.journal.broken:
        found.holds("journal", condition=False, message=problem, operation_id=operation_id)
    for event, times in books.journal.unknown_events.items():
        found.note(f"the journal has {times} lines of the event {event!r}, which the audit does not know")
    for operation in books.journal.operations:
        _check_operation(books, operation, effects, found)
    _check_numbers(books, found)
    _check_unbooked(books, found)


def _where(operation: JournalOp) -> dict[str, Any]:
    return {
        "operation_id": operation.operation_id,
        "chain_id": operation.chain_id,
        "pool_id": operation.pool_id,
        "signature": operation.signature,
    }


def _check_operation(books: Books, operation: JournalOp, effects: dict[Signature, Effects], found: Findings) -> None:
    tx = books.transactions.get(operation.signature)
    where = _where(operation)
    settled = operation.settled
    found.holds("open", settled is not None, "an operation without an outcome: open intent", **where)
    if settled is None:
        return
    shown = settled.outcome
    landed = "nothing" if tx is None else "success" if tx.error is None else "failure"
    booked = "nothing" if shown is Outcome.EXPIRED else "failure" if shown in FAILED else "success"
    if shown is Outcome.RECOVERED:
        found.holds("recovered", books.rollbacks > 0, "recovered although Redis never lost anything", **where)
        booked = landed if landed != "nothing" else "success"
    if not found.equal("outcome", landed, booked, f"booked {shown.value}, the chain shows {landed}", **where):
        return
    if tx is None:
        return
    _check_settled(books, operation, settled, tx, found)
    _check_history(books, operation, tx, found)
    if tx.error is None:
        _check_inputs(books, operation, tx, effects[tx.signature], found)


def _check_settled(books: Books, operation: JournalOp, settled: Settled, tx: ChainTx, found: Findings) -> None:
    """Every amount that the line has, against the balances before and after."""
    where = _where(operation)
    spent, received, pool_fee = _amounts(books, operation, tx)
    pairs = (
        ("slot", tx.slot, settled.slot),
        ("fee", tx.fee, settled.fee),
        ("spent", spent, settled.spent),
        ("received", received, settled.received),
        ("pool-fee", pool_fee, settled.pool_fee),
        ("compute", tx.compute_units, settled.compute_units),
    )
    forgotten = _is_forgotten(books, operation)
    for name, expected, actual in pairs:
        if actual is not None and not (forgotten and name in _OF_A_THREAD):
            found.equal(name, expected, actual, f"the chain's {name} differs from the booked one", **where)
    required = (settled.fee, settled.spent, settled.received, settled.pool_fee)
    if operation.kind in TRADES and settled.outcome is not Outcome.RECOVERED:
        found.holds("journal", None not in required, "an operation's outcome without its amounts", **where)
    if tx.error is not None:
        found.holds("error", bool(settled.error), f"failed with {tx.error}, booked without an error", **where)
    else:
        found.equal("error", "", settled.error, "succeeded, booked with an error", **where)


def _is_forgotten(books: Books, operation: JournalOp) -> bool:
    """Of a thread that was created and lost with Redis' newest data: nobody knows which accounts were its own."""
    return books.rollbacks > 0 and operation.kind in TRADES and operation.chain_id not in books.threads_by_id


def _amounts(books: Books, operation: JournalOp, tx: ChainTx) -> tuple[int, int, int]:
    """What the thread's own accounts lost and gained and what the pool's account gained, from the balances alone."""
    book = books.threads_by_id.get(operation.chain_id)
    if operation.kind not in TRADES or book is None or tx.error is not None:
        return 0, 0, 0
    accounts = book.config.accounts
    spent = -tx.token_delta(accounts[book.config.spends])
    received = tx.token_delta(accounts[book.config.receives])
    return spent, received, tx.lamport_delta(Address(book.config.pool_id))


def _check_history(books: Books, operation: JournalOp, tx: ChainTx, found: Findings) -> None:
    """The node lists the signature under the address that signed it: the histories we add up are complete."""
    listed = books.listed.get(tx.payer)
    if listed is not None:
        listed_here = tx.signature in listed
        found.holds(
            "history", listed_here, f"the history of {tx.payer} lacks a landed transaction", **_where(operation)
        )


def _check_inputs(books: Books, operation: JournalOp, tx: ChainTx, effects: Effects, found: Findings) -> None:
    """What was decided is what the chain carried out."""
    where, inputs = _where(operation), operation.inputs
    if operation.kind in TRADES and operation.chain_id in books.threads_by_id:
        trades = [step for step in tx.steps if step.program == books.program]
        kinds = [step.data[0] for step in trades]
        if found.equal("kind", [int(TRADES[operation.kind])], kinds, "other instructions than decided", **where):
            amount = int.from_bytes(trades[0].data[33:41], "little")
            found.equal("amount", int(inputs["amount"]), amount, "another amount than decided", **where)
            found.equal("target", operation.pool_id, trades[0].accounts[3], "another pool than decided", **where)
    if operation.kind is OperationKind.PROBE:
        _check_flow(books, operation, tx, found)
    if isinstance(inputs.get("deltas"), dict):
        wanted = {name: int(text) for name, text in inputs["deltas"].items() if int(text)}
        # A new pool's LP mints and vaults start at zero: accounts that did not change are not listed on either side.
        shown = {account: delta for account, delta in effects.token_deltas().items() if delta}
        found.equal("deltas", wanted, shown, "token accounts changed otherwise than decided", **where)
    if isinstance(inputs.get("lamports"), dict):
        wanted = {name: int(text) for name, text in inputs["lamports"].items()}
        changed = {name: tx.lamport_delta(Address(name)) for name in wanted}
        found.equal("lamports", wanted, changed, "lamports moved otherwise than decided", **where)


def _check_flow(books: Books, operation: JournalOp, tx: ChainTx, found: Findings) -> None:
    """A probe that succeeded moved what its ``flow`` says in the core wallet's accounts, and nothing else there."""
    book = books.pools_by_id.get(Address(operation.pool_id or ""))
    if book is None:
        return
    wanted = {name.removeprefix("minted_"): int(n) for name, n in (operation.inputs.get("flow") or {}).items()}
    of_mint = {book.pool.mint(asset): asset.value for asset in Asset}
    shown = {
        of_mint[move.mint]: move.delta
        for move in tx.tokens.values()
        if move.owner == books.core and move.mint in of_mint and move.delta
    }
    found.equal("flow", wanted, shown, "a probe moved other amounts than it says", **_where(operation))


def _check_numbers(books: Books, found: Findings) -> None:
    """A chain numbers its operations 1, 2, 3 ...: a hole is a line that is missing."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for operation in books.journal.operations:
        numbers[operation.chain_id].append(operation.number)
    for chain_id, seen in numbers.items():
        whole = list(range(1, len(seen) + 1))
        found.equal("numbers", whole, sorted(seen), "the operations of a chain have a hole", chain_id=chain_id)
    last: dict[str, int] = {book.thread_id: book.state.operation_number for book in books.threads}
    last |= {payment.chain_id: payment.operation_number for payment in books.payments}
    for chain_id, number in last.items():
        newest = max(numbers.get(chain_id, [0]))
        found.equal(
            "numbers", number, newest, "the document counts other operations than the journal", chain_id=chain_id
        )


def _check_unbooked(books: Books, found: Findings) -> None:
    """Whatever one of our wallets signed is in the journal."""
    booked = {operation.signature for operation in books.journal.operations}
    older = 0
    for tx in books.transactions.values():
        ours = sorted(books.wallets.intersection(tx.signers))
        if not ours or tx.signature in booked:
            continue
        if tx.slot < books.from_slot:
            older += 1
            continue
        found.holds(
            "unbooked",
            condition=False,
            message="a wallet of ours signed a transaction that is in no journal",
            signature=tx.signature,
            slot=tx.slot,
            signers=ours,
        )
    found.by_check["unbooked"] += len(books.transactions)
    if older:
        found.note(f"{older} transactions of our wallets are older than the journal (slot {books.from_slot})")
