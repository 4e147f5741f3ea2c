"""What a pool's own chains and commands did for one thread: payments to and from others, refills, fundings.

The pool's ledger holds these records over a thread's whole life, ``share:<thread>`` written by the share chain,
``refill:<thread>`` by the refill chain and ``fund:<thread>`` by one funding command at a time. ``session:<thread>``,
written by the thread itself when a session begins, says where they stood then: a session's flows are the difference.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from domain.pool import Asset

SHARE = "share"
REFILL = "refill"
FUND = "fund"
FUNDED = ("sol", *(asset.value for asset in Asset))
SESSION = "session"


def share_field(thread_id: str) -> str:
    return f"{SHARE}:{thread_id}"


def refill_field(thread_id: str) -> str:
    return f"{REFILL}:{thread_id}"


def funding_field(thread_id: str) -> str:
    return f"{FUND}:{thread_id}"


def funding_lease(thread_id: str) -> str:
    """Held by the one command that sends money or tokens to the thread's wallet and writes its funding record."""
    return f"{FUND}:{thread_id}"


def session_field(thread_id: str) -> str:
    return f"{SESSION}:{thread_id}"


def ledger_fields(thread_id: str) -> tuple[str, str, str, str]:
    """The four fields of the pool's ledger that belong to a thread."""
    return share_field(thread_id), refill_field(thread_id), funding_field(thread_id), session_field(thread_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Base units of the one token that flows each way; ``sol_refilled`` and ``fees`` in lamports."""

    paid: int = 0  # to other threads
    retained: int = 0  # nobody could take it
    sources: dict[str, int] = field(default_factory=dict)  # received, by the thread it came from
    fees: int = 0  # network fees of payments, paid by this thread's wallet
    fee_payments: int = 0  # how many transactions that were
    times_refilled: int = 0
    tokens_refilled: int = 0
    sol_refilled: int = 0
    funded: dict[str, int] = field(default_factory=dict)  # by a person: lamports as "sol", base units by asset
    last_amount: int = 0  # paid by the last transaction that paid from this thread
    last_at_ms: int = 0

    @property
    def received(self) -> int:
        return sum(self.sources.values())

    @classmethod
    def of(cls, thread_id: str, ledger: Mapping[str, str]) -> Self:
        """Over the whole life; absent records are zero."""
        share: dict[str, Any] = json.loads(ledger.get(share_field(thread_id), "{}"))
        refill: dict[str, Any] = json.loads(ledger.get(refill_field(thread_id), "{}"))
        fund: dict[str, Any] = json.loads(ledger.get(funding_field(thread_id), "{}"))
        return cls(
            paid=_sum(share.get("paid", {})),
            retained=_sum(share.get("retained", {})),
            sources={source: int(amount) for source, amount in share.get("received", {}).items()},
            fees=int(share.get("fees", "0")),
            fee_payments=share.get("fee_payments", 0),
            times_refilled=refill.get("times", 0),
            tokens_refilled=int(refill.get("tokens", "0")),
            sol_refilled=int(refill.get("sol", "0")),
            funded={name: int(fund[name]) for name in FUNDED if name in fund},
            last_amount=int(share.get("last_amount", "0")),
            last_at_ms=share.get("last_at_ms", 0),
        )

    def to_text(self, error_counts: Mapping[str, int]) -> str:
        """The record of a session that begins now: these flows, and the errors counted so far."""
        doc = {
            "paid": str(self.paid),
            "retained": str(self.retained),
            "received": {source: str(amount) for source, amount in self.sources.items()},
            "fees": str(self.fees),
            "fee_payments": self.fee_payments,
            "times": self.times_refilled,
            "tokens": str(self.tokens_refilled),
            "sol": str(self.sol_refilled),
            "funded": {name: str(amount) for name, amount in self.funded.items()},
            "errors": dict(error_counts),
        }
        return json.dumps(doc, separators=(",", ":"))

    def since(self, thread_id: str, ledger: Mapping[str, str]) -> Self:
        """What of these came after the session began; all of them when the ledger knows no beginning.

        ``last_amount`` and ``last_at_ms`` stay: they are no sums.
        """
        base: dict[str, Any] = json.loads(ledger.get(session_field(thread_id), "{}"))
        before = {source: int(amount) for source, amount in base.get("received", {}).items()}
        gained = {source: amount - before.get(source, 0) for source, amount in self.sources.items()}
        return replace(
            self,
            paid=self.paid - int(base.get("paid", "0")),
            retained=self.retained - int(base.get("retained", "0")),
            sources={source: amount for source, amount in gained.items() if amount},
            fees=self.fees - int(base.get("fees", "0")),
            fee_payments=self.fee_payments - base.get("fee_payments", 0),
            times_refilled=self.times_refilled - base.get("times", 0),
            tokens_refilled=self.tokens_refilled - int(base.get("tokens", "0")),
            sol_refilled=self.sol_refilled - int(base.get("sol", "0")),
            funded={name: amount - int(base.get("funded", {}).get(name, "0")) for name, amount in self.funded.items()},
        )


def errors_since(thread_id: str, ledger: Mapping[str, str], error_counts: Mapping[str, int]) -> dict[str, int]:
    """Errors by name that were counted after the session began."""
    base: dict[str, Any] = json.loads(ledger.get(session_field(thread_id), "{}"))
    return dict(Counter(error_counts) - Counter(base.get("errors", {})))


def _sum(amounts: Mapping[str, str]) -> int:
    return sum(int(amount) for amount in amounts.values())
