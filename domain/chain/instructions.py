"""Any instruction of the program: told apart by its discriminator, decoded, or altered for a probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from domain.chain import instructions_admin as admin
from domain.chain import instructions_trading as trading
from domain.chain import instructions_treasury as treasury
from domain.chain.instructions_format import InstructionFormatError
from domain.contract_errors import InstructionKind

_DECODERS: Final[dict[InstructionKind, Callable[[Instruction], object]]] = {
    InstructionKind.INITIALIZE_PROGRAM: admin.decode_initialize_program,
    InstructionKind.INITIALIZE_POOL: trading.decode_initialize_pool,
    InstructionKind.DEPOSIT: trading.decode_deposit,
    InstructionKind.WITHDRAW: trading.decode_withdraw,
    InstructionKind.SWAP: trading.decode_swap,
    InstructionKind.PAUSE_SYSTEM: admin.decode_pause_system,
    InstructionKind.UNPAUSE_SYSTEM: admin.decode_unpause_system,
    InstructionKind.GET_VERSION: admin.decode_get_version,
    InstructionKind.WITHDRAW_TREASURY_FEES: treasury.decode_withdraw_treasury_fees,
    InstructionKind.CONSOLIDATE_POOL_FEES: treasury.decode_consolidate_pool_fees,
    InstructionKind.PAUSE_POOL: admin.decode_pause_pool,
    InstructionKind.UNPAUSE_POOL: admin.decode_unpause_pool,
    InstructionKind.SET_SWAP_OWNER_ONLY: admin.decode_set_swap_owner_only,
    InstructionKind.UPDATE_POOL_FEES: admin.decode_update_pool_fees,
    InstructionKind.DONATE_SOL: treasury.decode_donate_sol,
    InstructionKind.PROCESS_ADMIN_CHANGE: admin.decode_process_admin_change,
}


def instruction_kind(data: bytes) -> InstructionKind:
    """The kind that the first data byte names. Raises InstructionFormatError for none or an unknown one."""
    if not data:
        raise InstructionFormatError("an instruction of the program has at least one byte of data")
    try:
        return InstructionKind(data[0])
    except ValueError as error:
        raise InstructionFormatError(f"discriminator {data[0]} is not an instruction of the program") from error


def decode(instruction: Instruction) -> object:
    """The record (Deposit, Swap, PausePool, ...) that an instruction of the program carries."""
    kind = instruction_kind(instruction.data)
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise InstructionFormatError(f"{kind.name} only writes logs; it has no record here")
    return decoder(instruction)


def with_account(
    instruction: Instruction,
    index: int,
    *,
    pubkey: Pubkey | None = None,
    signer: bool | None = None,
    writable: bool | None = None,
) -> Instruction:
    """The same instruction with one place of its account list altered; what is not given stays."""
    metas = instruction.accounts
    old = metas[index]
    metas[index] = AccountMeta(
        old.pubkey if pubkey is None else pubkey,
        old.is_signer if signer is None else signer,
        old.is_writable if writable is None else writable,
    )
    return Instruction(instruction.program_id, instruction.data, metas)


def with_data(instruction: Instruction, data: bytes) -> Instruction:
    """The same program and accounts with other data, for malformed instructions."""
    return Instruction(instruction.program_id, data, instruction.accounts)
