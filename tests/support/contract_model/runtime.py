"""The part of the Solana runtime that decides results: privileges, calls between programs, commit rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.support.contract_model.addresses import PROGRAM_ID, RESERVED_KEYS
from tests.support.contract_model.state import Account, rent_minimum

SIGNATURE_FEE = 5000
ABSENT = Account()


class ProgramError(Exception):
    """The instruction fails with this error name: a builtin's name, or "Custom(n)"."""


def custom(code: int) -> ProgramError:
    return ProgramError(f"Custom({code})")


PANIC = "ProgramFailedToComplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """One account of an instruction with the privileges asked for."""

    key: bytes
    signer: bool = False
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction, to run alone in a transaction."""

    program: bytes = PROGRAM_ID
    data: bytes
    metas: tuple[Meta, ...]


class Frame:
    """The accounts of a running instruction: an overlay over the chain that is kept only on success."""

    def __init__(self, chain: Mapping[bytes, Account], instruction: Instruction, fee_payer: bytes, now: int) -> None:
        self.now = now
        self.program = instruction.program
        self.keys = [meta.key for meta in instruction.metas]
        # A key named twice has the union of its privileges, as in a compiled message.
        self.signers = {meta.key for meta in instruction.metas if meta.signer} | {fee_payer}
        writable = {meta.key for meta in instruction.metas if meta.writable} | {fee_payer}
        self.writable = writable - RESERVED_KEYS - {instruction.program}
        self._chain = chain
        self.changed: dict[bytes, Account] = {}
        # Changes made directly (not through a call) are checked against the privileges when the program ends.
        self._direct: dict[bytes, Account] = {}

    def __getitem__(self, key: bytes) -> Account:
        return self.changed.get(key) or self._chain.get(key, ABSENT)

    def apply(self, key: bytes, account: Account) -> None:
        """A change made by a called program, whose privileges were checked at the call."""
        self.changed[key] = account

    def store(self, key: bytes, data: bytes) -> None:
        """Write bytes at offset 0 of an own account and leave its tail as it is."""
        account = self[key]
        self._direct.setdefault(key, account)
        self.changed[key] = replace(account, data=data + account.data[len(data) :])

    def add_lamports(self, key: bytes, lamports: int) -> None:
        account = self[key]
        self._direct.setdefault(key, account)
        self.changed[key] = replace(account, lamports=account.lamports + lamports)

    def check_direct_writes(self) -> None:
        """What the runtime says at the end about a change of an account that was passed readonly."""
        for key in dict.fromkeys(self.keys):
            if key in self._direct and key not in self.writable:
                if self[key].lamports != self._direct[key].lamports:
                    raise ProgramError("ReadonlyLamportChange")
                if self[key].data != self._direct[key].data:
                    raise ProgramError("ReadonlyDataModified")

    def require_call(self, program: bytes, metas: Sequence[Meta], seeds_for: frozenset[bytes] = frozenset()) -> None:
        """Privilege rules of a call into another program; seeds_for are addresses signed for with seeds."""
        if any(meta.key not in self.keys for meta in metas):
            raise ProgramError("MissingAccount")
        for meta in metas:
            if meta.writable and meta.key not in self.writable:
                raise ProgramError("PrivilegeEscalation")
            if meta.signer and meta.key not in self.signers | seeds_for:
                raise ProgramError("PrivilegeEscalation")
        if program not in self.keys:
            raise ProgramError("MissingAccount")


Program = Callable[[Frame, bytes], None]


def execute(
    chain: dict[bytes, Account], instruction: Instruction, *, fee_payer: bytes, now: int, program: Program
) -> str | None:
    """Run one transaction of one instruction on the chain in place; the error's name, or None.

    A failure takes back everything except the network fee.
    """
    signatures = len({meta.key for meta in instruction.metas if meta.signer} | {fee_payer})
    payer = chain[fee_payer]
    chain[fee_payer] = replace(payer, lamports=payer.lamports - SIGNATURE_FEE * signatures)
    frame = Frame(chain, instruction, fee_payer, now)
    try:
        program(frame, instruction.data)
        frame.check_direct_writes()
    except ProgramError as error:
        return str(error)
    if any(_falls_below_rent(chain.get(key, ABSENT), account) for key, account in frame.changed.items()):
        return "InsufficientFundsForRent"
    for key, account in frame.changed.items():
        if account.lamports:
            chain[key] = account
        else:
            chain.pop(key, None)
    return None


def _falls_below_rent(before: Account, after: Account) -> bool:
    """The rent-state rule: an account may not become rent-paying, nor grow while it is."""
    if not 0 < after.lamports < rent_minimum(len(after.data)):
        return False
    was_rent_paying = 0 < before.lamports < rent_minimum(len(before.data))
    return not (was_rent_paying and len(before.data) == len(after.data) and after.lamports <= before.lamports)
