"""Bytes of SPL Token accounts and mints, and the amounts in the form that RPC answers use."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from solders.account import Account
from solders.pubkey import Pubkey

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
TOKEN_PROGRAMS = frozenset((TOKEN_PROGRAM, TOKEN_2022_PROGRAM))
PARSER_NAMES = {TOKEN_PROGRAM: "spl-token", TOKEN_2022_PROGRAM: "spl-token-2022"}

ACCOUNT_BYTES = 165
MINT_BYTES = 82
#: Token-2022 pads a mint with extensions to the length of an account and marks the kind behind it.
_KIND_OFFSET = 165
_KIND_MINT, _KIND_ACCOUNT = 1, 2
_STATES = ("uninitialized", "initialized", "frozen")
_U64 = struct.Struct("<Q")


class TokenAccount(NamedTuple):
    """The fields of an initialised token account; `amount` in base units. A tuple: every transaction makes several."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    is_token_2022: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """The fields of an initialised mint; `supply` in base units."""

    supply: int
    decimals: int


def _has_kind(data: bytes, plain_length: int, kind: int) -> bool:
    return len(data) == plain_length or (len(data) > _KIND_OFFSET and data[_KIND_OFFSET] == kind)


def read_token_account(account: Account) -> TokenAccount | None:
    """The token account in an account, None when it is something else."""
    program = account.owner
    if program not in TOKEN_PROGRAMS:
        return None
    data = account.data
    if not _has_kind(data, ACCOUNT_BYTES, _KIND_ACCOUNT) or not data[108]:
        return None
    return TokenAccount(
        mint=Pubkey(data[:32]),
        owner=Pubkey(data[32:64]),
        amount=_U64.unpack_from(data, 64)[0],
        is_token_2022=program == TOKEN_2022_PROGRAM,
    )


def read_mint(account: Account) -> Mint | None:
    """The mint in an account, None when it is something else."""
    if account.owner not in TOKEN_PROGRAMS:
        return None
    data = account.data
    if not _has_kind(data, MINT_BYTES, _KIND_MINT) or not data[45]:
        return None
    return Mint(supply=_U64.unpack_from(data, 36)[0], decimals=data[44])


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """`amount` base units as UiTokenAmount. uiAmount is the protocol's own lossy float; nobody may compute with it."""
    digits = str(amount).rjust(decimals + 1, "0")
    whole, fraction = (digits[:-decimals], digits[-decimals:].rstrip("0")) if decimals else (digits, "")
    text = f"{whole}.{fraction}" if fraction else whole
    return {"uiAmount": float(text), "decimals": decimals, "amount": str(amount), "uiAmountString": text}


def _option(data: bytes, offset: int) -> str | None:
    return str(Pubkey(data[offset + 4 : offset + 36])) if data[offset] else None


def parse_token_account(data: bytes, decimals: int) -> dict[str, Any]:
    """The jsonParsed form of a token account."""
    info: dict[str, Any] = {
        "mint": str(Pubkey(data[:32])),
        "owner": str(Pubkey(data[32:64])),
        "tokenAmount": ui_amount(_U64.unpack_from(data, 64)[0], decimals),
        "state": _STATES[data[108]],
        "isNative": bool(data[109]),
    }
    delegate = _option(data, 72)
    if delegate is not None:
        info["delegate"] = delegate
        info["delegatedAmount"] = ui_amount(_U64.unpack_from(data, 121)[0], decimals)
    if data[109]:
        info["rentExemptReserve"] = ui_amount(_U64.unpack_from(data, 113)[0], decimals)
    close_authority = _option(data, 129)
    if close_authority is not None:
        info["closeAuthority"] = close_authority
    return {"type": "account", "info": info}


def parse_mint(data: bytes) -> dict[str, Any]:
    """The jsonParsed form of a mint."""
    return {
        "type": "mint",
        "info": {
            "mintAuthority": _option(data, 0),
            "supply": str(_U64.unpack_from(data, 36)[0]),
            "decimals": data[44],
            "isInitialized": bool(data[45]),
            "freezeAuthority": _option(data, 46),
        },
    }
