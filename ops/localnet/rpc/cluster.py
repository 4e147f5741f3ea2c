"""Methods about the chain itself: slots, heights, blockhashes, version, rent, fees."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ops.localnet.errors import invalid_params
from ops.localnet.machine import SLOTS_PER_EPOCH, Bank
from ops.localnet.messages import AnyMessage
from ops.localnet.rpc.params import (
    API_VERSION,
    Params,
    Scope,
    bank,
    blockhash,
    config,
    pubkey,
    required,
    whole_number,
    with_context,
)

_FEE_SAMPLE_BLOCKS = 150
#: Agave's feature set of that release; clients only print it.
_FEATURE_SET = 2142755730
#: The largest account there can be.
_MAX_DATA_BYTES = 10 * 1024 * 1024


def get_health(_scope: Scope, _params: Params) -> Any:
    return "ok"


def get_version(_scope: Scope, _params: Params) -> Any:
    return {"solana-core": API_VERSION, "feature-set": _FEATURE_SET}


def get_slot(scope: Scope, params: Params) -> Any:
    return bank(scope, config(params, 0)).slot


def get_block_height(scope: Scope, params: Params) -> Any:
    return bank(scope, config(params, 0)).height


def get_epoch_info(scope: Scope, params: Params) -> Any:
    block = bank(scope, config(params, 0))
    return {
        "absoluteSlot": block.slot,
        "blockHeight": block.height,
        "epoch": block.slot // SLOTS_PER_EPOCH,
        "slotIndex": block.slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": block.end_seq,
    }


def get_latest_blockhash(scope: Scope, params: Params) -> Any:
    block = bank(scope, config(params, 0))
    value = {"blockhash": str(block.blockhash), "lastValidBlockHeight": block.last_valid_height}
    return with_context(block, value)


def is_blockhash_valid(scope: Scope, params: Params) -> Any:
    wanted = blockhash(required(params, 0, 1))
    block = bank(scope, config(params, 1))
    return with_context(block, scope.chain.blocks.usable(wanted, block.height))


def get_first_available_block(scope: Scope, _params: Params) -> Any:
    return scope.chain.history.first_kept_slot


def get_genesis_hash(scope: Scope, _params: Params) -> Any:
    return str(scope.chain.blocks.genesis_hash)


def get_minimum_balance_for_rent_exemption(scope: Scope, params: Params) -> Any:
    data_bytes = whole_number(required(params, 0, 1), "dataLength", _MAX_DATA_BYTES)
    return scope.chain.machine.minimum_balance(data_bytes)


def get_recent_prioritization_fees(scope: Scope, params: Params) -> Any:
    """The lowest unit price per recent slot. Named accounts are checked but do not narrow it: no fee market here."""
    for address in params[0] if params and params[0] is not None else []:
        pubkey(address)
    blocks = scope.chain.blocks
    newest = scope.block("processed")
    count = min(_FEE_SAMPLE_BLOCKS, newest.height + 1)
    recent = [blocks.back(scope.lag_blocks + age) for age in reversed(range(count))]
    return [{"slot": block.slot, "prioritizationFee": block.min_unit_price or 0} for block in recent]


def _message(value: Any) -> AnyMessage:
    if not isinstance(value, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    try:
        message = from_bytes_versioned(b64decode(value, validate=True))
    except ValueError as error:
        raise invalid_params(f"failed to deserialize solana_message::versions::VersionedMessage: {error}") from None
    if not isinstance(message, Message | MessageV0):
        raise invalid_params("unsupported message version")
    return message


def get_fee_for_message(scope: Scope, params: Params) -> Any:
    """The fee in lamports, null when the blockhash is not (or no longer) known."""
    message = _message(required(params, 0, 1))
    block = bank(scope, config(params, 1))
    if not scope.chain.blocks.usable(message.recent_blockhash, block.height):
        return with_context(block, None)
    unsigned = [Signature.default()] * message.header.num_required_signatures
    here = Bank(slot=block.slot, unix_timestamp=block.unix_timestamp, oldest_read_slot=block.slot)
    meta, _, _ = scope.chain.machine.simulate(VersionedTransaction.populate(message, unsigned), here)
    return with_context(block, meta.fee())
