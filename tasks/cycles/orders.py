"""A person's order, carried out by the thread's own chain so that no cycle can run beside it: stop, empty, delete.

Empty: settle what is open, take the thread out of the sharing, operate with everything, burn what came and what is
left (DESIGN.md 16, 1). Delete: the same, then close the token accounts and give the SOL back to the core wallet.
"""

from __future__ import annotations

import json
from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from domain.cycle import whole_balance
from domain.facts import Observation, Receipt
from domain.operations import Burn, CloseTokenAccount, Intent, Operation, OperationKind, SolTransfer
from domain.pool import Asset
from domain.state import Order
from domain.thread import OrderKind, ThreadStatus

if TYPE_CHECKING:
    from tasks.cycles.thread import ThreadCycle

ORDER_DELAY_MS = 200  # an order bypasses the cadence (EMP-10)


class Step(IntEnum):
    ISOLATE = 0
    OPERATE = 1
    BURN = 2
    SWEEP = 3


def order_cycle(thread: ThreadCycle, order: Order, seen: Observation) -> None:
    """Take the order one step further. Open intents always settle first."""
    thread.draft.next_ms = ORDER_DELAY_MS
    if thread.draft.intents:
        return
    if seen.slot < thread.state.last_slot:
        return  # a snapshot from before the newest settled transaction
    match order.kind:
        case OrderKind.STOP:
            _stop(thread, order, seen)
        case OrderKind.EMPTY | OrderKind.DELETE:
            _STEPS[Step(order.step)](thread, order, seen)
        case OrderKind.START:
            raise AssertionError("a start is carried out when its first cycle begins")


def _stop(thread: ThreadCycle, order: Order, seen: Observation) -> None:
    if not thread.state.stopped_at_ms:
        thread.state = thread.state.evolved(stopped_at_ms=thread.cycle.now_ms, stop_reason="manual")
    if not thread.session.close(seen):
        return
    _answer(thread, order, {"thread_id": thread.config.thread_id, "status": ThreadStatus.STOPPED.value})
    thread.draft.next_ms = None


def _isolate(thread: ThreadCycle, order: Order, _: Observation) -> None:
    """Wait for every payment under way that touches the wallet, then take back what the outbox still owes from it.

    Both are read in one step: an entry that a payment takes afterwards makes the commit fail, and new ones come from
    payments under way alone.
    """
    config = thread.config
    if thread.begun.status is not ThreadStatus.RUNNING:
        thread.session.close_with(exact=False)  # an error's, when the order came before its last cycle
    payments = thread.runtime.store.payments(config.pool_id, config.thread_id, config.wallet)
    if not payments.quiet or thread.draft.outbox_put:  # what this very cycle settled is owed only from its commit on
        return
    thread.state = thread.state.evolved(last_slot=max(thread.state.last_slot, payments.last_slot))
    thread.draft.outbox_take.update(payments.owed)
    _advance(thread, order, Step.OPERATE, {})


def _operate(thread: ThreadCycle, order: Order, seen: Observation) -> None:
    if "operation" in order.data:
        _judge(thread, order)
        return
    operation, reason = whole_balance(thread.config, thread.pool, seen)
    if operation is None:
        used = seen.tokens(thread.config.accounts[thread.config.spends])
        error = reason if used else None
        _advance(thread, order, Step.BURN, {"used": str(used), "successful": False, "error": error})
        return
    lifetime = thread.state.lifetime
    data = {"operation": True, "used": operation.inputs["amount"], "received": str(lifetime.received)}
    data["fees"] = str(lifetime.network_fees)
    thread.act(operation, seen)
    data["signature"] = thread.draft.new[-1].signature
    _advance(thread, order, Step.OPERATE, data)


def _judge(thread: ThreadCycle, order: Order) -> None:
    """The operation has an outcome: what it received is measured, not assumed. No success receives nothing."""
    data = order.data
    lifetime = thread.state.lifetime
    received = lifetime.received - int(data["received"])
    error = None if received else (thread.state.errors[-1].message if thread.state.errors else "expired")
    result = {
        "used": data["used"],
        "received": str(received),
        "fee": str(lifetime.network_fees - int(data["fees"])),
        "signature": data["signature"] if received else None,
        "successful": bool(received),
        "error": error,
    }
    _advance(thread, order, Step.BURN, result)


def _burn(thread: ThreadCycle, order: Order, seen: Observation) -> None:
    """Burn every token the wallet holds, until it holds none; the core wallet pays, so that no SOL stops nothing."""
    config, core = thread.config, thread.runtime.chain.keyring.core_address
    data = order.data
    if "burned_before" not in data:
        data = {**data, "burned_before": {asset.value: str(_burned(thread, asset)) for asset in config.accounts}}
    held = {asset: seen.tokens(address) for asset, address in config.accounts.items() if seen.tokens(address)}
    if not held:
        _finish(thread, order, data, seen)
        return
    burns = tuple(
        Burn(owner=config.wallet, account=config.accounts[asset], mint=thread.pool.mint(asset), amount=amount)
        for asset, amount in held.items()
    )
    thread.act(
        Operation(
            kind=OperationKind.BURN,
            actions=burns,
            payer=core,
            signers=(core, config.wallet),
            inputs={
                "deltas": {config.accounts[asset]: str(-amount) for asset, amount in held.items()},
                "wallets": [config.wallet],
                "burned": {asset.value: str(amount) for asset, amount in held.items()},
            },
            pool_id=config.pool_id,
        ),
        seen,
    )
    _advance(thread, order, Step.BURN, data)


def _burned(thread: ThreadCycle, asset: Asset) -> int:
    """Over the thread's whole life, as it was read from confirmed burns."""
    amount: int = getattr(thread.state.lifetime, f"burned_{asset.value}")
    return amount


def _finish(thread: ThreadCycle, order: Order, data: dict[str, Any], seen: Observation) -> None:
    """Book the empty operation; a plain empty ends here, a delete goes on to the sweep."""
    if "emptied" not in data:  # tokens that came after it are burned without another one
        failed = 0 if data["successful"] or data["used"] == "0" else 1
        thread.state = thread.state.plus(empties=1, empties_failed=failed)
    if order.kind is OrderKind.DELETE:
        _advance(thread, order, Step.SWEEP, {**data, "emptied": True})
        return
    _answer(thread, order, empty_result(thread, data, seen))
    if thread.begun.status is not ThreadStatus.RUNNING:
        thread.draft.next_ms = None


def empty_result(thread: ThreadCycle, data: dict[str, Any], seen: Observation) -> dict[str, Any]:
    """The documented shape; every amount is from the confirmed transactions (EMP-16, EMP-17)."""
    config = thread.config
    kind = config.kind.value
    used, received = int(data["used"]), int(data.get("received", "0"))
    before = data["burned_before"].items()
    gone = {asset: _burned(thread, Asset(asset)) - int(amount) for asset, amount in before}
    burned = {asset: amount for asset, amount in gone.items() if amount}
    own_lp = Asset.LP_A if config.side.value == "A" else Asset.LP_B
    none_left = used == 0 and not burned
    return {
        "thread_id": config.thread_id,
        "thread_type": kind,
        "empty_operation": {
            "tokens_used": used if kind == "deposit" else 0,
            "lp_tokens_received": received if kind == "deposit" else 0,
            "lp_tokens_used": used if kind == "withdrawal" else 0,
            "tokens_withdrawn": received if kind == "withdrawal" else 0,
            "tokens_swapped_in": used if kind == "swap" and data["successful"] else 0,
            "tokens_swapped_out": received if kind == "swap" else 0,
            "tokens_burned": sum(burned.values()),
            "tokens_burned_by_kind": burned,
            "operation_type": f"{kind}_empty",
            "operation_successful": data["successful"],
            "error_message": "No tokens available" if none_left else data.get("error"),
            "transaction_signature": data.get("signature"),
            "network_fee_paid": int(data.get("fee", "0")),
        },
        "post_empty_balances": {
            "sol_balance": seen.lamports(config.wallet),
            "token_a_balance": _held(thread, Asset.TOKEN_A, seen),
            "token_b_balance": _held(thread, Asset.TOKEN_B, seen),
            "lp_token_balance": _held(thread, own_lp, seen),
        },
    }


def _held(thread: ThreadCycle, asset: Asset, seen: Observation) -> int:
    address = thread.config.accounts.get(asset)
    return seen.tokens(address) if address else 0


def _sweep(thread: ThreadCycle, order: Order, seen: Observation) -> None:
    """Close the token accounts and send all SOL to the core wallet, in one transaction that the core wallet pays.

    Whatever others send meanwhile follows; the thread is gone when its wallet holds nothing and has no account.
    """
    config, core = thread.config, thread.runtime.chain.keyring.core_address
    if any(seen.tokens(address) for address in config.accounts.values()):
        _advance(thread, order, Step.BURN, order.data)
        return
    lamports = seen.lamports(config.wallet)
    actions: list[CloseTokenAccount | SolTransfer] = [
        CloseTokenAccount(owner=config.wallet, account=address, destination=core)
        for address in config.accounts.values()
        if seen.is_token_account(address)
    ]
    if lamports:
        actions.append(SolTransfer(source=config.wallet, destination=core, lamports=lamports))
    if not actions:
        returned = int(order.data.get("returned", "0"))
        _answer(thread, order, {"thread_id": config.thread_id, "status": "deleted", "sol_returned": returned})
        thread.draft.delete_thread = True
        thread.draft.next_ms = None
        return
    inputs = {"lamports": {config.wallet: str(-lamports)}, "deltas": {}, "wallets": [config.wallet]}
    thread.act(
        Operation(
            kind=OperationKind.SWEEP,
            actions=tuple(actions),
            payer=core,
            signers=(core, config.wallet),
            inputs=inputs,
            pool_id=config.pool_id,
        ),
        seen,
    )
    _advance(thread, order, Step.SWEEP, order.data)


_STEPS = {
    Step.ISOLATE: _isolate,
    Step.OPERATE: _operate,
    Step.BURN: _burn,
    Step.SWEEP: _sweep,
}


def book_order(thread: ThreadCycle, intent: Intent, receipt: Receipt) -> None:
    """What a confirmed burn or sweep of an order did, as its transaction says."""
    accounts = thread.config.accounts
    if intent.kind is OperationKind.BURN:
        changes = {asset: receipt.tokens.get(address) for asset, address in accounts.items()}
        burned = {f"burned_{asset.value}": -change.delta for asset, change in changes.items() if change}
        thread.state = thread.state.plus(**burned)
    elif intent.kind is OperationKind.SWEEP and thread.order is not None:
        moved = [receipt.lamports.get(address, (0, 0)) for address in (thread.config.wallet, *accounts.values())]
        returned = int(thread.order.data.get("returned", "0")) + sum(before - after for before, after in moved)
        thread.order = replace(thread.order, data={**thread.order.data, "returned": str(returned)})
        thread.draft.order = thread.order.to_text()


def _advance(thread: ThreadCycle, order: Order, step: Step, data: dict[str, Any]) -> None:
    thread.draft.order = replace(order, step=int(step), data=data).to_text()


def _answer(thread: ThreadCycle, order: Order, result: dict[str, Any]) -> None:
    thread.draft.order = ""
    thread.draft.answer = (order.command_id, json.dumps({"ok": result}, separators=(",", ":")))
