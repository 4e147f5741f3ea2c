"""Turns a ``Commit`` into the arguments of commit_cycle.lua: its checks, and the writes that follow them."""

from __future__ import annotations

from collections.abc import Sequence

from domain.chains import ChainKind, Commit
from domain.ids import CommandId, PoolId
from domain.state import Order
from domain.store.edge import Argument
from domain.store.keys import COMMAND_TTL_MS, FAREWELL_TTL_MS, SIGNATURE_TTL_MS, Keys
from domain.store.records import config_from_text, tombstone_text
from domain.thread import OrderKind, ThreadStatus

Write = tuple[Argument, ...]
LOW_REASONS = ("sol", "token")
CHUNK = 2_000  # arguments per write: Lua cannot unpack more than about 8,000, and fails in the midst of its writes


def commit_arguments(keys: Keys, commit: Commit) -> tuple[list[str], list[Argument]]:
    """KEYS and ARGV of commit_cycle.lua. ValueError for a commit that contradicts itself."""
    _refuse_nonsense(commit)
    begun = commit.begun
    pool = begun.pool_id or ""
    status = commit.status or begun.status
    script_keys = [
        keys.chain(begun.chain_id),
        keys.named("due"),
        keys.named("epoch"),
        keys.farewell(begun.chain_id),
        keys.outbox(pool),
        keys.eligible(pool),
        keys.running(pool),
        keys.named("policies"),
        keys.marks(pool),
        keys.named("broken-marks"),
        *(keys.signature(signature) for signature in commit.signatures),
    ]
    args: list[Argument] = [
        begun.token,
        begun.epoch,
        begun.generation,
        begun.seq,
        commit.state,
        commit.intents,
        commit.order,
        status.value,
        begun.generation + (1 if commit.status is not None else 0),
        begun.seq + 1,
        "" if commit.next is None else commit.next.countdown_ms,
        begun.chain_id,
        FAREWELL_TTL_MS if commit.delete_thread else "",
    ]
    taken = {entry for entry, _ in commit.outbox_take}
    outbox: list[Argument] = [part for entry in commit.outbox_take for part in entry]
    for entry, _ in commit.outbox_put:
        if entry not in taken:  # an entry is replaced only by who knows what it held
            outbox += (entry, "")
    policy: list[Argument] = [] if commit.policy_expected is None else [pool, commit.policy_expected]
    idle: list[Argument] = [len(commit.outbox_put) - len(commit.outbox_take)] if commit.end_only_if_pool_idle else []
    names, slots = [mark.name for mark in commit.marks], [mark.slot for mark in commit.marks]
    marks: list[Argument] = [*names, *slots, *(mark.value for mark in commit.marks)]
    for group in (outbox, commit.require_eligible, policy, idle, marks, *_writes(keys, commit, status)):
        args.append(len(group))
        args.extend(group)
    return script_keys, args


def _refuse_nonsense(commit: Commit) -> None:
    begun = commit.begun
    needs_pool = (commit.outbox_put, commit.outbox_take, commit.require_eligible, commit.records, commit.marks)
    needs_pool_too = (
        commit.low,
        commit.low_served,
        commit.policy,
        commit.policy_expected,
        commit.end_only_if_pool_idle,
        commit.observed,
    )
    if begun.pool_id is None and any((*needs_pool, *needs_pool_too, commit.end_only_if_pool_idle)):
        raise ValueError(f"{begun.chain_id} has no pool to write to")
    if not begun.kind.is_thread and (commit.status is not None or commit.low or commit.delete_thread):
        raise ValueError(f"{begun.chain_id} is not a thread")
    if commit.delete_thread and commit.next is not None:
        raise ValueError(f"{begun.chain_id} cannot be deleted and go on")
    for entries in (commit.outbox_put, commit.outbox_take):
        if len({entry for entry, _ in entries}) != len(entries):
            raise ValueError("an outbox entry is named twice")
    if len(set(commit.signatures)) != len(commit.signatures):
        raise ValueError("two new intents have the same signature")
    if any(text == "" for _, text in (*commit.outbox_put, *commit.outbox_take)):
        raise ValueError("an outbox entry is empty")  # "" means absent to the script
    if len({mark.name for mark in commit.marks}) != len(commit.marks):
        raise ValueError("a mark is named twice")
    if any(mark.slot < 0 or mark.value < 0 or "\n" in mark.name or "|" in mark.name for mark in commit.marks):
        raise ValueError("a mark is below 0 or its name holds a separator")


def _writes(keys: Keys, commit: Commit, status: ThreadStatus) -> list[Write]:
    begun = commit.begun
    pool = begun.pool_id or PoolId("")
    writes: list[Write] = []
    if commit.next is not None:
        writes.append(("LPUSH", commit.next.queue, commit.next.message))
    journal = keys.named("journal")
    writes += [("XADD", journal, "*", "e", line) for line in commit.journal]
    writes += [("RPUSH", keys.named("faults"), fault) for fault in commit.faults]
    writes += [("SET", keys.signature(sig), "1", "PX", SIGNATURE_TTL_MS) for sig in commit.signatures]
    writes += _chunked("HDEL", keys.outbox(pool), [entry for entry, _ in commit.outbox_take])
    writes += _chunked("HSET", keys.outbox(pool), _flat(commit.outbox_put))
    writes += _chunked("HSET", keys.ledger(pool), _flat(commit.records))
    if commit.policy is not None:
        writes.append(("HSET", keys.named("policies"), pool, commit.policy))
    if commit.observed is not None:
        writes.append(("HSET", keys.named("observed"), pool, commit.observed))
    if commit.low:
        writes.append(("SADD", keys.low(pool), *(f"{begun.chain_id}|{reason}" for reason in commit.low)))
    writes += _chunked("SREM", keys.low(pool), commit.low_served)
    writes += [("HINCRBY", keys.counters(name), field, by) for name, field, by in commit.counts]
    if commit.answer is not None:
        command_id, answer = commit.answer
        writes += answer_writes(keys, command_id, answer, begun.now_ms)
    if begun.kind is ChainKind.COMMAND and commit.next is None:
        writes.append(("PEXPIRE", keys.chain(begun.chain_id), COMMAND_TTL_MS))
    if commit.session is not None:
        writes.append(("XADD", keys.named("sessions"), "*", "e", commit.session))
    if begun.kind.is_thread:
        writes += _membership(keys, commit, status)
    if commit.delete_thread:
        writes += _burial(keys, commit)
    return writes


def answer_writes(keys: Keys, command_id: CommandId, answer: str, now_ms: int) -> list[Write]:
    """A command's answer, its waiters woken. Two elements: the list never runs empty while waiters turn it round."""
    command, done = keys.command(command_id), keys.done(command_id)
    return [
        ("HSET", command, "answer", answer, "done_ms", now_ms),
        ("PEXPIRE", command, COMMAND_TTL_MS),
        ("ZREM", keys.named("open-commands"), command_id),
        ("LPUSH", done, "1", "1"),
        ("PEXPIRE", done, COMMAND_TTL_MS),
    ]


def _membership(keys: Keys, commit: Commit, status: ThreadStatus) -> list[Write]:
    """Only what changes: the record compared by the script says what holds before."""
    begun = commit.begun
    pool = begun.pool_id or PoolId("")
    writes: list[Write] = []
    # who is stopped or failed still counts as running until its last operation has an outcome: what that brings must
    # find the pool's share chain alive
    if commit.next is None:
        writes.append(("SREM", keys.running(pool), begun.chain_id))
    elif commit.status is ThreadStatus.RUNNING:
        writes.append(("SADD", keys.running(pool), begun.chain_id))
    eligible = _eligible(status, commit.order) and commit.next is not None
    if eligible != _eligible(begun.status, begun.order):
        writes.append(("SADD" if eligible else "SREM", keys.eligible(pool), begun.chain_id))
    return writes


def _eligible(status: ThreadStatus, order: str) -> bool:
    """A running thread takes payments unless an empty or delete order waits for its wallet to be quiet."""
    if status is not ThreadStatus.RUNNING:
        return False
    pending = Order.from_text(order)
    return pending is None or pending.kind not in (OrderKind.EMPTY, OrderKind.DELETE)


def _burial(keys: Keys, commit: Commit) -> list[Write]:
    """What is left of a deleted thread is its tombstone; its wallet was swept, so its key goes too."""
    begun = commit.begun
    pool = begun.pool_id or PoolId("")
    thread = begun.chain_id
    writes: list[Write] = [
        ("HSET", keys.named("tombstones"), thread, tombstone_text(begun.config, commit.state)),
        ("ZREM", keys.named("threads"), thread),
        ("HDEL", keys.named("wallets"), thread),
        ("SREM", keys.low(pool), *(f"{thread}|{reason}" for reason in LOW_REASONS)),
    ]
    direction = config_from_text(begun.config).direction
    if direction is not None:
        writes.append(("DEL", keys.swap_slot(pool, direction)))
    return writes


def _chunked(command: str, key: str, args: Sequence[str]) -> list[Write]:
    """One write per CHUNK arguments (an even number, so that pairs stay together); none without arguments."""
    return [(command, key, *args[start : start + CHUNK]) for start in range(0, len(args), CHUNK)]


def _flat(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [part for pair in pairs for part in pair]
