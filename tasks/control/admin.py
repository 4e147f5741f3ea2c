"""Administrative steps: fees, pauses, owner-only, consolidation; each recorded before it is sent, its effect checked.

The pool's policy gets the step as pending in the same commit that stores the intent, so that no observation of it can
ever be unexplained; when the step landed it gets its slot (domain/policy.py).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from domain.consolidation import FeeBooks, check_consolidation
from domain.errors import CommandCode, CommandError
from domain.facts import (
    POOL_FLAG_LIQUIDITY_PAUSED,
    POOL_FLAG_OWNER_ONLY,
    POOL_FLAG_SWAPS_PAUSED,
    Observation,
    PoolState,
)
from domain.faults import Fault
from domain.ids import Address, PoolId
from domain.operations import (
    ConsolidatePoolFees,
    Operation,
    OperationKind,
    PausePool,
    PlainAction,
    SetSwapOwnerOnly,
    UnpausePool,
    UpdatePoolFees,
)
from domain.policy import ADMIN_FLAGS, Policy, PolicyChange
from tasks.control.commands import Command


def pause_pool(command: Command) -> None:
    bits, flags = _pause_bits(command)
    action = PausePool(admin=command.core, pool_id=_pool_id(command), flags=bits)
    _administer(command, action, PolicyChange(set_flags=flags))


def unpause_pool(command: Command) -> None:
    bits, flags = _pause_bits(command)
    action = UnpausePool(admin=command.core, pool_id=_pool_id(command), flags=bits)
    _administer(command, action, PolicyChange(clear_flags=flags))


def set_swap_owner_only(command: Command) -> None:
    enable = bool(command.params["enable"])
    owner = Address(command.params.get("owner") or command.core)
    action = SetSwapOwnerOnly(admin=command.core, pool_id=_pool_id(command), enable=enable, owner=owner)

    if enable:
        _administer(command, action, PolicyChange(set_flags=POOL_FLAG_OWNER_ONLY, owner=owner))
    else:
        _administer(command, action, PolicyChange(clear_flags=POOL_FLAG_OWNER_ONLY))


def update_pool_fees(command: Command) -> None:
    liquidity, swap = command.params.get("liquidity_fee"), command.params.get("swap_fee")
    flags = (1 if liquidity is not None else 0) | (2 if swap is not None else 0)
    action = UpdatePoolFees(
        admin=command.core,
        pool_id=_pool_id(command),
        update_flags=flags,
        liquidity_fee=liquidity or 0,
        swap_fee=swap or 0,
    )
    _administer(command, action, PolicyChange(liquidity_fee=liquidity, swap_fee=swap))


def _pool_id(command: Command) -> PoolId:
    return PoolId(command.params["pool_id"])


def _pause_bits(command: Command) -> tuple[int, int]:
    """The instruction's bits and the pool's flags for the same (CONTRACT.md 3.8)."""
    liquidity, swaps = command.params.get("liquidity", True), command.params.get("swaps", True)
    bits = (1 if liquidity else 0) | (2 if swaps else 0)
    flags = (POOL_FLAG_LIQUIDITY_PAUSED if liquidity else 0) | (POOL_FLAG_SWAPS_PAUSED if swaps else 0)
    return bits, flags


def _administer(command: Command, action: PlainAction, change: PolicyChange) -> None:
    pool = command.runtime.pool(_pool_id(command))
    text = command.runtime.store.policy_text(pool.pool_id)
    policy = Policy.from_text(text)
    if policy is None:
        raise CommandError(CommandCode.WRONG_STATE, f"pool {pool.pool_id} is not administered by this service")
    command.draft.policy_expected = text
    if "step" not in command.data:
        if all(step.slot is not None for step in policy.steps):
            _send_step(command, action, change, policy)
        return  # one step of a pool at a time: of two that land in one slot nobody knows which came last
    step_id = command.data["step"]
    receipt = command.receipt
    if receipt is not None and receipt.error is None:
        if "landed" not in command.data:
            command.draft.policy = policy.landed(step_id, receipt.slot).to_text()
            command.data["landed"] = {"slot": receipt.slot, "signature": receipt.signature}
            return
    elif "landed" not in command.data:
        command.draft.policy = policy.dropped(step_id).to_text()
        command.landed()  # raises when the contract refused
        del command.data["step"]  # expired: the same step again
        return
    _check_effect(command, policy, step_id)


def _send_step(command: Command, action: PlainAction, change: PolicyChange, policy: Policy) -> None:
    step_id = f"{command.begun.chain_id}/{command.progress.operation_number + 1}"
    command.send(
        Operation(
            kind=OperationKind.ADMIN,
            actions=(action,),
            payer=command.core,
            signers=(command.core,),
            inputs={"method": command.method, "params": command.params, "deltas": {}},
            compute_units=200_000,
            pool_id=_pool_id(command),
        )
    )
    # Behind the sending: it may fail, and a step that was never sent must not look like one that expired.
    command.draft.policy = policy.with_pending(step_id, change).to_text()
    command.data["step"] = step_id


def _check_effect(command: Command, policy: Policy, step_id: str) -> None:
    """The pool shows exactly what the step says; anything else is a fault of the program."""
    pool_id = _pool_id(command)
    seen = command.observe((Address(pool_id),))
    landed = command.data["landed"]
    if seen is None or seen.slot < landed["slot"]:
        return
    state = seen.pool(Address(pool_id))
    # Read behind the snapshot: whatever it may show of a later step is in it.
    policy = Policy.from_text(command.runtime.store.policy_text(pool_id)) or policy
    step = next(step for step in policy.steps if step.operation_id == step_id)
    superseded = policy.steps[-1].operation_id != step_id
    shown = _shown(state)
    wanted = {
        "flags": step.flags,
        "liquidity_fee": step.liquidity_fee,
        "swap_fee": step.swap_fee,
        "owner": step.owner,
    }
    if shown != wanted and not superseded:
        fault = Fault(
            check=f"ADMIN-{command.method}",
            message=f"{command.method} landed at slot {landed['slot']} but the pool does not show it",
            pool_id=pool_id,
            chain_id=command.begun.chain_id,
            signature=landed["signature"],
            slot=seen.slot,
            evidence={"shown": shown, "wanted": wanted},
        )
        command.draft.add_faults([fault])
    command.draft.count("checks", f"admin.{command.method}")
    command.answer({"pool_id": pool_id, "signature": landed["signature"], "slot": landed["slot"], **(shown or {})})


def _shown(state: PoolState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "flags": state.flags & ADMIN_FLAGS,
        "liquidity_fee": state.liquidity_fee,
        "swap_fee": state.swap_fee,
        "owner": state.owner,
    }


def consolidate_pool_fees(command: Command) -> None:
    """Before, transaction, after: the amounts moved must be the ones of CONTRACT.md 3.12 to the last lamport."""
    pool_ids = [PoolId(pool_id) for pool_id in command.params["pool_ids"]]
    if "receipt" not in command.data and "sent" in command.data:
        receipt = command.landed()
        if receipt is None:
            del command.data["sent"]
            return
        command.data["receipt"] = {"slot": receipt.slot, "signature": receipt.signature}
        return
    treasury = command.runtime.chain.treasury
    seen = command.observe((treasury, *(Address(pool_id) for pool_id in pool_ids)))
    if seen is None:
        return
    books = {pool_id: _books(seen, Address(pool_id)) for pool_id in pool_ids}
    if "sent" not in command.data:
        command.data["before"] = {pool_id: asdict(book) for pool_id, book in books.items()}
        command.data["treasury"] = str(seen.lamports(treasury))
        _send_consolidation(command, pool_ids, seen.slot)
    elif seen.slot >= command.data["receipt"]["slot"]:
        _judge_consolidation(command, books, seen.lamports(treasury))


def _books(seen: Observation, address: Address) -> FeeBooks:
    state = seen.pool(address)
    if state is None:
        raise CommandError(CommandCode.POOL_NOT_FOUND, f"pool {address} is not on the chain")
    return FeeBooks(
        liquidity=state.collected_liquidity_fees,
        swap=state.collected_swap_fees,
        total=state.total_fees_collected,
        consolidated=state.total_fees_consolidated,
        lamports=seen.lamports(address),
        paused=state.liquidity_paused and state.swaps_paused,
    )


def _send_consolidation(command: Command, pool_ids: list[PoolId], slot: int) -> None:
    command.send(
        Operation(
            kind=OperationKind.ADMIN,
            actions=(ConsolidatePoolFees(admin=command.core, pool_ids=tuple(pool_ids)),),
            payer=command.core,
            signers=(command.core,),
            inputs={"method": command.method, "params": command.params, "deltas": {}},
            compute_units=400_000,
        ),
        slot=slot,
    )
    command.data["sent"] = True


def _judge_consolidation(command: Command, books: dict[PoolId, FeeBooks], treasury_lamports: int) -> None:
    """A pool whose fees went on between the two reads is not comparable and is left to the closing audit."""
    receipt = command.data["receipt"]
    total = 0
    pools = []
    for pool_id, after in books.items():
        before = FeeBooks(**command.data["before"][pool_id])
        moved = after.consolidated - before.consolidated
        total += moved
        comparable = before.total == after.total and before.paused == after.paused
        if comparable:
            faults = check_consolidation(pool_id, before, after, slot=receipt["slot"], signature=receipt["signature"])
            command.draft.add_faults(faults)
            command.draft.count("checks", "consolidation")
        pools.append({"pool_id": pool_id, "lamports_moved": moved, "compared": comparable})
    gained = treasury_lamports - int(command.data["treasury"])
    command.answer(
        {
            "signature": receipt["signature"],
            "slot": receipt["slot"],
            "lamports_moved": total,
            "treasury_gained": gained,
            "pools": pools,
        }
    )
