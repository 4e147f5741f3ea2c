"""What is asked without acting: a pool as it was seen last, threads by filter, the core wallet, faults, the journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from api import params_reads as p
from api.errors import InvalidParams
from api.methods.pools import pool_entry
from api.params import NoParams
from api.service import Call, Service
from domain.facts import (
    POOL_FLAG_EXACT,
    POOL_FLAG_LIQUIDITY_PAUSED,
    POOL_FLAG_OWNER_ONLY,
    POOL_FLAG_SIMPLE,
    POOL_FLAG_SWAPS_PAUSED,
)
from domain.observed import ObservedPool
from domain.policy import PolicyStep
from domain.session import iso
from domain.thread import ThreadConfig, ThreadStatus
from tasks.journal_pages import JournalPages

JOURNAL: Final = "journal.jsonl"  # in the data directory, written by the supervisor
FLAGS: Final = {
    "simple_ratio": POOL_FLAG_SIMPLE,
    "liquidity_paused": POOL_FLAG_LIQUIDITY_PAUSED,
    "swaps_paused": POOL_FLAG_SWAPS_PAUSED,
    "swap_owner_only": POOL_FLAG_OWNER_ONLY,
    "exact_exchange": POOL_FLAG_EXACT,
}


def get_pool(service: Service, _: Call, params: p.GetPool) -> dict[str, Any]:
    """Constants, the newest snapshot that a cycle took (None before the first), marks and administrative steps."""
    store, pool = service.store, service.pool(params.pool_id)
    policy = store.policy(pool.pool_id)
    heads = [(config, status) for config, status in store.thread_heads() if config.pool_id == pool.pool_id]
    constants = {
        "pool_owner": pool.owner,
        "vault_a": pool.vault_a,
        "vault_b": pool.vault_b,
        "lp_token_a_decimals": pool.lp_decimals_a,
        "lp_token_b_decimals": pool.lp_decimals_b,
        "simple_ratio": pool.simple_ratio,
        "created_slot": pool.created_slot,
    }
    marks = sorted(store.marks(pool.pool_id).items())
    return {
        **pool_entry(pool),
        **constants,
        "observed": _observed(store.observed_pool(pool.pool_id)),
        "invariant_marks": [{"name": name, "slot": mark.slot, "value": mark.value} for name, mark in marks],
        "policy": [] if policy is None else [_step(step) for step in policy.steps],
        "threads": {status.value: sum(1 for _, each in heads if each is status) for status in _STATUSES},
        "outbox_entries": store.outbox_length(pool.pool_id),
    }


_STATUSES = tuple(status for status in ThreadStatus if status is not ThreadStatus.DELETED)


def _observed(seen: ObservedPool | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "slot": seen.slot,
        "reserve_a": seen.liquidity_a,
        "reserve_b": seen.liquidity_b,
        "lp_supply_a": seen.lp_supply_a,
        "lp_supply_b": seen.lp_supply_b,
        "value_surplus": seen.surplus,
        "fees_held": seen.fees_held,
        "liquidity_fee": seen.liquidity_fee,
        "swap_fee": seen.swap_fee,
        "flags": _flags(seen.flags),
    }


def _flags(flags: int) -> dict[str, bool]:
    return {name: bool(flags & bit) for name, bit in FLAGS.items()}


def _step(step: PolicyStep) -> dict[str, Any]:
    """``slot`` None: sent, its outcome not known yet. Only the bits that an administrator may change are kept."""
    flags = _flags(step.flags)
    return {
        "operation_id": step.operation_id,
        "slot": step.slot,
        "liquidity_paused": flags["liquidity_paused"],
        "swaps_paused": flags["swaps_paused"],
        "swap_owner_only": flags["swap_owner_only"],
        "liquidity_fee": step.liquidity_fee,
        "swap_fee": step.swap_fee,
        "owner": step.owner,
        "system_paused": step.system_paused,
    }


def list_threads(service: Service, _: Call, params: p.ListThreads) -> dict[str, Any]:
    """Who there is, without balances or statistics."""
    wanted = {
        "pool_id": params.pool_id,
        "type": params.kind,
        "status": params.status,
        "token_type": params.token_type,
        "direction": params.direction,
    }
    entries = [_entry(config, status) for config, status in service.store.thread_heads()]
    fitting = [one for one in entries if all(value in (None, one[name]) for name, value in wanted.items())]
    return {"threads": fitting[params.offset : params.offset + params.limit], "total": len(fitting)}


def _entry(config: ThreadConfig, status: ThreadStatus) -> dict[str, Any]:
    return {
        "thread_id": config.thread_id,
        "type": config.kind.value,
        "status": status.value,
        "pool_id": config.pool_id,
        "token_type": config.side.value,
        "direction": config.direction,
        "wallet_address": config.wallet,
        "created_at": iso(config.created_at_ms),
    }


def core_wallet_status(service: Service, _: Call, __: NoParams) -> dict[str, Any]:
    """The balance is what the supervisor saw last; None where it could not ask yet."""
    store = service.store
    beat, reserved = store.heartbeat(), store.core_reservations()
    total = sum(reserved.values())
    return {
        "address": store.get_run().get("core_wallet"),
        "lamports": beat.core_lamports,
        "read_at": iso(beat.core_asked_ms),
        "reserved_lamports": total,
        "available_lamports": None if beat.core_lamports is None else max(0, beat.core_lamports - total),
        "reservations": len(reserved),
    }


def get_faults(service: Service, _: Call, params: p.GetFaults) -> dict[str, Any]:
    """``number`` is a fault's place in the order of finding, from 0; it never changes."""
    count = service.store.fault_count()
    left = max(0, count - params.offset)
    taken = min(params.limit, left)
    first = params.offset if params.order == "oldest" else left - taken
    numbered = list(enumerate(service.store.faults(first, taken) if taken else [], start=first))
    if params.order == "newest":
        numbered.reverse()
    following = params.offset + len(numbered)
    return {
        "faults": [_fault(number, text, evidence=params.evidence) for number, text in numbered],
        "count": count,
        "next_offset": following if following < count else None,
    }


def _fault(number: int, text: str, *, evidence: bool) -> dict[str, Any]:
    fault: dict[str, Any] = {"number": number, **json.loads(text)}
    if not evidence:
        del fault["evidence"]
    return fault


def get_journal(service: Service, _: Call, params: p.GetJournal) -> dict[str, Any]:
    """``spilled`` false: this process does not see the journal's file, the stream alone was read."""

    def match(doc: dict[str, Any]) -> bool:
        return (
            (params.event is None or doc.get("event") == params.event)
            and (params.kind is None or doc.get("kind") == params.kind)
            and (params.pool_id is None or doc.get("pool") == params.pool_id)
            and (params.thread_id is None or str(doc.get("op", "")).rpartition("/")[0] == params.thread_id)
        )

    pages = JournalPages(service.store, Path(service.settings.data_dir) / JOURNAL)
    read = pages.newest if params.order == "newest" else pages.oldest
    try:
        page = read(params.cursor, params.limit, match)
    except ValueError:
        raise InvalidParams([("cursor", f'no next_cursor of a page with order "{params.order}"')]) from None
    return {
        "entries": [{"entry_id": entry.entry_id, **entry.doc} for entry in page.entries],
        "next_cursor": page.cursor,
        "more": page.more,
        "spilled": pages.sees_file,
    }
