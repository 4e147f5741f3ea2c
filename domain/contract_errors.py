"""What a failed transaction means: the RPC's error JSON read into a record, named per instruction (CONTRACT.md 7).

The same code means different things per instruction, so a name needs the kind of the instruction that failed.
"""

from __future__ import annotations

from enum import IntEnum


class InstructionKind(IntEnum):
    """The program's instructions; the value is the discriminator byte (CONTRACT.md 3.0)."""

    INITIALIZE_PROGRAM = 0
    INITIALIZE_POOL = 1
    DEPOSIT = 2
    WITHDRAW = 3
    SWAP = 4
    GET_POOL_STATE_PDA = 5
    GET_TOKEN_VAULT_PDAS = 6
    GET_POOL_INFO = 7
    GET_POOL_PAUSE_STATUS = 8
    GET_LIQUIDITY_INFO = 9
    GET_FEE_INFO = 10
    GET_POOL_SOL_BALANCE = 11
    PAUSE_SYSTEM = 12
    UNPAUSE_SYSTEM = 13
    GET_VERSION = 14
    WITHDRAW_TREASURY_FEES = 15
    GET_TREASURY_INFO = 16
    CONSOLIDATE_POOL_FEES = 17
    GET_CONSOLIDATION_STATUS = 18
    PAUSE_POOL = 19
    UNPAUSE_POOL = 20
    SET_SWAP_OWNER_ONLY = 21
    UPDATE_POOL_FEES = 22
    DONATE_SOL = 23
    PROCESS_ADMIN_CHANGE = 24
