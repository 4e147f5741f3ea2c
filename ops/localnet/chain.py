"""The chain: a queue of transactions, executed slot by slot, and everything that reads need.

Nothing here knows JSON, HTTP or the wall clock; `slot` is one slot's end and is driven by the server's timer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from ops.localnet.blocks import CONFIRMED, PROCESSED, Block, Blocks
from ops.localnet.executions import Execution, Executions
from ops.localnet.faults import Faults
from ops.localnet.fees import unit_price
from ops.localnet.history import History, TxRecord
from ops.localnet.machine import Bank, Machine
from ops.localnet.settings import LocalnetSettings
from ops.localnet.state import (
    StateLog,
    account_row,
    block_row,
    head,
    queue_row,
    read_image,
    transaction_row,
    write_whole,
)
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
    #: Landed in a block that a fork dropped.
    forked: int = 0


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


def _addresses(record: TxRecord) -> list[Pubkey]:
    keys = VersionedTransaction.from_bytes(record.raw).message.account_keys
    return [*keys, *map(Pubkey, record.loaded_writable), *map(Pubkey, record.loaded_readonly)]


class Chain:
    """Blocks, accounts, history and the queue of one local chain."""

    def __init__(self, settings: LocalnetSettings, wall_clock: Callable[[], float]) -> None:
        self.settings = settings
        self._wall_clock = wall_clock
        self._clock_offset_s = 0
        self.machine = Machine()
        self.accounts = self.machine.accounts
        self.history = History(settings.max_transactions)
        self.executions = Executions()
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
        self._fork_slots = 0
        self._loads = 0
        self._log: StateLog | None = None
        self._logged = self._logged_seq = 0
        self._genesis()
        if settings.state is not None:
            if settings.state.exists():
                self.load(settings.state)
            self._log = StateLog(settings.state)
            self._log.begin(self._rows())

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

    def refuse(self) -> None:
        """Drop a transaction whose signatures are bad: nobody is told."""
        self.counts.received += 1
        self.counts.dropped += 1

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
        loads, dropped = self._loads, self.blocks.tip.slot
        self._drop(max(self._fork_slots, self.faults.forked_slots()))
        self._fork_slots = 0
        tip = self.blocks.tip
        # The slots of dropped blocks do not come again.
        slot = max(tip.slot, dropped) + 1 + self.faults.skipped_slots()
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
            if self._loads != loads:
                return  # another chain was loaded in the midst of this slot
        self.blocks.append(
            slot=slot,
            unix_timestamp=time,
            end_seq=self.history.end_seq,
            min_unit_price=min(prices, default=None),
        )
        self._keep()
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
        self.executions.add(
            signature,
            Execution(
                slot=bank.slot,
                unix_timestamp=bank.unix_timestamp,
                raw=raw,
                failed=executed.record.err is not None,
                accounts=executed.before,
            ),
        )
        self.counts.landed += 1
        self.counts.failed += executed.record.err is not None
        return unit_price(tx, executed.fee_lamports)

    def fork(self, slots: int) -> None:
        """Drop so many of the newest blocks that are not confirmed, before the next slot."""
        self._fork_slots = slots

    def _drop(self, slots: int) -> None:
        """Accounts, index and blockhashes as they were; what had landed may land again, or is forgotten."""
        dropped = self.blocks.drop(slots) if slots else []
        if not dropped:
            return
        tip = self.blocks.tip
        for key, account in self.accounts.drop_after(tip.slot):
            self.machine.put_back(key, account)
        again = []
        for record in self.history.drop_from(tip.end_seq):
            self.counts.landed -= 1
            self.counts.failed -= record.err is not None
            self.counts.forked += 1
            self.executions.drop(record.signature)
            if self.faults.relands() and record.signature not in self._queue.signatures:
                self._queue.signatures.add(record.signature)
                again.append(Pending(VersionedTransaction.from_bytes(record.raw), record.raw))
        self._queue.ready = again + self._queue.ready

    def save(self, path: Path) -> int:
        """Write the chain up to its confirmed block; that block's slot. OSError."""
        write_whole(path, self._rows())
        return self.blocks.at(CONFIRMED).slot

    def load(self, path: Path) -> int:
        """Go on from a saved chain of the same program and seed; the slot it stands at. StateError, OSError."""
        image = read_image(path, self.settings)
        self._loads += 1
        self.machine = Machine()
        self.accounts = self.machine.accounts
        self.history = History(self.settings.max_transactions)
        self.executions = Executions()
        self._queue = _Queue()
        self._fork_slots = 0
        self._airdrops, self._clock_offset_s = image.airdrops, image.clock_offset_s
        if self.settings.program is not None:
            self.machine.add_program(Pubkey.from_string(self.settings.program_id), self.settings.program)
        self.blocks.restore(image.blocks, image.restarts + 1)
        oldest = self.blocks.oldest_read_slot()
        for key, slot, account in image.accounts:
            self.machine.put_back(key, account)
            self.accounts.put(key, slot, account, oldest)
        tip = self.blocks.tip
        self.accounts.changed_until(tip.slot)
        self.history.restore(((record, _addresses(record)) for record in image.transactions), image.first_seq)
        self.machine.enter_slot(tip.slot, tip.unix_timestamp, self.blocks.slot_hashes)
        for raw in image.queue:
            self.submit(VersionedTransaction.from_bytes(raw), raw)
        if self._log is not None:
            self._log.begin(self._rows())
        return tip.slot

    def sync(self) -> None:
        """What is logged, to the disk; for another thread than the one that ends slots."""
        if self._log is not None:
            self._log.sync()

    def close(self) -> None:
        """The queue goes into the file, too: nothing that was taken is lost by a clean end."""
        if self._log is not None:
            self._log.begin(self._rows())
            self._log.close()
            self._log = None

    def _keep(self) -> None:
        """Log what became confirmed with this block, before anybody reads it so."""
        confirmed = self.blocks.at(CONFIRMED)
        changed = self.accounts.changed_until(confirmed.slot)
        if self._log is None:
            return
        rows = [account_row(key, slot, account) for key, slot, account in changed]
        rows += [transaction_row(record) for record in self.history.stored(self._logged_seq, confirmed.end_seq)]
        rows += [block_row(block, self._airdrops, self._clock_offset_s) for block in self.blocks.since(self._logged)]
        self._logged, self._logged_seq = confirmed.height, confirmed.end_seq
        self._log.append(iter(rows))

    def _rows(self) -> Iterator[bytes]:
        """The whole chain up to its confirmed block."""
        confirmed, history = self.blocks.at(CONFIRMED), self.history
        self._logged, self._logged_seq = confirmed.height, confirmed.end_seq
        yield head(
            self.settings,
            first_seq=history.first_seq,
            airdrops=self._airdrops,
            clock_offset_s=self._clock_offset_s,
            restarts=self.blocks.branch,
        )
        for key, slot, account in self.accounts.written(confirmed.slot):
            yield account_row(key, slot, account)
        for record in history.stored(history.first_seq, confirmed.end_seq):
            yield transaction_row(record)
        for block in self.blocks.kept():
            yield block_row(block, self._airdrops, self._clock_offset_s)
        held = [pending for batch in self._queue.held.values() for pending in batch]
        yield queue_row([pending.raw for pending in self._queue.ready + held])

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
