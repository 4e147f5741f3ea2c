"""The documents a thread's chain owns: totals, waiting, errors, the order it carries out.

Written whole by every commit. Amounts are decimal strings in JSON and ints here (DESIGN.md 3, "Numbers in Redis").
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any

from domain.ids import CommandId
from domain.operations import Outcome
from domain.thread import OrderKind

ERROR_HISTORY = 10
TREND_LENGTH = 10
MINUTE_MS = 60_000
MINUTES_OF_ERRORS = 60
IDLE_MS = 60_000  # a running thread that looked at no wallet for so long was not at work: the service was down


# Totals and ThreadState are values: nothing changes one in place. They are not frozen because every cycle makes a
# dozen of them, and a frozen dataclass of 25 fields takes five times as long to make.
@dataclass(slots=True, kw_only=True)
class Totals:
    """What one thread's operations did. Every amount was read from a confirmed transaction. Fees are lamports."""

    submitted: int = 0
    confirmed: int = 0
    failed_expected: int = 0
    failed_unexpected: int = 0
    expired: int = 0
    recovered: int = 0
    spent: int = 0  # base units of what the thread spends
    received: int = 0  # base units of what its operations gave it
    smallest: int = 0  # 0 = none yet
    largest: int = 0
    network_fees: int = 0
    pool_fees: int = 0
    rounding_loss_nano: int = 0  # swaps: floor(rem * 1e9 / r_in), in 1e-9 units of the output token
    least_loss_pico: int = 0  # swaps: the smallest and largest part of an output that was rounded off, in 1e-12;
    most_loss_pico: int = 0  # both mean something once ``confirmed`` is above 0
    owed: int = 0  # put into the outbox
    kept: int = 0  # received while sharing was off
    empties: int = 0
    empties_failed: int = 0
    burned_token_a: int = 0
    burned_token_b: int = 0
    burned_lp_a: int = 0
    burned_lp_b: int = 0

    def counted(self, outcome: Outcome) -> Totals:
        name = outcome.value
        return self.evolved(**{name: getattr(self, name) + 1})

    def evolved(self, **changes: int) -> Totals:
        return Totals(**(dict(zip(_TOTALS, _OF_TOTALS(self), strict=True)) | changes))

    def plus(self, **amounts: int) -> Totals:
        return self.evolved(**{name: getattr(self, name) + amount for name, amount in amounts.items()})

    def to_json(self) -> dict[str, str]:
        # Not asdict: its deep copy was a quarter of a cycle's own work.
        return {name: str(value) for name in self.__dataclass_fields__ if (value := getattr(self, name))}

    @classmethod
    def from_json(cls, doc: dict[str, str]) -> Totals:
        return cls(**{name: int(value) for name, value in doc.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorNote:
    """MON-74..79: one error of the history."""

    at_ms: int
    error: str  # name, for example "PoolLiquidityPaused"
    message: str
    category: str  # network | transaction | logic | system
    operation_type: str
    attempted_amount: str
    available_balance: str  # "" when nothing was read
    recovery_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A person's order that the thread's own chain carries out (empty, delete, stop, start).

    ``step`` and ``data`` are the chain's own memory of how far it got; ``data`` holds plain JSON, amounts as text.
    """

    kind: OrderKind
    command_id: CommandId
    step: int = 0
    data: dict[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        doc = {"kind": self.kind.value, "command": self.command_id, "step": self.step, "data": self.data}
        return json.dumps(doc, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Order | None:
        if not text:
            return None
        doc = json.loads(text)
        return cls(kind=OrderKind(doc["kind"]), command_id=doc["command"], step=doc["step"], data=doc["data"])


@dataclass(slots=True, kw_only=True)
class ThreadState:
    """A thread's document. ``balances``: of the last snapshot, base units and lamports, keyed sol, token_a ... lp_b."""

    operation_number: int = 0
    session: Totals = field(default_factory=Totals)
    lifetime: Totals = field(default_factory=Totals)
    past_active_ms: int = 0  # how long the sessions before this one lasted together
    session_started_at_ms: int = 0
    session_reason: str = ""
    session_idle_ms: int = 0  # of this session, the times in which it was not at work
    session_slot: int = 0  # of the snapshot the session began with; 0: no session is open, or it has no snapshot yet
    stopped_at_ms: int = 0
    stop_reason: str = ""
    last_slot: int = 0  # slot of the newest settled transaction: older snapshots are stale
    balances: dict[str, int] = field(default_factory=dict)
    balances_slot: int = 0
    balances_at_ms: int = 0
    waiting: str = ""  # reason of the wait that lasts, "" while acting
    waiting_since_ms: int = 0
    waits: int = 0
    cycles: int = 0
    consecutive_failures: int = 0
    first_operation_at_ms: int = 0  # of this session
    last_operation_at_ms: int = 0
    last_success_at_ms: int = 0
    last_confirm_ms: int = 0  # from the last own operation's preparation to the cycle that settled it
    fee_trend: tuple[int, ...] = ()
    loss_trend: tuple[int, ...] = ()
    errors: tuple[ErrorNote, ...] = ()
    error_counts: dict[str, int] = field(default_factory=dict)  # name -> how often, over the whole life
    error_minutes: dict[str, int] = field(default_factory=dict)  # minute of the epoch -> errors, of the last hour

    def evolved(self, **changes: Any) -> ThreadState:
        """A copy with changes: dataclasses.replace, in a third of its time."""
        return ThreadState(**(dict(zip(_STATE, _OF_STATE(self), strict=True)) | changes))

    def noted(self, note: ErrorNote, limit: int = ERROR_HISTORY) -> ThreadState:
        counts = {**self.error_counts, note.error: self.error_counts.get(note.error, 0) + 1}
        minute = note.at_ms // MINUTE_MS
        recent = {at: count for at, count in self.error_minutes.items() if int(at) >= minute - MINUTES_OF_ERRORS}
        recent[str(minute)] = recent.get(str(minute), 0) + 1
        errors = (*self.errors, note)[-limit:]
        return self.evolved(errors=errors, error_counts=counts, error_minutes=recent)

    def errors_since_an_hour(self, now_ms: int) -> int:
        """Errors of the last hour, counted by the minute: this one, which is not over, and the 60 before it."""
        first = now_ms // MINUTE_MS - MINUTES_OF_ERRORS
        return sum(count for at, count in self.error_minutes.items() if int(at) >= first)

    def session_ms(self, now_ms: int) -> int:
        """How long the current session has been at work, or the last one was; 0 before the first."""
        if not self.session_started_at_ms:
            return 0
        end_ms = self.stopped_at_ms or now_ms - self.idle_ms(now_ms)
        return max(0, end_ms - self.session_started_at_ms - self.session_idle_ms)

    def idle_ms(self, now_ms: int) -> int:
        """Since the last look at the wallet in a session that goes on, if a thread at work would have looked again."""
        if not self.session_started_at_ms or self.stopped_at_ms:
            return 0
        since_ms = now_ms - max(self.session_started_at_ms, self.balances_at_ms)
        return since_ms if since_ms > IDLE_MS else 0

    def looked(self, balances: dict[str, int], slot: int, now_ms: int) -> ThreadState:
        """With what the wallet holds by a snapshot."""
        idle_ms = self.session_idle_ms + self.idle_ms(now_ms)
        return self.evolved(balances=balances, balances_slot=slot, balances_at_ms=now_ms, session_idle_ms=idle_ms)

    def session_begun(self, now_ms: int, *, reason: str) -> ThreadState:
        """A new session: its statistics start at zero, the lifetime's go on."""
        return self.evolved(
            session=Totals(),
            past_active_ms=self.past_active_ms + self.session_ms(now_ms),
            first_operation_at_ms=0,
            fee_trend=(),
            loss_trend=(),
            session_started_at_ms=now_ms,
            session_reason=reason,
            session_idle_ms=0,
            session_slot=0,
            stopped_at_ms=0,
            stop_reason="",
            waiting="",
            waiting_since_ms=0,
            consecutive_failures=0,
        )

    def plus(self, **amounts: int) -> ThreadState:
        """Both totals with the amounts added."""
        return self.evolved(session=self.session.plus(**amounts), lifetime=self.lifetime.plus(**amounts))

    def waited(self, reason: str, now_ms: int) -> ThreadState:
        since = self.waiting_since_ms if self.waiting == reason else now_ms
        return self.evolved(waiting=reason, waiting_since_ms=since, waits=self.waits + 1)

    def to_text(self) -> str:
        return json.dumps(self.to_doc(), separators=(",", ":"))

    def to_doc(self) -> dict[str, Any]:
        """Plain JSON data; what is zero or empty is left out."""
        doc: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name in ("session", "lifetime"):
                doc[name] = value.to_json()
            elif name == "balances":
                doc[name] = {key: str(amount) for key, amount in value.items()}
            elif name == "errors":
                doc[name] = [asdict(note) for note in value]
            elif value:
                doc[name] = value
        return doc

    @classmethod
    def from_text(cls, text: str) -> ThreadState:
        return cls.from_doc(json.loads(text)) if text else cls()

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> ThreadState:
        """Takes the document over: it must not be used afterwards."""
        doc["session"] = Totals.from_json(doc.get("session", {}))
        doc["lifetime"] = Totals.from_json(doc.get("lifetime", {}))
        doc["balances"] = {key: int(amount) for key, amount in doc.get("balances", {}).items()}
        doc["errors"] = tuple(ErrorNote(**note) for note in doc.get("errors", []))
        for name in ("fee_trend", "loss_trend"):
            doc[name] = tuple(doc.get(name, ()))
        return cls(**doc)


_TOTALS = tuple(Totals.__dataclass_fields__)
_OF_TOTALS = attrgetter(*_TOTALS)
_STATE = tuple(ThreadState.__dataclass_fields__)
_OF_STATE = attrgetter(*_STATE)
