"""Accounts set back to just before a transaction, as far as its meta tells; the rest is an estimate."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from domain.chain import program
from domain.pool import Pool

_SYSVARS: Final = "Sysvar1111111111111111111111111111111111111"  # their owner
_TOKEN_AMOUNT: Final = 64
_LIQUIDITY: Final = (240, 248)  # CONTRACT.md 4.1: T_A, T_B
_FEES: Final = (310, 318, 326)  # CL, CS, CT

Accounts = dict[str, dict[str, Any] | None]


def rewound(
    now: Mapping[str, dict[str, Any] | None],
    lamports: Mapping[str, Sequence[str]],
    tokens: Mapping[str, Sequence[str]],
    pool: Pool | None,
) -> Accounts:
    """``now``: getMultipleAccounts' entries; ``lamports``, ``tokens``: [before, after] by account, as text.

    Exact for lamports and token amounts. A pool's liquidity follows its vaults and its fees its lamports, so that what
    did not add up still does not; supplies stay as they are. Programs and sysvars are left out, others bring their own.
    """
    accounts: Accounts = {}
    for address, entry in now.items():
        held = int(lamports[address][0]) if address in lamports else None
        if held == 0 or (entry is None and held is None):
            accounts[address] = None
        elif entry is not None and not entry["executable"] and entry["owner"] != _SYSVARS:
            data = bytearray(b64decode(entry["data"][0]))
            if address in tokens and len(data) == program.TOKEN_ACCOUNT_BYTES:
                _put(data, _TOKEN_AMOUNT, int(tokens[address][0]))
            if pool is not None and address == pool.pool_id and len(data) == program.POOL_STATE_BYTES:
                _set_back(data, pool, now, tokens, (held or entry["lamports"]) - entry["lamports"])
            accounts[address] = {
                "lamports": str(entry["lamports"] if held is None else held),
                "owner": entry["owner"],
                "data": b64encode(data).decode(),
            }
    return accounts


def _set_back(
    data: bytearray,
    pool: Pool,
    now: Mapping[str, dict[str, Any] | None],
    tokens: Mapping[str, Sequence[str]],
    gained: int,
) -> None:
    for offset, vault in zip(_LIQUIDITY, (pool.vault_a, pool.vault_b), strict=True):
        entry = now.get(vault)
        if entry is not None and vault in tokens:
            since = int(tokens[vault][0]) - _get(b64decode(entry["data"][0]), _TOKEN_AMOUNT)
            _put(data, offset, max(0, _get(data, offset) + since))
    liquidity, swap, total = _FEES
    kept = _get(data, liquidity) + gained
    _put(data, liquidity, max(0, kept))
    _put(data, swap, max(0, _get(data, swap) + min(0, kept)))
    _put(data, total, max(0, _get(data, total) + gained))


def _get(data: bytes | bytearray, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def _put(data: bytearray, offset: int, amount: int) -> None:
    data[offset : offset + 8] = amount.to_bytes(8, "little")
