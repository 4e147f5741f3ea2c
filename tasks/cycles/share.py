"""The share chain of a pool: pays what the outbox owes, split equally among the running threads that may take it.

Entries move from the outbox into an intent and from there to paid, or back to owed: never two places at once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from domain.chain.keyring import KeyMissingError
from domain.chain.keystore import KeystoreError
from domain.chain.transaction import MAX_TRANSACTION_BYTES
from domain.flows import share_field
from domain.ids import Address, OperationId, ThreadId
from domain.operations import Intent, Operation, OperationKind, Outcome, Transfer
from domain.pool import Asset
from domain.sharing import Owed, Payment, Split, Taker, pack, split, within
from tasks.cycles.payments import PaymentCycle
from tasks.draft import Draft
from tasks.walk import Cycle

TRANSFER_BYTES: Final = 15  # program, three accounts, tag and amount, with their lengths
LIMIT_BYTES: Final = 8  # the compute-unit limit


# Transactions of one pool that may be unsettled: one request asks for all of them, and nodes take 50 KiB.
OPEN_AT_ONCE: Final = 24


def share_cycle(cycle: Cycle) -> Draft:
    return ShareCycle(cycle).run()


class ShareCycle(PaymentCycle):
    def run(self) -> Draft:
        intents = self.open_intents()
        ledger = self.runtime.store.ledger(self.pool.pool_id)
        mark = share_field("")
        self.ledger = {name: json.loads(text) for name, text in ledger.items() if name.startswith(mark)}
        self.changed: set[str] = set()
        slot = self.state.last_slot
        if intents:
            seen = self.observe(intents, ())
            if seen is None:
                self.draft.intents = intents
                return self.written()
            slot = seen.slot
            self.settle(intents, seen, self._settled)
        outbox = self.runtime.store.outbox(self.pool.pool_id)
        if outbox and not self.begun.service_paused:
            if self.can_prepare():
                self._pay(outbox, slot)
        elif not outbox and not self.draft.intents and not self.draft.outbox_put:
            self._maybe_end()
        for name in self.changed:
            self.draft.records[name] = json.dumps(self.ledger[name], separators=(",", ":"))
        return self.written()

    def _maybe_end(self) -> None:
        """The chain ends by itself once nobody runs; the store refuses when somebody does."""
        if not self.runtime.store.running(self.pool.pool_id):
            self.draft.next_ms = None
            self.draft.end_only_if_pool_idle = True

    def _settled(self, intent: Intent, outcome: Outcome, fee: int) -> None:
        entries = intent.inputs["entries"]
        if outcome is not Outcome.EXPIRED:
            payer = self._account(entries[0]["owner"])  # its wallet paid, whatever became of the payments
            payer |= {"fees": str(int(payer.get("fees", "0")) + fee), "fee_payments": payer.get("fee_payments", 0) + 1}
        paid: Counter[str] = Counter()
        for entry in entries:
            if outcome is Outcome.CONFIRMED:
                self._paid(entry)
                paid[entry["owner"]] += int(entry["amount"])
            else:
                self._owe_again(intent, entry, alone=outcome is not Outcome.EXPIRED and len(entries) > 1)
        for owner, amount in paid.items():
            self._account(owner).update(last_amount=str(amount), last_at_ms=self.settled_ms)

    def _paid(self, entry: dict[str, Any]) -> None:
        amount = int(entry["amount"])
        owner, taker = self._account(entry["owner"]), self._account(entry["taker"])
        _add(owner["paid"], entry["asset"], amount)
        _add(owner["paid_to"], entry["taker"], amount)
        _add(taker["received"], entry["owner"], amount)
        self.state.add_volume(entry["asset"], amount)

    def _account(self, thread_id: str) -> dict[str, Any]:
        name = share_field(thread_id)
        self.changed.add(name)
        record: dict[str, Any] = self.ledger.setdefault(
            name, {"paid": {}, "paid_to": {}, "received": {}, "retained": {}}
        )
        return record

    def _owe_again(self, intent: Intent, entry: dict[str, Any], *, alone: bool) -> None:
        """The payment did not happen. One that failed beside others is tried alone, so that it blocks nobody."""
        entry_id = f"{intent.operation_id}/{len(self.draft.outbox_put)}"
        self.draft.outbox_put[entry_id] = _entry_text(entry["owner"], entry["asset"], int(entry["amount"]))
        if alone:
            self.state.alone.append(entry_id)

    def _pay(self, outbox: dict[str, str], slot: int) -> None:
        owed = [_owed(entry_id, text) for entry_id, text in outbox.items()]
        able = {owner for owner in {entry.owner for entry in owed} if self._can_sign(owner)}
        owed = [entry for entry in owed if entry.owner in able]
        takers = [
            Taker(thread_id=config.thread_id, spends=config.spends)
            for config in map(self.runtime.thread, sorted(self.runtime.store.eligible(self.pool.pool_id)))
        ]
        singles = set(self.state.alone)
        room = OPEN_AT_ONCE - len(self.draft.intents)
        owed = within(owed, takers, fits, singles, room=room, turn=self.begun.seq)
        shares = split(owed, takers)
        self._move(shares, outbox)
        self.state.alone = [
            entry_id for entry_id in self.state.alone if entry_id in outbox and entry_id not in shares.taken
        ]
        groups = pack(shares.payments, fits, singles)
        for batch in groups:
            self.act(self._operation(batch), slot)
            self.draft.require_eligible |= {payment.taker for payment in batch}

    def _can_sign(self, owner: ThreadId) -> bool:
        """An owner whose wallet cannot be opened goes on owing, and holds nobody else up."""
        try:
            self.runtime.chain.keyring.get(self.runtime.thread(owner).wallet)
        except (KeystoreError, KeyMissingError):
            self.draft.count("waits", "share.wallet_unusable")
            return False
        return True

    def _move(self, shares: Split, outbox: dict[str, str]) -> None:
        """Everything taken leaves the outbox; the remainder goes back in, what has no taker stays with its owner."""
        for entry_id in shares.taken:
            self.draft.outbox_take[entry_id] = outbox[entry_id]
        for number, rest in enumerate(shares.remainders):
            rest_id = f"{self.begun.chain_id}/{self.begun.generation}.{self.begun.seq}/r{number}"
            self.draft.outbox_put[rest_id] = _entry_text(rest.owner, rest.asset.value, rest.amount)
        for kept in shares.retained:
            _add(self._account(kept.owner)["retained"], kept.asset.value, kept.amount)
            self.draft.count("retained", kept.asset.value)

    def _operation(self, batch: Sequence[Payment]) -> Operation:
        """One transaction: the first owner pays its fee, every owner signs for its own account."""
        wallets = {payment.owner: self.runtime.thread(payment.owner) for payment in batch}
        takers = {payment.taker: self.runtime.thread(payment.taker) for payment in batch}
        transfers, entries = [], []
        deltas: dict[Address, int] = {}
        for payment in batch:
            owner, taker = wallets[payment.owner], takers[payment.taker]
            source, destination = owner.accounts[payment.asset], taker.accounts[payment.asset]
            transfers.append(
                Transfer(owner=owner.wallet, source=source, destination=destination, amount=payment.amount)
            )
            deltas[source] = deltas.get(source, 0) - payment.amount
            deltas[destination] = deltas.get(destination, 0) + payment.amount
            entries.append(
                {
                    "owner": payment.owner,
                    "taker": payment.taker,
                    "asset": payment.asset.value,
                    "amount": str(payment.amount),
                }
            )
        payer = wallets[batch[0].owner].wallet
        involved = dict.fromkeys([*(c.wallet for c in wallets.values()), *(c.wallet for c in takers.values())])
        return Operation(
            kind=OperationKind.SHARE,
            actions=tuple(transfers),
            payer=payer,
            signers=tuple(dict.fromkeys(config.wallet for config in wallets.values())),
            inputs={
                "entries": entries,
                "deltas": {address: str(delta) for address, delta in deltas.items()},
                "wallets": list(involved),
            },
            compute_units=200_000,
            pool_id=self.pool.pool_id,
        )


def fits(batch: Sequence[Payment]) -> bool:
    """Do these transfers go into one transaction? By arithmetic: building each candidate took a fifth of all CPU.

    Owners sign; each owner and asset has a source account, each taker and asset a destination; the token and the
    compute-budget program are two more keys. A test compares the size with a built transaction's.
    """
    return transaction_bytes(batch) <= MAX_TRANSACTION_BYTES


def transaction_bytes(batch: Sequence[Payment]) -> int:
    owners = {payment.owner for payment in batch}
    accounts = {(payment.owner, payment.asset) for payment in batch}
    accounts |= {(payment.taker, payment.asset) for payment in batch}
    keys = len(owners) + len(accounts) + 2
    header_and_lengths = 1 + 3 + 1 + 32 + 1
    return header_and_lengths + 64 * len(owners) + 32 * keys + LIMIT_BYTES + TRANSFER_BYTES * len(batch)


def _add(amounts: dict[str, str], name: str, amount: int) -> None:
    amounts[name] = str(int(amounts.get(name, "0")) + amount)


def _entry_text(owner: str, asset: str, amount: int) -> str:
    return json.dumps({"owner": owner, "asset": asset, "amount": str(amount)}, separators=(",", ":"))


def _owed(entry_id: str, text: str) -> Owed:
    doc = json.loads(text)
    return Owed(
        entry_id=OperationId(entry_id),
        owner=ThreadId(doc["owner"]),
        asset=Asset(doc["asset"]),
        amount=int(doc["amount"]),
    )
