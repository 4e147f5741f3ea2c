"""Parsing, account counts and dispatch (CONTRACT.md 3.0), and the model of a whole chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.contract_model import administration, creation, trading
from tests.support.contract_model.addresses import PROGRAM_ID, SYSTEM_PROGRAM, TOKEN_PROGRAM
from tests.support.contract_model.callees import burn_tokens, move_lamports, move_tokens
from tests.support.contract_model.checks import require
from tests.support.contract_model.runtime import PANIC, Frame, Instruction, ProgramError, execute
from tests.support.contract_model.state import Account

MODELLED = (0, 1, 2, 3, 4, 12, 13, 14, 15, 17, 19, 20, 21, 22, 23, 24)


class _Reader:
    """Strict borsh: every byte is used, none is missing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 1

    def take(self, size: int) -> bytes:
        part = self._data[self._offset : self._offset + size]
        require(len(part) == size, "BorshIoError")
        self._offset += size
        return part

    def key(self) -> bytes:
        return self.take(32)

    def u8(self) -> int:
        return self.take(1)[0]

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def boolean(self) -> bool:
        value = self.u8()
        require(value <= 1, "BorshIoError")
        return bool(value)

    def text(self) -> str:
        size = int.from_bytes(self.take(4), "little")
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise ProgramError("BorshIoError") from None

    def end(self) -> None:
        require(self._offset == len(self._data), "BorshIoError")


Fields = Callable[[_Reader], tuple[object, ...]]

FIELDS: dict[int, Fields] = {
    0: lambda r: (r.key(),),
    1: lambda r: (r.u64(), r.u64(), r.u8()),
    2: lambda r: (r.key(), r.u64(), r.key()),
    3: lambda r: (r.key(), r.u64(), r.key()),
    4: lambda r: (r.key(), r.u64(), r.u64(), r.key()),
    12: lambda r: (r.u8(),),
    13: lambda _: (),
    14: lambda _: (),
    15: lambda r: (r.u64(),),
    17: lambda r: (r.u8(),),
    19: lambda r: (r.u8(), r.key()),
    20: lambda r: (r.u8(), r.key()),
    21: lambda r: (r.boolean(), r.key(), r.key()),
    22: lambda r: (r.u8(), r.u64(), r.u64(), r.key()),
    23: lambda r: (r.u64(), r.text()),
    24: lambda r: (r.key(),),
}

EXACT_ACCOUNTS = {0: 6, 1: 13, 2: 11, 3: 11, 4: 11, 19: 4, 20: 4, 21: 4, 23: 4, 24: 3}
LEAST_ACCOUNTS = {12: (3, PANIC), 13: (4, "NotEnoughAccountKeys"), 15: (6, PANIC), 22: (4, "NotEnoughAccountKeys")}


def run_frt(frame: Frame, data: bytes) -> None:
    """One FRT instruction."""
    require(bool(data), "InvalidInstructionData")
    kind = data[0]
    require(kind in MODELLED or kind < 25, "BorshIoError")
    if kind not in MODELLED:
        raise AssertionError(f"instruction {kind} is not modelled")
    reader = _Reader(data)
    arguments = FIELDS[kind](reader)
    reader.end()
    count = len(frame.keys)
    if kind in EXACT_ACCOUNTS:
        require(count == EXACT_ACCOUNTS[kind], "InvalidAccountData")
    if kind in LEAST_ACCOUNTS:
        least, error = LEAST_ACCOUNTS[kind]
        require(count >= least, error)
    if kind == 17:
        (pools,) = arguments
        require(1 <= int(str(pools)) <= 20, "InvalidArgument")
        require(count >= 4 + int(str(pools)), PANIC)
        require(count == 4 + int(str(pools)), "NotEnoughAccountKeys")
    _dispatch(frame, kind, arguments)


def _dispatch(frame: Frame, kind: int, arguments: tuple[object, ...]) -> None:
    handlers: dict[int, Callable[..., None]] = {
        0: creation.initialize_program,
        1: creation.initialize_pool,
        2: trading.deposit,
        3: trading.withdraw,
        4: lambda frame, _mint, amount, expected, pool: trading.swap(frame, amount, expected, pool),
        12: administration.pause_system,
        13: administration.unpause_system,
        14: lambda _: None,
        15: administration.withdraw_treasury_fees,
        17: lambda frame, _: administration.consolidate_pool_fees(frame),
        19: administration.pause_pool,
        20: administration.unpause_pool,
        21: administration.set_swap_owner_only,
        22: administration.update_pool_fees,
        23: lambda frame, amount, _message: administration.donate_sol(frame, amount),
        24: administration.process_admin_change,
    }
    handlers[kind](frame, *arguments)


def run_system(frame: Frame, data: bytes) -> None:
    """A top-level system Transfer (u32 2, u64): lamports sent by outsiders."""
    source, target = frame.keys
    require(source in frame.signers, "MissingRequiredSignature")
    move_lamports(frame, source, target, int.from_bytes(data[4:12], "little"))


def run_token(frame: Frame, data: bytes) -> None:
    """A top-level SPL Transfer (3) or Burn (8): tokens moved by outsiders."""
    first, second, authority = frame.keys
    amount = int.from_bytes(data[1:9], "little")
    if data[0] == 3:
        move_tokens(frame, first, second, authority, amount)
    else:
        burn_tokens(frame, first, second, authority, amount)


PROGRAMS = {PROGRAM_ID: run_frt, SYSTEM_PROGRAM: run_system, TOKEN_PROGRAM: run_token}


@dataclass(slots=True, kw_only=True)
class ContractModel:
    """A chain of accounts on which one instruction per transaction runs."""

    now: int
    accounts: dict[bytes, Account] = field(default_factory=dict)

    def run(self, instruction: Instruction, *, fee_payer: bytes) -> str | None:
        """Execute in place; the error's name ("Custom(1035)", "InvalidAccountData"), or None for a success."""
        program = PROGRAMS[instruction.program]
        return execute(self.accounts, instruction, fee_payer=fee_payer, now=self.now, program=program)
