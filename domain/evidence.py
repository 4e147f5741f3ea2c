"""Faults with what is needed to reproduce them: the intent, the transaction's meta and its logs as plain JSON data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from domain.facts import Receipt
from domain.faults import Fault
from domain.operations import Intent
from domain.pool import Pool

Problem = tuple[str, str]  # check id, message


def faults_of(problems: Iterable[Problem], intent: Intent, receipt: Receipt, pool: Pool | None) -> tuple[Fault, ...]:
    """One fault per broken check; several messages of one check are joined."""
    messages: dict[str, list[str]] = {}
    for check, message in problems:
        messages.setdefault(check, []).append(message)
    if not messages:
        return ()
    evidence = receipt_evidence(intent, receipt)
    return tuple(
        Fault(
            check=check,
            message="; ".join(texts),
            pool_id=pool.pool_id if pool else intent.pool_id,
            chain_id=intent.operation_id.rpartition("/")[0],
            operation_id=intent.operation_id,
            signature=receipt.signature,
            slot=receipt.slot,
            evidence=evidence,
        )
        for check, texts in messages.items()
    )


def receipt_evidence(intent: Intent, receipt: Receipt) -> dict[str, Any]:
    """Amounts as decimal strings: [before, after] per account."""
    return {
        "kind": intent.kind.value,
        "inputs": intent.inputs,
        "wire": intent.wire,
        "compute_limit": intent.compute_limit,
        "compute_units": receipt.compute_units,
        "error": None if receipt.error is None else {"code": receipt.error.code, "index": receipt.error.index},
        "block_time": receipt.block_time,
        "network_fee": str(receipt.fee),
        "tokens": {account: [str(change.before), str(change.after)] for account, change in receipt.tokens.items()},
        "lamports": {account: [str(before), str(after)] for account, (before, after) in receipt.lamports.items()},
        "inner_transfers": [[move.source, move.destination, str(move.lamports)] for move in receipt.inner_transfers],
        "logs": list(receipt.logs),
    }
