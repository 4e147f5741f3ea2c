"""The invariants of CONTRACT.md 9 over a history of instructions, outside actions included exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.contract_model.addresses import (
    MAIN_TREASURY,
    PROGRAM_ID,
    SYSTEM_PROGRAM,
    SYSTEM_STATE,
    TOKEN_PROGRAM,
)
from tests.support.contract_model.administration import PROTECTED_POOL_LAMPORTS
from tests.support.contract_model.creation import REGISTRATION_FEE
from tests.support.contract_model.runtime import Instruction
from tests.support.contract_model.state import (
    FLAG_EXACT,
    FLAG_LIQUIDITY_PAUSED,
    FLAG_OWNER_ONLY,
    FLAG_SWAPS_PAUSED,
    STATE_FROZEN,
    Account,
    Mint,
    PoolState,
    SystemState,
    TokenAccount,
    Treasury,
    rent_minimum,
)

Accounts = Mapping[bytes, Account]
SIDES = ("a", "b")
FROZEN_FLAGS = 0xFF & ~(FLAG_LIQUIDITY_PAUSED | FLAG_SWAPS_PAUSED | FLAG_OWNER_ONLY)
GROWING_TREASURY_FIELDS = (
    "total_withdrawn",
    "pool_creation_count",
    "liquidity_operation_count",
    "regular_swap_count",
    "treasury_withdrawal_count",
    "total_pool_creation_fees",
    "total_liquidity_fees",
    "total_regular_swap_fees",
    "total_swap_contract_fees",
    "total_consolidations_performed",
    "donation_count",
    "total_donations",
)


def _zero_sides() -> dict[str, int]:
    return dict.fromkeys(SIDES, 0)


@dataclass(slots=True, kw_only=True)
class History:
    """What has gone in and out of one pool, in smallest units and lamports."""

    created: bytes
    deposited: dict[str, int] = field(default_factory=_zero_sides)
    withdrawn: dict[str, int] = field(default_factory=_zero_sides)
    swapped_in: dict[str, int] = field(default_factory=_zero_sides)
    swapped_out: dict[str, int] = field(default_factory=_zero_sides)
    sent_past: dict[str, int] = field(default_factory=_zero_sides)
    burned_past: dict[str, int] = field(default_factory=_zero_sides)
    lamports_past: int = 0
    surplus: int = 0
    lp_decimals: dict[str, int] = field(default_factory=dict)


def _u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def _other(side: str) -> str:
    return "b" if side == "a" else "a"


class Ledger:
    """Follow a chain from before any pool exists; every observe() checks everything."""

    def __init__(self) -> None:
        self.histories: dict[bytes, History] = {}
        self.treasury_past = 0

    def observe(self, instruction: Instruction, error: str | None, before: Accounts, after: Accounts) -> None:
        """One transaction: its own equalities, then the invariants of the state it leaves."""
        if error is not None:
            changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            assert len(changed) <= 1, "a failed transaction changed more than the fee payer"
            return
        if instruction.program == PROGRAM_ID:
            self._record_frt(instruction, before, after)
        else:
            self._record_outside(instruction)
        self.check(after, before, instruction)

    def _record_frt(self, instruction: Instruction, before: Accounts, after: Accounts) -> None:
        kind, data = instruction.data[0], instruction.data
        keys = [meta.key for meta in instruction.metas]
        if kind == 1:
            state = PoolState.parse(after[keys[3]].data)
            decimals = {
                side: Mint.parse(after[getattr(state, f"lp_token_{side}_mint")].data).decimals for side in SIDES
            }
            self.histories[keys[3]] = History(created=after[keys[3]].data, lp_decimals=decimals)
            assert after[MAIN_TREASURY].lamports - before[MAIN_TREASURY].lamports == REGISTRATION_FEE
        elif kind in {2, 3}:
            self._record_liquidity(keys[3], data, before, after)
        elif kind == 4:
            self._record_swap(keys[3], data, keys[7], before, after)
        elif kind == 15 and keys[3] in self.histories:
            self.histories[keys[3]].lamports_past += before[MAIN_TREASURY].lamports - after[MAIN_TREASURY].lamports
        elif kind == 17:
            self._check_consolidation(set(keys[4:]), before, after)

    def _record_liquidity(self, pool: bytes, data: bytes, before: Accounts, after: Accounts) -> None:
        old, new = PoolState.parse(before[pool].data), PoolState.parse(after[pool].data)
        side, amount = old.side(data[1:33]), _u64(data, 33)
        history = self.histories[pool]
        flows = history.deposited if data[0] == 2 else history.withdrawn
        flows[side] += amount
        change = amount if data[0] == 2 else -amount
        assert not old.flags & FLAG_LIQUIDITY_PAUSED
        assert getattr(new, f"total_{side}") - getattr(old, f"total_{side}") == change
        assert getattr(new, f"total_{_other(side)}") == getattr(old, f"total_{_other(side)}")
        lp_mint = getattr(old, f"lp_token_{side}_mint")
        assert Mint.parse(after[lp_mint].data).supply - Mint.parse(before[lp_mint].data).supply == change
        assert new.collected_liquidity - old.collected_liquidity == old.liquidity_fee
        assert new.total_fees - old.total_fees == old.liquidity_fee
        assert after[pool].lamports - before[pool].lamports == old.liquidity_fee

    def _record_swap(self, pool: bytes, data: bytes, source: bytes, before: Accounts, after: Accounts) -> None:
        old, new = PoolState.parse(before[pool].data), PoolState.parse(after[pool].data)
        side = old.side(TokenAccount.parse(before[source].data).mint)
        other, amount_in, amount_out = _other(side), _u64(data, 33), _u64(data, 41)
        ratio_in, ratio_out = getattr(old, f"ratio_{side}"), getattr(old, f"ratio_{other}")
        # I3: the pool keeps less than one output unit, and something is always paid.
        assert 0 <= amount_in * ratio_out - amount_out * ratio_in <= ratio_in - 1
        assert amount_out >= 1
        assert not old.flags & FLAG_SWAPS_PAUSED
        history = self.histories[pool]
        history.swapped_in[side] += amount_in
        history.swapped_out[other] += amount_out
        assert new.collected_swap - old.collected_swap == old.swap_fee
        assert new.total_fees - old.total_fees == old.swap_fee
        assert after[pool].lamports - before[pool].lamports == old.swap_fee
        history.surplus += amount_in * ratio_out - amount_out * ratio_in

    def _check_consolidation(self, keys: set[bytes], before: Accounts, after: Accounts) -> None:
        for pool in keys:
            old, new = PoolState.parse(before[pool].data), PoolState.parse(after[pool].data)
            moved = new.total_consolidated - old.total_consolidated
            assert before[pool].lamports - after[pool].lamports == moved
            if not moved:
                continue
            pending = new.total_fees - new.total_consolidated
            assert after[pool].lamports >= PROTECTED_POOL_LAMPORTS  # J4
            if not self.histories[pool].lamports_past:
                assert (after[pool].lamports, pending) == (PROTECTED_POOL_LAMPORTS, 13_920)

    def _record_outside(self, instruction: Instruction) -> None:
        """Remember what reached a vault, an LP mint or an FRT account past the program."""
        first, second = (meta.key for meta in instruction.metas[:2])
        if instruction.program == SYSTEM_PROGRAM:
            lamports = _u64(instruction.data, 4)
            if second in self.histories:
                self.histories[second].lamports_past += lamports
            self.treasury_past += lamports if second == MAIN_TREASURY else 0
            return
        amount = _u64(instruction.data, 1)
        for history in self.histories.values():
            pool = PoolState.parse(history.created)
            for side in SIDES:
                if instruction.data[0] == 3 and second == getattr(pool, f"token_{side}_vault") and first != second:
                    history.sent_past[side] += amount
                if instruction.data[0] == 8 and second == getattr(pool, f"lp_token_{side}_mint"):
                    history.burned_past[side] += amount
                    history.surplus += amount * getattr(pool, f"ratio_{_other(side)}")

    def check(self, accounts: Accounts, before: Accounts, instruction: Instruction) -> None:
        """All invariants of the state, and those that compare it with the state before."""
        balances: dict[bytes, int] = defaultdict(int)
        for account in accounts.values():
            if account.owner == TOKEN_PROGRAM and len(account.data) == 165 and account.data[108] <= STATE_FROZEN:
                token = TokenAccount.parse(account.data)
                balances[token.mint] += token.amount
        for mint, total in balances.items():
            if mint in accounts:
                assert Mint.parse(accounts[mint].data).supply == total, "tokens appeared or vanished"
        for pool, history in self.histories.items():
            self._check_pool(accounts, pool, history)
            if pool in before:
                self._check_pool_step(before[pool].data, accounts[pool].data, instruction)
        if MAIN_TREASURY in accounts:
            self._check_treasury(accounts, before, instruction)

    def _check_pool(self, accounts: Accounts, key: bytes, history: History) -> None:
        data = accounts[key].data
        pool, created = PoolState.parse(data), PoolState.parse(history.created)
        assert pool.collected_liquidity + pool.collected_swap == pool.total_fees - pool.total_consolidated >= 0  # I1
        supplies = {}
        for side in SIDES:
            flow = history.deposited[side] - history.withdrawn[side]
            total = flow + history.swapped_in[side] - history.swapped_out[side]
            assert getattr(pool, f"total_{side}") == total  # I2
            vault = TokenAccount.parse(accounts[getattr(pool, f"token_{side}_vault")].data)
            assert vault.amount == total + history.sent_past[side]  # J1
            assert (vault.owner, vault.mint) == (key, getattr(created, f"token_{side}_mint"))  # I11
            assert vault.delegate is None
            assert vault.close_authority is None
            lp_mint = Mint.parse(accounts[getattr(pool, f"lp_token_{side}_mint")].data)
            assert lp_mint.supply == flow - history.burned_past[side]  # J2, I12
            assert (lp_mint.authority, lp_mint.freeze_authority) == (key, None)  # I11
            assert lp_mint.decimals == history.lp_decimals[side]
            supplies[side] = lp_mint.supply
        surplus = (pool.total_a - supplies["a"]) * pool.ratio_b + (pool.total_b - supplies["b"]) * pool.ratio_a
        assert surplus == history.surplus >= 0  # I4: exactly the remainders and the burns
        if pool.flags & FLAG_EXACT and not any(history.burned_past.values()):
            assert surplus == 0  # I5
        assert data[32:240] == history.created[32:240]  # I7
        assert data[256:261] == history.created[256:261]
        assert pool.flags & FROZEN_FLAGS == created.flags & FROZEN_FLAGS
        assert not any(data[278:310] + data[358:438])
        assert pool.liquidity_fee == 13_000_000 or 100_000 <= pool.liquidity_fee <= 100_000_000  # I9
        assert pool.swap_fee == 271_500 or 10_000 <= pool.swap_fee <= 10_000_000
        lamports = rent_minimum(438) + pool.total_fees - pool.total_consolidated + history.lamports_past
        assert accounts[key].lamports == lamports  # J3

    def _check_pool_step(self, old_data: bytes, new_data: bytes, instruction: Instruction) -> None:
        old, new = PoolState.parse(old_data), PoolState.parse(new_data)
        kind = instruction.data[0] if instruction.program == PROGRAM_ID else None
        assert old.owner == new.owner or kind == 21  # I8
        flipped = old.flags ^ new.flags
        assert not flipped & (FLAG_LIQUIDITY_PAUSED | FLAG_SWAPS_PAUSED) or kind in {19, 20}
        assert not flipped & FLAG_OWNER_ONLY or kind == 21
        for name in ("total_fees", "total_consolidated", "consolidations"):  # I10
            assert getattr(new, name) >= getattr(old, name)

    def _check_treasury(self, accounts: Accounts, before: Accounts, instruction: Instruction) -> None:
        totals, lamports = Treasury.parse(accounts[MAIN_TREASURY].data), accounts[MAIN_TREASURY].lamports
        assert totals.total_regular_swap_fees == totals.total_swap_contract_fees  # I6
        assert totals.total_pool_creation_fees == REGISTRATION_FEE * totals.pool_creation_count
        assert totals.pool_creation_count == len(self.histories)
        assert (totals.failed_operation_count, totals.rent_exempt_minimum) == (0, 0)
        income = totals.total_pool_creation_fees + totals.total_donations
        income += totals.total_liquidity_fees + totals.total_regular_swap_fees
        assert lamports == rent_minimum(136) + income - totals.total_withdrawn + self.treasury_past  # J5
        consolidated = sum(PoolState.parse(accounts[pool].data).total_consolidated for pool in self.histories)
        assert consolidated == totals.total_liquidity_fees + totals.total_regular_swap_fees  # J6
        if instruction.program == PROGRAM_ID and instruction.data[0] in {1, 15, 17, 23}:
            assert totals.total_balance == lamports  # J7
        if MAIN_TREASURY in before:
            old = Treasury.parse(before[MAIN_TREASURY].data)
            for name in GROWING_TREASURY_FIELDS:  # I10
                assert getattr(totals, name) >= getattr(old, name)
        state = SystemState.parse(accounts[SYSTEM_STATE].data)
        assert state.is_paused or (state.pause_timestamp, state.pause_reason) == (0, 0)  # I13
