"""What a stress thread does next: act, wait or halt, decided from its configuration, its document and one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Final

from domain.amounts import liquidity_amount, swap_amount, whole_swap
from domain.facts import Observation, PoolState, TokenAccount
from domain.ids import Address
from domain.operations import Deposit, Operation, OperationKind, Swap, Withdraw
from domain.policy import Policy
from domain.pool import Pool, Side, lp_of, token_of
from domain.refill import RESERVE_LAMPORTS, pool_fee
from domain.state import ErrorNote, ThreadState
from domain.swap import U64_MAX, quote, ratio_of
from domain.thread import ThreadConfig, ThreadKind
from domain.verdicts import Category

NETWORK_FEE_LAMPORTS: Final = 5_000  # one signature
COMPUTE_UNITS: Final = 400_000  # CONTRACT.md 8: for every user instruction, until measured on the cluster
CHALLENGE_EVERY: Final = 4  # while something forbids an operation, every fourth cycle submits one all the same

STALE: Final = "stale"
PAUSED: Final = "paused"
NO_TOKENS: Final = "no_tokens"
NO_SOL: Final = "no_sol"
NO_LIQUIDITY: Final = "no_liquidity"
LP_SUPPLY_FULL: Final = "lp_supply_full"
ACCOUNT_MISSING: Final = "account_missing"

_KINDS: Final = {
    ThreadKind.DEPOSIT: OperationKind.DEPOSIT,
    ThreadKind.WITHDRAWAL: OperationKind.WITHDRAWAL,
    ThreadKind.SWAP: OperationKind.SWAP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    operation: Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """The thread cannot go on without a person; it keeps its state."""

    note: ErrorNote


Decision = Act | Wait | Halt


def plan(
    config: ThreadConfig,
    state: ThreadState,
    pool: Pool,
    seen: Observation,
    policy: Policy | None,
    rng: Random,
    *,
    now_ms: int = 0,
) -> Decision:
    """The next step of a thread without an open intent. Fees, flags and liquidity come from the snapshot itself.

    Where the program should refuse (a pause, owner-only, liquidity below the output), every fourth cycle submits all
    the same, so that a success there would be seen (DESIGN.md 6).
    """
    if seen.slot < state.last_slot:
        return Wait(reason=STALE)
    shown = seen.pool(Address(pool.pool_id))
    if shown is None:
        return _pool_missing(config, pool, seen, now_ms)
    for asset, address in config.accounts.items():
        account = seen.accounts.get(address)
        if account is None:
            return Wait(reason=ACCOUNT_MISSING)
        if not _is_own_account(account.decoded, pool.mint(asset), config.wallet):
            return Halt(note=_note(config, "AccountUnusable", f"{address} is no usable {asset} account", now_ms))
    challenge = state.cycles % CHALLENGE_EVERY == 0
    if is_forbidden(config, shown, policy, seen.slot) and not challenge:
        return Wait(reason=PAUSED)
    balance = seen.tokens(config.accounts[config.spends])
    amount = _amount(config, pool, balance, rng)
    if amount is None:
        return Wait(reason=NO_TOKENS)
    if config.kind is ThreadKind.DEPOSIT:
        amount = min(amount, lp_room(config, pool, seen))
        if amount < 1:
            return Wait(reason=LP_SUPPLY_FULL)
    if not can_pay(seen.lamports(config.wallet), pool_fee(config.kind, shown)):
        return Wait(reason=NO_SOL)
    if not liquidity_suffices(config, pool, seen, shown, amount) and not challenge:
        return Wait(reason=NO_LIQUIDITY)
    return Act(operation=operation_for(config, pool, seen, shown, amount))


def whole_balance(config: ThreadConfig, pool: Pool, seen: Observation) -> tuple[Operation | None, str]:
    """The operation that uses everything the thread can spend (EMP-01..07), or None and why there is none.

    It is submitted also where liquidity is short: a failure is judged like any other, and the input is burned then.
    """
    shown = seen.pool(Address(pool.pool_id))
    if shown is None:
        return None, "the pool cannot be read"
    balance = seen.tokens(config.accounts[config.spends])
    amount: int | None = balance or None
    if config.kind is ThreadKind.SWAP:
        amount = whole_swap(balance, *ratio_of(pool, config.side), exact=pool.exact_exchange)
    elif config.kind is ThreadKind.DEPOSIT:
        amount = min(balance, lp_room(config, pool, seen)) or None
    if amount is None:
        return None, "too few tokens for one operation" if balance else "No tokens available"
    if not can_pay(seen.lamports(config.wallet), pool_fee(config.kind, shown)):
        return None, "not enough SOL for the pool's fee"
    return operation_for(config, pool, seen, shown, amount, empty=True), ""


def can_pay(lamports: int, fee: int) -> bool:
    """Both fees, and then exactly 0 left or at least the rent minimum of an empty account (CONTRACT.md 7.3)."""
    left = lamports - fee - NETWORK_FEE_LAMPORTS
    return left == 0 or left >= RESERVE_LAMPORTS


def is_forbidden(config: ThreadConfig, shown: PoolState, policy: Policy | None, slot: int) -> bool:
    """Does the pool's state, or the system's as far as our own steps tell, refuse this thread's operations now?"""
    steps = policy.allowed_at(slot) if policy is not None else ()
    if steps and all(step.system_paused for step in steps):
        return True
    if config.kind is not ThreadKind.SWAP:
        return shown.liquidity_paused
    return shown.swaps_paused or (shown.owner_only and shown.owner != config.wallet)


def lp_room(config: ThreadConfig, pool: Pool, seen: Observation) -> int:
    """LP tokens of the side that can still be minted: the supply is a u64."""
    return U64_MAX - (seen.supply(pool.mint(lp_of(config.side))) or 0)


def liquidity_suffices(config: ThreadConfig, pool: Pool, seen: Observation, shown: PoolState, amount: int) -> bool:
    """Could the pool pay this operation out of the snapshot's liquidity (CONTRACT.md 9, derived facts)?"""
    if config.kind is ThreadKind.DEPOSIT:
        return True
    if config.kind is ThreadKind.SWAP:
        output, _ = quote(amount, *ratio_of(pool, config.side))
        return output <= liquidity(shown, config.side.other)
    return amount <= min(liquidity(shown, config.side), seen.tokens(pool.vault(config.side)))


def liquidity(shown: PoolState, side: Side) -> int:
    return shown.liquidity_a if side is Side.A else shown.liquidity_b


def operation_for(
    config: ThreadConfig, pool: Pool, seen: Observation, shown: PoolState, amount: int, *, empty: bool = False
) -> Operation:
    """The operation with everything in its inputs that settling it needs; amounts as decimal strings.

    ``excess`` is what the paying vault held beyond the pool's counter, ``lp_supply`` the supply before a deposit.
    """
    pays = config.side.other if config.kind is ThreadKind.SWAP else config.side
    inputs: dict[str, Any] = {
        "side": config.side.value,
        "amount": str(amount),
        "fee": str(pool_fee(config.kind, shown)),
        "flags": shown.flags,
        "slot": seen.slot,
        "excess": str(max(0, seen.tokens(pool.vault(pays)) - liquidity(shown, pays))),
        "lp_supply": str(seen.supply(pool.mint(lp_of(config.side))) or 0),
        "wallets": [config.wallet],
    }
    output = amount
    if config.kind is ThreadKind.SWAP:
        output, _ = quote(amount, *ratio_of(pool, config.side))
    inputs["expected_out"] = str(output)
    if empty:
        inputs["empty"] = True
    return Operation(
        kind=_KINDS[config.kind],
        actions=(_action(config, pool, amount, output),),
        payer=config.wallet,
        signers=(config.wallet,),
        inputs=inputs,
        compute_units=COMPUTE_UNITS,
        pool_id=pool.pool_id,
    )


def _action(config: ThreadConfig, pool: Pool, amount: int, output: int) -> Deposit | Withdraw | Swap:
    accounts, side = config.accounts, config.side
    match config.kind:
        case ThreadKind.DEPOSIT:
            return Deposit(
                user=config.wallet,
                pool_id=pool.pool_id,
                side=side,
                amount=amount,
                user_token=accounts[token_of(side)],
                user_lp=accounts[lp_of(side)],
            )
        case ThreadKind.WITHDRAWAL:
            return Withdraw(
                user=config.wallet,
                pool_id=pool.pool_id,
                side=side,
                amount=amount,
                user_lp=accounts[lp_of(side)],
                user_token=accounts[token_of(side)],
            )
        case ThreadKind.SWAP:
            return Swap(
                user=config.wallet,
                pool_id=pool.pool_id,
                side_in=side,
                amount_in=amount,
                expected_out=output,
                user_in=accounts[token_of(side)],
                user_out=accounts[token_of(side.other)],
            )


def _amount(config: ThreadConfig, pool: Pool, balance: int, rng: Random) -> int | None:
    if config.kind is ThreadKind.SWAP:
        return swap_amount(rng, balance, *ratio_of(pool, config.side), exact=pool.exact_exchange)
    return liquidity_amount(rng, balance)


def _is_own_account(decoded: object, mint: Address, wallet: Address) -> bool:
    return isinstance(decoded, TokenAccount) and decoded.mint == mint and decoded.owner == wallet and decoded.state == 1


def _pool_missing(config: ThreadConfig, pool: Pool, seen: Observation, now_ms: int) -> Decision:
    """Only a valid answer that the account is not there, from a slot that must know it, means gone (POL-09)."""
    if seen.slot < pool.created_slot or Address(pool.pool_id) not in seen.accounts:
        return Wait(reason=STALE)
    return Halt(note=_note(config, "PoolMissing", f"pool {pool.pool_id} is gone or no pool any more", now_ms))


def _note(config: ThreadConfig, error: str, message: str, now_ms: int) -> ErrorNote:
    return ErrorNote(
        at_ms=now_ms,
        error=error,
        message=message,
        category=Category.SYSTEM.value,
        operation_type=config.kind.value,
        attempted_amount="0",
        available_balance="",
        recovery_action="look at the account on the chain, then start the thread again",
    )
