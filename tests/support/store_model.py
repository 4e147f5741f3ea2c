"""A plain Python model of what the store promises, and a toy service that uses it: one operation per cycle.

The toy keeps ``{"booked": [...], "n": number}`` as a thread's state and the open operation's id as its intents. An
operation that its worker submitted *lands*; the next cycle books it and owes one entry to the outbox, which the pool's
share chain pays.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from domain.chains import Begun, ChainKind, Commit, Next, Refusal
from domain.ids import ChainId, PoolId, Signature, ThreadId
from domain.state import Order
from domain.thread import TRANSITIONS, OrderKind, ThreadStatus

QUEUE = "queue"
POOL = PoolId("PoolOne")
SHARE = ChainId(f"share:{POOL}")


def next_of(chain_id: str) -> Callable[[int, int], Next]:
    def make(generation: int, seq: int) -> Next:
        return Next(queue=QUEUE, message=json.dumps([chain_id, generation, seq]).encode(), countdown_ms=0)

    return make


@dataclass
class ModelChain:
    """The compare-and-set record of one chain."""

    status: ThreadStatus
    generation: int
    seq: int
    live: bool
    state: str = ""
    intents: str = ""
    order: str = ""
    last_command: str = ""
    holder: str = ""
    held: bool = False  # the holder's lease has not run out
    counted: bool = False  # runs, or still settles after a stop or an error


@dataclass
class Model:
    """Everything the store should hold."""

    chains: dict[str, ModelChain] = field(default_factory=dict)
    tombstones: dict[str, str] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)
    outbox: dict[str, str] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)

    def send(self, chain_id: str, generation: int, seq: int) -> None:
        self.queue.insert(0, next_of(chain_id)(generation, seq).message.decode())

    def running(self) -> set[str]:
        return {name for name, chain in self.chains.items() if chain.counted}

    def eligible(self) -> set[str]:
        """A stop order sets the status at once, so what it leaves running has no order, or a start order."""
        takers = (None, OrderKind.START)
        runs = {name: chain for name, chain in self.chains.items() if chain.status is ThreadStatus.RUNNING}
        return {name for name, chain in runs.items() if name != SHARE and pending(chain.order) in takers}

    def begin(self, chain_id: str, generation: int, seq: int) -> Refusal | None:
        chain = self.chains.get(chain_id)
        if chain is None or not chain.live:
            return Refusal.STOPPED
        if (chain.generation, chain.seq) != (generation, seq):
            return Refusal.SUPERSEDED
        return Refusal.BUSY if chain.held else None

    def refusal(self, commit: Commit) -> Refusal | None:
        begun = commit.begun
        chain = self.chains.get(begun.chain_id)
        if chain is None or (chain.generation, chain.seq) != (begun.generation, begun.seq):
            return Refusal.SUPERSEDED
        if chain.holder != begun.token:
            return Refusal.LEASE
        if any(self.outbox.get(entry) != text for entry, text in commit.outbox_take):
            return Refusal.OUTBOX
        if not set(commit.require_eligible) <= self.eligible():
            return Refusal.MEMBERS
        if commit.end_only_if_pool_idle and (self.running() or len(self.outbox) > len(commit.outbox_take)):
            return Refusal.OCCUPIED
        return None

    def commit(self, commit: Commit) -> None:
        name = commit.begun.chain_id
        chain = self.chains[name]
        for entry, _ in commit.outbox_take:
            del self.outbox[entry]
        self.outbox.update(commit.outbox_put)
        self.journal += commit.journal
        if commit.delete_thread:
            self.tombstones[name] = commit.state
            del self.chains[name]
            return
        self.chains[name] = replace(
            chain,
            status=commit.status or chain.status,
            generation=chain.generation + (commit.status is not None),
            seq=chain.seq + 1,
            live=commit.next is not None,
            counted=commit.next is not None and chain.counted,
            state=commit.state,
            intents=commit.intents,
            order=commit.order,
            holder="",
            held=False,
        )
        if commit.next is not None:
            self.queue.insert(0, commit.next.message.decode())

    def accepts(self, thread_id: str, kind: OrderKind) -> bool:
        chain = self.chains[thread_id]
        return not chain.order and chain.status in TRANSITIONS[kind]

    def order(self, thread_id: str, order: Order) -> None:
        chain = self.chains[thread_id]
        target = TRANSITIONS[order.kind][chain.status]
        self.chains[thread_id] = replace(
            chain,
            status=target,
            generation=chain.generation + 1,
            live=True,
            counted=chain.counted or target is ThreadStatus.RUNNING,
            order=order.to_text(),
            last_command=order.command_id,
            holder="",
            held=False,
        )
        self.send(thread_id, chain.generation + 1, chain.seq)

    def start_share(self) -> bool:
        chain = self.chains.get(SHARE)
        if chain is not None and chain.live:
            return False
        if chain is None:
            self.chains[SHARE] = ModelChain(ThreadStatus.RUNNING, 1, 0, live=True)
        else:
            fresh = replace(chain, generation=chain.generation + 1, live=True, holder="", held=False)
            self.chains[SHARE] = fresh
        started = self.chains[SHARE]
        self.send(SHARE, started.generation, started.seq)
        return True

    def booked(self) -> list[str]:
        states = [chain.state for name, chain in self.chains.items() if name != SHARE]
        return [op for text in (*states, *self.tombstones.values()) if text for op in json.loads(text)["booked"]]


def pending(text: str) -> OrderKind | None:
    order = Order.from_text(text)
    return order.kind if order else None


def plan(begun: Begun, landed: set[str], outbox: dict[str, str], eligible: set[ThreadId]) -> Commit:
    """What the toy service decides in one cycle."""
    if begun.kind is ChainKind.SHARE:
        return _plan_share(begun, outbox, eligible)
    following = next_of(begun.chain_id)(begun.generation, begun.seq + 1)
    state = json.loads(begun.state or '{"booked":[],"n":0}')
    intent, order = begun.intents, pending(begun.order)
    commit = Commit(begun=begun, state="", intents="", order=begun.order, next=following)
    if intent in landed:
        state["booked"].append(intent)
        commit = replace(commit, journal=(intent,), outbox_put=((intent, '{"amount":"1"}'),))
        intent = ""
    if order is OrderKind.START:
        commit = replace(commit, order="")
    elif order is OrderKind.STOP and not intent:
        commit = replace(commit, order="", next=None)
    elif order is OrderKind.DELETE and not intent:
        commit = replace(commit, delete_thread=True, next=None)
    elif order is OrderKind.EMPTY and not intent:
        commit = replace(commit, order="", next=following if begun.status is ThreadStatus.RUNNING else None)
    elif order is None and not intent:
        state["n"] += 1
        intent = f"{begun.chain_id}/{state['n']}"
        commit = replace(commit, signatures=(Signature(intent),))
    return replace(commit, state=json.dumps(state), intents=intent)


def failing(commit: Commit) -> Commit:
    """The same cycle, ending in an unexpected error: nothing new is submitted, what was open stays open."""
    begun = commit.begun
    kept = "" if begun.intents in commit.journal else begun.intents
    state = json.loads(commit.state)
    if commit.signatures:
        state["n"] -= 1
    return replace(
        commit, state=json.dumps(state), intents=kept, order="", status=ThreadStatus.ERROR, next=None, signatures=()
    )


def _plan_share(begun: Begun, outbox: dict[str, str], eligible: set[ThreadId]) -> Commit:
    commit = Commit(begun=begun, state="", intents="", next=next_of(begun.chain_id)(begun.generation, begun.seq + 1))
    entries = tuple(sorted(outbox.items())[:2])
    if not entries:
        return replace(commit, next=None, end_only_if_pool_idle=True)
    takers = tuple(sorted(eligible)[:1])  # with no taker the owner keeps it
    return replace(
        commit,
        outbox_take=entries,
        require_eligible=takers,
        journal=tuple(f"paid {entry}" for entry, _ in entries),
    )
