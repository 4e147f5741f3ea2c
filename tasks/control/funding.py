"""Money and tokens for a thread or for any address: fund_thread, mint_and_send_tokens (FND-04..12, STR-22, STR-25).

What reaches a thread's wallet is booked in its pool's ledger, so that the thread's session adds up. One funding of a
thread at a time: a lease guards the record and tells an order to delete or empty that money is under way.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from domain.chain.build import token_address
from domain.cycle import operation_for
from domain.errors import CommandCode, CommandError
from domain.facts import Mint, Observation, PoolState, Receipt, TokenAccount
from domain.faults import Fault
from domain.flows import funding_field, funding_lease
from domain.ids import Address, PoolId, ThreadId
from domain.operations import CreateTokenAccount, MintTo, Operation, OperationKind, SolTransfer, Transfer
from domain.policy import Policy
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.refill import RESERVE_LAMPORTS
from domain.state import Order, ThreadState
from domain.swap import U64_MAX
from domain.thread import OrderKind, ThreadConfig, ThreadKind
from tasks.control.commands import Command
from tasks.control.trades import traded, trader

SOL: Final = "sol"
LP: Final = "lp_tokens"
LEASE_MS: Final = 150_000  # longer than a blockhash lives: when it ends, what was sent has landed or never will
TOKEN_ACCOUNT_RENT: Final = 2_039_280
FEES_ROOM: Final = 100_000


def fund_thread(command: Command) -> None:
    """SOL is transferred, tokens are minted, LP tokens come from a deposit of the core wallet in the same transaction.

    Answers when the transaction is confirmed and the thread's books have it.
    """
    thread_id = ThreadId(command.params["thread_id"])
    if hold(command, thread_id):
        _fund_thread(command, thread_id)


def _fund_thread(command: Command, thread_id: ThreadId) -> None:
    if "result" in command.data:
        release(command, thread_id)
        command.answer(command.data["result"])
        return
    config = command.runtime.thread(thread_id)
    pool = command.runtime.pool(config.pool_id)
    kind, amount = command.params["funding_type"], int(command.params["amount"])
    asset = None if kind == SOL else funded_asset(config, kind)
    receipt = command.landed() if "sent" in command.data else None
    if receipt is None:
        _check_takes(command, config)
        _send_funding(command, config, pool, asset, amount)
        return
    if kind == LP:
        _check_deposit_fee(command, pool, receipt)
    book_funding(command, config, asset, amount, receipt)
    account = None if asset is None else config.accounts[asset]
    command.data["result"] = {
        "thread_id": thread_id,
        "funding_type": kind,
        "amount": amount,
        "pool_id": pool.pool_id,
        "wallet_address": config.wallet,
        "token_mint": None if asset is None else pool.mint(asset),
        "token_account": account,
        "balance_after": receipt.lamports[config.wallet][1] if account is None else receipt.tokens[account].after,
        "transaction_signature": receipt.signature,
        "slot": receipt.slot,
        "network_fee_paid": receipt.fee,
    }
    command.draft.next_ms = 0


def funded_asset(config: ThreadConfig, kind: str) -> Asset:
    """What the thread may be given of this kind. CommandError WRONG_STATE for what it can neither use nor give back."""
    asset = lp_of(config.side) if kind == LP else Asset(kind)
    if asset not in config.accounts:
        holds = ", ".join(LP if held is lp_of(config.side) else held.value for held in config.accounts)
        text = f"Cannot fund thread {config.thread_id} with {kind}: it holds sol, {holds}"
        raise CommandError(CommandCode.WRONG_STATE, text, {"thread_id": config.thread_id, "funding_type": kind})
    return asset


def hold(command: Command, thread_id: ThreadId) -> bool:
    """One funding of a thread at a time; False: another one is under way, look again in the next step."""
    held = command.runtime.store.acquire_lease(funding_lease(thread_id), command.command_id, LEASE_MS)
    if held:
        command.on_failure = partial(release, command, thread_id)
    return held


def release(command: Command, thread_id: ThreadId) -> None:
    command.runtime.store.release_lease(funding_lease(thread_id), command.command_id)


def _check_takes(command: Command, config: ThreadConfig) -> None:
    """CommandError for a thread that is gone, not ready, or about to be emptied or deleted."""
    record = command.runtime.store.get_chain(config.thread_id)
    data: dict[str, object] = {"thread_id": config.thread_id}
    if record is None:
        raise CommandError(CommandCode.THREAD_NOT_FOUND, f"Thread {config.thread_id} not found", data)
    order = Order.from_text(record.order)
    why = ""
    if not record.ready:
        why = "its wallet is still being set up"
    elif order is not None and order.kind in (OrderKind.EMPTY, OrderKind.DELETE):
        why = f"its {order.kind.value} order is being carried out"
    if why:
        raise CommandError(CommandCode.WRONG_STATE, f"Cannot fund thread {config.thread_id}: {why}", data)


def _send_funding(command: Command, config: ThreadConfig, pool: Pool, asset: Asset | None, amount: int) -> None:
    core = command.core
    mints = () if asset is None else (pool.mint(asset), pool.mint(token_of(config.side)))
    own = _core_accounts(core, pool, config.side)
    accounts = (*config.accounts.values(), *own.values(), pool.vault_a, pool.vault_b, pool.lp_mint_a, pool.lp_mint_b)
    seen = command.observe(tuple(dict.fromkeys((core, config.wallet, Address(pool.pool_id), *mints, *accounts))))
    if seen is None:
        return
    if asset is None:
        _check_rent(seen.lamports(config.wallet), amount)
        command.reserve(amount + FEES_ROOM, seen)
        operation = _sol_operation(core, config, amount)
    elif asset is lp_of(config.side):
        check_room(seen, pool.mint(token_of(config.side)), pool.vault(config.side), amount)
        check_room(seen, pool.mint(asset), config.accounts[asset], amount)
        shown = _open_pool(pool, seen)
        command.reserve(shown.liquidity_fee + 3 * TOKEN_ACCOUNT_RENT + FEES_ROOM, seen)
        operation = _lp_operation(core, config, pool, seen, shown, amount)
    else:
        _check_minter(pool)
        check_room(seen, pool.mint(asset), config.accounts[asset], amount)
        command.reserve(TOKEN_ACCOUNT_RENT + FEES_ROOM, seen)
        operation = mint_operation(core, pool, asset, amount, seen, config.wallet, config.accounts[asset])
    command.send(operation, slot=seen.slot)
    command.data["sent"] = True


def _check_rent(held: int, amount: int) -> None:
    if held + amount < RESERVE_LAMPORTS:
        least = RESERVE_LAMPORTS - held
        raise _wrong("amount", f"a wallet holds nothing or at least {RESERVE_LAMPORTS} lamports: send {least} or more")


def _check_minter(pool: Pool) -> None:
    if not pool.managed:
        text = f"Pool {pool.pool_id} is not administered by this service, which cannot mint its tokens"
        raise CommandError(CommandCode.WRONG_STATE, text, {"pool_id": pool.pool_id})


def check_room(seen: Observation, mint: Address, account: Address, amount: int, field: str = "amount") -> None:
    """Supply and account stay within u64. CommandError INVALID_PARAMS names the limit."""
    supply, held = seen.supply(mint), seen.tokens(account)
    if supply is None:
        raise CommandError(CommandCode.CHAIN_UNREACHABLE, f"the mint {mint} cannot be read")
    most = U64_MAX - max(supply, held)
    if amount > most:
        raise _wrong(field, f"at most {most} base units: supply and balance end at 2^64 - 1")


def _wrong(field: str, text: str) -> CommandError:
    message = f"Invalid params: {field}: {text}"
    return CommandError(CommandCode.INVALID_PARAMS, message, {"field": field})


def _core_accounts(core: Address, pool: Pool, side: Side) -> dict[Asset, Address]:
    return {asset: token_address(core, pool.mint(asset)) for asset in (token_of(side), lp_of(side))}


def _sol_operation(core: Address, config: ThreadConfig, amount: int) -> Operation:
    return Operation(
        kind=OperationKind.FUND,
        actions=(SolTransfer(source=core, destination=config.wallet, lamports=amount),),
        payer=core,
        signers=(core,),
        inputs={
            "thread": config.thread_id,
            "asset": SOL,
            "amount": str(amount),
            "deltas": {},
            "lamports": {config.wallet: str(amount)},
            "wallets": [config.wallet],
        },
        compute_units=200_000,
        pool_id=config.pool_id,
    )


def mint_operation(
    core: Address, pool: Pool, asset: Asset, amount: int, seen: Observation, owner: Address, account: Address
) -> Operation:
    """Mint straight into the owner's token account, which is created when this snapshot does not have it.

    An address to which somebody has sent lamports is an account, but no token account yet.
    """
    mint = pool.mint(asset)
    actions: list[Any] = []
    if not seen.is_token_account(account):
        actions.append(CreateTokenAccount(payer=core, owner=owner, mint=mint))
    actions.append(MintTo(authority=core, mint=mint, destination=account, amount=amount))
    return Operation(
        kind=OperationKind.FUND,
        actions=tuple(actions),
        payer=core,
        signers=(core,),
        inputs={
            "asset": asset.value,
            "amount": str(amount),
            "recipients": [owner],
            "deltas": {account: str(amount)},
            "wallets": [owner],
        },
        compute_units=200_000,
        pool_id=pool.pool_id,
    )


def _open_pool(pool: Pool, seen: Observation) -> PoolState:
    """The pool as it is; CommandError when it cannot take a deposit of ours now."""
    _check_minter(pool)
    shown = seen.pool(Address(pool.pool_id))
    if shown is None:
        raise CommandError(CommandCode.POOL_NOT_FOUND, f"Pool {pool.pool_id} is not on the chain")
    if shown.liquidity_paused:
        text = f"Pool {pool.pool_id} takes no deposits now: its liquidity is paused"
        raise CommandError(CommandCode.WRONG_STATE, text, {"pool_id": pool.pool_id})
    return shown


def _lp_operation(
    core: Address, config: ThreadConfig, pool: Pool, seen: Observation, shown: PoolState, amount: int
) -> Operation:
    """Mint to the core wallet, deposit, hand the LP tokens on: all or nothing (FND-11).

    In the core wallet's own accounts nothing is left, so whoever else uses them sees no difference.
    """
    own, lp = _core_accounts(core, pool, config.side), lp_of(config.side)
    token = token_of(config.side)
    depositor = trader(pool, ThreadKind.DEPOSIT, config.side, core, own)
    deposit = operation_for(depositor, pool, seen, shown, amount)
    target = config.accounts[lp]
    accounts = [
        CreateTokenAccount(payer=core, owner=owner, mint=pool.mint(asset))
        for owner, asset, account in ((core, token, own[token]), (core, lp, own[lp]), (config.wallet, lp, target))
        if not seen.is_token_account(account)
    ]
    return Operation(
        kind=OperationKind.FUND,
        actions=(
            *accounts,
            MintTo(authority=core, mint=pool.mint(token), destination=own[token], amount=amount),
            *deposit.actions,
            Transfer(owner=core, source=own[lp], destination=target, amount=amount),
        ),
        payer=core,
        signers=(core,),
        inputs=deposit.inputs
        | traded(depositor, alone=False)
        | {
            "thread": config.thread_id,
            "asset": lp.value,
            "deltas": {pool.vault(config.side): str(amount), target: str(amount)},
            "wallets": [core, config.wallet],
        },
        pool_id=pool.pool_id,
    )


def _check_deposit_fee(command: Command, pool: Pool, receipt: Receipt) -> None:
    """The pool charged the fee of a deposit that was in force at the slot."""
    before, after = receipt.lamports[Address(pool.pool_id)]
    policy = Policy.from_text(command.runtime.store.policy_text(pool.pool_id))
    allowed = {step.liquidity_fee for step in policy.allowed_at(receipt.slot)} if policy else {after - before}
    if after - before not in allowed:
        fault = Fault(
            check="DEP-fee",
            message=f"a deposit was charged {after - before} lamports; in force were {sorted(allowed)}",
            pool_id=pool.pool_id,
            chain_id=command.begun.chain_id,
            signature=receipt.signature,
            slot=receipt.slot,
        )
        command.draft.add_faults([fault])


def book_funding(command: Command, config: ThreadConfig, asset: Asset | None, amount: int, receipt: Receipt) -> None:
    """The thread's record in its pool's ledger, whole; the caller holds the thread's funding lease.

    A thread at rest has no cycle that would see its new balance: it is shown at once.
    """
    store, name = command.runtime.store, SOL if asset is None else asset.value
    field = funding_field(config.thread_id)
    record = json.loads(store.thread_ledger(config.pool_id, config.thread_id).get(field, "{}"))
    record[name] = str(int(record.get(name, "0")) + amount)
    record["times"] = record.get("times", 0) + 1
    record["slot"] = max(record.get("slot", 0), receipt.slot)
    command.draft.records[field] = json.dumps(record, separators=(",", ":"))
    chain = store.get_chain(config.thread_id)
    if chain is None or chain.live:
        return
    state = ThreadState.from_text(chain.state)
    held = receipt.lamports[config.wallet][1] if asset is None else receipt.tokens[config.accounts[asset]].after
    if state.balances_slot <= receipt.slot:
        shown = state.evolved(
            balances={**state.balances, name: held}, balances_slot=receipt.slot, balances_at_ms=command.cycle.now_ms
        )
        store.replace_resting_state(config.thread_id, chain, shown.to_text())


def mint_and_send_tokens(command: Command) -> None:
    """Mint to any address: a wallet gets its associated token account, a token account of the mint is used as it is."""
    pool = command.runtime.pool(PoolId(command.params["pool_id"]))
    asset = token_of(Side(command.params["token_type"]))
    owner = Address(command.params["recipient_address"])
    thread = _thread_of(command, owner)
    if thread is None or hold(command, thread.thread_id):
        _mint_and_send(command, pool, asset, owner, thread)


def _thread_of(command: Command, owner: Address) -> ThreadConfig | None:
    """The thread of ours whose wallet, or token account, this is; looked up once."""
    if "recipient" not in command.data:
        configs = [config for config, _ in command.runtime.store.thread_heads()]
        found = next((one.thread_id for one in configs if owner in (one.wallet, *one.accounts.values())), "")
        command.data["recipient"] = found
    thread_id = ThreadId(command.data["recipient"])
    return command.runtime.thread(thread_id) if thread_id else None


def _mint_and_send(command: Command, pool: Pool, asset: Asset, owner: Address, thread: ThreadConfig | None) -> None:
    if "result" in command.data:
        if thread is not None:
            release(command, thread.thread_id)
        command.answer(command.data["result"])
        return
    amount = int(command.params["amount"])
    receipt = command.landed() if "sent" in command.data else None
    if receipt is None:
        if thread is not None:
            _check_takes(command, thread)
        _send_mint(command, pool, asset, owner, amount)
        return
    account = Address(command.data["account"])
    if thread is not None and thread.accounts.get(asset) == account:
        book_funding(command, thread, asset, amount, receipt)
    command.data["result"] = {
        "transaction_signature": receipt.signature,
        "pool_id": pool.pool_id,
        "token_mint": pool.mint(asset),
        "token_type": command.params["token_type"],
        "recipient_address": owner,
        "amount_minted": receipt.tokens[account].delta,
        "network_fee_paid": receipt.fee,
    }
    command.draft.next_ms = 0


def _send_mint(command: Command, pool: Pool, asset: Asset, owner: Address, amount: int) -> None:
    _check_minter(pool)
    mint, core = pool.mint(asset), command.core
    associated = token_address(owner, mint)
    seen = command.observe((core, owner, mint, associated))
    if seen is None:
        return
    recipient = seen.accounts[owner]
    decoded = recipient.decoded if recipient else None
    account = associated
    if isinstance(decoded, TokenAccount) and decoded.mint == mint:
        account, owner = owner, decoded.owner
    elif isinstance(decoded, TokenAccount | Mint):
        raise _wrong("recipient_address", f"an account of another token, neither a wallet nor an account of {mint}")
    check_room(seen, mint, account, amount)
    command.reserve(TOKEN_ACCOUNT_RENT + FEES_ROOM, seen)
    command.send(mint_operation(core, pool, asset, amount, seen, owner, account), slot=seen.slot)
    command.data.update(sent=True, account=account)
