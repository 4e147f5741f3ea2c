"""Names of things, as text: no Solana type appears in the rules."""

from __future__ import annotations

from typing import NewType

PoolId = NewType("PoolId", str)  # base58 of the pool state account
ThreadId = NewType("ThreadId", str)  # "deposit_1"
ChainId = NewType("ChainId", str)  # a thread id, "share:<pool>", "refill:<pool>", "probe:<pool>" or "command:<id>"
CommandId = NewType("CommandId", str)  # idempotency id of a command
OperationId = NewType("OperationId", str)  # "<chain id>/<operation number>[.<n>]"
Address = NewType("Address", str)  # base58
Signature = NewType("Signature", str)  # base58
