"""What administration sends: system, pool and fee switches (CONTRACT.md 3.2, 3.7, 3.8, 3.10, 3.11, 3.13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from domain.chain import program
from domain.chain.instructions_format import BOOL, PUBKEY, U8, U64, Account, InstructionFormat
from domain.contract_errors import InstructionKind

_ADMIN: Final = Account("admin", signer=True)
_SYSTEM_STATE: Final = Account("system_state")
_SYSTEM_STATE_WRITTEN: Final = Account("system_state", writable=True)
_POOL_STATE: Final = Account("pool_state", writable=True)
_PROGRAM_DATA: Final = Account("program_data")
_POOL_ACCOUNTS: Final = (_ADMIN, _SYSTEM_STATE, _POOL_STATE, _PROGRAM_DATA)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitializeProgram:
    """Create system state and treasury, once; `payer` must be the upgrade authority and pays both rents."""

    payer: Pubkey
    system_state: Pubkey
    main_treasury: Pubkey
    program_data: Pubkey
    admin: Pubkey

    @classmethod
    def of(cls, program_id: Pubkey, *, payer: Pubkey, admin: Pubkey) -> Self:
        return cls(
            payer=payer,
            system_state=program.system_state(program_id),
            main_treasury=program.main_treasury(program_id),
            program_data=program.program_data(program_id),
            admin=admin,
        )


INITIALIZE_PROGRAM_FORMAT: Final = InstructionFormat(
    InstructionKind.INITIALIZE_PROGRAM,
    (
        Account("payer", signer=True, writable=True),
        Account(program.SYSTEM_PROGRAM_ID),
        Account(program.RENT_SYSVAR_ID),
        _SYSTEM_STATE_WRITTEN,
        Account("main_treasury", writable=True),
        _PROGRAM_DATA,
    ),
    (("admin", PUBKEY),),
)


def encode_initialize_program(record: InitializeProgram, program_id: Pubkey) -> Instruction:
    return INITIALIZE_PROGRAM_FORMAT.encode(record, program_id)


def decode_initialize_program(instruction: Instruction) -> InitializeProgram:
    return InitializeProgram(**INITIALIZE_PROGRAM_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSystem:
    """Stop every user instruction; any reason byte is accepted."""

    admin: Pubkey
    system_state: Pubkey
    program_data: Pubkey
    reason_code: int

    @classmethod
    def of(cls, program_id: Pubkey, *, admin: Pubkey, reason_code: int) -> Self:
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            program_data=program.program_data(program_id),
            reason_code=reason_code,
        )


PAUSE_SYSTEM_FORMAT: Final = InstructionFormat(
    InstructionKind.PAUSE_SYSTEM, (_ADMIN, _SYSTEM_STATE_WRITTEN, _PROGRAM_DATA), (("reason_code", U8),)
)


def encode_pause_system(record: PauseSystem, program_id: Pubkey) -> Instruction:
    return PAUSE_SYSTEM_FORMAT.encode(record, program_id)


def decode_pause_system(instruction: Instruction) -> PauseSystem:
    return PauseSystem(**PAUSE_SYSTEM_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpauseSystem:
    """Lift the system pause; blocks treasury withdrawals for 71 hours."""

    admin: Pubkey
    system_state: Pubkey
    main_treasury: Pubkey
    program_data: Pubkey

    @classmethod
    def of(cls, program_id: Pubkey, *, admin: Pubkey) -> Self:
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            main_treasury=program.main_treasury(program_id),
            program_data=program.program_data(program_id),
        )


UNPAUSE_SYSTEM_FORMAT: Final = InstructionFormat(
    InstructionKind.UNPAUSE_SYSTEM,
    (_ADMIN, _SYSTEM_STATE_WRITTEN, Account("main_treasury", writable=True), _PROGRAM_DATA),
)


def encode_unpause_system(record: UnpauseSystem, program_id: Pubkey) -> Instruction:
    return UNPAUSE_SYSTEM_FORMAT.encode(record, program_id)


def decode_unpause_system(instruction: Instruction) -> UnpauseSystem:
    return UnpauseSystem(**UNPAUSE_SYSTEM_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class GetVersion:
    """Write the program's version into the log; needs no account and no state."""


GET_VERSION_FORMAT: Final = InstructionFormat(InstructionKind.GET_VERSION, ())


def encode_get_version(record: GetVersion, program_id: Pubkey) -> Instruction:
    return GET_VERSION_FORMAT.encode(record, program_id)


def decode_get_version(instruction: Instruction) -> GetVersion:
    return GetVersion(**GET_VERSION_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class PausePool:
    """Pause one pool's liquidity and/or swaps (PAUSE_LIQUIDITY | PAUSE_SWAPS); idempotent, admin only."""

    admin: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    program_data: Pubkey
    pause_flags: int
    pool_id: Pubkey

    @classmethod
    def of(cls, program_id: Pubkey, pool_state: Pubkey, *, admin: Pubkey, pause_flags: int) -> Self:
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            pool_state=pool_state,
            program_data=program.program_data(program_id),
            pause_flags=pause_flags,
            pool_id=pool_state,
        )


PAUSE_POOL_FORMAT: Final = InstructionFormat(
    InstructionKind.PAUSE_POOL, _POOL_ACCOUNTS, (("pause_flags", U8), ("pool_id", PUBKEY))
)


def encode_pause_pool(record: PausePool, program_id: Pubkey) -> Instruction:
    return PAUSE_POOL_FORMAT.encode(record, program_id)


def decode_pause_pool(instruction: Instruction) -> PausePool:
    return PausePool(**PAUSE_POOL_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpausePool:
    """Lift a pool's pauses; the bits are PausePool's."""

    admin: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    program_data: Pubkey
    unpause_flags: int
    pool_id: Pubkey

    @classmethod
    def of(cls, program_id: Pubkey, pool_state: Pubkey, *, admin: Pubkey, unpause_flags: int) -> Self:
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            pool_state=pool_state,
            program_data=program.program_data(program_id),
            unpause_flags=unpause_flags,
            pool_id=pool_state,
        )


UNPAUSE_POOL_FORMAT: Final = InstructionFormat(
    InstructionKind.UNPAUSE_POOL, _POOL_ACCOUNTS, (("unpause_flags", U8), ("pool_id", PUBKEY))
)


def encode_unpause_pool(record: UnpausePool, program_id: Pubkey) -> Instruction:
    return UNPAUSE_POOL_FORMAT.encode(record, program_id)


def decode_unpause_pool(instruction: Instruction) -> UnpausePool:
    return UnpausePool(**UNPAUSE_POOL_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSwapOwnerOnly:
    """Restrict swaps to `designated_owner`, who becomes the pool's owner; off leaves the owner as it is."""

    admin: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    program_data: Pubkey
    enable_restriction: bool
    designated_owner: Pubkey
    pool_id: Pubkey

    @classmethod
    def of(
        cls, program_id: Pubkey, pool_state: Pubkey, *, admin: Pubkey, enable: bool, designated_owner: Pubkey
    ) -> Self:
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            pool_state=pool_state,
            program_data=program.program_data(program_id),
            enable_restriction=enable,
            designated_owner=designated_owner,
            pool_id=pool_state,
        )


SET_SWAP_OWNER_ONLY_FORMAT: Final = InstructionFormat(
    InstructionKind.SET_SWAP_OWNER_ONLY,
    _POOL_ACCOUNTS,
    (("enable_restriction", BOOL), ("designated_owner", PUBKEY), ("pool_id", PUBKEY)),
)


def encode_set_swap_owner_only(record: SetSwapOwnerOnly, program_id: Pubkey) -> Instruction:
    return SET_SWAP_OWNER_ONLY_FORMAT.encode(record, program_id)


def decode_set_swap_owner_only(instruction: Instruction) -> SetSwapOwnerOnly:
    return SetSwapOwnerOnly(**SET_SWAP_OWNER_ONLY_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePoolFees:
    """Set a pool's fees, in lamports; only those named in `update_flags` (UPDATE_LIQUIDITY_FEE | UPDATE_SWAP_FEE)."""

    admin: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    program_data: Pubkey
    update_flags: int
    liquidity_fee_lamports: int
    swap_fee_lamports: int
    pool_id: Pubkey

    @classmethod
    def of(
        cls,
        program_id: Pubkey,
        pool_state: Pubkey,
        *,
        admin: Pubkey,
        update_flags: int,
        liquidity_fee_lamports: int,
        swap_fee_lamports: int,
    ) -> Self:
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            pool_state=pool_state,
            program_data=program.program_data(program_id),
            update_flags=update_flags,
            liquidity_fee_lamports=liquidity_fee_lamports,
            swap_fee_lamports=swap_fee_lamports,
            pool_id=pool_state,
        )


UPDATE_POOL_FEES_FORMAT: Final = InstructionFormat(
    InstructionKind.UPDATE_POOL_FEES,
    _POOL_ACCOUNTS,
    (("update_flags", U8), ("liquidity_fee_lamports", U64), ("swap_fee_lamports", U64), ("pool_id", PUBKEY)),
)


def encode_update_pool_fees(record: UpdatePoolFees, program_id: Pubkey) -> Instruction:
    return UPDATE_POOL_FEES_FORMAT.encode(record, program_id)


def decode_update_pool_fees(instruction: Instruction) -> UpdatePoolFees:
    return UpdatePoolFees(**UPDATE_POOL_FEES_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAdminChange:
    """Propose a new admin, or complete the proposal after 72 hours; repeating it early restarts the clock."""

    admin: Pubkey
    system_state: Pubkey
    program_data: Pubkey
    new_admin: Pubkey

    @classmethod
    def of(cls, program_id: Pubkey, *, admin: Pubkey, new_admin: Pubkey) -> Self:
        return cls(
            admin=admin,
            system_state=program.system_state(program_id),
            program_data=program.program_data(program_id),
            new_admin=new_admin,
        )


PROCESS_ADMIN_CHANGE_FORMAT: Final = InstructionFormat(
    InstructionKind.PROCESS_ADMIN_CHANGE, (_ADMIN, _SYSTEM_STATE_WRITTEN, _PROGRAM_DATA), (("new_admin", PUBKEY),)
)


def encode_process_admin_change(record: ProcessAdminChange, program_id: Pubkey) -> Instruction:
    return PROCESS_ADMIN_CHANGE_FORMAT.encode(record, program_id)


def decode_process_admin_change(instruction: Instruction) -> ProcessAdminChange:
    return ProcessAdminChange(**PROCESS_ADMIN_CHANGE_FORMAT.decode(instruction))
