"""Settling: what a landed transaction did, checked against the rules, and the totals it adds to (DESIGN.md 6, net 1).

The equalities of CONTRACT.md 9 "per-operation" are checked on the transaction's own meta, as net change per account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from domain.evidence import Problem, faults_of
from domain.facts import ChainError, Receipt
from domain.faults import Fault
from domain.ids import Address
from domain.justify import Case, is_justified, is_payment_justified
from domain.operations import Intent, OperationKind, Outcome
from domain.policy import Policy
from domain.pool import Pool, lp_of, token_of
from domain.state import ERROR_HISTORY, TREND_LENGTH, ErrorNote, ThreadState, Totals
from domain.swap import loss_pico, quote, ratio_of, rounding_loss_nano
from domain.thread import ThreadConfig
from domain.verdicts import PAYMENTS, Judgement, Verdict, expired_judgement, judge, unjustified

OWN_KINDS: Final = frozenset({OperationKind.DEPOSIT, OperationKind.WITHDRAWAL, OperationKind.SWAP})
_PREFIXES: Final = {
    OperationKind.DEPOSIT: "DEP",
    OperationKind.WITHDRAWAL: "WDR",
    OperationKind.SWAP: "SWP",
}
# Kinds whose transactions open and close no account: every lamport is accounted for by the inputs and the network fee.
_PLAIN_KINDS: Final = frozenset({OperationKind.SHARE, OperationKind.REFILL, OperationKind.BURN})
_LIMIT_ERRORS: Final = frozenset({"ComputationalBudgetExceeded", "ProgramFailedToComplete"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How one operation ended. Amounts in base units of what the thread spends and receives, fees in lamports.

    ``own`` is False for transactions that are no cycle's operation (payments, burns, sweeps): they count in no total of
    a thread. ``stops``: an unexpected failure, after which a person must start the thread again (ERR-06).
    """

    outcome: Outcome
    own: bool = True
    verdict: Verdict | None = None
    error: str = ""
    spent: int = 0
    received: int = 0
    pool_fee: int = 0
    network_fee: int = 0
    compute_units: int | None = None
    rounding_loss_nano: int = 0
    loss_pico: int = 0
    faults: tuple[Fault, ...] = ()
    note: ErrorNote | None = None

    @property
    def stops(self) -> bool:
        return self.outcome is Outcome.FAILED_UNEXPECTED

    @property
    def succeeded(self) -> bool:
        """It landed and did what it was meant to, also where only the chain remembered it."""
        return self.outcome is Outcome.CONFIRMED or (self.outcome is Outcome.RECOVERED and not self.error)

    def booked_for(self, intent: Intent) -> Settlement:
        """As it is counted: what landed and only the chain remembered is *recovered*, its amounts the same."""
        return replace(self, outcome=Outcome.RECOVERED) if intent.recovered else self

    @classmethod
    def expired(cls, intent: Intent | None = None) -> Settlement:
        """Provably never landed: nothing was spent. Without an intent it counts as a cycle's own operation."""
        judgement = expired_judgement()
        return cls(
            outcome=Outcome.EXPIRED,
            own=intent is None or intent.kind in OWN_KINDS,
            verdict=judgement.verdict,
            error=judgement.name,
            note=_note(intent, None, judgement, "the transaction did not land while its blockhash was valid"),
        )


def settle_thread_operation(
    config: ThreadConfig, pool: Pool, intent: Intent, receipt: Receipt, policy: Policy | None
) -> Settlement:
    """Settle a transaction of a thread's chain; burns and sweeps are settled as payments.

    ``policy`` None: the pool is not administered by us, so its fees and flags are those of the intent's snapshot, or
    anything the program allows.
    """
    if intent.kind not in OWN_KINDS:
        return settle_payment(intent, receipt, pool)
    steps = policy.allowed_at(receipt.slot) if policy is not None and pool.managed else ()
    case = Case(config=config, pool=pool, intent=intent, receipt=receipt, steps=steps)
    if receipt.error is not None:
        return _failed(case, receipt.error)
    problems = [*_check_success(case), *_check_compute(_PREFIXES[intent.kind], intent, receipt)]
    spends, receives = config.accounts[config.spends], config.accounts[config.receives]
    loss_nano, loss_part = _rounding_loss(case)
    return Settlement(
        outcome=Outcome.CONFIRMED,
        spent=-_delta(receipt, spends),
        received=_delta(receipt, receives),
        pool_fee=case.pool_fee,
        network_fee=receipt.fee,
        compute_units=receipt.compute_units,
        rounding_loss_nano=loss_nano,
        loss_pico=loss_part,
        verdict=Verdict.FAULT if problems else None,
        faults=faults_of(problems, intent, receipt, pool),
    )


def _failed(case: Case, error: ChainError) -> Settlement:
    intent, receipt, code = case.intent, case.receipt, error.code
    prefix = _PREFIXES[intent.kind]
    problems = [*_check_unchanged(prefix, receipt), *_check_compute(prefix, intent, receipt)]
    judgement = judge(intent.kind, code)
    if judgement.reason is not None and not is_justified(case, judgement.reason):
        judgement = unjustified(judgement.name)
    if judgement.verdict is Verdict.FAULT and code not in _LIMIT_ERRORS:
        problems.append((f"{prefix}-failure", f"{code} ({judgement.name}) is not explained by the balances or a pause"))
    return _failure(case.intent, receipt, judgement, faults_of(problems, intent, receipt, case.pool), case)


def _failure(
    intent: Intent, receipt: Receipt, judgement: Judgement, faults: tuple[Fault, ...], case: Case | None = None
) -> Settlement:
    expected = judgement.verdict in (Verdict.EXPECTED, Verdict.RETRY)
    text = f"{judgement.name} in {intent.operation_id}"
    return Settlement(
        outcome=Outcome.FAILED_EXPECTED if expected else Outcome.FAILED_UNEXPECTED,
        own=intent.kind in OWN_KINDS,
        verdict=Verdict.FAULT if faults else judgement.verdict,
        error=judgement.name,
        network_fee=receipt.fee,
        compute_units=receipt.compute_units,
        faults=faults,
        note=_note(intent, case, judgement, text),
    )


def _check_success(case: Case) -> Iterator[Problem]:
    config, pool, receipt, intent = case.config, case.pool, case.receipt, case.intent
    prefix = _PREFIXES[intent.kind]
    yield from _compare(f"{prefix}-tokens", _token_deltas(receipt), _expected_tokens(case), "base units")
    fee = case.pool_fee
    wanted = {config.wallet: -fee - receipt.fee, Address(pool.pool_id): fee}
    yield from _compare(f"{prefix}-lamports", _lamport_deltas(receipt), wanted, "lamports")
    yield from _check_fee(case, prefix)
    if intent.kind is OperationKind.SWAP:
        amount, expected = int(intent.inputs["amount"]), int(intent.inputs["expected_out"])
        output, remainder = quote(amount, *ratio_of(pool, config.side))
        if output != expected or output < 1:
            yield f"{prefix}-output", f"{amount} gives {output} by the ratio, the program accepted {expected}"
        if pool.exact_exchange and remainder:
            yield "I5", f"an exact-exchange pool swapped {amount} with remainder {remainder}"
    forbidden = case.certainly_forbidden()
    if forbidden:
        yield f"{prefix}-{forbidden}", f"succeeded at slot {receipt.slot} although the pool was {forbidden}"


def _expected_tokens(case: Case) -> dict[Address, int]:
    """Net change of every token account; accounts that are not named must not change."""
    config, pool, inputs = case.config, case.pool, case.intent.inputs
    amount, output = int(inputs["amount"]), int(inputs["expected_out"])
    token, lp = config.accounts.get(token_of(config.side)), config.accounts.get(lp_of(config.side))
    vault = pool.vault(config.side)
    match case.intent.kind:
        case OperationKind.DEPOSIT if token and lp:
            return {token: -amount, lp: amount, vault: amount}
        case OperationKind.WITHDRAWAL if token and lp:
            return {lp: -amount, token: amount, vault: -amount}
        case _:
            other = config.side.other
            return {
                config.accounts[token_of(config.side)]: -amount,
                config.accounts[token_of(other)]: output,
                vault: amount,
                pool.vault(other): -output,
            }


def _check_fee(case: Case, prefix: str) -> Iterator[Problem]:
    """One transfer from inside the instruction, user to pool, of a fee that was in force."""
    receipt = case.receipt
    ways = [(transfer.source, transfer.destination) for transfer in receipt.inner_transfers]
    if ways != [(case.config.wallet, Address(case.pool.pool_id))]:
        yield f"{prefix}-fee", f"expected one transfer of lamports, user to pool; found {len(ways)}: {ways}"
        return
    if not case.fee_allowed(case.pool_fee):
        in_force = case.fees_in_force()
        yield f"{prefix}-fee", f"charged {case.pool_fee} lamports; in force at slot {receipt.slot}: {in_force}"


def _check_compute(prefix: str, intent: Intent, receipt: Receipt) -> Iterator[Problem]:
    """STR-27: the limit was broken, or the program gave up."""
    used = receipt.compute_units
    if used is not None and used > intent.compute_limit:
        yield f"{prefix}-compute", f"used {used} compute units of {intent.compute_limit}"
    elif receipt.error is not None and receipt.error.code in _LIMIT_ERRORS:
        yield f"{prefix}-compute", f"{receipt.error.code} with {used} of {intent.compute_limit} compute units"


def _check_unchanged(prefix: str, receipt: Receipt) -> Iterator[Problem]:
    """A failed transaction changes nothing but the lamports of its fee payer, by the network fee."""
    payer = fee_payer(receipt)
    yield from _compare(f"{prefix}-changed", _token_deltas(receipt), {}, "base units")
    yield from _compare(f"{prefix}-changed", _lamport_deltas(receipt), {payer: -receipt.fee}, "lamports")


def _compare(check: str, found: Mapping[Address, int], wanted: Mapping[Address, int], unit: str) -> Iterator[Problem]:
    """Both sides hold net changes; an account without an entry did not change."""
    for address in dict.fromkeys([*wanted, *found]):
        if found.get(address, 0) != wanted.get(address, 0):
            yield check, f"{address} changed by {found.get(address, 0)} {unit} instead of {wanted.get(address, 0)}"


def settle_payment(intent: Intent, receipt: Receipt, pool: Pool | None) -> Settlement:
    """Settle plain transfers, mints, burns and commands' transactions.

    ``inputs["deltas"]`` names every token account that changes, with its signed net change; without it token changes
    are not checked. ``inputs["lamports"]`` does the same for lamports: exact for what it names, and for every account
    where the kind opens and closes none (the first account pays the rest and the network fee).
    """
    problems = list(_check_compute("PAY", intent, receipt))
    if receipt.error is not None:
        problems += _check_unchanged("PAY", receipt)
        judgement = judge(intent.kind, receipt.error.code)
        tokens, lamports = (signed(intent.inputs.get(name)) or {} for name in ("deltas", "lamports"))
        if judgement.reason is not None and not is_payment_justified(judgement.reason, tokens, lamports, receipt):
            judgement = unjustified(judgement.name)
        if judgement.verdict is Verdict.FAULT and intent.kind in PAYMENTS:
            problems.append(("PAY-failure", f"{receipt.error.code} is not explained by the balances"))
        return _failure(intent, receipt, judgement, faults_of(problems, intent, receipt, pool))
    deltas = signed(intent.inputs.get("deltas"))
    if deltas is not None:
        problems += _compare("PAY-tokens", _token_deltas(receipt), deltas, "base units")
    problems += _check_payment_lamports(intent, receipt)
    return Settlement(
        outcome=Outcome.CONFIRMED,
        own=False,
        network_fee=receipt.fee,
        compute_units=receipt.compute_units,
        verdict=Verdict.FAULT if problems else None,
        faults=faults_of(problems, intent, receipt, pool),
    )


def _check_payment_lamports(intent: Intent, receipt: Receipt) -> Iterator[Problem]:
    named = signed(intent.inputs.get("lamports")) or {}
    found = _lamport_deltas(receipt)
    if intent.kind in _PLAIN_KINDS:
        payer = fee_payer(receipt)
        others = sum(change for address, change in named.items() if address != payer)
        yield from _compare("PAY-lamports", found, {**named, payer: -others - receipt.fee}, "lamports")
        return
    yield from _compare("PAY-lamports", {address: found.get(address, 0) for address in named}, named, "lamports")


def signed(amounts: Mapping[str, str] | None) -> dict[Address, int] | None:
    """Signed decimal strings by account, as integers."""
    return None if amounts is None else {Address(address): int(text) for address, text in amounts.items()}


def fee_payer(receipt: Receipt) -> Address:
    """The first account of the message."""
    return next(iter(receipt.lamports))


def _delta(receipt: Receipt, account: Address) -> int:
    change = receipt.tokens.get(account)
    return change.delta if change else 0


def _token_deltas(receipt: Receipt) -> dict[Address, int]:
    return {account: change.delta for account, change in receipt.tokens.items()}


def _lamport_deltas(receipt: Receipt) -> dict[Address, int]:
    return {account: after - before for account, (before, after) in receipt.lamports.items()}


def _rounding_loss(case: Case) -> tuple[int, int]:
    """What a swap's floor kept: in 1e-9 units of the output token, and as a part of the output in 1e-12."""
    if case.intent.kind is not OperationKind.SWAP:
        return 0, 0
    ratio_in, ratio_out = ratio_of(case.pool, case.config.side)
    amount = int(case.intent.inputs["amount"])
    _, remainder = quote(amount, ratio_in, ratio_out)
    return rounding_loss_nano(remainder, ratio_in), loss_pico(amount, remainder, ratio_out)


def _note(intent: Intent | None, case: Case | None, judgement: Judgement, message: str) -> ErrorNote:
    """The entry of the error history; ``at_ms``, and a balance unknown here, are filled in when it is booked."""
    held = case.held(case.config.spends) if case else None
    return ErrorNote(
        at_ms=0,
        error=judgement.name,
        message=message,
        category=judgement.category.value,
        operation_type=intent.kind.value if intent else "",
        attempted_amount=intent.inputs.get("amount", "0") if intent else "0",
        available_balance="" if held is None else str(held),
        recovery_action=judgement.recovery_action,
    )


def apply_settlement(
    state: ThreadState, config: ThreadConfig, settlement: Settlement, now_ms: int, error_limit: int = ERROR_HISTORY
) -> ThreadState:
    """The thread's document with the outcome in its session and lifetime totals, trends and error history.

    Payments, burns and sweeps add nothing to the totals; their errors still go into the history, which keeps
    ``error_limit`` of them.
    """
    if settlement.note is not None:
        kind = settlement.note.operation_type or config.kind.value
        note = replace(settlement.note, at_ms=now_ms, operation_type=kind)
        if not note.available_balance and config.spends in state.balances:
            note = replace(note, available_balance=str(state.balances[config.spends]))
        state = state.noted(note, error_limit)
    if not settlement.own:
        return state
    session, lifetime = _booked(state.session, settlement), _booked(state.lifetime, settlement)
    fees = state.fee_trend
    if settlement.outcome is not Outcome.EXPIRED:  # whatever landed has paid
        fees = (*fees, settlement.network_fee)[-TREND_LENGTH:]
    if not settlement.succeeded:
        failures = state.consecutive_failures + 1
        return state.evolved(session=session, lifetime=lifetime, consecutive_failures=failures, fee_trend=fees)
    return state.evolved(
        session=session,
        lifetime=lifetime,
        consecutive_failures=0,
        last_success_at_ms=now_ms,
        fee_trend=fees,
        loss_trend=(*state.loss_trend, settlement.rounding_loss_nano)[-TREND_LENGTH:],
    )


def _booked(totals: Totals, settlement: Settlement) -> Totals:
    amount, outcome = settlement.spent, settlement.outcome.value
    changes = {
        outcome: getattr(totals, outcome) + 1,
        "spent": totals.spent + amount,
        "received": totals.received + settlement.received,
        "network_fees": totals.network_fees + settlement.network_fee,
        "pool_fees": totals.pool_fees + settlement.pool_fee,
        "rounding_loss_nano": totals.rounding_loss_nano + settlement.rounding_loss_nano,
    }
    if settlement.succeeded:
        changes["smallest"] = min(totals.smallest, amount) if totals.smallest else amount
        changes["largest"] = max(totals.largest, amount)
        loss, least = settlement.loss_pico, totals.least_loss_pico
        changes["least_loss_pico"] = min(least, loss) if totals.smallest else loss
        changes["most_loss_pico"] = max(totals.most_loss_pico, loss)
    return totals.evolved(**changes)
