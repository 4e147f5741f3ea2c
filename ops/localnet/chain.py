"""The chain: a queue of transactions, executed slot by slot, and everything that reads need.

Nothing here knows JSON, HTTP or the wall clock; `slot` is one slot's end and is driven by the server's timer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from ops.localnet.blocks import PROCESSED, Block, Blocks
from ops.localnet.faults import Faults
from ops.localnet.fees import unit_price
from ops.localnet.history import History
from ops.localnet.machine import Bank, Machine
from ops.localnet.settings import LocalnetSettings
from ops.localnet.versions import SYSTEM_PROGRAM

LAMPORTS_PER_SOL = 1_000_000_000
_FAUCET_LAMPORTS = 500_000_000 * LAMPORTS_PER_SOL
#: The faucet's transactions differ by their compute limit, so equal airdrops within one block all land.
_FAUCET_LIMITS = (10_000, 1_000_000)


@dataclass(slots=True)
class Counts:
    """What the chain did with the transactions it was sent."""

    received: int = 0
    landed: int = 0
    failed: int = 0
    #: Never landed: blockhash unknown or expired, payer unable to pay, or loading impossible.
    dropped: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class Pending:
    """A verified transaction that waits for its slot."""

    tx: VersionedTransaction
    raw: bytes


@dataclass(slots=True)
class _Queue:
    ready: list[Pending] = field(default_factory=list)
    #: Transactions that a fault holds back, by the height of the block they land in.
    held: dict[int, list[Pending]] = field(default_factory=dict)
    signatures: set[bytes] = field(default_factory=set)


class Chain:
    """Blocks, accounts, history and the queue of one local chain."""

    def __init__(self, settings: LocalnetSettings, wall_clock: Callable[[], float]) -> None:
        self.settings = settings
        self._wall_clock = wall_clock
        self._clock_offset_s = 0
        self.machine = Machine()
        self.accounts = self.machine.accounts
        self.history = History(settings.max_transactions)
        self.faults = Faults(settings.seed)
        self.counts = Counts()
        self.blocks = Blocks(
            seed=settings.seed,
            unix_timestamp=self._now(),
            confirmed_lag=settings.confirmed_lag,
            finalized_lag=settings.finalized_lag,
        )
        self._queue = _Queue()
        self._order = Random(f"{settings.seed}|order")
        self._listeners: list[Callable[[], None]] = []
        self._faucet = Keypair.from_seed(bytes(self.blocks.genesis_hash))
        self._airdrops = 0
        self._genesis()

    def _genesis(self) -> None:
        settings, bank = self.settings, self._bank(self.blocks.tip)
        self.machine.enter_slot(bank.slot, bank.unix_timestamp, self.blocks.slot_hashes)
        self.machine.set_account(self._faucet.pubkey(), Account(_FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM), bank)
        if settings.program is not None:
            self.machine.add_program(Pubkey.from_string(settings.program_id), settings.program)
        if settings.program is not None and settings.upgrade_authority is not None:
            self.set_upgrade_authority(Pubkey.from_string(settings.upgrade_authority))

    def _now(self) -> int:
        return int(self._wall_clock()) + self._clock_offset_s

    def _bank(self, block: Block) -> Bank:
        oldest = self.blocks.oldest_read_slot()
        return Bank(slot=block.slot, unix_timestamp=block.unix_timestamp, oldest_read_slot=oldest)

    def on_block(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every block."""
        self._listeners.append(listener)

    def set_upgrade_authority(self, authority: Pubkey) -> None:
        """Let `authority` initialise the program. KeyError when no program is loaded."""
        self.machine.set_upgrade_authority(
            Pubkey.from_string(self.settings.program_id), authority, self._bank(self.blocks.tip)
        )

    def warp_clock(self, seconds: int) -> int:
        """Move the on-chain time forward, from the next block on; returns the time it will show."""
        self._clock_offset_s += seconds
        return self._now()

    def submit(self, tx: VersionedTransaction, raw: bytes) -> None:
        """Queue a transaction whose signatures are good. The same one again changes nothing."""
        self.counts.received += 1
        signature = raw[1:65]
        queue = self._queue
        if signature in queue.signatures or self.history.seq_of(signature) is not None:
            self.counts.duplicates += 1
            return
        queue.signatures.add(signature)
        pending = Pending(tx, raw)
        brought = self.blocks.height_of(tx.message.recent_blockhash)
        next_height = self.blocks.tip.height + 1
        blocks_left = 0 if brought is None else brought + self.faults.blockhash_life(signature) - next_height
        delay = self.faults.landing_delay_blocks(signature, blocks_left)
        if delay:
            queue.held.setdefault(next_height + delay, []).append(pending)
        else:
            queue.ready.append(pending)

    def advance(self) -> Block:
        """End the slot at once: execute its queue, close its block, tell the listeners."""
        for _ in self.slot():
            pass
        return self.blocks.tip

    def slot(self) -> Iterator[None]:
        """End the slot step by step, one transaction each, so that a caller may answer reads in between.

        Until the last step every read still answers from the block before: new states carry the new slot's number.
        """
        tip = self.blocks.tip
        slot = tip.slot + 1 + self.faults.skipped_slots()
        # Two blocks in one second of wall time share a timestamp; time never runs backwards.
        time = max(self._now(), tip.unix_timestamp)
        batch = self._queue.ready + self._queue.held.pop(tip.height + 1, [])
        self._queue.ready = []
        if self.settings.order == "random":
            self._order.shuffle(batch)
        self.machine.enter_slot(slot, time, self.blocks.slot_hashes)
        bank = Bank(slot=slot, unix_timestamp=time, oldest_read_slot=self.blocks.oldest_read_slot())
        prices: list[int] = []
        for pending in batch:
            price = self._execute(pending, bank, tip.height + 1)
            if price is not None:
                prices.append(price)
            yield
        self.blocks.append(
            slot=slot,
            unix_timestamp=time,
            end_seq=self.history.end_seq,
            min_unit_price=min(prices, default=None),
        )
        self.history.tidy()
        for listener in self._listeners:
            listener()

    def _execute(self, pending: Pending, bank: Bank, height: int) -> int | None:
        """Execute one transaction; its compute unit price when it landed."""
        tx, raw = pending.tx, pending.raw
        signature = raw[1:65]
        self._queue.signatures.discard(signature)
        brought = self.blocks.height_of(tx.message.recent_blockhash)
        if brought is None or height > brought + self.faults.blockhash_life(signature):
            self.counts.dropped += 1
            return None
        executed = self.machine.execute(tx, raw, bank)
        if executed is None:
            self.counts.dropped += 1
            return None
        self.history.add(executed.record, executed.addresses)
        self.counts.landed += 1
        self.counts.failed += executed.record.err is not None
        return unit_price(tx, executed.fee_lamports)

    def airdrop(self, to: Pubkey, lamports: int) -> Signature:
        """Queue a transfer from the faucet, an ordinary transaction."""
        low, high = _FAUCET_LIMITS
        self._airdrops += 1
        payer = self._faucet.pubkey()
        instructions = [
            set_compute_unit_limit(low + self._airdrops % (high - low)),
            transfer(TransferParams(from_pubkey=payer, to_pubkey=to, lamports=lamports)),
        ]
        message = Message.new_with_blockhash(instructions, payer, self.blocks.at(PROCESSED).blockhash)
        tx = VersionedTransaction(message, [self._faucet])
        self.submit(tx, bytes(tx))
        return tx.signatures[0]
