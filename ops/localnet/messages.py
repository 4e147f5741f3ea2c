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
