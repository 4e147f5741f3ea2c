"""What a transaction offers per compute unit."""

from __future__ import annotations

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

LAMPORTS_PER_SIGNATURE = 5_000
_COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_SET_PRICE = 3


def unit_price(tx: VersionedTransaction, fee_lamports: int) -> int:
    """Micro-lamports per compute unit, 0 when only the signatures were paid for."""
    message = tx.message
    if fee_lamports == LAMPORTS_PER_SIGNATURE * len(tx.signatures):
        return 0
    keys = message.account_keys
    for instruction in message.instructions:
        data = instruction.data
        if keys[instruction.program_id_index] == _COMPUTE_BUDGET and len(data) == 9 and data[0] == _SET_PRICE:
            return int.from_bytes(data[1:9], "little")
    return 0
