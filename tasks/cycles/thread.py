"""One cycle of a stress thread: settle what the cycle before submitted, check the pool, plan, prepare (DESIGN.md 3)."""

from __future__ import annotations

import json
from collections.abc import Sequence

import orjson
import structlog

from domain.chain.gateway import ChainUnreachableError, Want
from domain.chain.keyring import KeyMissingError
from domain.chain.keystore import KeystoreError
from domain.chains import Begun
from domain.cycle import Act, Halt, Wait, plan
from domain.errors import CommandCode
from domain.expiry import Expired, Landed, Pending, resolve
from domain.facts import Observation, Receipt
from domain.flows import Flows, session_field
from domain.ids import Address, ThreadId
from domain.invariants import check_snapshot
from domain.observed import ObservedPool
from domain.operations import Intent, Operation, Outcome
from domain.policy import Policy
from domain.pool import Pool
from domain.randomness import countdown_ms, generator
from domain.refill import needs
from domain.settle import OWN_KINDS, Settlement, apply_settlement, settle_thread_operation
from domain.state import ErrorNote, Order, ThreadState
from domain.store.errors import StoreError
from domain.store.histogram import bucket_of
from domain.thread import OrderKind, ThreadConfig, ThreadStatus
from domain.verdicts import Category, judge_transport
from tasks.cycles.orders import ORDER_DELAY_MS, book_order, order_cycle
from tasks.cycles.session import Session
from tasks.draft import Draft, open_intents, operation_id
from tasks.walk import Cycle

log = structlog.get_logger()

UNREACHABLE = "chain_unreachable"


def thread_cycle(cycle: Cycle) -> Draft:
    try:
        return _of(cycle).run()
    except (ChainUnreachableError, StoreError, KeystoreError, KeyMissingError):
        raise
    except Exception as error:
        thread = _of(cycle)
        ordered = thread.order is not None and thread.order.kind is not OrderKind.START
        if ordered or cycle.begun.status is not ThreadStatus.RUNNING:
            raise  # delivered again later: an order must be answered, an error already stands
        log.exception("cycle_failed", action="cycle_failed", chain=cycle.begun.chain_id)
        return thread.failed(error)


def settle_cycle(cycle: Cycle) -> Draft:
    """Only what its open intents came to: for the recovery, which decides nothing."""
    return _of(cycle).settle_only()


def _of(cycle: Cycle) -> ThreadCycle:
    begun = cycle.begun
    state = ThreadState.from_doc(orjson.loads(begun.state or "{}"))
    return ThreadCycle(cycle, cycle.runtime.thread(ThreadId(begun.chain_id)), state)


class ThreadCycle:
    """The facts and the growing draft of one cycle of one thread."""

    def __init__(self, cycle: Cycle, config: ThreadConfig, state: ThreadState) -> None:
        self.cycle = cycle
        self.runtime = cycle.runtime
        self.config = config
        self.pool: Pool = cycle.runtime.pool(config.pool_id)
        self.state = state.evolved(cycles=state.cycles + 1)
        self.order = Order.from_text(cycle.begun.order)
        self.policy = Policy.from_text(cycle.begun.policy)
        self.draft = Draft(order=cycle.begun.order)
        self.rng = generator(cycle.runtime.seed(), config.index, state.operation_number, state.cycles)

    @property
    def begun(self) -> Begun:
        return self.cycle.begun

    def run(self) -> Draft:
        self._begin_session()
        self.session = Session(self)
        intents = open_intents(self.begun)
        self.draft.next_ms = countdown_ms(self.rng, self.runtime.settings)
        try:
            seen = self.runtime.chain.observe(self._want(intents))
        except ChainUnreachableError:
            # "Could not ask" is never "is not there": the intents stay as they are.
            self.draft.intents = intents
            self._unreachable()
            return self._written()
        self._settle_all(intents, seen)
        self._check(seen)
        self._remember_balances(seen)
        try:
            if self.order is not None:
                order_cycle(self, self.order, seen)
            elif not self.draft.intents and self.draft.status is None:
                self._go_on(seen)
        except ChainUnreachableError:
            # No fresh blockhash to sign with. Whatever depends on ``act`` comes after it: nothing is half done.
            self._unreachable()
        except (KeystoreError, KeyMissingError) as error:
            if self.order is not None:
                self._refuse(self.order, str(error))
            # A person has to put the key right and start the thread again (DESIGN.md 7).
            self._stopped_by("WalletUnusable", str(error), "put the wallet's key right, then start the thread")
        return self._written()

    def settle_only(self) -> Draft:
        """Raises ChainUnreachableError."""
        intents = open_intents(self.begun)
        self._settle_all(intents, self.runtime.chain.observe(self._want(intents)))
        return self._written()

    def failed(self, error: Exception) -> Draft:
        """What no rule foresees: nothing of the cycle is booked, and a person must look (DESIGN.md 7, ERR-06)."""
        self._begin_session()
        self.draft.intents = open_intents(self.begun)
        self.draft.next_ms = countdown_ms(self.rng, self.runtime.settings)
        why = f"{type(error).__name__}: {error}"
        self._stopped_by("UnexpectedError", why, "look at the log, then start the thread")
        return self._written()

    def _go_on(self, seen: Observation) -> None:
        """Nothing is open: plan the next operation, or end after an error."""
        if self.begun.status is ThreadStatus.ERROR:
            if self.session.close(seen):
                self.draft.next_ms = None
        elif self.begun.status is ThreadStatus.RUNNING:
            if self.session.open(seen):
                self._plan(seen)
            else:
                self.wait("payments_under_way")

    def _begin_session(self) -> None:
        """A manual start resets the session's statistics, never the lifetime's (DESIGN.md 16, 10).

        What the pool's chains have booked for the thread goes on; where it stands now is where the session begins.
        """
        if self.order is not None and self.order.kind is OrderKind.START:
            Session(self).close_with(exact=False)  # an error's, when the start came before its last cycle
            ledger = self.runtime.store.thread_ledger(self.config.pool_id, self.config.thread_id)
            flows = Flows.of(self.config.thread_id, ledger)
            self.draft.records[session_field(self.config.thread_id)] = flows.to_text(self.state.error_counts)
            self.state = self.state.session_begun(self.cycle.now_ms, reason="manual")
            result = {"ok": {"thread_id": self.config.thread_id, "status": ThreadStatus.RUNNING.value}}
            self.draft.answer = (self.order.command_id, json.dumps(result))
            self.draft.order = ""
            self.order = None

    def _want(self, intents: Sequence[Intent]) -> Want:
        addresses = [
            self.config.wallet,
            *self.config.accounts.values(),
            Address(self.pool.pool_id),
            self.pool.vault_a,
            self.pool.vault_b,
            self.pool.lp_mint_a,
            self.pool.lp_mint_b,
        ]
        return Want.outcomes(intents, tuple(addresses), self.state.last_slot)

    def _settle_all(self, intents: Sequence[Intent], seen: Observation) -> None:
        for intent in intents:
            resolution, updated = resolve(intent, seen.lookups[intent.signature], seen)
            match resolution:
                case Landed(receipt=receipt):
                    self._book(intent, receipt)
                case Expired():
                    self._book_expired(intent)
                case Pending(resend=True):
                    self.draft.intents.append(updated)
                    self.draft.resend.append(updated)
                    self.draft.count("operations", f"{intent.kind.value}.resent")
                case _:
                    self.draft.intents.append(updated)

    def _book(self, intent: Intent, receipt: Receipt) -> None:
        settlement = settle_thread_operation(self.config, self.pool, intent, receipt, self.policy)
        if settlement.faults and self.refresh_policy():
            settlement = settle_thread_operation(self.config, self.pool, intent, receipt, self.policy)
        settlement = settlement.booked_for(intent)
        now_ms = self.cycle.now_ms
        limit = self.runtime.settings.error_history_limit
        self.state = apply_settlement(self.state, self.config, settlement, now_ms, limit).evolved(
            last_slot=max(self.state.last_slot, receipt.slot),
            last_confirm_ms=now_ms - intent.prepared_at_ms if settlement.own else self.state.last_confirm_ms,
        )
        self.draft.add_faults(settlement.faults)
        self._note_settled(intent, settlement, receipt, now_ms)
        if settlement.stops and settlement.own and self.order is None:
            self.halt(settlement.error)
        if settlement.succeeded and intent.kind.value == self.config.kind.value:
            self._owe(intent, settlement)
        elif settlement.succeeded:
            book_order(self, intent, receipt)

    def _note_settled(self, intent: Intent, settlement: Settlement, receipt: Receipt, now_ms: int) -> None:
        kind = intent.kind.value
        self.draft.note(
            "settled",
            intent,
            at_ms=now_ms,
            slot=receipt.slot,
            outcome=settlement.outcome.value,
            error=settlement.error,
            spent=str(settlement.spent),
            received=str(settlement.received),
            fee=str(settlement.network_fee),
            pool_fee=str(settlement.pool_fee),
            cu=settlement.compute_units,
        )
        self.draft.count("operations", f"{kind}.{settlement.outcome.value}")
        self.draft.count("checks", "operation")
        if settlement.error:
            self.draft.count("errors", settlement.error)
        if settlement.compute_units is not None:
            self.draft.count("cu", f"{kind}:{bucket_of(settlement.compute_units)}")
        self.draft.count("confirm", f"{kind}:{bucket_of(now_ms - intent.prepared_at_ms)}")

    def _book_expired(self, intent: Intent) -> None:
        settlement, now_ms = Settlement.expired(intent), self.cycle.now_ms
        limit = self.runtime.settings.error_history_limit
        self.state = apply_settlement(self.state, self.config, settlement, now_ms, limit)
        self.draft.note("settled", intent, at_ms=now_ms, outcome=Outcome.EXPIRED.value)
        self.draft.count("operations", f"{intent.kind.value}.expired")
        self.draft.count("errors", "BlockhashExpired")

    def _owe(self, intent: Intent, settlement: Settlement) -> None:
        """What the operation brought goes to the pool's outbox in the same commit, or is kept (DEP-15, DEP-29)."""
        amount = settlement.received
        if amount == 0 or intent.inputs.get("empty"):
            return
        if not self.config.share:
            self.state = self.state.plus(kept=amount)
            return
        self.state = self.state.plus(owed=amount)
        entry = {"owner": self.config.thread_id, "asset": self.config.receives.value, "amount": str(amount)}
        self.draft.outbox_put[intent.operation_id] = json.dumps(entry, separators=(",", ":"))

    def refresh_policy(self) -> bool:
        """An administrative step may have been stored after our begin: look again before calling anything a fault."""
        text = self.runtime.store.policy_text(self.config.pool_id)
        if not text or text == self.begun.policy:
            return False
        self.policy = Policy.from_text(text)
        return True

    def _check(self, seen: Observation) -> None:
        if not self.runtime.snapshots.is_new(self.pool.pool_id, seen):
            return  # another thread of this process has checked the very same snapshot
        self.draft.checked = self.pool.pool_id, seen
        checked = check_snapshot(self.pool, seen, self.policy)
        if checked.faults and self.refresh_policy():
            checked = check_snapshot(self.pool, seen, self.policy)
        self.draft.add_faults(checked.faults)
        self.draft.marks.extend(checked.marks)
        observed = ObservedPool.of(self.pool, seen)
        if observed is not None:
            self.draft.observed = observed.to_text()
        # One counter for all: twelve names would be twelve more writes in every commit.
        self.draft.count("checks", "snapshot", sum(checked.counts.values()))
        for outside in checked.outside:
            self.draft.count("outside", f"{outside.kind}")

    def _remember_balances(self, seen: Observation) -> None:
        balances = {"sol": seen.lamports(self.config.wallet)}
        balances |= {asset.value: seen.tokens(address) for asset, address in self.config.accounts.items()}
        self.state = self.state.looked(balances, seen.slot, self.cycle.now_ms)

    def _plan(self, seen: Observation) -> None:
        if self.begun.service_paused:
            self.wait("service_paused")
            return
        if self.begun.journal_length > self.runtime.settings.journal_cap:
            self.wait("journal_full")
            return
        self.draft.low |= needs(self.config, self.pool, seen, self.runtime.settings.sol_threshold)
        decision = plan(self.config, self.state, self.pool, seen, self.policy, self.rng, now_ms=self.cycle.now_ms)
        match decision:
            case Act(operation=operation):
                self.act(operation, seen)
            case Wait(reason=reason):
                self.wait(reason)
            case Halt(note=note):
                self.state = self.state.noted(note, self.runtime.settings.error_history_limit)
                self.halt(note.error)

    def act(self, operation: Operation, seen: Observation) -> None:
        """Prepare one operation; it is sent only after the commit that stores it."""
        number = self.state.operation_number + 1
        now_ms = self.cycle.now_ms
        intent = self.runtime.chain.prepare(
            operation, operation_id(self.begun, number), number, now_ms=now_ms, slot=seen.slot
        )
        self.state = self.state.evolved(operation_number=number, waiting="", waiting_since_ms=0)
        if operation.kind in OWN_KINDS:
            first_ms = self.state.first_operation_at_ms or now_ms
            self.state = self.state.plus(submitted=1).evolved(
                last_operation_at_ms=now_ms, first_operation_at_ms=first_ms
            )
        self.draft.add_intent(intent, operation, now_ms)
        self.draft.count("acted", self.config.kind.value)

    def wait(self, reason: str) -> None:
        self.state = self.state.waited(reason, self.cycle.now_ms)
        self.draft.count("waits", f"{self.config.kind.value}.{reason}")

    def _unreachable(self) -> None:
        """The chain gave no usable answer: an error once, however many cycles wait for it to come back (ERR-01)."""
        if self.state.waiting != UNREACHABLE:
            judgement = judge_transport(None)
            self._noted(
                judgement.name, "no RPC endpoint gave a usable answer", judgement.category, judgement.recovery_action
            )
        self.wait(UNREACHABLE)

    def _refuse(self, order: Order, why: str) -> None:
        """The order cannot be carried out; its command is told."""
        text = f"Cannot {order.kind.value} thread {self.config.thread_id}: {why}"
        error = {"code": int(CommandCode.WRONG_STATE), "message": text, "data": {"thread_id": self.config.thread_id}}
        self.draft.answer = (order.command_id, json.dumps({"error": error}))
        self.draft.order, self.order = "", None

    def _stopped_by(self, error: str, why: str, recovery_action: str) -> None:
        self._noted(error, why, Category.SYSTEM, recovery_action)
        self.halt(error)

    def _noted(self, error: str, message: str, category: Category, recovery_action: str) -> None:
        """An error that is no transaction's."""
        held = self.state.balances.get(self.config.spends.value)
        note = ErrorNote(
            at_ms=self.cycle.now_ms,
            error=error,
            message=message,
            category=category.value,
            operation_type=self.config.kind.value,
            attempted_amount="0",
            available_balance="" if held is None else str(held),
            recovery_action=recovery_action,
        )
        self.state = self.state.noted(note, self.runtime.settings.error_history_limit)

    def halt(self, reason: str) -> None:
        """An unexpected error: the thread goes to ``error``, state kept; open intents settle first (DESIGN.md 7)."""
        self.state = self.state.evolved(stop_reason=reason, stopped_at_ms=self.cycle.now_ms)
        self.draft.status = ThreadStatus.ERROR
        if not self.draft.intents:  # one more cycle, when the session has to be closed
            self.draft.next_ms = ORDER_DELAY_MS if self.state.session_slot else None

    def _written(self) -> Draft:
        self.draft.state = orjson.dumps(self.state.to_doc()).decode()
        return self.draft
