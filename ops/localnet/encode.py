"""Accounts in the encodings that RPC answers use; whole-account base64 is made once per state."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
from solders.pubkey import Pubkey

from ops.localnet import base58
from ops.localnet.errors import INVALID_REQUEST, RpcError, invalid_params
from ops.localnet.tokens import PARSER_NAMES, Mint, parse_mint, parse_token_account
from ops.localnet.versions import AccountState

BASE58, BASE64, BINARY, JSON_PARSED = "base58", "base64", "binary", "jsonParsed"
ACCOUNT_ENCODINGS = (BINARY, BASE58, BASE64, JSON_PARSED)
#: Longer data in base58 is refused, as on a cluster.
MAX_BASE58_BYTES = 128

#: (offset, length)
Slice = tuple[int, int]
#: Gives the mint of a token account, for its decimals.
MintOf = Callable[[Pubkey], Mint | None]


def _data(data: bytes, encoding: str) -> str | list[str]:
    if encoding == BASE64:
        return [b64encode(data).decode(), BASE64]
    too_large = len(data) > MAX_BASE58_BYTES
    if encoding == BINARY:
        return "error: data too large for bs58 encoding" if too_large else base58.encode(data)
    if too_large:
        raise RpcError(
            INVALID_REQUEST,
            "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.",
        )
    return [base58.encode(data), BASE58]


def _parsed(state: AccountState, mint_of: MintOf) -> dict[str, Any] | None:
    """The parsed data of a token account or mint, None when it has to stay base64."""
    account = state.account
    if account is None:
        return None
    if state.mint is not None:
        parsed = parse_mint(account.data)
    elif state.token is not None and (mint := mint_of(state.token.mint)) is not None:
        parsed = parse_token_account(account.data, mint.decimals)
    else:
        return None
    return {"program": PARSER_NAMES[account.owner], "parsed": parsed, "space": len(account.data)}


def _document(state: AccountState, encoding: str, data_slice: Slice | None, mint_of: MintOf) -> dict[str, Any]:
    account = state.account
    assert account is not None  # noqa: S101 -- encode_account answers null before
    raw = account.data
    data: Any = _parsed(state, mint_of) if encoding == JSON_PARSED else None
    if data is None:
        part = raw if data_slice is None else raw[data_slice[0] : data_slice[0] + data_slice[1]]
        data = _data(part, BASE64 if encoding == JSON_PARSED else encoding)
    return {
        "data": data,
        "executable": account.executable,
        "lamports": account.lamports,
        "owner": str(account.owner),
        "rentEpoch": account.rent_epoch,
        "space": len(raw),
    }


def encode_account(state: AccountState, encoding: str, data_slice: Slice | None, mint_of: MintOf) -> Any:
    """The account as an answer's value, null when it does not exist."""
    if state.account is None:
        return None
    if encoding != BASE64 or data_slice is not None:
        return _document(state, encoding, data_slice, mint_of)
    cached = state.encoded.get(BASE64)
    if cached is None:
        cached = state.encoded[BASE64] = orjson.Fragment(orjson.dumps(_document(state, BASE64, None, mint_of)))
    return cached


def check_encoding(encoding: Any) -> str:
    """The encoding, or -32602 naming the ones that exist."""
    if encoding not in ACCOUNT_ENCODINGS:
        known = ", ".join(f"`{name}`" for name in ACCOUNT_ENCODINGS)
        raise invalid_params(f"Invalid params: unknown variant `{encoding}`, expected one of {known}.")
    return str(encoding)
