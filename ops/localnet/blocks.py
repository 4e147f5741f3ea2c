"""The chain of blocks: slots, heights, blockhashes, and which block each commitment stands at.

LiteSVM knows only its newest blockhash, so the table of valid ones is ours (DESIGN 9).
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass

from solders.hash import Hash

#: A blockhash is good for this many blocks after its own (Solana's MAX_PROCESSING_AGE).
BLOCKHASH_LIFE_BLOCKS = 150
#: The deepest lag a second endpoint may be given; account versions are kept that long.
MAX_ENDPOINT_LAG_BLOCKS = 64
#: getSignatureStatuses without history looks this far back (Solana's status cache).
STATUS_CACHE_BLOCKS = 300
#: Length of the SlotHashes sysvar, which lookup tables are created against.
SLOT_HASHES = 512
#: Blocks past this age have no reader left: the status cache counts back from a commitment that itself may lag.
KEPT_BLOCKS_BEYOND_FINALIZED = STATUS_CACHE_BLOCKS + BLOCKHASH_LIFE_BLOCKS + MAX_ENDPOINT_LAG_BLOCKS

PROCESSED, CONFIRMED, FINALIZED = "processed", "confirmed", "finalized"


@dataclass(slots=True, kw_only=True)
class Block:
    """One produced block; `end_seq` is the number of transactions ever landed up to its end."""

    slot: int
    height: int
    parent_slot: int
    blockhash: Hash
    unix_timestamp: int
    end_seq: int
    #: Lowest price in micro-lamports per compute unit among its transactions, None for an empty block.
    min_unit_price: int | None = None

    @property
    def last_valid_height(self) -> int:
        """The last height at which a transaction with this blockhash may land."""
        return self.height + BLOCKHASH_LIFE_BLOCKS


class Blocks:
    """Table of the recent blocks; heights are consecutive, slots may skip. What is confirmed is never dropped."""

    def __init__(self, *, seed: int, unix_timestamp: int, confirmed_lag: int, finalized_lag: int) -> None:
        self._lags = {PROCESSED: 0, CONFIRMED: confirmed_lag, FINALIZED: finalized_lag}
        self._kept = finalized_lag + KEPT_BLOCKS_BEYOND_FINALIZED
        self._seed = seed
        #: Counts forks and restarts: what comes after one has other blockhashes than what was there before.
        self.branch = 0
        self.genesis_hash = self._hash(b"genesis", 0)
        genesis = Block(
            slot=0,
            height=0,
            parent_slot=0,
            blockhash=self._hash(bytes(self.genesis_hash), 0),
            unix_timestamp=unix_timestamp,
            end_seq=0,
        )
        self._by_height = {0: genesis}
        self._height_of = {genesis.blockhash: 0}
        self._height_at = {0: 0}
        self.tip = genesis
        self._standing = dict.fromkeys(self._lags, genesis)
        #: (slot, blockhash), newest first, as the SlotHashes sysvar has them.
        self.slot_hashes = deque([(genesis.slot, genesis.blockhash)], maxlen=SLOT_HASHES)

    def _hash(self, previous: bytes, height: int) -> Hash:
        text = b"frt-localnet|%d|%d|" % (self._seed, height)
        if self.branch:
            text += b"%d|" % self.branch
        return Hash(hashlib.sha256(text + previous).digest())

    def append(self, *, slot: int, unix_timestamp: int, end_seq: int, min_unit_price: int | None) -> Block:
        """Close the block of `slot` and forget the one that nothing can ask for any more."""
        height = self.tip.height + 1
        block = Block(
            slot=slot,
            height=height,
            parent_slot=self.tip.slot,
            blockhash=self._hash(bytes(self.tip.blockhash), height),
            unix_timestamp=unix_timestamp,
            end_seq=end_seq,
            min_unit_price=min_unit_price,
        )
        self._by_height[height] = block
        self._height_of[block.blockhash] = height
        self._height_at[slot] = height
        self.slot_hashes.appendleft((slot, block.blockhash))
        self.tip = block
        self._stand()
        forgotten = self._by_height.pop(height - self._kept, None)
        if forgotten is not None:
            del self._height_of[forgotten.blockhash]
            del self._height_at[forgotten.slot]
        return block

    def _stand(self) -> None:
        """No commitment but processed ever goes back."""
        standing = {level: self.back(lag) for level, lag in self._lags.items()}
        for level, block in standing.items():
            if level == PROCESSED or block.height > self._standing[level].height:
                self._standing[level] = block

    def drop(self, count: int) -> list[Block]:
        """Forget the newest blocks, ``count`` of them but none that is confirmed; newest first."""
        count = min(count, self.tip.height - self._standing[CONFIRMED].height)
        dropped = []
        for _ in range(count):
            block = self.tip
            del self._by_height[block.height]
            del self._height_of[block.blockhash]
            del self._height_at[block.slot]
            self.slot_hashes.popleft()
            self.tip = self._by_height[block.height - 1]
            dropped.append(block)
        if dropped:
            self.branch += 1
            self._stand()
        return dropped

    def restore(self, blocks: list[Block], branch: int) -> None:
        """Put back the blocks of a saved chain, oldest first; the newest is confirmed."""
        self.branch = branch
        self._by_height = {block.height: block for block in blocks}
        self._height_of = {block.blockhash: block.height for block in blocks}
        self._height_at = {block.slot: block.height for block in blocks}
        self.tip = blocks[-1]
        self.slot_hashes = deque(((b.slot, b.blockhash) for b in reversed(blocks)), maxlen=SLOT_HASHES)
        self._standing = {level: self.back(lag) for level, lag in self._lags.items()} | {CONFIRMED: self.tip}

    def kept(self) -> list[Block]:
        """Every block that is kept up to the confirmed one, oldest first."""
        newest = self._standing[CONFIRMED].height
        return [block for height, block in sorted(self._by_height.items()) if height <= newest]

    def since(self, height: int) -> list[Block]:
        """The confirmed blocks above ``height``, oldest first."""
        return [self._by_height[number] for number in range(height + 1, self._standing[CONFIRMED].height + 1)]

    def at(self, commitment: str, endpoint_lag: int = 0) -> Block:
        """The block that reads at `commitment` answer from, `endpoint_lag` blocks behind."""
        if not endpoint_lag:
            return self._standing[commitment]
        behind = self.tip.height - self._standing[commitment].height
        return self.back(behind + endpoint_lag)

    def back(self, count: int) -> Block:
        """The block `count` blocks before the tip, or the oldest that is kept."""
        tip = self.tip.height
        return self._by_height[max(tip - count, tip - len(self._by_height) + 1)]

    def oldest_read_slot(self) -> int:
        """The slot below which no read can answer."""
        return self.at(FINALIZED, MAX_ENDPOINT_LAG_BLOCKS).slot

    def height_of(self, blockhash: Hash) -> int | None:
        """The height of the block that brought `blockhash`, None when unknown or long expired."""
        return self._height_of.get(blockhash)

    def height_at(self, slot: int) -> int:
        """The height of the block at a recent slot. KeyError when there is none."""
        return self._height_at[slot]

    def usable(self, blockhash: Hash, at_height: int) -> bool:
        """Whether a transaction with `blockhash` may land in the block at `at_height`."""
        height = self._height_of.get(blockhash)
        return height is not None and height <= at_height <= height + BLOCKHASH_LIFE_BLOCKS
