"""Methods that ask what became of transactions."""

from __future__ import annotations

from typing import Any

from ops.localnet.blocks import CONFIRMED, FINALIZED, PROCESSED, STATUS_CACHE_BLOCKS
from ops.localnet.encode_transaction import (
    check_transaction_encoding,
    encode_transaction,
    err_status,
    err_value,
    signature_text,
)
from ops.localnet.errors import invalid_params
from ops.localnet.rpc.params import (
    Params,
    Scope,
    config,
    confirmed_commitment,
    pubkey,
    reached,
    required,
    signature,
    whole_number,
    with_context,
)

MAX_STATUSES = 256
MAX_SIGNATURES = 1000


def confirmation_status(scope: Scope, seq: int) -> str:
    """How far the block of a landed transaction has come, as this endpoint sees it."""
    for level in (FINALIZED, CONFIRMED):
        if seq < scope.block(level).end_seq:
            return level
    return PROCESSED


def get_signature_statuses(scope: Scope, params: Params) -> Any:
    """From the processed bank; without searchTransactionHistory only the last 300 blocks' transactions."""
    names = required(params, 0, 1)
    if not isinstance(names, list):
        raise invalid_params("Invalid params: invalid type: expected a sequence.")
    if len(names) > MAX_STATUSES:
        raise invalid_params(f"Too many inputs provided; max {MAX_STATUSES}")
    options = config(params, 1)
    chain, newest = scope.chain, scope.block(PROCESSED)
    cache_start = 0
    if not options.get("searchTransactionHistory"):
        cache_start = chain.blocks.back(scope.lag_blocks + STATUS_CACHE_BLOCKS).end_seq
        if newest.height < STATUS_CACHE_BLOCKS:
            cache_start = 0
    found: list[Any] = []
    for name in names:
        seq = chain.history.seq_of(signature(name))
        found.append(None if seq is None or not cache_start <= seq < newest.end_seq else _status(scope, seq))
    return with_context(newest, found)


def _status(scope: Scope, seq: int) -> dict[str, Any]:
    record, level = scope.chain.history.record(seq), confirmation_status(scope, seq)
    confirmations = None
    if level != FINALIZED:
        confirmations = scope.block(PROCESSED).height - scope.chain.blocks.height_at(record.slot)
    return {
        "confirmationStatus": level,
        "confirmations": confirmations,
        "err": err_value(record.err),
        "slot": record.slot,
        "status": err_status(record.err),
    }


def get_signatures_for_address(scope: Scope, params: Params) -> Any:
    """Newest first, at most `limit`, strictly between `before` and `until`. An unknown `before` gives nothing."""
    address, options = pubkey(required(params, 0, 1)), config(params, 1)
    limit = whole_number(options["limit"], "limit") if options.get("limit") is not None else MAX_SIGNATURES
    if not 1 <= limit <= MAX_SIGNATURES:
        raise invalid_params(f"Invalid limit; max {MAX_SIGNATURES}")
    block = reached(scope.block(confirmed_commitment(options)), options)
    history, before_seq, after_seq = scope.chain.history, block.end_seq, -1
    if options.get("before") is not None:
        seq = history.seq_of(signature(options["before"]))
        if seq is None:
            return []
        before_seq = min(before_seq, seq)
    if options.get("until") is not None:
        seq = history.seq_of(signature(options["until"]))
        after_seq = -1 if seq is None else seq
    final = scope.block(FINALIZED).slot
    return [
        {
            "blockTime": record.unix_timestamp,
            "confirmationStatus": FINALIZED if record.slot <= final else CONFIRMED,
            "err": err_value(record.err),
            "memo": None,
            "signature": signature_text(record),
            "slot": record.slot,
        }
        for record in history.for_address(address, before_seq=before_seq, after_seq=after_seq, limit=limit)
    ]


def get_transaction(scope: Scope, params: Params) -> Any:
    """The transaction once its block has reached the commitment, else null. -32015 for an unasked-for version."""
    wanted = signature(required(params, 0, 1))
    given = params[1] if len(params) > 1 else None
    # The second parameter may be the encoding alone.
    options = {"encoding": given} if isinstance(given, str) else config(params, 1)
    encoding = check_transaction_encoding(options.get("encoding") or "json")
    block = scope.block(confirmed_commitment(options))
    version = options.get("maxSupportedTransactionVersion")
    max_version = None if version is None else whole_number(version, "maxSupportedTransactionVersion", 255)
    seq = scope.chain.history.seq_of(wanted)
    if seq is None:
        return None
    record = scope.chain.history.record(seq)
    if block.slot < record.slot + scope.chain.faults.transaction_lag_slots(wanted):
        return None
    return encode_transaction(record, encoding, max_version)
