"""What a pool's threads did, worked out from the chain's transactions and the journal's lines alone.

The journal gives which operation has which signature and when a cycle noted it; amounts, fees, slots and errors are the
chain's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.status_chain import MINT_TO, TRANSFER, Chain, PoolAccount, Tx

TRADES = ("deposit", "withdrawal", "swap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One operation that a cycle has settled: the journal's two lines of it, and its transaction."""

    place: int  # of the line that settled it
    thread: str
    op: str
    kind: str
    amount: int
    submitted_ms: int
    settled_ms: int
    tx: Tx

    @property
    def succeeded(self) -> bool:
        return self.tx.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A thread of the pool; ``accounts``: mint -> token account."""

    thread_id: str
    kind: str
    side: str  # of a swap thread the input's
    wallet: str
    accounts: dict[str, str]
    auto_refill: bool = False

    @property
    def counterpart(self) -> str:
        return {"deposit": "withdrawal", "withdrawal": "deposit", "swap": "swap"}[self.kind]

    def pays(self, other: Member) -> bool:
        if other.thread_id == self.thread_id or other.kind != self.counterpart:
            return False
        return other.side != self.side if self.kind == "swap" else other.side == self.side


@dataclass(slots=True, kw_only=True)
class Book:
    """The whole pool. ``session_from``: place in the journal where the current sessions begin."""

    chain: Chain
    pool_id: str
    pool: PoolAccount
    members: list[Member]
    journal: list[dict[str, Any]]
    session_from: int = 0
    running: set[str] = field(default_factory=set)
    lines: list[Line] = field(default_factory=list)
    submitted: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    @classmethod
    def read(cls, chain: Chain, pool_id: str, members: list[Member], journal: Iterable[str], **more: Any) -> Book:
        book = cls(
            chain=chain,
            pool_id=pool_id,
            pool=chain.pool(pool_id),
            members=members,
            journal=[json.loads(line) for line in journal],
            **more,
        )
        opened: dict[str, dict[str, Any]] = {}
        for place, doc in enumerate(book.journal):
            if doc["event"] == "submitted":
                opened[doc["op"]] = doc
                book.submitted.append((place, doc))
            elif doc["event"] == "settled":
                begun = opened[doc["op"]]
                tx = chain.transaction(begun["sig"])
                assert tx is not None, f"{doc['op']} is settled, the chain does not know it"
                book.lines.append(
                    Line(
                        place=place,
                        thread=doc["op"].rpartition("/")[0],
                        op=doc["op"],
                        kind=begun["kind"],
                        amount=int(begun["inputs"].get("amount", "0")),
                        submitted_ms=begun["at_ms"],
                        settled_ms=doc["at_ms"],
                        tx=tx,
                    )
                )
        return book

    def own(self, member: Member, first: int) -> list[Line]:
        return [
            one for one in self.lines if one.thread == member.thread_id and one.kind in TRADES and one.place >= first
        ]

    def payments(self, kind: str, first: int) -> list[Line]:
        """Of this pool's share or refill chain."""
        chain_id = f"{kind}:{self.pool_id}"
        return [one for one in self.lines if one.thread == chain_id and one.place >= first]

    def mint(self, name: str) -> str:
        return {
            "token_a": self.pool.mint_a,
            "token_b": self.pool.mint_b,
            "lp_a": self.pool.lp_mint_a,
            "lp_b": self.pool.lp_mint_b,
        }[name]

    def spends(self, member: Member) -> str:
        """The token account that the thread's operations take from."""
        prefix = "lp" if member.kind == "withdrawal" else "token"
        return member.accounts[self.mint(f"{prefix}_{member.side.lower()}")]

    def receives(self, member: Member) -> str:
        own, other = member.side.lower(), "b" if member.side == "A" else "a"
        name = {"deposit": f"lp_{own}", "withdrawal": f"token_{own}", "swap": f"token_{other}"}[member.kind]
        return member.accounts[self.mint(name)]

    def ratio(self, member: Member) -> tuple[int, int]:
        pair = (self.pool.ratio_a, self.pool.ratio_b)
        return pair if member.side == "A" else (pair[1], pair[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What one thread did from one place of the journal on."""

    own: list[Line]
    spent: int
    received: int
    sizes: list[int]
    network_fees: int
    pool_fees: int
    paid: int
    sources: dict[str, int]
    times_refilled: int
    tokens_refilled: int
    sol_refilled: int
    payment_fees: int

    @property
    def good(self) -> int:
        return sum(one.succeeded for one in self.own)

    @property
    def bad(self) -> int:
        return len(self.own) - self.good


def mean(total: int, count: int) -> int:
    return total // count if count else 0


def span_of(book: Book, member: Member, first: int) -> Span:
    own = book.own(member, first)
    takes, gives = book.spends(member), book.receives(member)
    sizes = [-one.tx.gained(takes) for one in own if one.succeeded]
    owners = {address: other.thread_id for other in book.members for address in other.accounts.values()}
    mine = set(member.accounts.values())
    paid, sources, payment_fees = 0, Counter[str](), 0
    for one in book.payments("share", first):
        moves = [move for move in one.tx.moves if move[0] == TRANSFER]
        if next(iter(one.tx.lamports)) == member.wallet:
            payment_fees += one.tx.fee
        for _, source, target, amount in moves if one.succeeded else ():
            paid += amount if source in mine else 0
            if target in mine:
                sources[owners[source]] += amount
    refills = [one.tx for one in book.payments("refill", first) if one.succeeded]
    minted = [amount for tx in refills for tag, _, target, amount in tx.moves if tag == MINT_TO and target in mine]
    sol = [tx.lamports[member.wallet] for tx in refills if member.wallet in tx.lamports]
    pool_changes = [one.tx.lamports[book.pool_id] for one in own if one.succeeded]
    return Span(
        own=own,
        spent=sum(sizes),
        received=sum(one.tx.gained(gives) for one in own if one.succeeded),
        sizes=sizes,
        network_fees=sum(one.tx.fee for one in own),
        pool_fees=sum(after - before for before, after in pool_changes),
        paid=paid,
        sources=dict(sources),
        times_refilled=len(minted),
        tokens_refilled=sum(minted),
        sol_refilled=sum(after - before for before, after in sol),
        payment_fees=payment_fees,
    )


def last_sharing(book: Book, member: Member) -> tuple[int, int | None]:
    """What the last transaction that paid from this thread paid, and when that was noted."""
    mine = set(member.accounts.values())
    for one in reversed(book.payments("share", 0)):
        amounts = [move[3] for move in one.tx.moves if move[0] == TRANSFER and move[1] in mine and one.succeeded]
        if amounts:
            return sum(amounts), one.settled_ms
    return 0, None


def balances_at(book: Book, member: Member, slot: int) -> dict[str, int]:
    """What the wallet held when ``slot`` had ended: by the last transaction until then that names the account."""

    def last(values: list[tuple[int, int]]) -> int:
        return max(values, key=lambda pair: pair[0])[1] if values else 0

    def held(address: str, part: str) -> int:
        history = book.chain.history(address)
        named = [tx for tx in history if tx.slot <= slot and address in getattr(tx, part)]
        return last([(number, getattr(tx, part)[address][1]) for number, tx in enumerate(named)])

    found = {"sol": held(member.wallet, "lamports")}
    for name in ("token_a", "token_b", "lp_a", "lp_b"):
        account = member.accounts.get(book.mint(name))
        found[name] = held(account, "tokens") if account else 0
    return found
