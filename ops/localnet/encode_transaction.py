"""Landed transactions as getTransaction answers them: made when asked for, from the compact record."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
from solders.instruction import CompiledInstruction
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from ops.localnet import base58
from ops.localnet.errors import invalid_params, unsupported_version
from ops.localnet.history import TokenBalance, TxRecord
from ops.localnet.messages import AnyMessage, message_of, writable_flags
from ops.localnet.tokens import TOKEN_2022_PROGRAM, TOKEN_PROGRAM, ui_amount

TRANSACTION_ENCODINGS = ("json", "jsonParsed", "base64", "base58", "binary")


def _token_balances(balances: tuple[TokenBalance, ...]) -> list[dict[str, Any]]:
    return [
        {
            "accountIndex": entry.account_index,
            "mint": str(entry.mint),
            "owner": str(entry.owner),
            "programId": str(TOKEN_2022_PROGRAM if entry.is_token_2022 else TOKEN_PROGRAM),
            "uiTokenAmount": ui_amount(entry.amount, entry.decimals),
        }
        for entry in balances
    ]


def _instruction(compiled: CompiledInstruction, stack_height: int | None) -> dict[str, Any]:
    return {
        "programIdIndex": compiled.program_id_index,
        "accounts": list(compiled.accounts),
        "data": base58.encode(compiled.data),
        "stackHeight": stack_height,
    }


def _partly_decoded(compiled: CompiledInstruction, keys: list[str], stack_height: int | None) -> dict[str, Any]:
    """The form that jsonParsed uses for programs whose instructions it cannot read; here for all."""
    return {
        "programId": keys[compiled.program_id_index],
        "accounts": [keys[index] for index in compiled.accounts],
        "data": base58.encode(compiled.data),
        "stackHeight": stack_height,
    }


def inner_instructions(meta: TransactionMetadata, keys: list[str] | None = None) -> list[dict[str, Any]]:
    """The inner instructions by the outer one's index; with `keys` in the jsonParsed form."""
    return [
        {
            "index": index,
            "instructions": [
                _instruction(inner.instruction(), inner.stack_height())
                if keys is None
                else _partly_decoded(inner.instruction(), keys, inner.stack_height())
                for inner in group
            ],
        }
        for index, group in enumerate(meta.inner_instructions())
        if group
    ]


def return_data(meta: TransactionMetadata) -> dict[str, Any] | None:
    """What the transaction returned, None when nothing."""
    returned = meta.return_data()
    if not returned.data:
        return None
    return {"programId": str(returned.program_id), "data": [b64encode(returned.data).decode(), "base64"]}


def err_value(err: bytes | None) -> Any:
    """A stored error as an answer's value."""
    return None if err is None else orjson.Fragment(err)


def err_status(err: bytes | None) -> dict[str, Any]:
    """The deprecated `status` form of an error, which clients still read."""
    return {"Ok": None} if err is None else {"Err": orjson.Fragment(err)}


def encode_meta(record: TxRecord, keys: list[str] | None = None) -> dict[str, Any]:
    """The `meta` object; with `keys` its inner instructions are in the jsonParsed form."""
    meta = TransactionMetadata.from_bytes(record.meta)
    document = {
        "err": err_value(record.err),
        "status": err_status(record.err),
        "fee": meta.fee(),
        "preBalances": record.pre_lamports,
        "postBalances": record.post_lamports,
        "innerInstructions": inner_instructions(meta, keys),
        "logMessages": meta.logs(),
        "preTokenBalances": _token_balances(record.pre_tokens),
        "postTokenBalances": _token_balances(record.post_tokens),
        "rewards": [],
        "loadedAddresses": {
            "writable": [str(Pubkey(key)) for key in record.loaded_writable],
            "readonly": [str(Pubkey(key)) for key in record.loaded_readonly],
        },
        "computeUnitsConsumed": meta.compute_units_consumed(),
    }
    returned = return_data(meta)
    return document if returned is None else document | {"returnData": returned}


def _lookups(message: MessageV0) -> list[dict[str, Any]]:
    return [
        {
            "accountKey": str(lookup.account_key),
            "writableIndexes": list(lookup.writable_indexes),
            "readonlyIndexes": list(lookup.readonly_indexes),
        }
        for lookup in message.address_table_lookups
    ]


def _message_json(message: AnyMessage) -> dict[str, Any]:
    header = message.header
    document = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [_instruction(instruction, None) for instruction in message.instructions],
    }
    return document | {"addressTableLookups": _lookups(message)} if isinstance(message, MessageV0) else document


def _message_parsed(message: AnyMessage, keys: list[str], loaded_writable: int) -> dict[str, Any]:
    own, signers, writable = len(message.account_keys), message.header.num_required_signatures, writable_flags(message)
    accounts = [
        {
            "pubkey": key,
            "signer": index < signers,
            "source": "transaction" if index < own else "lookupTable",
            "writable": writable[index] if index < own else index < own + loaded_writable,
        }
        for index, key in enumerate(keys)
    ]
    document = {
        "accountKeys": accounts,
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [_partly_decoded(instruction, keys, None) for instruction in message.instructions],
    }
    return document | {"addressTableLookups": _lookups(message)} if isinstance(message, MessageV0) else document


def encode_transaction(record: TxRecord, encoding: str, max_version: int | None) -> dict[str, Any]:
    """The whole getTransaction value. -32015 for a version that the client did not say it can read."""
    tx = VersionedTransaction.from_bytes(record.raw)
    message = message_of(tx)
    version: int | str = "legacy" if isinstance(message, Message) else 0
    if version == 0 and max_version is None:
        raise unsupported_version(0)
    keys: list[str] | None = None
    body: Any
    if encoding == "base64":
        body = [b64encode(record.raw).decode(), "base64"]
    elif encoding == "base58":
        body = [base58.encode(record.raw), "base58"]
    elif encoding == "binary":
        body = base58.encode(record.raw)
    else:
        signatures = [str(signature) for signature in tx.signatures]
        if encoding == "jsonParsed":
            keys = [str(key) for key in message.account_keys]
            keys += [str(Pubkey(key)) for key in (*record.loaded_writable, *record.loaded_readonly)]
            body = {"signatures": signatures, "message": _message_parsed(message, keys, len(record.loaded_writable))}
        else:
            body = {"signatures": signatures, "message": _message_json(message)}
    document = {
        "slot": record.slot,
        "blockTime": record.unix_timestamp,
        "transaction": body,
        "meta": encode_meta(record, keys),
    }
    return document if max_version is None else document | {"version": version}


def check_transaction_encoding(encoding: Any) -> str:
    """The encoding, or -32602 naming the ones that exist."""
    if encoding not in TRANSACTION_ENCODINGS:
        known = ", ".join(f"`{name}`" for name in TRANSACTION_ENCODINGS)
        raise invalid_params(f"Invalid params: unknown variant `{encoding}`, expected one of {known}.")
    return str(encoding)


def signature_text(record: TxRecord) -> str:
    """The transaction's first signature in base58."""
    return str(Signature.from_bytes(record.signature))
