"""What one cycle is going to write, collected while it decides; ``commit`` turns it into one atomic step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from domain.chains import Begun, Commit, Mark, Next
from domain.facts import Observation
from domain.faults import Fault
from domain.ids import CommandId, OperationId, PoolId, ThreadId
from domain.operations import Intent, Operation
from domain.thread import ThreadStatus


@dataclass(slots=True, kw_only=True)
class Draft:
    """Mutable on purpose: it lives for one cycle in one worker and is written once.

    ``intents`` are those that stay open (old ones still unknown and new ones); ``new`` and ``resend`` are sent after
    the commit. ``next_ms`` None ends the chain.
    """

    state: str = ""
    order: str = ""
    intents: list[Intent] = field(default_factory=list)
    new: list[Intent] = field(default_factory=list)
    resend: list[Intent] = field(default_factory=list)
    next_ms: int | None = None
    status: ThreadStatus | None = None
    journal: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    observed: str | None = None
    checked: tuple[PoolId, Observation] | None = None  # the snapshot whose check this commit carries
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    outbox_put: dict[str, str] = field(default_factory=dict)
    outbox_take: dict[str, str] = field(default_factory=dict)
    require_eligible: set[ThreadId] = field(default_factory=set)
    records: dict[str, str] = field(default_factory=dict)
    low: set[str] = field(default_factory=set)
    low_served: set[str] = field(default_factory=set)
    policy: str | None = None
    policy_expected: str | None = None
    answer: tuple[CommandId, str] | None = None
    end_only_if_pool_idle: bool = False
    session: str | None = None
    delete_thread: bool = False

    def count(self, name: str, what: str, times: int = 1) -> None:
        """An event counter; never an amount."""
        self.counts[(name, what)] += times

    def add_intent(self, intent: Intent, operation: Operation, now_ms: int) -> None:
        """A new operation: stored and journalled with this commit, sent after it."""
        self.intents.append(intent)
        self.new.append(intent)
        self.note(
            "submitted",
            intent,
            at_ms=now_ms,
            sig=intent.signature,
            n=intent.number,
            height=intent.last_valid_height,
            inputs=intent.inputs,
        )
        self.count("operations", f"{operation.kind.value}.submitted")

    def note(self, event: str, intent: Intent, **fields: Any) -> None:
        """One journal line: plain JSON, amounts as decimal strings."""
        known = {"op": intent.operation_id, "kind": intent.kind.value, "pool": intent.pool_id}
        doc = {"event": event, **known, **fields}
        self.journal.append(orjson.dumps(doc).decode())

    def add_faults(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.faults.append(fault)
            self.count("faults", fault.check)

    def commit(self, begun: Begun, following: Next | None) -> Commit:
        return Commit(
            begun=begun,
            state=self.state,
            intents=orjson.dumps([intent.to_json() for intent in self.intents]).decode(),
            order=self.order,
            status=self.status,
            next=following,
            end_only_if_pool_idle=self.end_only_if_pool_idle,
            journal=tuple(self.journal),
            faults=tuple(fault.to_text() for fault in self.faults),
            signatures=tuple(intent.signature for intent in self.new),
            outbox_put=tuple(self.outbox_put.items()),
            outbox_take=tuple(self.outbox_take.items()),
            require_eligible=tuple(sorted(self.require_eligible)),
            records=tuple(self.records.items()),
            policy=self.policy,
            policy_expected=None if self.policy is None else self.policy_expected,
            marks=tuple(self.marks),
            observed=self.observed,
            low=tuple(sorted(self.low)),
            low_served=tuple(sorted(self.low_served)),
            counts=tuple((name, what, times) for (name, what), times in self.counts.items()),
            answer=self.answer,
            session=self.session,
            delete_thread=self.delete_thread,
        )


def open_intents(begun: Begun) -> list[Intent]:
    return [Intent.from_json(doc) for doc in orjson.loads(begun.intents or "[]")]


def operation_id(begun: Begun, number: int) -> OperationId:
    return OperationId(f"{begun.chain_id}/{number}")
