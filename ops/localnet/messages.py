"""Messages of legacy and version 0 transactions: what they may write, what they load from lookup tables."""

from __future__ import annotations

from collections.abc import Callable

from solders.account import Account
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

AnyMessage = Message | MessageV0

#: A table's addresses start behind its metadata.
_ADDRESSES_OFFSET = 56
_LOOKUP_TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")


def message_of(tx: VersionedTransaction) -> AnyMessage:
    """The transaction's message. ValueError for a version that no cluster runs yet."""
    message = tx.message
    if not isinstance(message, Message | MessageV0):
        raise ValueError("unsupported transaction version")  # noqa: TRY004 -- the wire said so, not the caller
    return message


def writable_flags(message: AnyMessage) -> list[bool]:
    """Which of the message's own keys it asks to write, by the header's counts."""
    header, count = message.header, len(message.account_keys)
    signers = header.num_required_signatures
    writable_signers = signers - header.num_readonly_signed_accounts
    writable_others = count - signers - header.num_readonly_unsigned_accounts
    return (
        [True] * writable_signers
        + [False] * header.num_readonly_signed_accounts
        + [True] * writable_others
        + [False] * header.num_readonly_unsigned_accounts
    )


def loaded_addresses(
    message: AnyMessage, account: Callable[[Pubkey], Account | None]
) -> tuple[list[Pubkey], list[Pubkey]]:
    """Writable and read-only addresses that the message loads from tables; unknown tables load nothing."""
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    if isinstance(message, Message):
        return writable, readonly
    for lookup in message.address_table_lookups:
        table = account(lookup.account_key)
        data = b"" if table is None else table.data[_ADDRESSES_OFFSET:]
        for indexes, found in ((lookup.writable_indexes, writable), (lookup.readonly_indexes, readonly)):
            for index in indexes:
                address = data[32 * index : 32 * index + 32]
                if len(address) == 32:
                    found.append(Pubkey(address))
    return writable, readonly


def account_count(message: AnyMessage) -> int:
    """How many accounts the message names, those of lookup tables included."""
    count = len(message.account_keys)
    if isinstance(message, MessageV0):
        lookups = message.address_table_lookups
        count += sum(len(lookup.writable_indexes) + len(lookup.readonly_indexes) for lookup in lookups)
    return count


def check_tables(message: AnyMessage, account: Callable[[Pubkey], Account | None]) -> None:
    """ValueError, in a cluster's words, when a lookup table is not there or is shorter than the message thinks."""
    if isinstance(message, Message):
        return
    for lookup in message.address_table_lookups:
        table = account(lookup.account_key)
        if table is None:
            raise ValueError("Transaction loads an address table account that doesn't exist")
        if table.owner != _LOOKUP_TABLES:
            raise ValueError("Transaction loads an address table account with an invalid owner")
        held = (len(table.data) - _ADDRESSES_OFFSET) // 32
        if any(index >= held for index in (*lookup.writable_indexes, *lookup.readonly_indexes)):
            raise ValueError("Transaction address table lookup uses an invalid index")
