"""No false alarm: any honest history passes, others' doings are notes; and with one transaction missing none passes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.audit import audit
from domain.audit_effects import SYSTEM, TOKEN
from domain.audit_records import TokenMove
from domain.facts import PoolState
from domain.ids import Address, Signature
from domain.pool import Side
from domain.thread import ThreadKind
from tests.support.audit_books import CORE, POOL_ID, TREASURY, Ledger, ids, make_pool, played, thread, u64

BOOKS = played().books()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_honest_history_passes_and_one_missing_transaction_never_does(data):
    ledger = Ledger(pool=make_pool())
    ledger.airdrop()
    ledger.initialise()
    ledger.create_pool()
    for side, number in ((Side.A, 1), (Side.B, 2)):
        ledger.create_thread(thread(ThreadKind.DEPOSIT, side, number), 10**15)
        ledger.create_thread(thread(ThreadKind.SWAP, side, number), 10**15)
    amounts = st.integers(1, 10**9)
    ledger.operate("deposit_1", 10**12)
    ledger.operate("deposit_2", 10**12)
    for _ in range(data.draw(st.integers(0, 12))):
        name = data.draw(st.sampled_from(["deposit_1", "deposit_2", "swap_1", "swap_2", "consolidate"]))
        if name == "consolidate" and not any(line for line in ledger.lines if "command:consolidate" in line):
            ledger.consolidate()
        elif name != "consolidate":
            ending = data.draw(st.sampled_from(["ok", "ok", "failed", "expired"]))
            amount = max(data.draw(amounts), 10)
            ledger.operate(name, amount, error="Custom(1)" if ending == "failed" else None, expired=ending == "expired")
    books = ledger.books()
    result = audit(books)
    assert result.violations == []
    lost = data.draw(st.sampled_from(sorted(books.transactions)))
    hidden = {signature: tx for signature, tx in books.transactions.items() if signature != lost}
    assert audit(replace(books, transactions=hidden)).violations


def test_others_on_a_shared_chain_are_notes():
    ledger = played()
    ledger.lamports["stranger"] = 10**9
    transfer = b"\x02\0\0\0" + u64(3)
    for target in (POOL_ID, TREASURY, "wallet_swap_1"):
        ledger.execute("stranger", [(SYSTEM, ["stranger", target], transfer, None)], {"stranger": -3, target: 3})
    result = audit(ledger.books())
    assert result.violations == []
    assert len([note for note in result.notes if "straight to it" in note or "from outside" in note]) >= 2
    assert audit(replace(ledger.books(), private=False)).violations == []
    books = replace(played().books(), private=False)
    account = books.accounts[CORE]
    assert account is not None
    robbed = {**books.accounts, CORE: replace(account, lamports=account.lamports - 1)}
    assert "lamport-balance" in ids(audit(replace(books, accounts=robbed)))


def test_tokens_sent_into_a_vault_are_a_note():
    ledger = played()
    step = (TOKEN, ["deposit_1_token_a", "vault_a"], b"\x03" + u64(4), None)
    tx = ledger.execute("wallet_deposit_1", [step], tokens={"deposit_1_token_a": -4, "vault_a": 4})
    ledger.book("command:gift", "fund", tx, {"deltas": {"deposit_1_token_a": "-4", "vault_a": "4"}})
    result = audit(ledger.books())
    assert result.violations == []
    assert any("straight into vault A" in note for note in result.notes)


def test_a_long_list_of_violations_is_cut_but_counted():
    robbed = {
        signature: replace(
            tx, tokens={**tx.tokens, Address("x"): TokenMove(mint=Address("m"), owner=Address("o"), before=0, after=1)}
        )
        for signature, tx in BOOKS.transactions.items()
    }
    many = {
        Signature(f"{signature}-{n}"): replace(tx, signature=Signature(f"{signature}-{n}"))
        for signature, tx in robbed.items()
        for n in range(5)
    }
    result = audit(replace(BOOKS, transactions=many))
    assert result.violated["tx-tokens"] == len(many)
    assert sum(violation["id"] == "AUDIT-tx-tokens" for violation in result.violations) == 50


def test_a_pool_whose_beginning_is_unknown_is_held_to_what_always_holds():
    creation = next(tx.signature for tx in BOOKS.transactions.values() if Address("vault_a") in tx.lamports)
    older = {signature: tx for signature, tx in BOOKS.transactions.items() if signature != creation}
    account = BOOKS.accounts[Address(POOL_ID)]
    assert account is not None
    assert isinstance(account.decoded, PoolState)
    for less, wanted in ((0, set()), (10**12, {"I4"}), (-1, {"J1"})):
        state = replace(account.decoded, liquidity_a=account.decoded.liquidity_a - less)
        accounts = {**BOOKS.accounts, Address(POOL_ID): replace(account, decoded=state)}
        found = ids(audit(replace(BOOKS, transactions=older, accounts=accounts, private=False)))
        assert found & {"I1", "I2", "I4", "I7", "J1", "J3"} == wanted
