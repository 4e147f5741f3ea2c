"""The documents of the data folder: what Redis held at one moment, as four files that people can read (PER-01). Pure.

threads.json     every thread: what it is, its sealed key, where its chain stands with the intents that are open
statistics.json  what every thread's operations did, and its whole document
pools.json       the registry, with each pool's policy, ledger and outbox
service.json     the run's facts, numbers, tombstones, pool chains, counters: the rest

``build`` turns a snapshot's values (domain/store/exports.py: key without prefix -> value) into them, ``values_of``
turns them back into the very same values. Fields for people stand beside the exact ones and are not read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from domain.flows import Flows, ledger_fields
from domain.session import iso
from domain.state import ThreadState, Totals
from domain.thread import ThreadKind

THREADS: Final = "threads"
STATISTICS: Final = "statistics"
POOLS: Final = "pools"
SERVICE: Final = "service"
NAMES: Final = (THREADS, STATISTICS, POOLS, SERVICE)

_CHAIN: Final = "chain:"
_OF_AN_ERROR: Final = ("error", "category", "attempted_amount", "available_balance", "recovery_action")
_OF_A_POOL: Final = ("outbox", "ledger", "marks", "low", "running", "eligible")

Values = Mapping[str, Any]
Document = dict[str, Any]


class DocumentError(ValueError):
    """A document lacks what it must have. The message names where."""


def build(values: Values) -> dict[str, Document]:
    """Name of the file without its ending -> what stands in it."""
    rest = dict(values)
    if "policies" in rest:
        rest["policies"] = dict(rest["policies"])
    threads: Document = {}
    statistics: Document = {}
    sealed = dict(rest.pop("wallets", {}))
    for thread_id, _ in rest.get("threads", []):
        record = dict(rest.pop(_CHAIN + thread_id, {}))
        if not record:
            continue
        config, state = _json(record.pop("config", "")), _json(record.pop("state", ""))
        ledger = values.get(f"ledger:{config['pool']}", {})
        known = ThreadState.from_doc(_state(values, thread_id))  # takes its document over
        threads[thread_id] = _thread(config, record, sealed.pop(thread_id, None), known)
        statistics[thread_id] = _statistics(config, known, ledger) | {"state": state}
    pools: Document = {}
    archived: Document = {}
    for name, found in (("pools", pools), ("archived-pools", archived)):
        for pool_id, text in sorted(rest.pop(name, {}).items()):
            found[pool_id] = _pool(pool_id, json.loads(text), rest)
    return {
        THREADS: {"threads": threads, "other_wallets": sealed},
        STATISTICS: {"statistics": statistics},
        POOLS: {"pools": pools, "archived_pools": archived},
        SERVICE: {"values": rest},
    }


def values_of(documents: Mapping[str, Document]) -> dict[str, Any]:
    """The values that ``build`` was given. Raises DocumentError."""
    try:
        return _values_of(documents)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DocumentError(
            f"the exported documents do not belong together: {type(error).__name__}: {error}"
        ) from error


def _values_of(documents: Mapping[str, Document]) -> dict[str, Any]:
    values: dict[str, Any] = dict(documents[SERVICE]["values"])
    sealed = dict(documents[THREADS]["other_wallets"])
    statistics = documents[STATISTICS]["statistics"]
    for thread_id, entry in documents[THREADS]["threads"].items():
        if entry["wallet_keypair"] is not None:
            sealed[thread_id] = entry["wallet_keypair"]
        chain = entry["chain"]
        values[_CHAIN + thread_id] = chain | {
            "intents": _text(chain["intents"]),
            "order": _text(chain["order"]),
            "config": _text(entry["config"]),
            "state": _text(statistics[thread_id]["state"]),
        }
    if set(statistics) != set(documents[THREADS]["threads"]):
        raise DocumentError("threads.json and statistics.json do not name the same threads")
    if sealed:
        values["wallets"] = sealed
    policies: dict[str, str] = {}
    for key, name in (("pools", "pools"), ("archived_pools", "archived-pools")):
        for pool_id, entry in documents[POOLS][key].items():
            values.setdefault(name, {})[pool_id] = _text(entry["pool"])
            if entry["policy"] is not None:
                policies[pool_id] = _text(entry["policy"])
            values |= {f"{part}:{pool_id}": held for part, held in entry["held"].items()}
    if policies:
        values["policies"] = policies
    return values


def error_document(thread_id: str, notes: Iterable[Mapping[str, Any]]) -> Document:
    """``errors/<thread>.json``: the error history (ErrorNotes) as it stands, oldest first."""
    errors = [
        {"timestamp": iso(note["at_ms"]), "error_message": note["message"], "operation_type": note["operation_type"]}
        | {name: note[name] for name in _OF_AN_ERROR}
        for note in notes
    ]
    return {"thread_id": thread_id, "errors": errors}


def errors_of(statistics: Document) -> dict[str, Document]:
    """Every thread's error document, from statistics.json."""
    return {
        thread_id: error_document(thread_id, (entry["state"] or {}).get("errors", ()))
        for thread_id, entry in statistics["statistics"].items()
    }


def _thread(config: Document, record: Document, sealed: str | None, state: ThreadState) -> Document:
    swaps = config["kind"] == ThreadKind.SWAP.value
    direction = ("a_to_b" if config["side"] == "A" else "b_to_a") if swaps else None
    return {
        "thread_id": config["id"],
        "thread_type": config["kind"],
        "pool_id": config["pool"],
        "token_type": None if swaps else config["side"],
        "swap_direction": direction,
        "status": record["status"],
        "wallet_address": config["wallet"],
        "wallet_keypair": sealed,
        "initial_amount": None if config["kind"] == ThreadKind.WITHDRAWAL.value else int(config["initial_amount"]),
        "auto_refill": config["auto_refill"],
        "share": config["share"],
        "created_at": iso(config["created_at_ms"]),
        "last_operation_at": iso(state.last_operation_at_ms),
        "config": config,
        "chain": record | {"intents": _json(record.get("intents", "")), "order": _json(record.get("order", ""))},
    }


def _statistics(config: Document, state: ThreadState, ledger: Mapping[str, str]) -> Document:
    kind, session, thread_id = config["kind"], state.session, config["id"]
    records = {name: ledger[name] for name in ledger_fields(thread_id) if name in ledger}
    lifetime_flows = Flows.of(thread_id, records)
    return _counted(kind, session) | {
        "verification_totals": _verification(kind, session, lifetime_flows.since(thread_id, records)),
        "lifetime": _counted(kind, state.lifetime)
        | {"verification_totals": _verification(kind, state.lifetime, lifetime_flows)},
        "session_started_at": iso(state.session_started_at_ms),
        "balances": state.balances,
        "balances_slot": state.balances_slot,
    }


def _counted(kind: str, totals: Totals) -> Document:
    done = totals.confirmed + totals.recovered
    return {
        "successful_deposits": done if kind == ThreadKind.DEPOSIT.value else 0,
        "successful_withdrawals": done if kind == ThreadKind.WITHDRAWAL.value else 0,
        "successful_swaps": done if kind == ThreadKind.SWAP.value else 0,
        "failed_operations": totals.failed_expected + totals.failed_unexpected + totals.expired,
        "total_volume_processed": totals.spent,
    }


def _verification(kind: str, totals: Totals, flows: Flows) -> Document:
    if kind == ThreadKind.DEPOSIT.value:
        own = {
            "tokens_deposited": totals.spent,
            "lp_tokens_received": totals.received,
            "lp_tokens_shared": flows.paid,
            "tokens_received": flows.received,
        }
    elif kind == ThreadKind.WITHDRAWAL.value:
        own = {
            "lp_tokens_used": totals.spent,
            "tokens_withdrawn": totals.received,
            "tokens_received": totals.received,
            "tokens_shared": flows.paid,
            "lp_tokens_received": flows.received,
        }
    else:
        own = {
            "tokens_swapped_in": totals.spent,
            "tokens_swapped_out": totals.received,
            "tokens_shared": flows.paid,
            "tokens_received": flows.received,
        }
    return own | {
        "tokens_refilled": flows.tokens_refilled,
        "pool_fees_paid": totals.pool_fees,
        "network_fees_paid": totals.network_fees,
        "total_sol_spent": totals.pool_fees + totals.network_fees,
    }


def _pool(pool_id: str, pool: Document, rest: dict[str, Any]) -> Document:
    """The documented fields, the pool's constants as they are stored, and what belongs to the pool alone."""
    policies = rest.get("policies", {})
    policy = policies.pop(pool_id, None)
    if "policies" in rest and not policies:
        del rest["policies"]
    return {
        "pool_id": pool_id,
        "token_a_mint": pool["mint_a"],
        "token_a_decimals": pool["decimals_a"],
        "token_b_mint": pool["mint_b"],
        "token_b_decimals": pool["decimals_b"],
        "ratio_a_numerator": int(pool["ratio_a"]),
        "ratio_b_denominator": int(pool["ratio_b"]),
        "created_at": iso(pool["created_at_ms"]),
        "pool": pool,
        "policy": None if policy is None else json.loads(policy),
        "held": {name: rest.pop(f"{name}:{pool_id}") for name in _OF_A_POOL if f"{name}:{pool_id}" in rest},
    }


def _state(values: Values, thread_id: str) -> Document:
    state: Document = _json(values[_CHAIN + thread_id].get("state", "")) or {}
    return state


def _json(text: str) -> Any:
    """A JSON text of the store that may be empty, as data: "" becomes None. Amounts in it are decimal strings."""
    return orjson.loads(text) if text else None


def _text(data: Any) -> str:
    return "" if data is None else json.dumps(data, separators=(",", ":"))
