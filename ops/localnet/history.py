"""Every landed transaction: by signature, by address, newest first; compact, capped, oldest forgotten first.

A transaction has a sequence number, rising in execution order; blocks refer to transactions by it.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from solders.pubkey import Pubkey

#: Newer records stay as objects, about 150 MB of them; older ones are packed to bytes, a third of that.
UNPACKED_RECORDS = 65_536
_PACK_BATCH = 256
_EVICT_BATCH = 1024
_HEAD = struct.Struct("<QqHHHHH")
_TOKEN = struct.Struct("<BBB32s32sQ")
_U64 = struct.Struct("<Q")


class TokenBalance(NamedTuple):
    """One entry of pre- or postTokenBalances; `amount` in base units. A tuple: a transaction makes a dozen of them."""

    account_index: int
    decimals: int
    is_token_2022: bool
    mint: Pubkey
    owner: Pubkey
    amount: int


@dataclass(slots=True, kw_only=True)
class TxRecord:
    """A landed transaction as getTransaction needs it. Balances in lamports, by account index."""

    slot: int
    unix_timestamp: int
    #: The wire bytes.
    raw: bytes
    #: The error as JSON text, None for a success.
    err: bytes | None
    #: bincode of solders' TransactionMetadata: logs, inner instructions, compute units, return data, fee.
    meta: bytes
    pre_lamports: tuple[int, ...]
    post_lamports: tuple[int, ...]
    pre_tokens: tuple[TokenBalance, ...]
    post_tokens: tuple[TokenBalance, ...]
    #: Addresses from lookup tables: writable ones, then read-only ones.
    loaded_writable: tuple[bytes, ...] = ()
    loaded_readonly: tuple[bytes, ...] = ()

    @property
    def signature(self) -> bytes:
        """The first signature; a transaction has fewer than 128, so the count before it is one byte."""
        return self.raw[1:65]

    def pack(self) -> bytes:
        """The record as compressed bytes, about a third of its size."""
        accounts = len(self.pre_lamports)
        head = _HEAD.pack(
            self.slot,
            self.unix_timestamp,
            len(self.raw),
            0 if self.err is None else len(self.err),
            accounts,
            len(self.pre_tokens) | len(self.post_tokens) << 8,
            len(self.loaded_writable) | len(self.loaded_readonly) << 8,
        )
        parts = [head, self.raw, self.err or b""]
        parts.append(struct.pack(f"<{2 * accounts}Q", *self.pre_lamports, *self.post_lamports))
        parts.extend(
            _TOKEN.pack(t.account_index, t.decimals, t.is_token_2022, bytes(t.mint), bytes(t.owner), t.amount)
            for t in (*self.pre_tokens, *self.post_tokens)
        )
        parts.extend(self.loaded_writable)
        parts.extend(self.loaded_readonly)
        parts.append(self.meta)
        return zlib.compress(b"".join(parts), 1)

    @classmethod
    def unpack(cls, packed: bytes) -> TxRecord:
        """The record that `pack` made."""
        data = zlib.decompress(packed)
        slot, time, raw_length, err_length, accounts, tokens, loaded = _HEAD.unpack_from(data)
        at = _HEAD.size
        raw, at = data[at : at + raw_length], at + raw_length
        err, at = data[at : at + err_length], at + err_length
        lamports = struct.unpack_from(f"<{2 * accounts}Q", data, at)
        at += 2 * accounts * _U64.size
        pre_count, writable_count = tokens & 0xFF, loaded & 0xFF
        balances = []
        for _ in range(pre_count + (tokens >> 8)):
            index, decimals, is_2022, mint, owner, amount = _TOKEN.unpack_from(data, at)
            balances.append(TokenBalance(index, decimals, bool(is_2022), Pubkey(mint), Pubkey(owner), amount))
            at += _TOKEN.size
        keys = tuple(data[at + 32 * i : at + 32 * i + 32] for i in range(writable_count + (loaded >> 8)))
        return cls(
            slot=slot,
            unix_timestamp=time,
            raw=raw,
            err=err or None,
            meta=data[at + 32 * len(keys) :],
            pre_lamports=lamports[:accounts],
            post_lamports=lamports[accounts:],
            pre_tokens=tuple(balances[:pre_count]),
            post_tokens=tuple(balances[pre_count:]),
            loaded_writable=keys[:writable_count],
            loaded_readonly=keys[writable_count:],
        )


class History:
    """Landed transactions by sequence number, signature and address."""

    def __init__(self, max_transactions: int) -> None:
        self._max = max_transactions
        self._records: list[TxRecord | bytes] = []
        self._first_seq = 0
        self._packed_until = 0
        self._seq_of: dict[bytes, int] = {}
        self._by_address: dict[Pubkey, array[int]] = {}
        self.first_kept_slot = 0

    @property
    def end_seq(self) -> int:
        """How many transactions ever landed."""
        return self._first_seq + len(self._records)

    def add(self, record: TxRecord, addresses: Iterable[Pubkey]) -> None:
        """Append a transaction and index it under every address it names."""
        seq = self.end_seq
        self._records.append(record)
        self._seq_of[record.signature] = seq
        by_address = self._by_address
        for address in addresses:
            entries = by_address.get(address)
            if entries is None:
                by_address[address] = array("Q", (seq,))
            else:
                entries.append(seq)

    def seq_of(self, signature: bytes) -> int | None:
        """The sequence number of a landed transaction."""
        return self._seq_of.get(signature)

    def record(self, seq: int) -> TxRecord:
        """The transaction with a sequence number that seq_of or for_address gave."""
        stored = self._records[seq - self._first_seq]
        return TxRecord.unpack(stored) if isinstance(stored, bytes) else stored

    def for_address(self, address: Pubkey, *, before_seq: int, after_seq: int, limit: int) -> Iterator[TxRecord]:
        """At most `limit` transactions with after_seq < seq < before_seq that name the address, newest first."""
        entries = self._by_address.get(address)
        if entries is None:
            return
        start = bisect_left(entries, max(after_seq + 1, self._first_seq))
        stop = bisect_left(entries, before_seq)
        for seq in islice(reversed(entries[max(start, stop - limit) : stop]), limit):
            yield self.record(seq)

    def drop_from(self, seq: int) -> list[TxRecord]:
        """Forget every transaction from ``seq`` on, oldest first: their blocks are gone."""
        dropped = [self.record(number) for number in range(seq, self.end_seq)]
        for record in dropped:
            del self._seq_of[record.signature]
        del self._records[seq - self._first_seq :]
        for entries in self._by_address.values():
            while entries and entries[-1] >= seq:
                entries.pop()
        return dropped

    def restore(self, records: Iterable[tuple[TxRecord, Iterable[Pubkey]]], first_seq: int) -> None:
        """Put a saved chain's transactions back, oldest first."""
        self._first_seq = self._packed_until = first_seq
        for record, addresses in records:
            self.add(record, addresses)
        if first_seq and self._records:
            self.first_kept_slot = self.record(first_seq).slot

    def stored(self, start: int, stop: int) -> Iterator[TxRecord | bytes]:
        """Transactions with start <= seq < stop as they are kept: packed or not."""
        yield from self._records[max(0, start - self._first_seq) : stop - self._first_seq]

    @property
    def first_seq(self) -> int:
        return self._first_seq

    def tidy(self) -> None:
        """Pack what has become old and forget what exceeds the cap; cheap, called once per block."""
        behind = self.end_seq - UNPACKED_RECORDS
        # A burst is packed over several blocks; twice the batch would already outrun any steady load.
        for seq in range(max(self._packed_until, self._first_seq), min(behind, self._packed_until + 4 * _PACK_BATCH)):
            stored = self._records[seq - self._first_seq]
            if isinstance(stored, TxRecord):
                self._records[seq - self._first_seq] = stored.pack()
            self._packed_until = seq + 1
        if len(self._records) > self._max + _EVICT_BATCH:
            self._evict(len(self._records) - self._max)

    def _evict(self, count: int) -> None:
        for seq in range(self._first_seq, self._first_seq + count):
            del self._seq_of[self.record(seq).signature]
        self.first_kept_slot = self.record(self._first_seq + count).slot
        del self._records[:count]
        self._first_seq += count
        self._packed_until = max(self._packed_until, self._first_seq)
        # Half-stale index entries are dropped here, so that hot addresses do not keep every number for ever.
        for address in list(self._by_address):
            entries = self._by_address[address]
            stale = bisect_left(entries, self._first_seq)
            if stale == len(entries):
                del self._by_address[address]
            elif stale > len(entries) // 2:
                del entries[:stale]
