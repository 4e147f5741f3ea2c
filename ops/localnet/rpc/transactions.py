"""Methods that send or try transactions."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import orjson
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import SanitizeError, VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from ops.localnet import base58
from ops.localnet.blocks import PROCESSED, Block
from ops.localnet.chain import LAMPORTS_PER_SOL
from ops.localnet.encode import encode_account
from ops.localnet.encode_transaction import inner_instructions, return_data
from ops.localnet.error_texts import describe
from ops.localnet.errors import INTERNAL_ERROR, RpcError, invalid_params, preflight_failure, signature_failure
from ops.localnet.machine import Bank
from ops.localnet.messages import account_count, check_tables, message_of
from ops.localnet.rpc.params import (
    Config,
    Params,
    Scope,
    bank,
    commitment,
    config,
    pubkey,
    reached,
    required,
    whole_number,
    with_context,
)
from ops.localnet.versions import AccountState

MAX_TRANSACTION_BYTES = 1232
_MAX_ENCODED = {"base64": 1644, "base58": 1683}
_KIND = "solana_transaction::versioned::VersionedTransaction"


def _decode(value: Any, options: Config) -> tuple[VersionedTransaction, bytes]:
    """The transaction and its wire bytes. -32602."""
    encoding = options.get("encoding") or "base58"
    if encoding not in _MAX_ENCODED:
        raise invalid_params(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    if not isinstance(value, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    if len(value) > _MAX_ENCODED[encoding]:
        raise invalid_params(
            f"{encoding} encoded {_KIND} too large: {len(value)} bytes "
            f"(max: encoded/raw {_MAX_ENCODED[encoding]}/{MAX_TRANSACTION_BYTES})"
        )
    try:
        raw = b64decode(value, validate=True) if encoding == "base64" else base58.decode(value)
    except ValueError as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from None
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise invalid_params(f"decoded {_KIND} too large: {len(raw)} bytes (max: {MAX_TRANSACTION_BYTES} bytes)")
    try:
        tx = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise invalid_params(f"failed to deserialize {_KIND}: {error}") from None
    try:
        tx.sanitize()
        message_of(tx)
    except (ValueError, SanitizeError) as error:
        raise invalid_params(f"invalid transaction: {error}") from None
    return tx, raw


def _check_tables(scope: Scope, tx: VersionedTransaction, block: Block) -> None:
    """-32602 for a lookup table that the bank at `block` does not have as the message needs it."""
    try:
        check_tables(message_of(tx), lambda key: scope.chain.accounts.at(key, block.slot).account)
    except ValueError as error:
        raise invalid_params(f"invalid transaction: {error}") from None


def _signatures_good(tx: VersionedTransaction) -> bool:
    return all(tx.verify_with_results())


def _refusal(scope: Scope, tx: VersionedTransaction, block: Block) -> str | None:
    """Why the bank at `block` would not even run the transaction."""
    history = scope.chain.history
    seq = history.seq_of(bytes(tx.signatures[0]))
    # A simulation may carry an old signature on a new message, which is another transaction.
    if seq is not None and seq < block.end_seq and history.record(seq).raw == bytes(tx):
        return "AlreadyProcessed"
    if not scope.chain.blocks.usable(message_of(tx).recent_blockhash, block.height):
        return "BlockhashNotFound"
    return None


def _simulate(
    scope: Scope, tx: VersionedTransaction, block: Block, *, check_blockhash: bool
) -> tuple[TransactionMetadata | None, Any, dict[Pubkey, AccountState]]:
    """Meta, error in JSON form and the accounts after a run on the state at the end of `block`."""
    refusal = _refusal(scope, tx, block) if check_blockhash else None
    if refusal is not None:
        return None, refusal, {}
    here = Bank(slot=block.slot, unix_timestamp=block.unix_timestamp, oldest_read_slot=block.slot)
    meta, err, accounts = scope.chain.machine.simulate(tx, here)
    after = {key: AccountState(account) for key, account in accounts}
    return meta, None if err is None else orjson.loads(err), after


def _simulation_value(meta: TransactionMetadata | None, err: Any) -> dict[str, Any]:
    return {
        "accounts": None,
        "err": err,
        "innerInstructions": None,
        "logs": [] if meta is None else meta.logs(),
        "replacementBlockhash": None,
        "returnData": None if meta is None else return_data(meta),
        "unitsConsumed": 0 if meta is None else meta.compute_units_consumed(),
    }


def send_transaction(scope: Scope, params: Params) -> Any:
    """Queue a transaction; without skipPreflight only after a simulation at preflightCommitment. -32002, -32003.

    With it nothing is verified here: a bad signature gets its answer like any other, and never lands.
    """
    options = config(params, 1)
    tx, raw = _decode(required(params, 0, 1), options)
    skip = bool(options.get("skipPreflight"))
    level = commitment(options, field="preflightCommitment")
    block = reached(scope.block(PROCESSED if skip else level), options)
    _check_tables(scope, tx, block)
    if not _signatures_good(tx):
        if not skip:
            raise signature_failure()
        scope.chain.refuse()
        return str(tx.signatures[0])
    if not skip:
        meta, err, _ = _simulate(scope, tx, block, check_blockhash=True)
        if err is not None:
            raise preflight_failure(describe(err), _simulation_value(meta, err))
    scope.chain.submit(tx, raw)
    return str(tx.signatures[0])


def _accounts_after(
    scope: Scope, block: Block, given: Any, most: int, after: dict[Pubkey, AccountState] | None
) -> list[Any] | None:
    """The accounts that simulateTransaction was asked to show; none of them when it failed (``after`` None)."""
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("addresses"), list):
        raise invalid_params("Invalid params: `accounts` needs `addresses`.")
    encoding = given.get("encoding") or "base64"
    if encoding not in ("base64", "jsonParsed"):
        raise invalid_params("base58 encoding not supported")
    if len(given["addresses"]) > most:
        raise invalid_params(f"Too many accounts provided; max {most}")
    if after is None:
        return [None] * len(given["addresses"])

    def mint_of(key: Pubkey) -> Any:
        return after[key].mint if key in after else scope.mint_at(key, block.slot)

    keys = [pubkey(address) for address in given["addresses"]]
    states = [after[key] if key in after else scope.chain.accounts.at(key, block.slot) for key in keys]
    return [encode_account(state, encoding, None, mint_of) for state in states]


def simulate_transaction(scope: Scope, params: Params) -> Any:
    """Run a transaction on the state at a commitment, changing nothing."""
    options = config(params, 1)
    tx, _ = _decode(required(params, 0, 1), options)
    replace = bool(options.get("replaceRecentBlockhash"))
    if options.get("sigVerify"):
        if replace:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        if not _signatures_good(tx):
            raise signature_failure()
    block = bank(scope, options)
    _check_tables(scope, tx, block)
    meta, err, after = _simulate(scope, tx, block, check_blockhash=not replace)
    value = _simulation_value(meta, err)
    if options.get("innerInstructions") and meta is not None:
        value["innerInstructions"] = inner_instructions(meta)
    if replace:
        value["replacementBlockhash"] = {
            "blockhash": str(block.blockhash),
            "lastValidBlockHeight": block.last_valid_height,
        }
    named = account_count(message_of(tx))
    shown = after if err is None else None
    value["accounts"] = _accounts_after(scope, block, options.get("accounts"), named, shown)
    return with_context(block, value)


def request_airdrop(scope: Scope, params: Params) -> Any:
    """Queue a transfer from the faucet; the answer is its signature. -32603 above the cap."""
    to, lamports = pubkey(required(params, 0, 2)), whole_number(required(params, 1, 2), "lamports")
    cap_sol = scope.chain.settings.airdrop_cap_sol
    if cap_sol is not None and lamports > cap_sol * LAMPORTS_PER_SOL:
        raise RpcError(INTERNAL_ERROR, f"Internal error: the faucet gives at most {cap_sol} SOL at once")
    signature: Signature = scope.chain.airdrop(to, lamports)
    return str(signature)
