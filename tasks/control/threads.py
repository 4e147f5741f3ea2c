"""Thread commands: creation by one funded transaction, and orders that the thread's own chain carries out."""

from __future__ import annotations

from functools import partial
from typing import Any

from domain.chain.build import token_address
from domain.chains import ChainKind, Next, pool_chain_id
from domain.errors import CommandCode, CommandError
from domain.facts import Receipt
from domain.ids import Address, PoolId, ThreadId
from domain.operations import CreateTokenAccount, MintTo, Operation, OperationKind, SolTransfer
from domain.pool import Pool, Side, lp_of, token_of
from domain.refill import sol_target
from domain.state import Order, ThreadState
from domain.thread import OrderKind, ThreadConfig, ThreadKind
from tasks.control.commands import Command
from tasks.control.funding import check_room

TOKEN_ACCOUNT_RENT_ROOM = 2 * 2_039_280 + 1_000_000  # two accounts and fees, in lamports; only a check beforehand


def create_deposit_thread(command: Command) -> None:
    _create(command, ThreadKind.DEPOSIT, Side(command.params["token_type"]))


def create_withdrawal_thread(command: Command) -> None:
    _create(command, ThreadKind.WITHDRAWAL, Side(command.params["token_type"]))


def create_swap_thread(command: Command) -> None:
    _create(command, ThreadKind.SWAP, Side.A if command.params["direction"] == "a_to_b" else Side.B)


def _create(command: Command, kind: ThreadKind, side: Side) -> None:
    """Name and wallet first, stored; then the thread and its setup transaction; ready when that is confirmed."""
    pool = command.runtime.pool(PoolId(command.params["pool_id"]))
    if pool.probe_only:
        text = f"Pool {pool.pool_id} is reserved for probes and takes no threads"
        raise CommandError(CommandCode.WRONG_STATE, text, {"pool_id": pool.pool_id})
    if "thread" not in command.data:
        _name(command, kind)
        return
    config = _config(command, kind, side, pool)
    command.on_failure = partial(command.runtime.store.abandon_thread, config.thread_id)
    receipt = command.landed() if "sent" in command.data else None
    if receipt is None:
        _fund(command, config, pool)
        return
    command.runtime.store.mark_ready(config.thread_id, funded_state(config, receipt, command.cycle.now_ms).to_text())
    command.answer(
        {"thread_id": config.thread_id, "wallet_address": config.wallet, "status": "created", "pool_id": pool.pool_id}
    )


def funded_state(config: ThreadConfig, receipt: Receipt, now_ms: int) -> ThreadState:
    """A new thread's document: what its wallet holds by the confirmed transaction that set it up."""
    tokens = {asset.value: receipt.tokens.get(account) for asset, account in config.accounts.items()}
    balances = {name: change.after if change else 0 for name, change in tokens.items()}
    balances["sol"] = receipt.lamports[config.wallet][1]
    return ThreadState(balances=balances, balances_slot=receipt.slot, balances_at_ms=now_ms)


def _name(command: Command, kind: ThreadKind) -> None:
    store = command.runtime.store
    wallet, sealed = command.runtime.chain.keyring.create()
    command.data.update(
        thread=f"{kind.value}_{store.next_thread_number(kind)}",
        index=store.next_index(),
        wallet=wallet,
        sealed=sealed,
        at_ms=command.cycle.now_ms,
    )
    command.draft.next_ms = 0


def _config(command: Command, kind: ThreadKind, side: Side, pool: Pool) -> ThreadConfig:
    data, params = command.data, command.params
    wallet = Address(data["wallet"])
    assets = [token_of(side), token_of(side.other)] if kind is ThreadKind.SWAP else [token_of(side), lp_of(side)]
    return ThreadConfig(
        thread_id=ThreadId(data["thread"]),
        kind=kind,
        pool_id=pool.pool_id,
        side=side,
        initial_amount=int(params.get("initial_amount", 0)),
        auto_refill=bool(params.get("auto_refill", False)),
        share=bool(params.get("share_lp_tokens", params.get("share_tokens", True))),
        wallet=wallet,
        accounts={asset: token_address(wallet, pool.mint(asset)) for asset in assets},
        index=data["index"],
        created_at_ms=data["at_ms"],
    )


def _fund(command: Command, config: ThreadConfig, pool: Pool) -> None:
    """One transaction of the core wallet: SOL, the token accounts and the initial amount (DEP-18, FND-12)."""
    core = command.core
    mint, account = pool.mint(config.spends), config.accounts[config.spends]
    seen = command.observe((core, Address(pool.pool_id), mint, account))
    if seen is None:
        return
    state = seen.pool(Address(pool.pool_id))
    if state is None:
        raise CommandError(CommandCode.POOL_NOT_FOUND, f"pool {pool.pool_id} is not on the chain")
    if config.initial_amount:
        check_room(seen, mint, account, config.initial_amount, "initial_amount")
    lamports = sol_target(config.kind, state, command.runtime.settings.sol_threshold)
    command.reserve(lamports + TOKEN_ACCOUNT_RENT_ROOM, seen)
    command.runtime.store.create_thread(config, command.data["sealed"])
    actions: list[Any] = [SolTransfer(source=core, destination=config.wallet, lamports=lamports)]
    actions += [CreateTokenAccount(payer=core, owner=config.wallet, mint=pool.mint(asset)) for asset in config.accounts]
    deltas: dict[Address, str] = {}
    if config.initial_amount:
        actions.append(MintTo(authority=core, mint=mint, destination=account, amount=config.initial_amount))
        deltas[account] = str(config.initial_amount)
    command.send(
        Operation(
            kind=OperationKind.SETUP,
            actions=tuple(actions),
            payer=core,
            signers=(core,),
            inputs={
                "thread": config.thread_id,
                "deltas": deltas,
                "lamports": {config.wallet: str(lamports)},
                "wallets": [config.wallet],
            },
            pool_id=pool.pool_id,
        ),
        slot=seen.slot,
    )
    command.data["sent"] = True


def start_thread(command: Command) -> None:
    thread_id = ThreadId(command.params["thread_id"])
    pool_id = command.runtime.thread(thread_id).pool_id
    _order(command, thread_id, OrderKind.START)
    for kind in (ChainKind.SHARE, ChainKind.REFILL, ChainKind.PROBE):
        ensure_pool_chain(command, kind, pool_id)


def stop_thread(command: Command) -> None:
    _order(command, ThreadId(command.params["thread_id"]), OrderKind.STOP)


def empty_thread(command: Command) -> None:
    _order(command, ThreadId(command.params["thread_id"]), OrderKind.EMPTY)


def delete_thread(command: Command) -> None:
    _order(command, ThreadId(command.params["thread_id"]), OrderKind.DELETE)


def _order(command: Command, thread_id: ThreadId, kind: OrderKind) -> None:
    """Give the order to the thread's chain, which carries it out and answers the command."""
    runtime = command.runtime
    record = runtime.store.get_chain(thread_id)
    if record is None or not record.kind.is_thread:
        raise CommandError(CommandCode.THREAD_NOT_FOUND, f"Thread {thread_id} not found")

    def message(generation: int, seq: int) -> Next:
        return runtime.publisher.next(
            record.kind, record.chain_id, generation, seq, countdown_ms=0, now_ms=command.cycle.now_ms
        )

    try:
        runtime.store.place_order(thread_id, Order(kind=kind, command_id=command.command_id), message)
    except CommandError as error:
        if kind is OrderKind.STOP and "order" in error.data:
            return  # a thread that is being emptied runs on afterwards: whoever stops all means it, too
        raise
    command.hand_over()


def ensure_pool_chain(command: Command, kind: ChainKind, pool_id: PoolId) -> None:
    """Share, refill and probe run while their pool has a running thread; starting a live one changes nothing."""
    runtime = command.runtime
    chain_id = pool_chain_id(kind, pool_id)
    runtime.store.start_chain(
        chain_id,
        kind,
        pool_id,
        "",
        lambda generation, seq: runtime.publisher.next(
            kind, chain_id, generation, seq, countdown_ms=runtime.settings.countdown_min_ms, now_ms=command.cycle.now_ms
        ),
    )
