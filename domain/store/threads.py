"""Threads in Redis: creation, readiness, orders, wallets, what a pool's threads are and what they owe."""

from __future__ import annotations

from domain.errors import CommandCode, CommandError
from domain.ids import PoolId, ThreadId
from domain.state import Order
from domain.store.chains import ATTEMPTS, ChainStore, MakeNext
from domain.store.errors import KeyNotSealed, StoreConflict
from domain.store.records import (
    ChainRecord,
    Tombstone,
    config_from_text,
    config_to_text,
    tombstone,
    tombstone_text,
)
from domain.thread import TRANSITIONS, OrderKind, ThreadConfig, ThreadKind, ThreadStatus

SEALED = "v1:"


class ThreadStore(ChainStore):
    """create_thread, place_order and what belongs to them."""

    def next_thread_number(self, kind: ThreadKind) -> int:
        """1, 2, 3 ...: the thread is ``<kind>_<number>``. A number is never used again."""
        return int(self._edge.call("HINCRBY", self._keys.named("numbers"), kind.value, 1))

    def skip_thread_numbers(self, kind: ThreadKind, used: int) -> None:
        """Threads up to ``used`` existed once, though Redis has forgotten them. Only while a recovery is going on."""
        numbers = self._keys.named("numbers")
        if used > int(self._edge.call("HGET", numbers, kind.value) or 0):
            self._edge.call("HSET", numbers, kind.value, used)

    def next_thread_id(self, kind: ThreadKind) -> ThreadId:
        return ThreadId(f"{kind.value}_{self.next_thread_number(kind)}")

    def next_index(self) -> int:
        """0, 1, 2 ...: the position of the next thread in the run."""
        return int(self._edge.call("HINCRBY", self._keys.named("numbers"), "index", 1)) - 1

    def next_pool_number(self) -> int:
        """1, 2, 3 ...: with the run's seed it fixes what is random about the next pool."""
        return int(self._edge.call("HINCRBY", self._keys.named("numbers"), "pool", 1))

    def create_thread(
        self,
        config: ThreadConfig,
        sealed_key: str,
        *,
        ready: bool = False,
        state: str = "",
        status: ThreadStatus = ThreadStatus.CREATED,
    ) -> bool:
        """Store a thread; False when it is there already with this wallet. ``state``, ``status``: for an import.

        CommandError SWAP_DIRECTION_TAKEN, KeyNotSealed, StoreConflict when the id belongs to another wallet or a
        deleted thread.
        """
        _refuse_plain(sealed_key)
        if status in (ThreadStatus.RUNNING, ThreadStatus.DELETED):
            raise ValueError("a thread starts by an order")
        direction = config.direction
        names = ("threads", "wallets", "tombstones", "numbers")
        keys = [self._keys.chain(config.thread_id), *map(self._keys.named, names)]
        if direction is not None:
            keys.append(self._keys.swap_slot(config.pool_id, direction))
        args: list[str | bytes | int] = [
            config.thread_id,
            config.wallet,
            sealed_key,
            config.kind.value,
            config.pool_id,
            config_to_text(config),
            state,
            status.value,
            config.index,
            "1" if ready else "0",
        ]
        answer = self._edge.script("create_thread", keys, args)
        if answer == "taken":
            text = f"Swap thread for direction '{direction}' already exists for pool {config.pool_id}"
            raise CommandError(CommandCode.SWAP_DIRECTION_TAKEN, text, {"direction": direction})
        if answer == "used":
            raise StoreConflict(f"{config.thread_id} is another thread already")
        return bool(answer == "new")

    def mark_ready(self, thread_id: ThreadId, state: str = "") -> None:
        """The wallet and its accounts exist: from now on orders are accepted. CommandError THREAD_NOT_FOUND.

        ``state``: the thread's first document, with the balances its wallet begins with.
        """
        if not self._edge.script("mark_ready", [self._keys.chain(thread_id)], [state]):
            raise _not_found(thread_id)

    def replace_resting_state(self, thread_id: ThreadId, seen: ChainRecord, state: str) -> bool:
        """Write the document of a thread that does not run, unless anything has happened to it since ``seen``."""
        args: list[str | bytes | int] = [seen.generation, seen.seq, seen.state, state]
        return bool(self._edge.script("replace_resting_state", [self._keys.chain(thread_id)], args))

    def abandon_thread(self, thread_id: ThreadId) -> bool:
        """Remove a thread whose setup failed for good; False when it is gone already or has become ready.

        Leaves a tombstone and frees the swap slot. The sealed key stays: its wallet was never swept.
        """
        record = self.get_chain(thread_id)
        if record is None:
            return False
        config = config_from_text(record.config)
        keys = [self._keys.chain(thread_id), *map(self._keys.named, ("threads", "tombstones"))]
        if config.direction is not None:
            keys.append(self._keys.swap_slot(config.pool_id, config.direction))
        args = [thread_id, tombstone_text(record.config, record.state)]
        return bool(self._edge.script("abandon_thread", keys, args))

    def place_order(self, thread_id: ThreadId, order: Order, make_next: MakeNext) -> ThreadStatus:
        """Give the thread an order, its chain a new generation and a first message; returns the new status.

        The same command id again changes nothing. CommandError THREAD_NOT_FOUND, THREAD_IN_ERROR (empty), WRONG_STATE;
        StoreConflict when the thread's cycles keep getting in between.
        """
        accepted = [part.value for pair in TRANSITIONS[order.kind].items() for part in pair]
        for _ in range(ATTEMPTS):
            record = self.get_chain(thread_id)
            if record is None or record.pool_id is None:
                raise _not_found(thread_id)
            following = make_next(record.generation + 1, record.seq)
            keys = [
                self._keys.chain(thread_id),
                self._keys.named("due"),
                self._keys.running(record.pool_id),
                self._keys.eligible(record.pool_id),
                following.queue,
            ]
            args: list[str | bytes | int] = [
                thread_id,
                record.generation,
                record.seq,
                order.command_id,
                order.kind.value,
                order.to_text(),
                following.countdown_ms,
                record.generation + 1,
                following.message,
                *accepted,
            ]
            outcome, *detail = self._edge.script("order_thread", keys, args)
            if outcome in ("ok", "same"):
                return ThreadStatus(detail[0])
            if outcome != "conflict":
                raise _order_refused(thread_id, order.kind, outcome, detail)
        raise StoreConflict(f"{thread_id} changed {ATTEMPTS} times while it was to take an order")

    def thread_config(self, thread_id: ThreadId) -> ThreadConfig | None:
        text = self._edge.call("HGET", self._keys.chain(thread_id), "config")
        return config_from_text(text) if text else None

    def list_threads(self) -> list[ThreadId]:
        """Every thread that is not deleted, by index."""
        return [ThreadId(name) for name in self._edge.call("ZRANGE", self._keys.named("threads"), 0, -1)]

    def thread_records(self) -> list[ChainRecord]:
        """Every thread's record, by index, in two round trips."""
        return [record for record in self.get_chains(self.list_threads()) if record is not None]

    def thread_heads(self) -> list[tuple[ThreadConfig, ThreadStatus]]:
        """Every thread's config and status, by index, without the documents that make a record long."""
        names = self.list_threads()
        reads = [("HMGET", self._keys.chain(name), "config", "status") for name in names]
        found = self._edge.batch(reads) if reads else []
        return [(config_from_text(config), ThreadStatus(status)) for config, status in found if config]

    def threads_of_pool(self, pool_id: PoolId) -> list[ThreadId]:
        return [ThreadId(record.chain_id) for record in self.thread_records() if record.pool_id == pool_id]

    def running(self, pool_id: PoolId) -> set[ThreadId]:
        """Threads that run, or that were stopped or failed and whose chain has yet to settle what is open."""
        return {ThreadId(name) for name in self._edge.call("SMEMBERS", self._keys.running(pool_id))}

    def eligible(self, pool_id: PoolId) -> set[ThreadId]:
        """Running threads that may take payments of the outbox."""
        return {ThreadId(name) for name in self._edge.call("SMEMBERS", self._keys.eligible(pool_id))}

    def tombstones(self) -> list[Tombstone]:
        found = self._edge.call("HGETALL", self._keys.named("tombstones"))
        return [tombstone(thread_id, text) for thread_id, text in sorted(found.items())]

    def sealed_key(self, thread_id: ThreadId) -> str | None:
        """The wallet's key as it was sealed; None when the thread is unknown or its wallet was swept."""
        found: str | None = self._edge.call("HGET", self._keys.named("wallets"), thread_id)
        return found

    def sealed_keys(self) -> dict[ThreadId, str]:
        found = self._edge.call("HGETALL", self._keys.named("wallets"))
        return {ThreadId(thread_id): sealed for thread_id, sealed in found.items()}

    def key_count(self) -> int:
        return int(self._edge.call("HLEN", self._keys.named("wallets")))


def _refuse_plain(sealed_key: str) -> None:
    if not sealed_key.startswith(SEALED) or len(sealed_key) == len(SEALED):
        raise KeyNotSealed("a wallet key is stored sealed or not at all")


def _not_found(thread_id: ThreadId) -> CommandError:
    return CommandError(CommandCode.THREAD_NOT_FOUND, f"Thread {thread_id} not found", {"thread_id": thread_id})


def _order_refused(thread_id: ThreadId, kind: OrderKind, outcome: str, detail: list[str]) -> CommandError:
    data: dict[str, object] = {"thread_id": thread_id}
    if outcome == "gone":
        return _not_found(thread_id)
    code, why = CommandCode.WRONG_STATE, "its wallet is still being set up"
    if outcome == "ordered":
        pending = Order.from_text(detail[0])
        data["order"] = pending.kind.value if pending else "last"
        why = f"its {data['order']} order is still being carried out"
    elif outcome == "state":
        data["status"] = detail[0]
        why = f"it is {detail[0]}"
        if detail[0] == ThreadStatus.ERROR.value:
            why = "it is in error"
            if kind is OrderKind.EMPTY:
                code = CommandCode.THREAD_IN_ERROR
    return CommandError(code, f"Cannot {kind.value} thread {thread_id}: {why}", data)
