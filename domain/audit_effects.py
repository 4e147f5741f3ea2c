"""What a transaction's own instructions must have done to lamports and tokens, worked out from their bytes.

The audit compares this with the balances that the chain reports, so that neither settling nor the meta is taken on
trust. Failed transactions do nothing but pay their fee.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from domain.audit_records import ChainTx, Step
from domain.contract_errors import InstructionKind
from domain.ids import Address

SYSTEM: Final = Address("11111111111111111111111111111111")
TOKEN: Final = Address("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED: Final = Address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
COMPUTE_BUDGET: Final = Address("ComputeBudget111111111111111111111111111111")
# Its balances follow the lamports (SyncNative, CloseAccount), by amounts that no instruction names.
_WRAPPED_SOL: Final = Address("So11111111111111111111111111111111111111112")
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
READABLE: Final = frozenset({SYSTEM, TOKEN, ASSOCIATED, COMPUTE_BUDGET})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Lamports from one account to another; ``opens``: they were the rent of a new account. ``step`` is its origin."""

    source: Address
    destination: Address
    lamports: int
    top: Address
    opens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFlow:
    """Base units; ``source`` None for a mint, ``destination`` None for a burn (then ``mint`` is set)."""

    source: Address | None
    destination: Address | None
    amount: int
    top: Address
    mint: Address | None = None


@dataclass(slots=True, kw_only=True)
class Effects:
    """``readable`` is False when a program took part whose instructions we cannot read, or wrapped SOL."""

    flows: list[Flow] = field(default_factory=list)
    tokens: list[TokenFlow] = field(default_factory=list)
    readable: bool = True

    def token_deltas(self) -> dict[Address, int]:
        deltas: defaultdict[Address, int] = defaultdict(int)
        for flow in self.tokens:
            if flow.source is not None:
                deltas[flow.source] -= flow.amount
            if flow.destination is not None:
                deltas[flow.destination] += flow.amount
        return deltas

    def lamport_deltas(self, tx: ChainTx) -> dict[Address, int]:
        deltas: defaultdict[Address, int] = defaultdict(int)
        deltas[tx.payer] -= tx.fee
        for flow in self.flows:
            deltas[flow.source] -= flow.lamports
            deltas[flow.destination] += flow.lamports
        return deltas


def effects_of(tx: ChainTx, program: Address) -> Effects:
    """The flows of a transaction's executed instructions; ``program`` is the Fixed Ratio Trading program."""
    effects = Effects()
    if tx.error is not None:
        return effects
    effects.readable = all(move.mint != _WRAPPED_SOL for move in tx.tokens.values())
    held = {address: before for address, (before, _) in tx.lamports.items()}
    held[tx.payer] = held.get(tx.payer, 0) - tx.fee
    for step in tx.steps:
        if step.program not in READABLE and step.program != program:
            effects.readable = False
        effects.tokens += _token_flows(step)
        for flow in _lamport_flows(step, tx, program, held):
            held[flow.source] = held.get(flow.source, 0) - flow.lamports
            held[flow.destination] = held.get(flow.destination, 0) + flow.lamports
            effects.flows.append(flow)
    return effects


def u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def address_of(key: bytes) -> Address:
    """Base58 of a public key inside instruction data."""
    number, text = int.from_bytes(key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return Address("1" * (len(key) - len(key.lstrip(b"\0"))) + text)


def _lamport_flows(step: Step, tx: ChainTx, program: Address, held: dict[Address, int]) -> Iterator[Flow]:
    accounts, data, top = step.accounts, step.data, step.top
    if step.program == SYSTEM and len(data) >= 12:
        tag = int.from_bytes(data[:4], "little")
        if tag == 0:
            yield Flow(source=accounts[0], destination=accounts[1], lamports=u64(data, 4), top=top, opens=True)
        elif tag == 3:  # CreateAccountWithSeed: base key, seed text, then lamports
            offset = 44 + u64(data, 36)
            yield Flow(source=accounts[0], destination=accounts[1], lamports=u64(data, offset), top=top, opens=True)
        elif tag == 2:
            # The associated-token program tops a pre-funded address up with a transfer before it allocates.
            opens = top == ASSOCIATED
            yield Flow(source=accounts[0], destination=accounts[1], lamports=u64(data, 4), top=top, opens=opens)
        elif tag == 5:  # WithdrawNonceAccount
            yield Flow(source=accounts[0], destination=accounts[1], lamports=u64(data, 4), top=top)
        elif tag == 11:
            yield Flow(source=accounts[0], destination=accounts[2], lamports=u64(data, 4), top=top)
    elif step.program == TOKEN and data[:1] == b"\x09":
        yield Flow(source=accounts[0], destination=accounts[1], lamports=held.get(accounts[0], 0), top=top)
    elif step.program == program and data:
        yield from _direct_moves(step, tx)


def _direct_moves(step: Step, tx: ChainTx) -> Iterator[Flow]:
    """The two instructions that move lamports without a transfer; the rules of their amounts are checked elsewhere."""
    accounts, top = step.accounts, step.top
    if step.data[0] == InstructionKind.CONSOLIDATE_POOL_FEES:
        for pool in dict.fromkeys(accounts[4:]):
            moved = -tx.lamport_delta(pool)
            if moved:
                yield Flow(source=pool, destination=accounts[2], lamports=moved, top=top)
    elif step.data[0] == InstructionKind.WITHDRAW_TREASURY_FEES:
        yield Flow(source=accounts[1], destination=accounts[3], lamports=-tx.lamport_delta(accounts[1]), top=top)


def _token_flows(step: Step) -> Iterator[TokenFlow]:
    """Transfers, mints and burns of the SPL Token program, plain and checked."""
    if step.program != TOKEN or len(step.data) < 9:
        return
    accounts, tag, amount, top = step.accounts, step.data[0], u64(step.data, 1), step.top
    match tag:
        case 3:
            yield TokenFlow(source=accounts[0], destination=accounts[1], amount=amount, top=top)
        case 12:
            yield TokenFlow(source=accounts[0], destination=accounts[2], amount=amount, top=top)
        case 7 | 14:
            yield TokenFlow(source=None, destination=accounts[1], amount=amount, top=top, mint=accounts[0])
        case 8 | 15:
            yield TokenFlow(source=accounts[0], destination=None, amount=amount, top=top, mint=accounts[1])
