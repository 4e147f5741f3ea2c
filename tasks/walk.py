"""The walk that every chain shares: begin, let the kind decide, commit, submit (DESIGN.md 3).

What a kind observes and decides stands in tasks/cycles/ and tasks/control/; nothing here knows about kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from uuid import uuid4

import orjson
import structlog

from domain.chain.gateway import ChainUnreachableError
from domain.chains import Begun, Committed, Refusal, Refused
from domain.faults import Fault
from domain.ids import ChainId
from domain.thread import ThreadStatus
from tasks.draft import Draft
from tasks.evidence import make_reproducible
from tasks.runtime import Runtime

log = structlog.get_logger()

# What was read from the pool's shared records had changed by the time of the commit: read it again and decide again.
DECIDE_AGAIN = frozenset({Refusal.OUTBOX, Refusal.MEMBERS, Refusal.OCCUPIED, Refusal.POLICY})
DECISIONS = 3


class Cycle:
    """One begun cycle: the record, and the clock that started with it. ``now_ms`` is Redis time, never a worker's."""

    def __init__(self, runtime: Runtime, begun: Begun, started: float) -> None:
        self.runtime = runtime
        self.begun = begun
        self._started = started

    @property
    def now_ms(self) -> int:
        return self.begun.now_ms + int((monotonic() - self._started) * 1000)


Decide = Callable[[Cycle], Draft]


def walk(runtime: Runtime, decide: Decide, chain_id: ChainId, generation: int, seq: int) -> None:
    """Run one delivered message to its end. A refused begin or commit ends quietly: somebody else is or was there."""
    started = monotonic()
    begun = runtime.store.begin(chain_id, generation, seq, token=uuid4().hex, lease_ms=runtime.lease_ms)
    if isinstance(begun, Refused):
        return
    for _ in range(DECISIONS):
        cycle = Cycle(runtime, begun, started)
        try:
            draft = decide(cycle)
        except ChainUnreachableError as error:
            # Nothing was written or sent. If it stays so, the same message comes again after the lease.
            log.info("undecided", action="undecided", chain=begun.chain_id, error=str(error))
            continue
        if finish(cycle, draft) not in DECIDE_AGAIN:
            return


def finish(cycle: Cycle, draft: Draft) -> Refusal | None:
    """Commit and submit. A refusal means: nothing was written and nothing is sent."""
    runtime, begun = cycle.runtime, cycle.begun
    make_reproducible(runtime, begun, draft.faults)
    following = None
    if draft.next_ms is not None:
        following = runtime.publisher.next(
            begun.kind,
            begun.chain_id,
            begun.generation + (1 if draft.status is not None else 0),
            begun.seq + 1,
            countdown_ms=draft.next_ms,
            now_ms=cycle.now_ms,
        )
    result = runtime.store.commit(draft.commit(begun, following))
    if isinstance(result, Refused):
        reason, operations = result.reason, [intent.operation_id for intent in draft.new]
        log.info(
            "commit_refused",
            action="commit_refused",
            chain=begun.chain_id,
            reason=reason.value,
            operations=operations,
        )
        return reason
    if draft.checked is not None:
        runtime.snapshots.checked(*draft.checked)
    _report_broken_marks(runtime, begun, result)
    _log_what_is_wrong(begun, draft)
    _submit(runtime, begun, draft)
    return None


def _report_broken_marks(runtime: Runtime, begun: Begun, result: Committed) -> None:
    for broken in result.marks_broken:
        fault = Fault(
            check=broken.name,
            message=f"{broken.name} fell from {broken.stored_value} at slot {broken.stored_slot} "
            f"to {broken.value} at slot {broken.slot}",
            pool_id=begun.pool_id,
            chain_id=begun.chain_id,
            slot=broken.slot,
            evidence={"stored": str(broken.stored_value), "seen": str(broken.value)},
        )
        make_reproducible(runtime, begun, [fault])
        runtime.store.add_faults([fault.to_text()])
        runtime.store.add_counts([("faults", fault.check, 1)])
        _log_fault(fault)


def _log_what_is_wrong(begun: Begun, draft: Draft) -> None:
    """After the commit: what was not written did not happen."""
    for fault in draft.faults:
        _log_fault(fault)
    if draft.status is ThreadStatus.ERROR:
        reason = orjson.loads(draft.state).get("stop_reason", "")
        log.warning("thread_failed", action="thread_failed", chain=begun.chain_id, reason=reason)


def _log_fault(fault: Fault) -> None:
    """The evidence stays in the record (get_faults): it may be long."""
    log.error(
        "fault_found",
        action="fault_found",
        check=fault.check,
        text=fault.message,
        chain=fault.chain_id,
        pool_id=fault.pool_id,
        operation=fault.operation_id,
        signature=fault.signature,
        slot=fault.slot,
    )


def _submit(runtime: Runtime, begun: Begun, draft: Draft) -> None:
    sending = [*draft.resend, *draft.new]
    try:
        runtime.chain.submit(sending)
    except ChainUnreachableError as error:
        # The intents are stored: the next cycle looks for them and sends the same bytes.
        log.info(
            "submit_failed",
            action="submit_failed",
            chain=begun.chain_id,
            operations=[intent.operation_id for intent in sending],
            error=str(error),
        )
