"""What a fault needs to be carried out again elsewhere: the accounts before its transaction, and the rules' inputs.

Found before the commit that stores the fault. What cannot be had is left out: a fault is a fault without it, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import structlog

from domain.chain.errors import RpcErrorObject
from domain.chain.gateway import COMMITMENT
from domain.chain.rewind import rewound
from domain.chain.rpc import Call
from domain.chains import Begun
from domain.errors import StressError
from domain.faults import Fault
from domain.ids import PoolId
from domain.pool import Pool
from domain.store.pools import pool_to_text
from tasks.runtime import Runtime

#: The lease of a cycle has this much to spare (DESIGN.md 5).
TIMEOUT_S: Final = 1.0
#: Of one check and pool, in one process: a program that is wrong in every operation must not fill Redis with accounts.
MOST_EXECUTIONS: Final = 20
#: A broken counter stays broken: only the first snapshot has the transaction that broke it among the newest.
MOST_SUSPECTED: Final = 1
#: A snapshot is checked every few slots: one of the last successes on the pool is what broke it.
SUSPECTS: Final = 16

log = structlog.get_logger()


def make_reproducible(runtime: Runtime, begun: Begun, faults: Iterable[Fault]) -> None:
    """Complete the evidence of faults, in place. ``execution``: one transaction's; ``suspects``: a snapshot's."""
    for fault in faults:
        most = MOST_SUSPECTED if fault.signature is None else MOST_EXECUTIONS
        key = (fault.check, fault.pool_id)
        if "context" in fault.evidence or runtime.reproducible[key] >= most:
            continue  # several checks of one transaction share their evidence; a commit may be tried again
        try:
            pool = runtime.pool(PoolId(fault.pool_id)) if fault.pool_id else None
            fault.evidence["context"] = _context(runtime, begun, pool)
            if fault.signature is not None:
                fault.evidence["execution"] = _execution(runtime, fault, pool)
            elif pool is not None and fault.slot is not None and runtime.settings.local_chain:
                fault.evidence["suspects"] = _suspects(runtime, fault, pool)
            runtime.reproducible[key] += 1
        except StressError as error:
            log.info("evidence_incomplete", action="evidence_incomplete", check=fault.check, error=str(error))


def _context(runtime: Runtime, begun: Begun, pool: Pool | None) -> dict[str, Any]:
    """What the rules know beside the chain's answer, as the store writes it."""
    chain = runtime.chain
    policy = runtime.store.policy_text(pool.pool_id) if pool is not None else ""
    return {
        "program_id": str(chain.program_id),
        "core": chain.keyring.core_address,
        "pool": None if pool is None else json.loads(pool_to_text(pool)),
        "policy": json.loads(policy) if policy else None,
        "thread": json.loads(begun.config) if begun.kind.is_thread else None,
    }


def _pool_accounts(pool: Pool | None) -> list[str]:
    """What the rules look at, and the mints without which no balance can be told."""
    if pool is None:
        return []
    return [pool.pool_id, pool.vault_a, pool.vault_b, pool.lp_mint_a, pool.lp_mint_b, pool.mint_a, pool.mint_b]


def _execution(runtime: Runtime, fault: Fault, pool: Pool | None) -> dict[str, Any] | None:
    if runtime.settings.local_chain:
        options = {"signatures": [fault.signature], "also": _pool_accounts(pool)}
        (found,) = _ask(runtime, "frt_getExecutions", [options])
        return None if found is None else {**found, "exact": True}
    return _reconstructed(runtime, fault, pool)


def _reconstructed(runtime: Runtime, fault: Fault, pool: Pool | None) -> dict[str, Any] | None:
    """A cluster keeps no account's past: what it holds now, set back by the balances in the transaction's meta."""
    balances = fault.evidence.get("lamports")
    if not balances or "wire" not in fault.evidence:
        return None
    names = list(dict.fromkeys([*balances, *_pool_accounts(pool)]))
    value = _ask(runtime, "getMultipleAccounts", [names, {"commitment": COMMITMENT, "encoding": "base64"}])
    now = dict(zip(names, value["value"], strict=True))
    return {
        "signature": fault.signature,
        "wire": fault.evidence["wire"],
        "slot": fault.slot,
        "unix_timestamp": fault.evidence.get("block_time"),
        "accounts": rewound(now, balances, fault.evidence["tokens"], pool),
        "exact": False,
    }


def _suspects(runtime: Runtime, fault: Fault, pool: Pool) -> list[dict[str, Any]]:
    """The newest successes on the pool, oldest first."""
    options = {"address": pool.pool_id, "untilSlot": fault.slot, "limit": SUSPECTS, "also": _pool_accounts(pool)}
    found = _ask(runtime, "frt_getExecutions", [options])
    return [{**execution, "exact": True} for execution in reversed(found)]


def _ask(runtime: Runtime, method: str, params: list[Any]) -> Any:
    answer = runtime.chain.endpoints.batch([Call(method, method, params)], timeout_seconds=TIMEOUT_S)
    (result,) = answer.results
    if isinstance(result, RpcErrorObject):
        raise result
    return result
