"""What the two paying chains of a pool share: their document, and settling intents that carry exact payments."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from domain.chain.gateway import ChainUnreachableError, Want
from domain.expiry import Expired, Landed, Pending, resolve
from domain.facts import Observation, Receipt
from domain.ids import Address
from domain.operations import Intent, Operation, Outcome
from domain.pool import Pool
from domain.randomness import countdown_ms
from domain.settle import settle_payment
from domain.store.histogram import bucket_of
from tasks.draft import Draft, open_intents, operation_id
from tasks.walk import Cycle

Settled = Callable[[Intent, Outcome, int], None]  # the last is the network fee that was paid, in lamports


@dataclass(slots=True, kw_only=True)
class PaymentState:
    """The document of a share or refill chain. Totals count transactions; ``volume`` is base units per asset."""

    operation_number: int = 0
    last_slot: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    volume: dict[str, int] = field(default_factory=dict)
    alone: list[str] = field(default_factory=list)  # entries to be tried in a transaction of their own

    def count(self, what: str) -> None:
        self.totals[what] = self.totals.get(what, 0) + 1

    def add_volume(self, what: str, amount: int) -> None:
        self.volume[what] = self.volume.get(what, 0) + amount

    def to_text(self) -> str:
        doc = {
            "operation_number": self.operation_number,
            "last_slot": self.last_slot,
            "totals": self.totals,
            "volume": {name: str(amount) for name, amount in self.volume.items()},
            "alone": self.alone,
        }
        return json.dumps(doc, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> PaymentState:
        doc: dict[str, Any] = json.loads(text or "{}")
        return cls(
            operation_number=doc.get("operation_number", 0),
            last_slot=doc.get("last_slot", 0),
            totals=doc.get("totals", {}),
            volume={name: int(amount) for name, amount in doc.get("volume", {}).items()},
            alone=doc.get("alone", []),
        )


class PaymentCycle:
    """The facts and the draft of one cycle of a chain that pays. ``seen`` is None while there was nothing to ask."""

    def __init__(self, cycle: Cycle) -> None:
        begun = cycle.begun
        if begun.pool_id is None:
            raise ValueError(f"{begun.chain_id} has no pool")
        self.cycle = cycle
        self.begun = begun
        self.runtime = cycle.runtime
        self.pool: Pool = cycle.runtime.pool(begun.pool_id)
        self.state = PaymentState.from_text(begun.state)
        self.settled_ms = cycle.now_ms
        self.draft = Draft()
        self.draft.next_ms = countdown_ms(cycle.runtime.jitter, cycle.runtime.settings)

    def observe(self, intents: list[Intent], addresses: tuple[Address, ...]) -> Observation | None:
        want = Want.outcomes(intents, addresses, self.state.last_slot)
        try:
            return self.runtime.chain.observe(want)
        except ChainUnreachableError:
            self.draft.count("waits", f"{self.begun.kind.value}.chain_unreachable")
            return None

    def settle(self, intents: list[Intent], seen: Observation, settled: Settled) -> None:
        """Book every intent with an outcome; ``settled`` does what the kind must do with its entries."""
        self.settled_ms = self.cycle.now_ms  # one moment for the journal and the ledger
        for intent in intents:
            resolution, updated = resolve(intent, seen.lookups[intent.signature], seen)
            match resolution:
                case Landed(receipt=receipt):
                    settled(intent, self._book(intent, receipt), receipt.fee)
                case Expired():
                    self.state.count("expired")
                    self.draft.note("settled", intent, at_ms=self.settled_ms, outcome=Outcome.EXPIRED.value)
                    self.draft.count("operations", f"{intent.kind.value}.expired")
                    settled(intent, Outcome.EXPIRED, 0)
                case Pending(resend=resend):
                    self.draft.intents.append(updated)
                    if resend:
                        self.draft.resend.append(updated)
                case _:
                    self.draft.intents.append(updated)

    def _book(self, intent: Intent, receipt: Receipt) -> Outcome:
        settlement = settle_payment(intent, receipt, self.pool)
        booked = settlement.booked_for(intent).outcome
        self.state.last_slot = max(self.state.last_slot, receipt.slot)
        self.state.count(booked.value)
        self.draft.add_faults(settlement.faults)
        self.draft.note(
            "settled",
            intent,
            at_ms=self.settled_ms,
            slot=receipt.slot,
            outcome=booked.value,
            error=settlement.error,
            fee=str(receipt.fee),
            cu=receipt.compute_units,
        )
        kind = intent.kind.value
        self.draft.count("operations", f"{kind}.{booked.value}")
        self.draft.count("checks", "payment")
        if settlement.error:
            self.draft.count("errors", settlement.error)
        if receipt.compute_units is not None:
            self.draft.count("cu", f"{kind}:{bucket_of(receipt.compute_units)}")
        self.draft.count("confirm", f"{kind}:{bucket_of(self.settled_ms - intent.prepared_at_ms)}")
        return settlement.outcome

    def can_prepare(self) -> bool:
        """A fresh blockhash is at hand. Without one nothing may be begun: what is settled is still committed."""
        try:
            self.runtime.chain.blockhash()
        except ChainUnreachableError:
            self.draft.count("waits", f"{self.begun.kind.value}.chain_unreachable")
            return False
        return True

    def act(self, operation: Operation, slot: int) -> Intent:
        number = self.state.operation_number + 1
        intent = self.runtime.chain.prepare(
            operation, operation_id(self.begun, number), number, now_ms=self.cycle.now_ms, slot=slot
        )
        # Only now: what could not be prepared must leave no hole in the numbers.
        self.state.operation_number = number
        self.state.count("submitted")
        self.draft.add_intent(intent, operation, self.cycle.now_ms)
        return intent

    def written(self) -> Draft:
        self.draft.state = self.state.to_text()
        return self.draft

    def open_intents(self) -> list[Intent]:
        return open_intents(self.begun)
