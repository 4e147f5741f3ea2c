"""Transactions and accounts as any client of the chain reads them: amounts by account, instructions decoded by hand.

Nothing of the service's own reading is used here: what it says is compared with this.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support.localnet import Localnet

TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
TRANSFER, MINT_TO = 3, 7


def base58(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + ALPHABET.index(character)
    return bytes(len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tx:
    """``lamports``, ``tokens``: account -> (before, after). ``moves``: (token program's tag, from, to, amount)."""

    slot: int
    fee: int
    error: Any
    lamports: dict[str, tuple[int, int]]
    tokens: dict[str, tuple[int, int]]
    moves: tuple[tuple[int, str, str, int], ...]

    def gained(self, token_account: str) -> int:
        before, after = self.tokens.get(token_account, (0, 0))
        return after - before

    @property
    def code(self) -> int | str | None:
        """The program's error number, or the name of a built-in error."""
        if self.error is None:
            return None
        detail = self.error["InstructionError"][1]
        return detail if isinstance(detail, str) else int(detail["Custom"])


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAccount:
    """The fields of the pool's account that statuses depend on, at the offsets of the contract's document."""

    mint_a: str
    mint_b: str
    lp_mint_a: str
    lp_mint_b: str
    ratio_a: int
    ratio_b: int
    liquidity_a: int
    liquidity_b: int
    liquidity_fee: int
    swap_fee: int
    fees_collected: int


class Chain:
    def __init__(self, localnet: Localnet) -> None:
        self.call = localnet.call
        self.transaction = cache(self._transaction)

    def _transaction(self, signature: str) -> Tx | None:
        found = self.call("getTransaction", signature, {"encoding": "json", "commitment": "confirmed"})
        return None if found is None else read(found)

    def history(self, address: str) -> list[Tx]:
        """Every confirmed transaction that names the address, oldest first."""
        signatures: list[str] = []
        while True:
            options = {"limit": 1000, "commitment": "confirmed"} | ({"before": signatures[-1]} if signatures else {})
            page = self.call("getSignaturesForAddress", address, options)
            signatures += [entry["signature"] for entry in page]
            if len(page) < 1000:
                break
        found = [self.transaction(signature) for signature in reversed(signatures)]
        return [tx for tx in found if tx is not None]

    def token_accounts(self, wallet: str) -> dict[str, str]:
        """mint -> the wallet's account of it."""
        options = {"encoding": "jsonParsed", "commitment": "confirmed"}
        found = self.call("getTokenAccountsByOwner", wallet, {"programId": TOKEN_PROGRAM}, options)["value"]
        return {entry["account"]["data"]["parsed"]["info"]["mint"]: entry["pubkey"] for entry in found}

    def pool(self, pool_id: str) -> PoolAccount:
        options = {"encoding": "base64", "commitment": "confirmed"}
        data = base64.b64decode(self.call("getAccountInfo", pool_id, options)["value"]["data"][0])

        def key(offset: int) -> str:
            number, text = int.from_bytes(data[offset : offset + 32], "big"), ""
            while number:
                number, digit = divmod(number, 58)
                text = ALPHABET[digit] + text
            return "1" * (32 - len(data[offset : offset + 32].lstrip(b"\0"))) + text

        def u64(offset: int) -> int:
            return int.from_bytes(data[offset : offset + 8], "little")

        return PoolAccount(
            mint_a=key(32),
            mint_b=key(64),
            lp_mint_a=key(160),
            lp_mint_b=key(192),
            ratio_a=u64(224),
            ratio_b=u64(232),
            liquidity_a=u64(240),
            liquidity_b=u64(248),
            liquidity_fee=u64(262),
            swap_fee=u64(270),
            fees_collected=u64(326),
        )


def read(found: dict[str, Any]) -> Tx:
    message, meta = found["transaction"]["message"], found["meta"]
    keys = message["accountKeys"]
    before, after = meta["preBalances"], meta["postBalances"]
    held: dict[str, list[int]] = {}
    for place, balances in enumerate((meta["preTokenBalances"], meta["postTokenBalances"])):
        for entry in balances:
            held.setdefault(keys[entry["accountIndex"]], [0, 0])[place] = int(entry["uiTokenAmount"]["amount"])
    moves = []
    for instruction in message["instructions"]:
        data = base58(instruction["data"])
        if keys[instruction["programIdIndex"]] == TOKEN_PROGRAM and data[0] in (TRANSFER, MINT_TO):
            source, target = (keys[index] for index in instruction["accounts"][:2])
            moves.append((data[0], source, target, int.from_bytes(data[1:9], "little")))
    return Tx(
        slot=found["slot"],
        fee=meta["fee"],
        error=meta["err"],
        lamports={name: (before[index], after[index]) for index, name in enumerate(keys)},
        tokens={name: (amounts[0], amounts[1]) for name, amounts in held.items()},
        moves=tuple(moves),
    )
