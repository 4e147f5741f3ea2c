"""The service's own checks on a transaction carried out again: those of the operation, and those of the snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain import probes
from domain.chains import Mark
from domain.evidence import Problem
from domain.facts import Account, Observation, PoolState
from domain.ids import Address, OperationId, Signature
from domain.invariants import check_snapshot
from domain.operations import Intent, OperationKind
from domain.policy import ADMIN_FLAGS, Policy
from domain.pool import Pool, Side, lp_of
from domain.settle import OWN_KINDS, settle_payment, settle_thread_operation
from domain.store.pools import pool_from_text
from domain.store.records import config_from_text
from ops.reproduce.recorded import Recorded
from ops.reproduce.replay import Replay

_EFFECTS: Final = ("ADMIN-", "CONSOLIDATION-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rules know beside the chain's answer."""

    program_id: str
    core: Address
    pool: Pool | None
    policy: Policy | None
    thread: str  # JSON of the thread's configuration, or ""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Context:
        pool, policy, thread = document["pool"], document["policy"], document["thread"]
        return cls(
            program_id=document["program_id"],
            core=Address(document["core"]),
            pool=None if pool is None else pool_from_text(json.dumps(pool)),
            policy=None if policy is None else Policy.from_text(json.dumps(policy)),
            thread="" if thread is None else json.dumps(thread),
        )


def names_of(context: Context) -> dict[str, str]:
    """What the addresses are that a reader will want to tell apart."""
    names: dict[str, str] = {context.core: "(core wallet)"}
    if context.pool is not None:
        pool = context.pool
        names[pool.pool_id] = "(pool)"
        for side in Side:
            names[pool.vault(side)] = f"(vault {side.value})"
            names[pool.mint(lp_of(side))] = f"(LP mint {side.value})"
    if context.thread:
        config = config_from_text(context.thread)
        names[config.wallet] = f"(wallet of {config.thread_id})"
        names |= {address: f"({asset.value} of {config.thread_id})" for asset, address in config.accounts.items()}
    return names


def judged(recorded: Recorded, context: Context, replayed: Replay) -> list[Problem]:
    """Every check that does not hold; a snapshot's only where the transaction itself broke it."""
    return [*_operation(recorded, context, replayed), *_effect(recorded, context, replayed), *broken(context, replayed)]


def is_judged(recorded: Recorded) -> bool:
    """Is the fault one that these checks can see again?"""
    evidence = recorded.evidence
    return "kind" in evidence or "suspects" in evidence or _wants(recorded) is not None


def _operation(recorded: Recorded, context: Context, replayed: Replay) -> Iterator[Problem]:
    evidence, receipt, pool = recorded.evidence, replayed.receipt, context.pool
    if "kind" not in evidence:
        return
    intent = _intent(recorded, pool)
    if intent.kind is OperationKind.PROBE:
        known = context.policy if pool is not None and pool.managed else None
        yield from probes.judge(intent.inputs, receipt, known, context.core, intent.compute_limit).problems
        return
    if intent.kind in OWN_KINDS and pool is not None and context.thread:
        config = config_from_text(context.thread)
        faults = settle_thread_operation(config, pool, intent, receipt, context.policy).faults
    else:
        faults = settle_payment(intent, receipt, pool).faults
    yield from ((fault.check, fault.message) for fault in faults)


def _intent(recorded: Recorded, pool: Pool | None) -> Intent:
    evidence, document = recorded.evidence, recorded.document
    return Intent(
        operation_id=OperationId(document.get("operation_id") or ""),
        number=0,
        kind=OperationKind(evidence["kind"]),
        pool_id=None if pool is None else pool.pool_id,
        signature=Signature(recorded.signature or ""),
        wire=evidence["wire"],
        last_valid_height=0,
        compute_limit=evidence["compute_limit"],
        inputs=evidence["inputs"],
        prepared_at_ms=0,
        prepared_slot=0,
    )


def _effect(recorded: Recorded, context: Context, replayed: Replay) -> Iterator[Problem]:
    """An administrative step or a consolidation: what the pool must show afterwards is in the evidence itself."""
    wanted = _wants(recorded)
    if context.pool is None or wanted is None:
        return
    account = replayed.after.get(Address(context.pool.pool_id))
    shown = _shown(account)
    for name in wanted:
        if str(shown.get(name)) != str(wanted[name]):
            yield recorded.check, f"{name} of the pool is {shown.get(name)} instead of {wanted[name]}"


def _wants(recorded: Recorded) -> Mapping[str, Any] | None:
    """What a pool should have shown, where that is all that the check compared."""
    wanted = recorded.evidence.get("wanted")
    return wanted if isinstance(wanted, Mapping) and recorded.check.startswith(_EFFECTS) else None


def _shown(account: Account | None) -> dict[str, Any]:
    state = account.decoded if account is not None else None
    if account is None or not isinstance(state, PoolState):
        return {}
    return {
        "flags": state.flags & ADMIN_FLAGS,
        "owner": state.owner,
        "liquidity_fee": state.liquidity_fee,
        "swap_fee": state.swap_fee,
        "lamports": account.lamports,
        "liquidity": state.collected_liquidity_fees,
        "swap": state.collected_swap_fees,
        "consolidated": state.total_fees_consolidated,
    }


def broken(context: Context, replayed: Replay) -> list[Problem]:
    """Snapshot checks that held before the transaction and do not after it, and marks that fell."""
    if context.pool is None:
        return []
    before, marks_before = _snapshot(context, context.pool, replayed, replayed.before)
    after, marks_after = _snapshot(context, context.pool, replayed, replayed.after)
    problems = [(check, message) for check, message in after.items() if check not in before]
    for name, value in marks_before.items():
        now = marks_after.get(name)
        if now is not None and now < value:
            problems.append((name, f"{name} fell from {value} to {now}"))
    return problems


def broken_before(context: Context, replayed: Replay) -> list[Problem]:
    """Snapshot checks that did not hold even before: then the cause is an earlier transaction."""
    if context.pool is None:
        return []
    return list(_snapshot(context, context.pool, replayed, replayed.before)[0].items())


def _snapshot(
    context: Context, pool: Pool, replayed: Replay, accounts: Mapping[Address, Account | None]
) -> tuple[dict[str, str], dict[str, int]]:
    slot = max(replayed.receipt.slot, pool.created_slot)
    seen = Observation(endpoint="replay", slot=slot, block_height=0, height_slot=slot, accounts=dict(accounts))
    if seen.pool(Address(pool.pool_id)) is None:
        return {}, {}  # before it is created there is nothing to hold
    checked = check_snapshot(pool, seen, context.policy)
    marks: tuple[Mark, ...] = checked.marks
    return {fault.check: fault.message for fault in checked.faults}, {mark.name: mark.value for mark in marks}
