"""Where a thread's session begins and ends: both moments are confirmed snapshots between which the books are exact.

Payments of the pool's chains move the wallet and are booked a little later. So the ledger is read before and after
the chain is asked: when nothing was under way and nothing was booked between, both are of one moment.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from domain.facts import Observation
from domain.flows import Flows, session_field
from domain.session import MANUAL, Opening, session_record
from domain.store.exports import Payments
from domain.thread import OrderKind, ThreadStatus

if TYPE_CHECKING:
    from tasks.cycles.thread import ThreadCycle

PATIENCE_MS: Final = 5_000  # after which a session begins or ends with balances that are not compared


class Session:
    """What one cycle of a thread does about its session; reads nothing in an ordinary cycle."""

    def __init__(self, thread: ThreadCycle) -> None:
        self._thread = thread
        state, begun, order = thread.state, thread.begun, thread.order
        running = begun.status is ThreadStatus.RUNNING
        self._opens = running and order is None and bool(state.session_started_at_ms) and not state.session_slot
        stops = order is not None and order.kind is OrderKind.STOP
        self._closes = bool(state.session_slot) and not running and (stops or order is None)
        self._before = self._payments() if self._opens or self._closes else None

    def open(self, seen: Observation) -> bool:
        """May the thread act? Not before its session has a beginning."""
        thread, state = self._thread, self._thread.state
        if not self._opens:
            return True
        exact = self._is_one_moment(seen)
        if not exact and thread.cycle.now_ms - state.session_started_at_ms < PATIENCE_MS:
            return False
        ledger = self._before.ledger if self._before is not None else {}
        opening = Opening(balances=state.balances, slot=seen.slot, exact=exact)
        flows = Flows.of(thread.config.thread_id, ledger)
        thread.draft.records[session_field(thread.config.thread_id)] = opening.record(flows, state.error_counts)
        thread.state = state.evolved(session_slot=seen.slot)
        return True

    def close(self, seen: Observation) -> bool:
        """Is the session over? Its record goes with this commit. False: something is under way, look again."""
        thread, state = self._thread, self._thread.state
        if not state.session_slot:
            return True
        exact = self._is_one_moment(seen)
        since_ms = state.stopped_at_ms or thread.cycle.now_ms
        if not exact and thread.cycle.now_ms - since_ms < PATIENCE_MS:
            return False
        self.close_with(exact=exact)
        return True

    def close_with(self, *, exact: bool) -> None:
        """Write the record with the balances that were seen last."""
        thread, state = self._thread, self._thread.state
        if not state.session_slot:
            return
        payments = self._before or self._payments()
        end_ms, reason = state.stopped_at_ms or thread.cycle.now_ms, state.stop_reason or MANUAL
        record = session_record(thread.config, state, payments.ledger, end_ms=end_ms, reason=reason, exact=exact)
        thread.draft.session = json.dumps(record, separators=(",", ":"))
        thread.state = state.evolved(session_slot=0)

    def _is_one_moment(self, seen: Observation) -> bool:
        before = self._before
        if before is None or not before.quiet or seen.slot < max(before.last_slot, self._thread.state.last_slot):
            return False
        after = self._payments()
        return after.quiet and after.ledger == before.ledger

    def _payments(self) -> Payments:
        config = self._thread.config
        return self._thread.runtime.store.payments(config.pool_id, config.thread_id, config.wallet)
