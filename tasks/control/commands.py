"""One step of a command: settle its open transaction, then let the method go on (DESIGN.md 4, "Control commands").

A command never waits inside a task: it commits, reschedules itself and is resumed, by whichever worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from domain.chain.gateway import ChainUnreachableError, Want
from domain.contract_errors import error_name
from domain.errors import CommandCode, CommandError
from domain.expiry import Expired, Landed, Pending, resolve
from domain.facts import Observation, Receipt
from domain.ids import Address, CommandId
from domain.operations import Intent, Operation, Outcome
from tasks.control.trades import settle_command
from tasks.draft import Draft, open_intents, operation_id
from tasks.walk import Cycle

POLL_MS = 200
MAX_ATTEMPTS = 5


@dataclass(slots=True, kw_only=True)
class Progress:
    """A command's document. ``data`` is the method's own memory: plain JSON, amounts as text, keys sealed."""

    operation_number: int = 0
    attempts: int = 0
    last_slot: int = 0
    data: dict[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        doc = {
            "operation_number": self.operation_number,
            "attempts": self.attempts,
            "last_slot": self.last_slot,
            "data": self.data,
        }
        return json.dumps(doc, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Progress:
        return cls(**json.loads(text)) if text else cls()


class Command:
    """One step of one command. ``receipt`` is the outcome of the transaction that the step before sent, if any."""

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self.begun = cycle.begun
        self.runtime = cycle.runtime
        config = json.loads(cycle.begun.config)
        self.command_id = CommandId(config["command"])
        self.method: str = config["method"]
        self.params: dict[str, Any] = config["params"]
        self.progress = Progress.from_text(cycle.begun.state)
        self.draft = Draft(next_ms=POLL_MS)
        self.receipt: Receipt | None = None
        self.expired = False
        self.unanswered = False

    @property
    def data(self) -> dict[str, Any]:
        return self.progress.data

    @property
    def core(self) -> Address:
        return self.runtime.chain.keyring.core_address

    def settle(self) -> None:
        """Look for the outcome of the open intent; ``pending`` tells whether there is still one."""
        for intent in open_intents(self.begun):
            seen = self.observe(signatures=(intent,))
            if seen is None:
                self.draft.intents.append(intent)
                continue
            resolution, updated = resolve(intent, seen.lookups[intent.signature], seen)
            match resolution:
                case Landed(receipt=receipt):
                    self._book(intent, receipt)
                case Expired():
                    self.expired = True
                    self._remember(intent, Outcome.EXPIRED)
                    self.draft.note("settled", intent, at_ms=self.cycle.now_ms, outcome=Outcome.EXPIRED.value)
                    self.draft.count("operations", f"{intent.kind.value}.expired")
                case Pending(resend=resend):
                    self.draft.intents.append(updated)
                    if resend:
                        self.draft.resend.append(updated)
                case _:
                    self.draft.intents.append(updated)

    def _book(self, intent: Intent, receipt: Receipt) -> None:
        self.receipt = receipt
        self.progress.last_slot = max(self.progress.last_slot, receipt.slot)
        settlement = settle_command(self.runtime, intent, receipt).booked_for(intent)
        self.draft.add_faults(settlement.faults)
        self._remember(intent, settlement.outcome)
        self.draft.note(
            "settled",
            intent,
            at_ms=self.cycle.now_ms,
            slot=receipt.slot,
            outcome=settlement.outcome.value,
            error=settlement.error,
            fee=str(receipt.fee),
            cu=receipt.compute_units,
        )
        self.draft.count("operations", f"{intent.kind.value}.{settlement.outcome.value}")

    def _remember(self, intent: Intent, outcome: Outcome) -> None:
        """Where several are under way at once, their outcomes come in several steps."""
        if "trade" in intent.inputs:
            self.data.setdefault("outcomes", {})[str(intent.number)] = outcome.value

    @property
    def pending(self) -> bool:
        return bool(self.draft.intents)

    def observe(self, addresses: tuple[Address, ...] = (), signatures: tuple[Intent, ...] = ()) -> Observation | None:
        """None when the chain gave no usable answer: ask again in the next step."""
        want = Want.outcomes(signatures, addresses, self.progress.last_slot)
        try:
            return self.runtime.chain.observe(want)
        except ChainUnreachableError as error:
            self.unanswered = True
            self.data["unreachable"] = str(error)
            return None

    def send(self, operation: Operation, *, slot: int = 0) -> None:
        """Prepare one transaction; it is sent after the commit, its outcome is there in a later step."""
        number = self.progress.operation_number + 1
        now_ms = self.cycle.now_ms
        intent = self.runtime.chain.prepare(
            operation, operation_id(self.begun, number), number, now_ms=now_ms, slot=slot
        )
        # Only now: a preparation that could not reach the chain must not leave a hole in the numbers.
        self.progress.operation_number = number
        self.draft.add_intent(intent, operation, now_ms)

    def reserve(self, lamports: int, seen: Observation) -> None:
        """Set lamports of the core wallet aside until the command ends; the same again changes nothing.

        Raises CommandError CORE_WALLET_SHORT with what is needed and had, before anything is sent.
        """
        store, core = self.runtime.store, self.core
        had = seen.lamports(core)
        if lamports <= had and store.reserve_core(self.begun.chain_id, lamports, had):
            return
        others = sum(held for name, held in store.core_reservations().items() if name != self.begun.chain_id)
        raise CommandError(
            CommandCode.CORE_WALLET_SHORT,
            f"the core wallet {core} holds {had} lamports, of which {others} are reserved; {lamports} are needed",
            {"core_wallet": core, "needed": lamports, "had": had, "reserved": others},
        )

    def landed(self) -> Receipt | None:
        """The transaction of this step: its receipt when it succeeded, None when it is to be sent again.

        Only an expiry counts as an attempt: a chain that gave no blockhash for the next one has not refused anything.
        Raises CommandError CONTRACT_REFUSED when it failed, CHAIN_UNREACHABLE when it expired too often.
        """
        if self.receipt is None:
            if not self.expired:
                return None
            self.progress.attempts += 1
            if self.progress.attempts > MAX_ATTEMPTS:
                raise CommandError(
                    CommandCode.CHAIN_UNREACHABLE, f"the transaction expired {MAX_ATTEMPTS} times without landing"
                )
            return None
        if self.receipt.error is not None:
            error = self.receipt.error
            name = error_name(None, error.code)
            raise CommandError(
                CommandCode.CONTRACT_REFUSED,
                f"the transaction failed with {error.code}",
                {"code": error.code, "name": name, "instruction": error.index, "signature": self.receipt.signature},
            )
        return self.receipt

    def answer(self, result: dict[str, Any]) -> None:
        self._end({"ok": result})

    def hand_over(self) -> None:
        """Another chain carries the command out and answers it."""
        self.draft.next_ms = None

    def fail(self, error: CommandError) -> None:
        self._end({"error": {"code": int(error.code), "message": str(error), "data": error.data}})

    def _end(self, document: dict[str, Any]) -> None:
        self.runtime.store.release_core(self.begun.chain_id)
        self.draft.answer = (self.command_id, json.dumps(document, separators=(",", ":")))
        self.draft.next_ms = None


Handler = Callable[[Command], None]


def command_cycle(cycle: Cycle) -> Draft:
    from tasks.control.methods import HANDLERS

    command = Command(cycle)
    structlog.contextvars.bind_contextvars(method=command.method)  # the task's end clears it
    if cycle.runtime.store.command_answer(command.command_id) is not None:
        command.hand_over()  # answered already: this is a redelivery
    else:
        command.data.pop("unreachable", None)  # of the step before; get_command shows it
        command.settle()
        if not command.pending:
            try:
                HANDLERS[command.method](command)
            except ChainUnreachableError as error:
                command.data["unreachable"] = str(error)
            except CommandError as error:
                command.fail(error)
    command.draft.state = command.progress.to_text()
    return command.draft
