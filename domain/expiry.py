"""What became of a signature: landed, pending, provably expired, or not known (DESIGN.md 5, "Expired is a proof")."""

from __future__ import annotations

from dataclasses import dataclass

from domain.facts import Lookup, Observation, Receipt
from domain.operations import Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """The confirmed transaction, succeeded or failed."""

    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """No outcome yet. ``resend``: nobody knows the signature and it may still land, so the same bytes go out again."""

    resend: bool


@dataclass(frozen=True, slots=True)
class Expired:
    """It never landed and never will."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The node could not say: nothing is concluded."""


Resolution = Landed | Pending | Expired | Unanswered


def resolve(intent: Intent, lookup: Lookup, seen: Observation) -> tuple[Resolution, Intent]:
    """The resolution and the intent to keep (it remembers the first half of an expiry proof).

    The proof has two observations of one endpoint. The first showed a confirmed block height above the last valid one
    at slot S: nothing can land after S. The second, a later request, answers for a slot >= S and knows the signature
    neither as a status nor as a transaction.
    """
    if lookup.receipt is not None:
        return Landed(receipt=lookup.receipt), intent
    if lookup.status is not None:
        # Known to the bank: getTransaction lags behind, or the fork it landed in is not confirmed yet.
        return Pending(resend=False), intent
    if not lookup.asked:
        return Unanswered(), intent
    past = seen.block_height > intent.last_valid_height
    if intent.past_expiry_slot is None:
        if not past:
            return Pending(resend=True), intent
        return Pending(resend=False), _first_half(intent, seen)
    if not past:
        # A node behind the one that showed the height: its silence proves nothing, and nothing can land any more.
        return Pending(resend=False), intent
    if seen.endpoint != intent.past_expiry_endpoint:
        return Pending(resend=False), _first_half(intent, seen)
    if lookup.status_slot < intent.past_expiry_slot or seen.slot < intent.past_expiry_slot:
        return Pending(resend=False), intent
    return Expired(), intent


def _first_half(intent: Intent, seen: Observation) -> Intent:
    """S is the newest slot of the answer: a proof may only ask for more than it needs."""
    return intent.expired_seen(max(seen.slot, seen.height_slot), seen.endpoint)
