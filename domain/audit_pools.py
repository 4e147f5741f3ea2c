"""Each pool replayed from its transactions by the rules of CONTRACT.md 3 and 9, then compared with its accounts."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from domain.audit_effects import Effects, address_of, u64
from domain.audit_findings import Findings
from domain.audit_records import Books, ChainTx, PoolBook, Step
from domain.audit_replay import Replay
from domain.contract_errors import InstructionKind
from domain.facts import Mint, PoolState, TokenAccount
from domain.ids import Address, Signature
from domain.pool import Pool, Side, lp_of

_POOL_INDEX: Final = {
    InstructionKind.INITIALIZE_POOL: 3,
    InstructionKind.DEPOSIT: 3,
    InstructionKind.WITHDRAW: 3,
    InstructionKind.SWAP: 3,
    InstructionKind.PAUSE_POOL: 2,
    InstructionKind.UNPAUSE_POOL: 2,
    InstructionKind.SET_SWAP_OWNER_ONLY: 2,
    InstructionKind.UPDATE_POOL_FEES: 2,
}


def check_pools(books: Books, effects: dict[Signature, Effects], found: Findings) -> dict[Address, Replay]:
    """Replays by pool id; one without a known beginning is left out and compared with nothing but itself."""
    replays = {}
    for book in books.pools:
        pool_id = Address(book.pool.pool_id)
        replay = Replay(pool=book.pool, rents=books.rents)
        for tx in _transactions(books, book.pool):
            if tx.error is None:
                _apply(books, replay, tx, effects[tx.signature], found)
        if replay.created:
            replays[pool_id] = replay
        else:
            found.note(f"pool {pool_id}: its creation is not in the history; its flows cannot be added up")
        _compare(books, book, replay if replay.created else None, found)
    return replays


def _transactions(books: Books, pool: Pool) -> list[ChainTx]:
    """The pool account's history in its order; behind it what only a vault or an LP mint lists: these just add up."""
    own = books.transactions_of(Address(pool.pool_id))
    seen = {tx.signature for tx in own}
    for address in (pool.vault_a, pool.vault_b, pool.lp_mint_a, pool.lp_mint_b):
        for tx in books.transactions_of(address):
            if tx.signature not in seen:
                seen.add(tx.signature)
                own.append(tx)
    return own


def pool_steps(books: Books, pool_id: Address, tx: ChainTx) -> list[Step]:
    """The program's instructions that act on this pool."""
    steps = []
    for step in tx.steps:
        if step.program != books.program or not step.data:
            continue
        if step.data[0] == InstructionKind.CONSOLIDATE_POOL_FEES:
            named = pool_id in step.accounts[4:]
        else:
            index = _POOL_INDEX.get(step.data[0])  # type: ignore[call-overload]
            named = index is not None and step.accounts[index] == pool_id
        if named:
            steps.append(step)
    return steps


def _apply(books: Books, replay: Replay, tx: ChainTx, effects: Effects, found: Findings) -> None:
    """One transaction: the replay moves on, and what the chain's accounts did must be exactly that."""
    pool = replay.pool
    pool_id = Address(pool.pool_id)
    before = replay.watched()
    for step in pool_steps(books, pool_id, tx):
        problem = _step(replay, step, tx, books.system_paused_at(tx.slot))
        found.holds("pool-rule", not problem, problem, pool_id=pool_id, signature=tx.signature, slot=tx.slot)
    for flow in effects.tokens:
        if flow.top != books.program:
            replay.outside_tokens(flow)
    for payment in effects.flows:
        if payment.top != books.program:
            replay.outside_lamports(payment)
    if not replay.created:
        return
    after = replay.watched()
    wanted = {name: after[name] - before[name] for name in after}
    shown = {
        "lamports": tx.lamport_delta(pool_id),
        "vault_a": tx.token_delta(pool.vault_a),
        "vault_b": tx.token_delta(pool.vault_b),
        "supply_a": _supply_delta(effects, pool.lp_mint_a),
        "supply_b": _supply_delta(effects, pool.lp_mint_b),
    }
    message = "a transaction changed the pool's accounts otherwise than its instructions say"
    found.equal("pool-flow", wanted, shown, message, pool_id=pool_id, signature=tx.signature, slot=tx.slot)


def _supply_delta(effects: Effects, mint: Address) -> int:
    flows = [flow for flow in effects.tokens if flow.mint == mint]
    return sum(flow.amount if flow.source is None else -flow.amount for flow in flows)


def _step(replay: Replay, step: Step, tx: ChainTx, system_paused: bool | None) -> str:
    """Carry one instruction out; the text of a rule it broke, or ""."""
    data, accounts = step.data, step.accounts
    match step.data[0]:
        case InstructionKind.INITIALIZE_POOL:
            return replay.create(owner=accounts[0], flags=data[17], slot=tx.slot)
        case InstructionKind.DEPOSIT:
            return replay.deposit(_side(replay.pool, tx, accounts[7]), u64(data, 33), tx.slot)
        case InstructionKind.WITHDRAW:
            return replay.withdraw(_side(replay.pool, tx, accounts[8]), u64(data, 33), tx.slot)
        case InstructionKind.SWAP:
            side = _side(replay.pool, tx, accounts[7])
            return replay.swap(side, u64(data, 33), u64(data, 41), user=accounts[0], slot=tx.slot)
        case InstructionKind.PAUSE_POOL:
            return replay.pause(data[1], on=True, slot=tx.slot)
        case InstructionKind.UNPAUSE_POOL:
            return replay.pause(data[1], on=False, slot=tx.slot)
        case InstructionKind.SET_SWAP_OWNER_ONLY:
            return replay.owner_only(enable=bool(data[1]), owner=address_of(data[2:34]), slot=tx.slot)
        case InstructionKind.UPDATE_POOL_FEES:
            return replay.update_fees(data[1], u64(data, 2), u64(data, 10), tx.slot)
        case InstructionKind.CONSOLIDATE_POOL_FEES:
            shown = -tx.lamport_delta(Address(replay.pool.pool_id))
            return replay.consolidate(shown, slot=tx.slot, system_paused=system_paused)
    return f"instruction {data[0]} is not one of a pool"


def _side(pool: Pool, tx: ChainTx, account: Address) -> Side | None:
    move = tx.tokens.get(account)
    if move is None:
        return None
    return Side.A if move.mint == pool.mint_a else Side.B if move.mint == pool.mint_b else None


def _compare(books: Books, book: PoolBook, replay: Replay | None, found: Findings) -> None:
    pool = book.pool
    where: dict[str, Any] = {"pool_id": pool.pool_id}
    account = books.accounts.get(Address(pool.pool_id))
    state = account.decoded if account is not None else None
    found.holds("pool-there", isinstance(state, PoolState), "the pool cannot be read", **where)
    if account is None or not isinstance(state, PoolState):
        return
    vaults = {side: _amount(books, pool.vault(side)) for side in Side}
    supplies = {side: _supply(books, pool.mint(lp_of(side))) for side in Side}
    _compare_shape(books, pool, state, found)
    value = (state.liquidity_a - (supplies[Side.A] or 0)) * pool.ratio_b
    value += (state.liquidity_b - (supplies[Side.B] or 0)) * pool.ratio_a
    found.holds("I4", value >= 0, f"value left the pool: G is {value}", **where)
    pending = state.total_fees_collected - state.total_fees_consolidated
    buckets = state.collected_liquidity_fees + state.collected_swap_fees
    found.equal("I1", pending, buckets, "CL + CS is not CT - CC", **where)
    found.holds("I1", pending >= 0, "more was consolidated than collected", **where)
    if replay is None:
        for side, counter in ((Side.A, state.liquidity_a), (Side.B, state.liquidity_b)):
            found.holds("J1", (vaults[side] or 0) >= counter, f"vault {side.value} holds less than counted", **where)
        return
    found.equal("I4", replay.value, value, "G is not the sum of the swaps' remainders and the burned LP", **where)
    if pool.exact_exchange:
        found.equal("I5", replay.burned_value, value, "an exact-exchange pool gained value by swaps", **where)
    counters = {Side.A: state.liquidity_a, Side.B: state.liquidity_b}
    for side in Side:
        found.equal("I2", replay.liquidity[side], counters[side], f"T_{side.value} is not what flowed", **where)
        outside = replay.outside_vault[side]
        vault = vaults[side]
        found.units += abs((vault or 0) - replay.liquidity[side] - outside)
        found.equal("J1", replay.liquidity[side] + outside, vault, f"vault {side.value} is not what flowed", **where)
        found.equal("J2", replay.supply[side], supplies[side], f"LP supply {side.value} is not what flowed", **where)
        if outside:
            found.note(f"pool {pool.pool_id}: {outside} base units were sent straight into vault {side.value}")
    found.equal("fees", replay.fee_books(), _fee_books(state), "fee counters are not what was paid", **where)
    expected = replay.lamports
    found.lamports += abs(account.lamports - expected)
    found.equal("J3", expected, account.lamports, "the pool's lamports are not rent + fees - consolidated", **where)
    if replay.outside_lamports_sum:
        found.note(f"pool {pool.pool_id}: {replay.outside_lamports_sum} lamports were sent straight to it")
    shown = {"flags": state.flags, "liquidity_fee": state.liquidity_fee, "swap_fee": state.swap_fee}
    found.equal("I8", replay.administered(state.flags), shown, "flags or fees no instruction set", **where)
    found.equal("I8", replay.owner, state.owner, "an owner that no instruction set", **where)


def _fee_books(state: PoolState) -> dict[str, int]:
    return {
        "CL": state.collected_liquidity_fees,
        "CS": state.collected_swap_fees,
        "CT": state.total_fees_collected,
        "CC": state.total_fees_consolidated,
        "consolidations": state.consolidations,
    }


def _amount(books: Books, address: Address) -> int | None:
    account = books.accounts.get(address)
    return account.decoded.amount if account and isinstance(account.decoded, TokenAccount) else None


def _supply(books: Books, mint: Address) -> int | None:
    account = books.accounts.get(mint)
    return account.decoded.supply if account and isinstance(account.decoded, Mint) else None


def _compare_shape(books: Books, pool: Pool, state: PoolState, found: Findings) -> None:
    """I7, I9, I11: what may never change, and the limits of the fees."""
    where: dict[str, Any] = {"pool_id": pool.pool_id}
    wanted = {
        "mints": (pool.mint_a, pool.mint_b),
        "vaults": (pool.vault_a, pool.vault_b),
        "lp_mints": (pool.lp_mint_a, pool.lp_mint_b),
        "ratios": (pool.ratio_a, pool.ratio_b),
        "bumps": tuple(pool.bumps),
        "zeros": b"".hex(),
    }
    shown = {
        "mints": (state.mint_a, state.mint_b),
        "vaults": (state.vault_a, state.vault_b),
        "lp_mints": (state.lp_mint_a, state.lp_mint_b),
        "ratios": (state.ratio_a, state.ratio_b),
        "bumps": tuple(state.bumps),
        "zeros": (state.zero_token_fees + state.zero_tail).hex().strip("0"),
    }
    found.equal("I7", wanted, shown, "what may never change has changed", **where)
    liquidity, swap = state.liquidity_fee, state.swap_fee
    found.holds("I9", liquidity == 13_000_000 or 100_000 <= liquidity <= 100_000_000, f"fee {liquidity}", **where)
    found.holds("I9", swap == 271_500 or 10_000 <= swap <= 10_000_000, f"fee {swap}", **where)
    shapes: dict[str, Any] = defaultdict(tuple)
    for side, decimals in ((Side.A, pool.lp_decimals_a), (Side.B, pool.lp_decimals_b)):
        mint, vault = books.accounts.get(pool.mint(lp_of(side))), books.accounts.get(pool.vault(side))
        if mint and isinstance(mint.decoded, Mint):
            shapes[f"lp_{side.value}"] = (mint.decoded.mint_authority, mint.decoded.freeze_authority)
            shapes[f"lp_{side.value}"] += (mint.decoded.decimals,)
        if vault and isinstance(vault.decoded, TokenAccount):
            held = vault.decoded
            shapes[f"vault_{side.value}"] = (held.owner, held.mint, held.delegate, held.close_authority)
        wanted_lp = (pool.pool_id, None, decimals)
        wanted_vault = (pool.pool_id, pool.mint_a if side is Side.A else pool.mint_b, None, None)
        found.equal("I11", wanted_lp, shapes[f"lp_{side.value}"], "an LP mint has changed", **where)
        found.equal("I11", wanted_vault, shapes[f"vault_{side.value}"], "a vault has changed", **where)
