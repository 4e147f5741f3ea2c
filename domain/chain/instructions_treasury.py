"""What moves the treasury's lamports: withdraw, consolidate, donate (CONTRACT.md 3.12 and 3.13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from domain.chain import program
from domain.chain.instructions_format import U8, U64, Account, InstructionFormat, InstructionFormatError
from domain.contract_errors import InstructionKind

_TREASURY: Final = Account("main_treasury", writable=True)
_SYSTEM_STATE: Final = Account("system_state")
_PROGRAM_DATA: Final = Account("program_data")
_TEXT_LENGTH: Final = Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawTreasuryFees:
    """Move treasury lamports to `destination`; amount 0 means all that is available."""

    admin: Pubkey
    main_treasury: Pubkey
    destination: Pubkey
    system_state: Pubkey
    program_data: Pubkey
    amount_lamports: int

    @classmethod
    def of(cls, program_id: Pubkey, *, admin: Pubkey, destination: Pubkey, amount_lamports: int) -> Self:
        return cls(
            admin=admin,
            main_treasury=program.main_treasury(program_id),
            destination=destination,
            system_state=program.system_state(program_id),
            program_data=program.program_data(program_id),
            amount_lamports=amount_lamports,
        )


WITHDRAW_TREASURY_FEES_FORMAT: Final = InstructionFormat(
    InstructionKind.WITHDRAW_TREASURY_FEES,
    (
        Account("admin", signer=True),
        _TREASURY,
        Account(program.RENT_SYSVAR_ID),
        Account("destination", writable=True),
        _SYSTEM_STATE,
        _PROGRAM_DATA,
    ),
    (("amount_lamports", U64),),
)


def encode_withdraw_treasury_fees(record: WithdrawTreasuryFees, program_id: Pubkey) -> Instruction:
    return WITHDRAW_TREASURY_FEES_FORMAT.encode(record, program_id)


def decode_withdraw_treasury_fees(instruction: Instruction) -> WithdrawTreasuryFees:
    return WithdrawTreasuryFees(**WITHDRAW_TREASURY_FEES_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolidatePoolFees:
    """Collect the fees of paused pools into the treasury; `pool_count` normally equals len(pools)."""

    admin: Pubkey
    system_state: Pubkey
    main_treasury: Pubkey
    program_data: Pubkey
    pools: tuple[Pubkey, ...]
    pool_count: int

    @classmethod
    def of(cls, program_id: Pubkey, *, admin: Pubkey, pools: Iterable[Pubkey]) -> Self:
        keys = tuple(pools)
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            main_treasury=program.main_treasury(program_id),
            program_data=program.program_data(program_id),
            pools=keys,
            pool_count=len(keys),
        )


CONSOLIDATE_POOL_FEES_FORMAT: Final = InstructionFormat(
    InstructionKind.CONSOLIDATE_POOL_FEES,
    (Account("admin", signer=True), _SYSTEM_STATE, _TREASURY, _PROGRAM_DATA),
    (("pool_count", U8),),
    rest="pools",
)


def encode_consolidate_pool_fees(record: ConsolidatePoolFees, program_id: Pubkey) -> Instruction:
    return CONSOLIDATE_POOL_FEES_FORMAT.encode(record, program_id)


def decode_consolidate_pool_fees(instruction: Instruction) -> ConsolidatePoolFees:
    return ConsolidatePoolFees(**CONSOLIDATE_POOL_FEES_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class DonateSol:
    """Give lamports (0.1 SOL or more) to the treasury, with a message."""

    donor: Pubkey
    main_treasury: Pubkey
    system_state: Pubkey
    amount_lamports: int
    message: str

    @classmethod
    def of(cls, program_id: Pubkey, *, donor: Pubkey, amount_lamports: int, message: str) -> Self:
        return cls(
            donor=donor,
            main_treasury=program.main_treasury(program_id),
            system_state=program.system_state(program_id),
            amount_lamports=amount_lamports,
            message=message,
        )


DONATE_SOL_FORMAT: Final = InstructionFormat(
    InstructionKind.DONATE_SOL,
    (
        Account("donor", signer=True, writable=True),
        _TREASURY,
        _SYSTEM_STATE,
        Account(program.SYSTEM_PROGRAM_ID),
    ),
    (("amount_lamports", U64),),
)


def encode_donate_sol(record: DonateSol, program_id: Pubkey) -> Instruction:
    text = record.message.encode()
    return DONATE_SOL_FORMAT.encode(record, program_id, tail=_TEXT_LENGTH.pack(len(text)) + text)


def decode_donate_sol(instruction: Instruction) -> DonateSol:
    values = DONATE_SOL_FORMAT.decode(instruction, tail_allowed=True)
    tail = instruction.data[DONATE_SOL_FORMAT.size_bytes :]
    if len(tail) < _TEXT_LENGTH.size or len(tail) != _TEXT_LENGTH.size + _TEXT_LENGTH.unpack_from(tail)[0]:
        raise InstructionFormatError(f"DONATE_SOL: the message's length does not match its {len(tail)} bytes")
    try:
        message = tail[_TEXT_LENGTH.size :].decode()
    except UnicodeDecodeError as error:
        raise InstructionFormatError(f"DONATE_SOL: the message is not UTF-8: {error}") from error
    return DonateSol(**values, message=message)
