"""Deposits, withdrawals and swaps that a command makes for a wallet of its own: settled by the rules of all others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domain.cycle import operation_for
from domain.facts import Observation, PoolState, Receipt
from domain.ids import Address, ThreadId
from domain.operations import Intent, Operation, OperationKind
from domain.policy import Policy
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.settle import Settlement, settle_payment, settle_thread_operation
from domain.thread import ThreadConfig, ThreadKind
from tasks.runtime import Runtime


def trader(pool: Pool, kind: ThreadKind, side: Side, wallet: Address, accounts: dict[Asset, Address]) -> ThreadConfig:
    """The wallet as the rules want to see it: one that does this kind of operation. ``accounts`` may hold more."""
    output = token_of(side.other) if kind is ThreadKind.SWAP else lp_of(side)
    return ThreadConfig(
        thread_id=ThreadId(""),
        kind=kind,
        pool_id=pool.pool_id,
        side=side,
        initial_amount=0,
        auto_refill=False,
        share=False,
        wallet=wallet,
        accounts={asset: accounts[asset] for asset in (token_of(side), output)},
        index=0,
        created_at_ms=0,
    )


def trade(config: ThreadConfig, pool: Pool, seen: Observation, shown: PoolState, amount: int) -> Operation:
    """The operation, with what settling it needs: it is a command's, so no thread counts it."""
    operation = operation_for(config, pool, seen, shown, amount)
    inputs = operation.inputs | traded(config, alone=True)
    inputs["deltas"] = _deltas(config, pool, amount, int(inputs["expected_out"]))
    return replace(operation, kind=OperationKind.FUND, inputs=inputs)


def _deltas(config: ThreadConfig, pool: Pool, amount: int, output: int) -> dict[Address, str]:
    """What the closing audit must find in the wallet's accounts and the vaults."""
    spends, receives = config.accounts[config.spends], config.accounts[config.receives]
    own = {spends: str(-amount), receives: str(output)}
    match config.kind:
        case ThreadKind.DEPOSIT:
            return own | {pool.vault(config.side): str(amount)}
        case ThreadKind.WITHDRAWAL:
            return own | {pool.vault(config.side): str(-output)}
        case ThreadKind.SWAP:
            return own | {pool.vault(config.side): str(amount), pool.vault(config.side.other): str(-output)}


def traded(config: ThreadConfig, *, alone: bool) -> dict[str, Any]:
    """``alone`` False: the transaction does more than the trade, so its success is judged by its ``deltas``."""
    return {
        "trade": {
            "kind": config.kind.value,
            "wallet": config.wallet,
            "accounts": {asset.value: address for asset, address in config.accounts.items()},
            "alone": alone,
        }
    }


def settle_command(runtime: Runtime, intent: Intent, receipt: Receipt) -> Settlement:
    """A command's transaction: a trade by the rules of its kind, everything else by what its inputs name."""
    doc = intent.inputs.get("trade")
    if doc is None or intent.pool_id is None or (receipt.error is None and not doc["alone"]):
        return settle_payment(intent, receipt, None)
    pool = runtime.pool(intent.pool_id)
    kind, side = ThreadKind(doc["kind"]), Side(intent.inputs["side"])
    accounts = {Asset(name): Address(address) for name, address in doc["accounts"].items()}
    config = trader(pool, kind, side, Address(doc["wallet"]), accounts)
    policy = Policy.from_text(runtime.store.policy_text(pool.pool_id))
    judged = replace(intent, kind=OperationKind(kind.value))
    return replace(settle_thread_operation(config, pool, judged, receipt, policy), own=False)
