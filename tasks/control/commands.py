"""One step of a command: settle its open transaction, then let the method go on (DESIGN.md 4, "Control commands").

A command never waits inside a task: it commits, reschedules itself and is resumed, by whichever worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import structlog

from domain.chain.gateway import ChainUnreachableError, Want
from domain.contract_errors import error_name
from domain.errors import CommandCode, CommandError
from domain.expiry import Expired, Landed, Pending, resolve
from domain.facts import Observation, Receipt
from domain.ids import Address, CommandId
from domain.operations import Intent, Operation, Outcome
from domain.refill import RESERVE_LAMPORTS
from domain.store.errors import StoreConflict, StoreUnavailable
from tasks.control.trades import settle_command
from tasks.draft import Draft, open_intents, operation_id
from tasks.walk import Cycle

log = structlog.get_logger()

POLL_MS: Final = 200
MAX_ATTEMPTS: Final = 5
PATIENCE_MS: Final = 20_000  # without an answer of the chain, before anything was sent: within a request's 30 s


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
    """One step of one command. ``receipt`` is the outcome of the transaction that the step before sent, if any.

    ``on_failure`` gives back what the command holds beside its reservation, should it fail in this step.
    """

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
        self.on_failure: Callable[[], object] = lambda: None
        self._silent_since_ms: int | None = self.data.pop("silent_since_ms", None)  # set again by a step that fails so

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
        """None when the chain gave no usable answer: ask again in the next step.

        Raises CommandError CHAIN_UNREACHABLE when that lasts and nothing was sent yet.
        """
        want = Want.outcomes(signatures, addresses, self.progress.last_slot)
        try:
            return self.runtime.chain.observe(want)
        except ChainUnreachableError as error:
            self.unreachable(error)
            return None

    def unreachable(self, error: ChainUnreachableError) -> None:
        """What was sent needs its outcome, however long that takes; what was not may be given up."""
        self.data["unreachable"] = str(error)
        self.data["silent_since_ms"] = since_ms = self._silent_since_ms or self.cycle.now_ms
        if self.progress.operation_number == 0 and self.cycle.now_ms - since_ms > PATIENCE_MS:
            text = f"no RPC endpoint gave a usable answer for {PATIENCE_MS // 1000} s; nothing was sent"
            raise CommandError(CommandCode.CHAIN_UNREACHABLE, text)

    def send(self, operation: Operation, *, slot: int = 0) -> None:
        """Prepare one transaction; it is sent after the commit, its outcome is there in a later step.

        Two commands may ask for the same within one blockhash, each with its first transaction: ``apart`` keeps their
        signatures different.
        """
        number = self.progress.operation_number + 1
        now_ms = self.cycle.now_ms
        intent = self.runtime.chain.prepare(
            operation, operation_id(self.begun, number), number, now_ms=now_ms, slot=slot, apart=_apart(self.command_id)
        )
        # Only now: a preparation that could not reach the chain must not leave a hole in the numbers.
        self.progress.operation_number = number
        self.draft.add_intent(intent, operation, now_ms)

    def reserve(self, lamports: int, seen: Observation) -> None:
        """Set lamports of the core wallet aside until the command ends; the same again changes nothing.

        Raises CommandError CORE_WALLET_SHORT with what is needed and had, before anything is sent.
        """
        had = seen.lamports(self.core)
        spendable = max(0, had - RESERVE_LAMPORTS)
        if lamports > spendable or not self.runtime.store.reserve_core(self.begun.chain_id, lamports, spendable):
            raise self.short_of(lamports, had)

    def short_of(self, needed: int, had: int) -> CommandError:
        """The core wallet cannot pay: what it would take, and what it has."""
        reservations = self.runtime.store.core_reservations()
        others = sum(held for name, held in reservations.items() if name != self.begun.chain_id)
        return CommandError(
            CommandCode.CORE_WALLET_SHORT,
            f"the core wallet {self.core} holds {had} lamports, of which {others} are reserved and {RESERVE_LAMPORTS} "
            f"must stay; {needed} are needed",
            {"core_wallet": self.core, "needed": needed, "had": had, "reserved": others},
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
        self.on_failure()
        self._end({"error": {"code": int(error.code), "message": str(error), "data": error.data}})

    def _end(self, document: dict[str, Any]) -> None:
        self.runtime.store.release_core(self.begun.chain_id)
        self.draft.answer = (self.command_id, json.dumps(document, separators=(",", ":")))
        self.draft.next_ms = None


Handler = Callable[[Command], None]


def _apart(command_id: CommandId) -> int:
    return int.from_bytes(sha256(command_id.encode()).digest()[:4], "big")


def command_cycle(cycle: Cycle) -> Draft:
    command = Command(cycle)
    structlog.contextvars.bind_contextvars(method=command.method)  # the task's end clears it
    if cycle.runtime.store.command_answer(command.command_id) is not None:
        command.hand_over()  # answered already: this is a redelivery
    else:
        command.data.pop("unreachable", None)  # of the step before; get_command shows it
        command.settle()
        if not command.pending:
            command = _carry_on(command)
    command.draft.state = command.progress.to_text()
    return command.draft


def _carry_on(command: Command) -> Command:
    """Let the method go on. One that fails unexpectedly would fail again at every delivery: it is answered instead."""
    from tasks.control.methods import HANDLERS

    try:
        try:
            HANDLERS[command.method](command)
        except ChainUnreachableError as error:
            command.unreachable(error)
    except CommandError as error:
        command.fail(error)
    except (StoreUnavailable, StoreConflict):
        raise  # it passes: the same step is delivered again
    except Exception:
        log.exception("command_failed", action="command_failed", command_id=command.command_id)
        again = Command(command.cycle)  # whatever the method had prepared is not sent
        again.settle()
        again.on_failure = command.on_failure
        text = "The command failed unexpectedly; the control worker's log has the reason"
        again.fail(CommandError(CommandCode.INTERNAL_ERROR, text))
        return again
    return command
