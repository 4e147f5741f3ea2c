"""A thread's session, from a manual start to its stop or error: what it began with, what it did, and whether its own
wallet adds up (PER-10 to PER-17). Pure.

The wallet is checked exactly: both balances come from confirmed snapshots, and between two of them the wallet moves by
its own operations, by payments of the pool's chains, by refills and by what was burned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Self

from domain.flows import Flows, session_field
from domain.pool import lp_of, token_of
from domain.state import ThreadState, Totals
from domain.thread import ThreadConfig, ThreadKind

SOL: Final = "sol"
MANUAL: Final = "manual"
UNCHECKED: Final = "payments were under way when the session began or ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a session begins with. ``balances`` in base units and lamports, of the snapshot at ``slot``.

    ``exact`` is False when a payment was under way: then balances and booked payments are of different moments.
    """

    balances: Mapping[str, int] = field(default_factory=dict)
    slot: int = 0
    exact: bool = False

    def record(self, flows: Flows, error_counts: Mapping[str, int]) -> str:
        """The ledger's ``session:<thread>`` with these balances in it."""
        doc: dict[str, Any] = json.loads(flows.to_text(error_counts))
        balances = {name: str(amount) for name, amount in self.balances.items()}
        return json.dumps(doc | {"balances": balances, "slot": self.slot, "exact": self.exact}, separators=(",", ":"))

    @classmethod
    def of(cls, thread_id: str, ledger: Mapping[str, str]) -> Self:
        doc: dict[str, Any] = json.loads(ledger.get(session_field(thread_id), "{}"))
        balances = {name: int(amount) for name, amount in doc.get("balances", {}).items()}
        return cls(balances=balances, slot=doc.get("slot", 0), exact=doc.get("exact", False))


def session_record(
    config: ThreadConfig, state: ThreadState, ledger: Mapping[str, str], *, end_ms: int, reason: str, exact: bool
) -> dict[str, Any]:
    """The document of a finished session; ``state`` has the snapshot it ends with, ``ledger`` the thread's records."""
    begun = Opening.of(config.thread_id, ledger)
    flows = Flows.of(config.thread_id, ledger).since(config.thread_id, ledger)
    checked = exact and begun.exact
    unexplained = {name: _unexplained(config, state, begun, flows, name) for name in _assets(config)}
    return {
        "thread_id": config.thread_id,
        "thread_type": config.kind.value,
        "pool_id": config.pool_id,
        "token_type": None if config.kind is ThreadKind.SWAP else config.side.value,
        "swap_direction": config.direction,
        "session_info": {
            "start_time": iso(state.session_started_at_ms),
            "end_time": iso(end_ms),
            "duration_seconds": max(0, end_ms - state.session_started_at_ms) // 1000,
            "start_reason": "manual_start" if state.session_reason == MANUAL else state.session_reason,
            "stop_reason": "manual_stop" if reason == MANUAL else reason,
            "start_ms": state.session_started_at_ms,
            "end_ms": end_ms,
        },
        "verification_totals": {
            "operation_counts": _counts(config, state.session),
            "token_flows": _token_flows(config, state.session, flows),
            "fee_tracking": _fees(state.session, flows),
            "balance_verification": _balances(config, begun, state)
            | {
                "starting_slot": begun.slot,
                "ending_slot": state.balances_slot,
                "verified": not any(unexplained.values()) if checked else None,
                "unexplained": unexplained if checked else None,
                "not_checked_because": None if checked else UNCHECKED,
            },
        },
        "pool_verification_data": _pool_data(config, state.session),
    }


def verification_summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """What ``get_thread_sessions`` says of a session; ``pool_verification_passed`` is null when it was not checked."""
    totals = record["verification_totals"]
    counts, kind = totals["operation_counts"], record["thread_type"]
    flows = totals["token_flows"]
    processed = {"deposit": "tokens_deposited", "withdrawal": "lp_tokens_used", "swap": "tokens_swapped_in"}[kind]
    return {
        "successful_operations": counts[f"successful_{kind}s"],
        "total_tokens_processed": flows[processed],
        "total_fees_paid": totals["fee_tracking"]["total_sol_spent"],
        "pool_verification_passed": totals["balance_verification"]["verified"],
    }


def session_file(record: Mapping[str, Any], *, precise: bool = False) -> str:
    """``session_<start>.json`` in UTC; ``precise`` adds milliseconds, for two starts within one second."""
    start_ms = int(record["session_info"]["start_ms"])
    stamp = datetime.fromtimestamp(start_ms / 1000, UTC).strftime("%Y-%m-%d_%H-%M-%S")
    return f"session_{stamp}_{start_ms % 1000:03d}.json" if precise else f"session_{stamp}.json"


def iso(at_ms: int | None) -> str | None:
    """Unix milliseconds as ISO 8601 in UTC, to the second; None for never (0)."""
    return _second(at_ms // 1000) if at_ms else None


@lru_cache(maxsize=16_384)  # an export or a list of a thousand threads has some 25,000, many of them the same
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _assets(config: ThreadConfig) -> list[str]:
    return [SOL, *(asset.value for asset in config.accounts)]


def _unexplained(config: ThreadConfig, state: ThreadState, begun: Opening, flows: Flows, name: str) -> int:
    """What the wallet holds at the end beyond what the books say. A share goes to who spends the asset."""
    did, expected = state.session, begun.balances.get(name, 0) + flows.funded.get(name, 0)
    if name == SOL:
        expected += flows.sol_refilled - flows.fees - did.network_fees - did.pool_fees
    else:
        expected -= getattr(did, f"burned_{name}")
        if name == config.receives.value:
            expected += did.received - flows.paid
        if name == config.spends.value:
            expected += flows.received + flows.tokens_refilled - did.spent
    return state.balances.get(name, 0) - expected


def _counts(config: ThreadConfig, did: Totals) -> dict[str, int]:
    kind = config.kind.value
    failed = did.failed_expected + did.failed_unexpected + did.expired
    return {
        f"successful_{kind}s": did.confirmed + did.recovered,
        f"failed_{kind}s": failed,
        "total_attempts": did.confirmed + did.recovered + failed,
        "expired": did.expired,
        "recovered": did.recovered,
        "empty_operations": did.empties,
    }


def _token_flows(config: ThreadConfig, did: Totals, flows: Flows) -> dict[str, int]:
    match config.kind:
        case ThreadKind.DEPOSIT:
            own = {
                "tokens_deposited": did.spent,
                "lp_tokens_received": did.received,
                "lp_tokens_shared": flows.paid,
                "tokens_received_from_withdrawals": flows.received,
                "tokens_from_auto_refill": flows.tokens_refilled,
            }
        case ThreadKind.WITHDRAWAL:
            own = {
                "lp_tokens_used": did.spent,
                "tokens_withdrawn": did.received,
                "tokens_shared": flows.paid,
                "lp_tokens_received_from_deposits": flows.received,
            }
        case ThreadKind.SWAP:
            own = {
                "tokens_swapped_in": did.spent,
                "tokens_swapped_out": did.received,
                "tokens_shared": flows.paid,
                "tokens_received_from_swaps": flows.received,
                "tokens_from_auto_refill": flows.tokens_refilled,
            }
    burned = {f"burned_{asset.value}": getattr(did, f"burned_{asset.value}") for asset in config.accounts}
    funded = {f"funded_{name}": flows.funded.get(name, 0) for name in (SOL, *config.accounts)}
    return own | {"sol_from_refill": flows.sol_refilled} | funded | burned


def _fees(did: Totals, flows: Flows) -> dict[str, int]:
    """``total_sol_spent``: the thread's own operations; what it paid for payments to others stands beside."""
    spent = did.pool_fees + did.network_fees
    attempts = did.confirmed + did.recovered + did.failed_expected + did.failed_unexpected + did.expired
    return {
        "pool_fees_paid": did.pool_fees,
        "network_fees_paid": did.network_fees,
        "total_sol_spent": spent,
        "average_sol_per_transaction": spent // attempts if attempts else 0,
        "payment_fees_paid": flows.fees,
    }


def _balances(config: ThreadConfig, begun: Opening, state: ThreadState) -> dict[str, int]:
    """Starting and ending token, LP and SOL balances; a swap thread has two tokens and no LP."""
    if config.kind is ThreadKind.SWAP:
        names = {"token": config.spends, "output_token": config.receives}
    else:
        names = {"token": token_of(config.side), "lp": lp_of(config.side)}
    shown: dict[str, int] = {}
    for label, name in [*((label, asset.value) for label, asset in names.items()), ("sol", SOL)]:
        shown[f"starting_{label}_balance"] = begun.balances.get(name, 0)
        shown[f"ending_{label}_balance"] = state.balances.get(name, 0)
    return shown


def _pool_data(config: ThreadConfig, did: Totals) -> dict[str, int]:
    """What this session's operations must have done to the pool; the pool itself is checked over all its threads."""
    match config.kind:
        case ThreadKind.DEPOSIT:
            moved = {"expected_pool_token_increase": did.spent, "expected_pool_lp_increase": did.received}
        case ThreadKind.WITHDRAWAL:
            moved = {"expected_pool_token_decrease": did.received, "expected_pool_lp_decrease": did.spent}
        case ThreadKind.SWAP:
            moved = {"expected_pool_input_increase": did.spent, "expected_pool_output_decrease": did.received}
    return moved | {"expected_pool_fee_accumulation": did.pool_fees}
