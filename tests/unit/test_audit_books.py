"""The audit's rules on small books made by hand: honest books pass, and each kind of manipulation is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from domain.audit import audit
from domain.audit_effects import SYSTEM, TOKEN
from domain.audit_journal import read_journal
from domain.audit_records import Books, ChainTx, Step
from domain.facts import Mint, PoolState, SystemState, TokenAccount, Treasury
from domain.ids import Address, Signature
from tests.support.audit_books import CORE, FRT, POOL_ID, SYSTEM_STATE, TREASURY, ids, played, u64

BOOKS = played().books()
LINES = played().lines


def test_honest_books_have_nothing_unexplained():
    result = audit(BOOKS)
    assert result.violations == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)
    assert result.checks > 400
    assert any("retained" in note for note in result.notes)


# -- the journal --


def with_lines(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Books:
    docs = [change(json.loads(line)) for line in LINES]
    return replace(BOOKS, journal=read_journal(json.dumps(doc) for doc in docs if doc is not None))


def settled(operation: str, **fields: Any) -> Books:
    def change(doc: dict[str, Any]) -> dict[str, Any]:
        return {**doc, **fields} if (doc["event"], doc["op"]) == ("settled", operation) else doc

    return with_lines(change)


@pytest.mark.parametrize(
    ("operation", "fields", "check"),
    [
        ("deposit_1/1", {"spent": "5000000008"}, "spent"),
        ("deposit_1/1", {"received": "5000000006"}, "received"),
        ("swap_1/1", {"received": "1"}, "received"),
        ("swap_1/1", {"pool_fee": "271501"}, "pool-fee"),
        ("withdrawal_1/1", {"fee": "5001"}, "fee"),
        ("withdrawal_1/1", {"cu": 999}, "compute"),
        ("withdrawal_1/1", {"slot": 11}, "slot"),
        ("withdrawal_1/1", {"spent": None}, "journal"),
        ("withdrawal_1/1", {"error": "Custom(1)"}, "error"),
        ("withdrawal_1/2", {"error": ""}, "error"),
        ("withdrawal_1/2", {"outcome": "confirmed"}, "outcome"),
        ("deposit_1/1", {"outcome": "expired"}, "outcome"),
        ("deposit_1/1", {"outcome": "failed_expected"}, "outcome"),
        ("deposit_1/2", {"outcome": "confirmed", "error": ""}, "outcome"),
        ("deposit_1/1", {"outcome": "recovered"}, "recovered"),
        (f"share:{POOL_ID}/1", {"fee": "0"}, "fee"),
        (f"share:{POOL_ID}/1", {"outcome": "expired"}, "outcome"),
    ],
)
def test_a_falsified_outcome_is_found(operation, fields, check):
    assert check in ids(audit(settled(operation, **fields)))


def test_recovered_is_right_after_a_rollback():
    books = replace(settled("deposit_1/1", outcome="recovered"), rollbacks=1)
    assert "recovered" not in ids(audit(books))
    never_landed = replace(settled("deposit_1/2", outcome="recovered"), rollbacks=1)
    assert "outcome" in ids(audit(never_landed))


@pytest.mark.parametrize(
    ("inputs", "check"),
    [
        ({"amount": "5000000008"}, "amount"),
        ({"amount": "5000000007", "deltas": {"vault_a": "1"}}, "deltas"),
        ({"amount": "5000000007", "lamports": {POOL_ID: "13000001"}}, "lamports"),
    ],
)
def test_another_decision_than_what_was_carried_out_is_found(inputs, check):
    def change(doc: dict[str, Any]) -> dict[str, Any]:
        return {**doc, "inputs": inputs} if (doc["event"], doc["op"]) == ("submitted", "deposit_1/1") else doc

    assert check in ids(audit(with_lines(change)))


@pytest.mark.parametrize(
    ("event", "operation", "wanted"),
    [
        ("submitted", "deposit_1/1", {"unbooked", "journal", "totals"}),
        ("submitted", "deposit_1/2", {"journal", "totals", "numbers"}),
        ("settled", "deposit_1/1", {"open", "totals"}),
        ("settled", "command:pause/1", {"open"}),
    ],
)
def test_a_missing_line_is_found(event, operation, wanted):
    books = with_lines(lambda doc: None if (doc["event"], doc["op"]) == (event, operation) else doc)
    assert wanted <= ids(audit(books))


def test_an_operation_missing_with_both_lines_is_a_hole():
    books = with_lines(lambda doc: None if doc["op"] == "withdrawal_1/1" else doc)
    assert {"numbers", "unbooked", "totals"} <= ids(audit(books))
    command = with_lines(lambda doc: None if doc["op"] == "command:pool/1" else doc)
    assert "unbooked" in ids(audit(command))


def test_a_probe_moves_what_its_flow_says():
    ledger = played()
    ledger.held["core_token_a"] = ("mint_a", CORE, 0)
    step = (TOKEN, ["mint_a", "core_token_a", CORE], b"\x07" + u64(5), None)
    ledger.supply["mint_a"] += 5
    tx = ledger.execute(CORE, [step], tokens={"core_token_a": 5})
    ledger.book(f"probe:{POOL_ID}", "probe", tx, {"probe": "setup.accounts", "flow": {"minted_token_a": "5"}})
    assert audit(ledger.books()).violations == []
    falsified = [line.replace('"minted_token_a": "5"', '"minted_token_a": "6"') for line in ledger.lines]
    assert ids(audit(replace(ledger.books(), journal=read_journal(falsified)))) == {"flow"}


def test_a_doubled_operation_is_found():
    """The same transaction booked as two operations, and one operation with two different outcomes."""
    twins = [json.loads(line) for line in LINES if json.loads(line)["op"] == "swap_1/2"]
    doubled = [*LINES, *(json.dumps({**doc, "op": "swap_1/3", "n": 3}) for doc in twins if "n" in doc or "slot" in doc)]
    assert {"journal", "numbers", "totals"} <= ids(audit(replace(BOOKS, journal=read_journal(doubled))))
    again = json.dumps({**json.loads(LINES[-1]), "fee": "1"})
    assert "journal" in ids(audit(replace(BOOKS, journal=read_journal([*LINES, again]))))


def test_a_line_that_was_spilled_twice_counts_once():
    assert audit(replace(BOOKS, journal=read_journal([*LINES, *LINES[4:9]]))).violations == []


def test_lines_that_cannot_be_read_are_violations():
    for line in ("{", "[]", '{"event":"settled"}', '{"event":"submitted","op":"x/1","sig":"s"}'):
        assert "journal" in ids(audit(replace(BOOKS, journal=read_journal([*LINES, line]))))


# -- the chain --


def signature_of(operation: str) -> Signature:
    return next(op.signature for op in BOOKS.journal.operations if op.operation_id == operation)


def with_transaction(operation: str, change: Callable[[ChainTx], ChainTx | None]) -> Books:
    signature = signature_of(operation)
    changed = change(BOOKS.transactions[signature])
    transactions = {key: tx for key, tx in BOOKS.transactions.items() if key != signature}
    return replace(BOOKS, transactions=transactions | ({} if changed is None else {signature: changed}))


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ("deposit_1/1", {"outcome", "I2", "J2", "fees", "lamport-balance", "token-balance", "supply"}),
        ("swap_1/1", {"outcome", "I2", "I4", "fees", "lamport-balance", "token-balance"}),
        ("swap_1/2", {"outcome", "I2", "fees", "J3"}),
        ("withdrawal_1/1", {"outcome", "I2", "J2", "supply"}),
        ("withdrawal_1/2", {"outcome", "lamport-balance"}),
        ("withdrawal_1/3", {"outcome", "supply", "J2"}),
        (f"share:{POOL_ID}/1", {"outcome", "token-balance", "lamport-balance"}),
        ("command:consolidate/1", {"outcome", "fees", "treasury", "J3"}),
        ("command:pool/1", {"outcome", "lamport-balance"}),
    ],
)
def test_a_transaction_that_is_missing_is_found(operation, wanted):
    assert wanted <= ids(audit(with_transaction(operation, lambda _: None)))


def test_a_success_that_was_a_failure_is_found():
    books = with_transaction("swap_1/2", lambda tx: replace(tx, error="Custom(1047)", lamports={}, tokens={}, steps=()))
    assert {"outcome", "I2"} <= ids(audit(books))


def test_a_unit_that_moved_without_an_instruction_is_found():
    def one_more(tx: ChainTx) -> ChainTx:
        account = Address("deposit_1_token_a")
        move = tx.tokens[account]
        return replace(tx, tokens={**tx.tokens, account: replace(move, after=move.after - 1)})

    result = audit(with_transaction("deposit_1/1", one_more))
    assert {"tx-tokens", "spent", "token-balance"} <= ids(result)
    assert result.unexplained_units > 0


def test_a_lamport_that_moved_without_an_instruction_is_found():
    def one_more(tx: ChainTx) -> ChainTx:
        before, after = tx.lamports[Address(POOL_ID)]
        return replace(tx, lamports={**tx.lamports, Address(POOL_ID): (before, after + 1)})

    result = audit(with_transaction("deposit_1/1", one_more))
    assert {"tx-lamports", "pool-fee", "pool-flow"} <= ids(result)
    assert result.unexplained_lamports > 0


def with_step(operation: str, program: str, change: Callable[[Step], Step]) -> Books:
    def changed(tx: ChainTx) -> ChainTx:
        return replace(tx, steps=tuple(change(step) if step.program == program else step for step in tx.steps))

    return with_transaction(operation, changed)


def test_a_wrong_fee_is_found():
    """The pool took another fee than its account says, consistently in transfer, balances and our own line."""

    def other(tx: ChainTx) -> ChainTx:
        lamports = {
            address: (before, after + {POOL_ID: 7, "wallet_deposit_1": -7}.get(address, 0))
            for address, (before, after) in tx.lamports.items()
        }
        fee = (13_000_007).to_bytes(8, "little")
        steps = tuple(replace(s, data=s.data[:4] + fee) if len(s.data) == 12 else s for s in tx.steps)
        return replace(tx, lamports=lamports, steps=steps)

    found = ids(audit(with_transaction("deposit_1/1", other)))
    assert "pool-flow" in found
    assert "tx-lamports" not in found


def test_a_swap_with_another_output_is_found():
    def more(step: Step) -> Step:
        output = int.from_bytes(step.data[41:49], "little") + 1
        return replace(step, data=step.data[:41] + output.to_bytes(8, "little") + step.data[49:])

    assert {"pool-rule", "pool-flow", "I2"} <= ids(audit(with_step("swap_1/1", FRT, more)))


def test_another_target_than_decided_is_found():
    def elsewhere(step: Step) -> Step:
        accounts = tuple(Address("pool2") if account == POOL_ID else account for account in step.accounts)
        return replace(step, accounts=accounts)

    assert "target" in ids(audit(with_step("deposit_1/1", FRT, elsewhere)))
    withdraw = with_step("deposit_1/1", FRT, lambda step: replace(step, data=b"\x03" + step.data[1:]))
    assert "kind" in ids(audit(withdraw))


def test_a_success_inside_a_pause_is_found():
    ledger = played()
    accounts = tuple(map(Address, (CORE, SYSTEM_STATE, POOL_ID, "program_data")))
    pause = Step(program=FRT, accounts=accounts, data=b"\x13\x03" + bytes(32))
    at = next(
        n for n, tx in enumerate(ledger.transactions) if any(s.program == FRT and s.data[0] == 2 for s in tx.steps)
    )
    first = ledger.transactions[at - 1]
    ledger.transactions[at - 1] = replace(
        first, steps=(*first.steps, pause), lamports={**first.lamports, Address(POOL_ID): (0, 0)}
    )
    assert "pool-rule" in ids(audit(ledger.books()))


def test_what_one_of_our_wallets_signed_must_be_booked():
    for wallet in (CORE, "wallet_swap_1"):
        ledger = played()
        ledger.execute(wallet, [])
        assert ids(audit(ledger.books())) == {"unbooked"}
    older = replace(ledger.books(), from_slot=10**6)
    assert "unbooked" not in ids(audit(older))


def test_lamports_that_leave_for_an_unknown_place_are_unexplained():
    ledger = played()
    data = b"\x02\0\0\0" + u64(5)
    tx = ledger.execute(CORE, [(SYSTEM, [CORE, "thief"], data, None)], {CORE: -5, "thief": 5})
    ledger.book("command:theft", "fund", tx, {})
    result = audit(ledger.books())
    assert {"ways", "unexplained"} == ids(result)
    assert result.unexplained_lamports == 5


def test_tokens_that_leave_for_an_unknown_place_are_unexplained():
    ledger = played()
    ledger.held["hidden"] = ("mint_a", "thief", 0)
    step = (
        TOKEN,
        ["deposit_1_token_a", "hidden"],
        b"\x03" + u64(9),
        None,
    )
    tx = ledger.execute("wallet_deposit_1", [step], tokens={"deposit_1_token_a": -9, "hidden": 9})
    ledger.book("command:theft", "fund", tx, {})
    result = audit(ledger.books())
    assert {"conservation", "unexplained"} == ids(result)
    assert result.unexplained_units == 9


def test_a_signature_that_no_history_lists_is_found():
    signature = signature_of("deposit_1/1")
    history = {address: tuple(s for s in listed if s != signature) for address, listed in BOOKS.history.items()}
    assert "history" in ids(audit(replace(BOOKS, history=history)))


def once_more(pause: bytes, resume: bytes) -> Books:
    """A ledger with one deposit, and one consolidation of its fee."""
    ledger = played()
    ledger.operate("deposit_1", 9)
    ledger.consolidate(pause, resume)
    return ledger.books()


def test_a_consolidation_of_a_pool_that_nothing_pauses_is_found():
    result = audit(once_more(b"", b""))
    assert ids(result) == {"pool-rule"}
    assert "neither the pool nor the system was paused" in result.violations[0]["message"]
    # What others may have paused is not ours to know.
    assert "pool-rule" not in ids(audit(replace(once_more(b"", b""), private=False)))


def test_a_system_pause_makes_every_pool_eligible():
    assert ids(audit(once_more(b"\x0c\x0f", b"\x0d"))) == set()
    assert ids(audit(once_more(b"\x13\x01" + bytes(32), b"\x14\x03" + bytes(32)))) == {"pool-rule"}  # half of it is not


# -- the final accounts --


def with_account(address: str, **fields: Any) -> Books:
    account = BOOKS.accounts[Address(address)]
    assert account is not None
    decoded = account.decoded
    if "lamports" in fields:
        account = replace(account, lamports=account.lamports + fields.pop("lamports"))
    if fields:
        assert isinstance(decoded, (PoolState, TokenAccount, Mint, Treasury, SystemState))
        changed = {n: getattr(decoded, n) + v if type(v) is int else v for n, v in fields.items()}
        account = replace(account, decoded=replace(decoded, **changed))
    return replace(BOOKS, accounts={**BOOKS.accounts, Address(address): account})


@pytest.mark.parametrize(
    ("address", "fields", "wanted"),
    [
        ("deposit_1_token_a", {"amount": -1}, {"token-balance", "conservation", "unexplained"}),
        ("withdrawal_1_lp_a", {"amount": 1}, {"token-balance", "conservation", "unexplained"}),
        ("vault_a", {"amount": -1}, {"J1", "token-balance", "conservation"}),
        ("vault_b", {"delegate": Address("x")}, {"I11"}),
        ("lp_mint_a", {"supply": 1}, {"J2", "supply", "conservation", "I4"}),
        ("lp_mint_a", {"freeze_authority": Address("x")}, {"I11"}),
        ("mint_b", {"supply": -1}, {"supply", "conservation"}),
        (CORE, {"lamports": -1}, {"lamport-balance", "unexplained"}),
        ("wallet_swap_1", {"lamports": 1}, {"lamport-balance", "unexplained"}),
        ("deposit_1_lp_a", {"lamports": 1}, {"lamport-balance"}),
        (POOL_ID, {"lamports": -1}, {"J3", "lamport-balance"}),
        (POOL_ID, {"liquidity_a": 1}, {"I2", "I4"}),
        (POOL_ID, {"collected_liquidity_fees": 1}, {"I1", "fees"}),
        (POOL_ID, {"total_fees_collected": 1, "collected_swap_fees": 1}, {"fees"}),
        (POOL_ID, {"total_fees_consolidated": -1}, {"I1", "fees", "J6"}),
        (POOL_ID, {"consolidations": 1}, {"fees"}),
        (POOL_ID, {"liquidity_fee": 1}, {"I8"}),
        (POOL_ID, {"swap_fee": 10_000_000}, {"I8", "I9"}),
        (POOL_ID, {"liquidity_fee": 100_000_000}, {"I8", "I9"}),
        (POOL_ID, {"flags": 0x02}, {"I8"}),
        (POOL_ID, {"flags": 0x80}, {"I8"}),
        (POOL_ID, {"owner": Address("x")}, {"I8"}),
        (POOL_ID, {"ratio_b": 1}, {"I7"}),
        (POOL_ID, {"vault_b": Address("x")}, {"I7"}),
        (POOL_ID, {"bumps": (1, 2, 3, 4, 5)}, {"I7"}),
        (POOL_ID, {"zero_tail": bytes(79) + b"\x01"}, {"I7"}),
        (TREASURY, {"lamports": 1}, {"J5", "J7", "lamport-balance"}),
        (TREASURY, {"lamports": -1}, {"J5"}),
        (TREASURY, {"total_balance": 1}, {"J7"}),
        (TREASURY, {"total_regular_swap_fees": 1}, {"I6", "J6", "treasury"}),
        (TREASURY, {"pool_creation_count": 1}, {"I6", "treasury"}),
        (TREASURY, {"failed_operation_count": 1}, {"I6"}),
        (TREASURY, {"rent_exempt_minimum": 1}, {"I6"}),
        (TREASURY, {"liquidity_operation_count": 1}, {"treasury"}),
        (TREASURY, {"total_consolidations_performed": -1}, {"treasury"}),
        (TREASURY, {"donation_count": 1}, {"treasury"}),
        (SYSTEM_STATE, {"pause_timestamp": 1}, {"I13"}),
        (SYSTEM_STATE, {"is_paused": True}, {"system-pause"}),
    ],
)
def test_an_account_that_is_off_is_found(address, fields, wanted):
    assert wanted <= ids(audit(with_account(address, **fields)))


@pytest.mark.parametrize(
    ("address", "check"),
    [(POOL_ID, "pool-there"), (TREASURY, "treasury-there"), (SYSTEM_STATE, "system-there"), ("mint_a", "supply")],
)
def test_an_account_that_cannot_be_read_is_no_pass(address, check):
    books = replace(BOOKS, accounts={**BOOKS.accounts, Address(address): None})
    assert check in ids(audit(books))


# -- our own totals --


@pytest.mark.parametrize(
    "name",
    [
        "submitted",
        "confirmed",
        "failed_expected",
        "expired",
        "recovered",
        "spent",
        "received",
        "network_fees",
        "pool_fees",
        "smallest",
        "largest",
        "owed",
        "kept",
        "rounding_loss_nano",
        "burned_lp_a",
        "burned_token_b",
    ],
)
@pytest.mark.parametrize("number", [0, 2])
def test_a_total_that_is_off_by_one_is_found(name, number):
    thread_book = BOOKS.threads[number]
    lifetime = thread_book.state.lifetime
    off = replace(lifetime, **{name: getattr(lifetime, name) + 1})
    threads = list(BOOKS.threads)
    threads[number] = replace(thread_book, state=replace(thread_book.state, lifetime=off))
    assert "totals" in ids(audit(replace(BOOKS, threads=tuple(threads))))


def test_ledgers_and_outbox_that_are_off_are_found():
    ledger = played()
    ledger.ledger["share:deposit_1"]["paid"]["lp_a"] = "1"
    assert ids(audit(ledger.books())) == {"shares"}
    ledger = played()
    ledger.ledger["refill:deposit_1"] = {"times": 1, "tokens": "5", "sol": "0"}
    assert ids(audit(ledger.books())) == {"refills"}
    ledger = played()
    ledger.payments[f"share:{POOL_ID}"]["confirmed"] += 1
    assert ids(audit(ledger.books())) == {"totals"}
    ledger = played()
    ledger.volume["lp_a"] -= 1
    assert ids(audit(ledger.books())) == {"totals"}
    ledger = played()
    ledger.outbox["deposit_1/1"]["amount"] = str(10**13)
    assert ids(audit(ledger.books())) == {"owed", "outbox"}
    ledger = played()
    del ledger.outbox["swap_1/1"]
    assert ids(audit(ledger.books())) == {"owed"}


def test_tokens_of_a_mint_that_others_made_may_lie_anywhere():
    """On a shared chain a pool of somebody else's is traded by strangers, whose accounts no book of ours knows."""
    shared = replace(BOOKS, private=False, core=Address("somebody"), threads=())
    assert "conservation" not in ids(audit(shared))
    assert any("made by others" in note for note in audit(shared).notes)
