"""Equal division of what the outbox owes among the threads that may take it; nothing is lost (DEP-25..29).

A deposit's LP goes to withdrawal threads of that side, a withdrawal's tokens to deposit threads, a swap's output to the
opposite swap thread (WDR-12, SWP-09).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from domain.ids import OperationId, ThreadId
from domain.pool import Asset
from domain.thread import ThreadKind

_TAKES_FROM: Final = {
    ThreadKind.DEPOSIT: ThreadKind.WITHDRAWAL,
    ThreadKind.WITHDRAWAL: ThreadKind.DEPOSIT,
    ThreadKind.SWAP: ThreadKind.SWAP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One entry of a pool's outbox: base units in the owner's account that belong to others."""

    entry_id: OperationId
    owner: ThreadId
    asset: Asset
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """A running thread of the pool and the token it spends."""

    thread_id: ThreadId
    spends: Asset


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """``entries``: the outbox entries that it was made of."""

    owner: ThreadId
    taker: ThreadId
    asset: Asset
    amount: int
    entries: tuple[OperationId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """An amount of one owner that was not paid: still owed (a remainder), or its own from now on (retained)."""

    owner: ThreadId
    asset: Asset
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """``taken`` entries leave the outbox; payments + remainders + retained are exactly their amounts."""

    payments: tuple[Payment, ...]
    remainders: tuple[Rest, ...]
    retained: tuple[Rest, ...]
    taken: frozenset[OperationId]


def kind_of(thread_id: ThreadId) -> ThreadKind:
    """The kind that a thread's name begins with: "swap_3" is a swap thread. Raises ValueError for another name."""
    return ThreadKind(thread_id.rpartition("_")[0])


def may_take(taker: Taker, owner: ThreadId, asset: Asset) -> bool:
    """Same token, the kind that this owner pays, and never the owner itself."""
    return (
        taker.spends is asset and taker.thread_id != owner and kind_of(owner) is _TAKES_FROM[kind_of(taker.thread_id)]
    )


def split(owed: Iterable[Owed], takers: Sequence[Taker]) -> Split:
    """Divide each owner's sum per token equally among its takers.

    The remainder stays owed and joins the next split. What has no taker is retained by its owner (DEP-28). An amount
    smaller than the number of takers is left in the outbox untouched.
    """
    groups: dict[tuple[ThreadId, Asset], list[Owed]] = {}
    for entry in owed:
        groups.setdefault((entry.owner, entry.asset), []).append(entry)
    payments: list[Payment] = []
    remainders: list[Rest] = []
    retained: list[Rest] = []
    taken: set[OperationId] = set()
    for (owner, asset), entries in groups.items():
        total = sum(entry.amount for entry in entries)
        eligible = [taker for taker in takers if may_take(taker, owner, asset)]
        ids = tuple(entry.entry_id for entry in entries)
        if not eligible:
            retained.append(Rest(owner=owner, asset=asset, amount=total))
            taken.update(ids)
            continue
        share, remainder = divmod(total, len(eligible))
        if share == 0:
            continue
        taken.update(ids)
        payments += [
            Payment(owner=owner, taker=taker.thread_id, asset=asset, amount=share, entries=ids) for taker in eligible
        ]
        if remainder:
            remainders.append(Rest(owner=owner, asset=asset, amount=remainder))
    return Split(
        payments=tuple(payments), remainders=tuple(remainders), retained=tuple(retained), taken=frozenset(taken)
    )


def pack(
    payments: Iterable[Payment], fits: Callable[[list[Payment]], bool], singles: AbstractSet[str] = frozenset[str]()
) -> list[list[Payment]]:
    """Group payments, in order, into transactions; ``fits`` says whether one more still goes in.

    A payment made of an entry in ``singles`` gets a transaction of its own: one of its kind has failed before. A
    payment that alone is too much is still a group, so that nothing is dropped; preparing it reports the reason.
    """
    groups: list[list[Payment]] = []
    current: list[Payment] = []
    for payment in payments:
        if not singles.isdisjoint(payment.entries):
            groups.append([payment])
        elif current and not fits([*current, payment]):
            groups.append(current)
            current = [payment]
        else:
            current.append(payment)
    if current:
        groups.append(current)
    return groups


def within(
    owed: Sequence[Owed],
    takers: Sequence[Taker],
    fits: Callable[[list[Payment]], bool],
    singles: AbstractSet[str],
    *,
    room: int,
    turn: int,
) -> list[Owed]:
    """The entries whose payments go into about ``room`` transactions, whole owners only; all, if they do.

    The others wait for the next cycle. ``turn`` moves on with the cycles and says whose turn it is first, so that no
    owner waits for ever. One that has to pay is always let through: its takers alone decide how many transactions that
    makes.
    """
    owners = sorted({(entry.owner, entry.asset) for entry in owed})
    if not owners or room <= 0:
        return []
    first = turn % len(owners)
    place = {owner: number for number, owner in enumerate([*owners[first:], *owners[:first]])}
    ordered = sorted(owed, key=lambda entry: place[entry.owner, entry.asset])
    payments = split(ordered, takers).payments
    groups = pack(payments, fits, singles)
    late = {(payment.owner, payment.asset) for group in groups[room:] for payment in group}
    if late and all((payment.owner, payment.asset) in late for payment in payments):
        late.remove((payments[0].owner, payments[0].asset))  # in turn, so the first
    return [entry for entry in ordered if (entry.owner, entry.asset) not in late]
