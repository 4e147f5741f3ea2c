"""getTransaction's answer read into a Receipt, and accounts read into facts."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from domain.chain import layouts, program
from domain.contract_errors import parse_error
from domain.facts import (
    Account,
    InnerTransfer,
    Mint,
    PoolState,
    Receipt,
    SystemState,
    TokenAccount,
    TokenChange,
    Treasury,
)
from domain.ids import Address, Signature

_SYSTEM_PROGRAM = str(program.SYSTEM_PROGRAM_ID)
_TOKEN_PROGRAM = str(program.TOKEN_PROGRAM_ID)
_SYSTEM_TRANSFER_TAG = 2
_WORD_DIGITS = 10
_BASE58 = {
    character: value for value, character in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
}

REMEMBERED_ACCOUNTS = 50_000


def read_receipt(signature: Signature, answer: dict[str, Any]) -> Receipt | None:
    """A Receipt from getTransaction with encoding "json"; None when the node has the transaction but not its meta."""
    meta = answer.get("meta")
    if meta is None:
        return None
    loaded = meta.get("loadedAddresses") or {}
    keys = [
        Address(key)
        for key in (
            *answer["transaction"]["message"]["accountKeys"],
            *loaded.get("writable", ()),
            *loaded.get("readonly", ()),
        )
    ]
    return Receipt(
        signature=signature,
        slot=answer["slot"],
        block_time=answer.get("blockTime"),
        error=parse_error(meta["err"]),
        fee=meta["fee"],
        compute_units=meta.get("computeUnitsConsumed"),
        lamports=dict(zip(keys, zip(meta["preBalances"], meta["postBalances"], strict=True), strict=True)),
        tokens=_token_changes(keys, meta),
        inner_transfers=_inner_transfers(keys, meta),
        logs=tuple(meta.get("logMessages") or ()),
    )


def _token_changes(keys: list[Address], meta: dict[str, Any]) -> dict[Address, TokenChange]:
    """By account, never by position: a compiled message sorts its keys."""
    before = {entry["accountIndex"]: entry for entry in meta.get("preTokenBalances") or ()}
    after = {entry["accountIndex"]: entry for entry in meta.get("postTokenBalances") or ()}
    changes = {}
    for index in before.keys() | after.keys():
        entry = after.get(index) or before[index]
        changes[keys[index]] = TokenChange(
            account=keys[index],
            mint=Address(entry["mint"]),
            owner=Address(entry.get("owner", "")),
            before=int(before[index]["uiTokenAmount"]["amount"]) if index in before else 0,
            after=int(after[index]["uiTokenAmount"]["amount"]) if index in after else 0,
        )
    return changes


def _inner_transfers(keys: list[Address], meta: dict[str, Any]) -> tuple[InnerTransfer, ...]:
    transfers = []
    for group in meta.get("innerInstructions") or ():
        for inner in group["instructions"]:
            if keys[inner["programIdIndex"]] != _SYSTEM_PROGRAM:
                continue
            data = base58_decode(inner["data"])
            if len(data) == 12 and int.from_bytes(data[:4], "little") == _SYSTEM_TRANSFER_TAG:
                source, destination = inner["accounts"][:2]
                lamports = int.from_bytes(data[4:], "little")
                transfers.append(InnerTransfer(source=keys[source], destination=keys[destination], lamports=lamports))
    return tuple(transfers)


def base58_decode(text: str) -> bytes:
    """Instruction data as the "json" encoding gives it."""
    number = 0
    for start in range(0, len(text), _WORD_DIGITS):
        # Ten digits stay within a machine word; digit by digit every step would be a multiplication of long numbers.
        word = 0
        digits = text[start : start + _WORD_DIGITS]
        for character in digits:
            word = word * 58 + _BASE58[character]
        number = number * 58 ** len(digits) + word
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


class AccountReader:
    """Decodes accounts by owner, address and length."""

    def __init__(self, program_id: str, system_state: str, treasury: str) -> None:
        self._program_id = program_id
        self._system_state = system_state
        self._treasury = treasury
        self._last: dict[Address, tuple[str, Account]] = {}

    def read(self, address: Address, value: dict[str, Any] | None) -> Account | None:
        """An account from getMultipleAccounts with encoding "base64"; None stands for a valid "not there"."""
        if value is None:
            return None
        text, lamports, owner = value["data"][0], value["lamports"], value["owner"]
        # The threads of a pool read the same accounts at the same slot: most of what one reads another has decoded.
        known = self._last.get(address)
        if known is not None and known[0] == text and known[1].lamports == lamports and known[1].owner == owner:
            return known[1]
        raw = b64decode(text)
        decoded = self.decode(address, owner, raw)
        account = Account(address=address, lamports=lamports, owner=Address(owner), raw=raw, decoded=decoded)
        if len(self._last) >= REMEMBERED_ACCOUNTS:
            self._last.clear()
        self._last[address] = (text, account)
        return account

    def decode(
        self, address: Address, owner: str, raw: bytes
    ) -> PoolState | SystemState | Treasury | TokenAccount | Mint | None:
        try:
            if owner == _TOKEN_PROGRAM:
                if len(raw) == program.TOKEN_ACCOUNT_BYTES:
                    return layouts.decode_token_account(raw)
                return layouts.decode_mint(raw) if len(raw) == program.MINT_BYTES else None
            if owner == self._program_id:
                if address == self._system_state:
                    return layouts.decode_system_state(raw)
                if address == self._treasury:
                    return layouts.decode_treasury(raw)
                return layouts.decode_pool_state(raw)
        except layouts.LayoutError:
            return None
        return None
