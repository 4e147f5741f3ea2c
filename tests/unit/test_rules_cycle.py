"""Planning: when a thread acts, waits or halts, and what its operation carries."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cycle import Act, Halt, Wait, can_pay, plan, whole_balance
from domain.facts import TokenAccount
from domain.ids import Address
from domain.operations import Deposit, OperationKind, Swap, Withdraw
from domain.pool import Asset, Side, lp_of, token_of
from domain.randomness import generator
from domain.state import ThreadState
from domain.swap import U64_MAX
from domain.thread import ThreadKind
from tests.support.rules import World, make_policy, make_pool, make_step, make_world

ALL = [(kind, side) for kind in ThreadKind for side in Side]
FEES = {ThreadKind.DEPOSIT: 13_000_000, ThreadKind.WITHDRAWAL: 13_000_000, ThreadKind.SWAP: 271_500}


def decide(world: World, cycles: int = 1, policy=None, seen=None, **state):
    document = ThreadState(cycles=cycles, **state)
    policy = policy or make_policy()
    return plan(world.config, document, world.pool, seen or world.seen(), policy, generator(1, 1, 1, cycles), now_ms=77)


@pytest.mark.parametrize(("kind", "side"), ALL)
def test_an_operation_is_bound_to_its_wallet_accounts_and_side(kind, side):
    world = make_world(kind, side)
    operation = decide(world).operation
    config, amount = world.config, int(decide(world).operation.inputs["amount"])
    token, lp = config.accounts.get(token_of(side)), config.accounts.get(lp_of(side))
    wanted = {
        ThreadKind.DEPOSIT: lambda: Deposit(
            user=config.wallet, pool_id=world.pool.pool_id, side=side, amount=amount, user_token=token, user_lp=lp
        ),
        ThreadKind.WITHDRAWAL: lambda: Withdraw(
            user=config.wallet, pool_id=world.pool.pool_id, side=side, amount=amount, user_lp=lp, user_token=token
        ),
        ThreadKind.SWAP: lambda: Swap(
            user=config.wallet,
            pool_id=world.pool.pool_id,
            side_in=side,
            amount_in=amount,
            expected_out=amount * world.pool.ratio(side.other) // world.pool.ratio(side),
            user_in=token,
            user_out=config.accounts[token_of(side.other)],
        ),
    }[kind]()
    assert operation.actions == (wanted,)
    assert operation.kind.value == kind.value
    assert (operation.payer, operation.signers, operation.pool_id) == (config.wallet, (config.wallet,), "pool")
    assert operation.inputs["fee"] == str(FEES[kind])
    assert operation.inputs["slot"] == world.slot
    assert operation.inputs["expected_out"] == str(getattr(wanted, "expected_out", amount))


@pytest.mark.parametrize(("kind", "side"), ALL)
@pytest.mark.parametrize("balance", [1, 19, 1000, 10**12])
def test_amounts_follow_the_balance_of_the_snapshot(kind, side, balance):
    world = make_world(kind, side, pool=make_pool(3, 2))
    world.held[world.config.spends] = balance
    share = 2 if kind is ThreadKind.SWAP else 5
    decisions = [decide(world, cycles) for cycles in range(1, 40)]
    for decision in decisions:
        if isinstance(decision, Wait):
            assert (kind, balance) == (ThreadKind.SWAP, 1)
        else:
            assert 1 <= int(decision.operation.inputs["amount"]) <= max(2, balance * share // 100)


@pytest.mark.parametrize(("kind", "side"), ALL)
def test_without_tokens_it_waits(kind, side):
    world = make_world(kind, side)
    world.held[world.config.spends] = 0
    assert {decide(world, cycles) for cycles in range(8)} == {Wait(reason="no_tokens")}


@pytest.mark.parametrize(("kind", "side"), ALL)
def test_a_snapshot_older_than_the_settled_slot_decides_nothing(kind, side):
    world = make_world(kind, side)
    assert decide(world, last_slot=world.slot + 1) == Wait(reason="stale")
    assert isinstance(decide(world, last_slot=world.slot), Act)


@given(st.integers(0, 3 * 10**7), st.sampled_from([271_500, 13_000_000]))
def test_it_pays_only_when_nothing_or_a_rent_exempt_rest_is_left(lamports, fee):
    left = lamports - fee - 5_000
    assert can_pay(lamports, fee) == (left == 0 or left >= 890_880)


@pytest.mark.parametrize("kind", ThreadKind)
def test_with_too_little_sol_it_waits(kind):
    world = make_world(kind)
    need = FEES[kind] + 5_000
    for sol, acts in ((need - 1, False), (need, True), (need + 1, False), (need + 890_880, True)):
        world.sol = sol
        assert isinstance(decide(world), Act) is acts
        if not acts:
            assert decide(world) == Wait(reason="no_sol")


@pytest.mark.parametrize(
    ("kind", "flags", "owner"),
    [
        (ThreadKind.DEPOSIT, 0x02, "core"),
        (ThreadKind.WITHDRAWAL, 0x02, "core"),
        (ThreadKind.SWAP, 0x04, "core"),
        (ThreadKind.SWAP, 0x20, "core"),
        (ThreadKind.SWAP, 0x24, "swap_1.wallet"),
    ],
)
def test_every_fourth_cycle_still_submits_while_the_pool_forbids_it(kind, flags, owner):
    world = make_world(kind, flags=flags, owner=owner)
    decided = Counter(type(decide(world, cycles)).__name__ for cycles in range(100, 140))
    assert decided == {"Act": 10, "Wait": 30}
    assert decide(world, 101) == Wait(reason="paused")


@pytest.mark.parametrize(
    ("kind", "flags", "owner"),
    [
        (ThreadKind.DEPOSIT, 0x24, "core"),
        (ThreadKind.WITHDRAWAL, 0x24, "core"),
        (ThreadKind.SWAP, 0x02, "core"),
        (ThreadKind.SWAP, 0x20, "swap_1.wallet"),
    ],
)
def test_another_instructions_pause_does_not_matter(kind, flags, owner):
    world = make_world(kind, flags=flags, owner=owner)
    assert all(isinstance(decide(world, cycles), Act) for cycles in range(8))


def test_a_system_pause_of_ours_is_a_pause():
    world = make_world(ThreadKind.DEPOSIT)
    policy = make_policy(make_step(), make_step(name="p", slot=world.slot - 1, system_paused=True))
    assert decide(world, 1, policy) == Wait(reason="paused")
    pending = make_policy(make_step(), make_step(name="p", slot=None, system_paused=True))
    assert isinstance(decide(world, 1, pending), Act)


@pytest.mark.parametrize("kind", [ThreadKind.SWAP, ThreadKind.WITHDRAWAL])
def test_beyond_the_liquidity_only_every_fourth_cycle_submits(kind):
    world = make_world(kind)
    world.liquidity = dict.fromkeys(Side, 0)
    decided = Counter(type(decide(world, cycles)).__name__ for cycles in range(100, 140))
    assert decided == {"Act": 10, "Wait": 30}
    assert decide(world, 101) == Wait(reason="no_liquidity")


def test_a_withdrawal_needs_the_counter_not_only_the_vault():
    world = make_world(ThreadKind.WITHDRAWAL)
    world.liquidity[Side.A], world.excess[Side.A] = 0, 10**14
    assert decide(world, 1) == Wait(reason="no_liquidity")


def test_what_settling_needs_travels_with_the_operation():
    world = make_world(ThreadKind.SWAP)
    world.excess[Side.B] = 17
    inputs = decide(world).operation.inputs
    assert (inputs["excess"], inputs["flags"], inputs["lp_supply"]) == ("17", 1, str(10**14))
    assert "empty" not in inputs
    assert all(isinstance(value, (str, int, list)) for value in inputs.values())


def test_deposits_stop_at_the_lp_supply_of_u64():
    world = make_world(ThreadKind.DEPOSIT)
    world.supply[Side.A] = U64_MAX - 3
    assert all(int(decide(world, cycles).operation.inputs["amount"]) <= 3 for cycles in range(20))
    world.supply[Side.A] = U64_MAX
    assert decide(world) == Wait(reason="lp_supply_full")


def test_an_exact_pool_gets_multiples_of_the_step():
    world = make_world(ThreadKind.SWAP, pool=make_pool(6, 4, exact=True))
    amounts = {int(decide(world, cycles).operation.inputs["amount"]) for cycles in range(30)}
    assert len(amounts) > 20
    assert all(amount % 3 == 0 for amount in amounts)


def test_a_missing_account_is_waited_for_a_wrong_one_halts():
    world = make_world(ThreadKind.DEPOSIT)
    address = world.config.accounts[Asset.LP_A]
    assert decide(world, seen=world.seen(**{address: None})) == Wait(reason="account_missing")
    wrong = TokenAccount(mint=world.pool.lp_mint_a, owner=world.config.wallet, amount=5, state=1)
    for bad in (
        replace(wrong, state=2),
        replace(wrong, owner=Address("thief")),
        replace(wrong, mint=world.pool.mint_a),
        world.lp_mint(Side.A),
    ):
        decision = decide(world, seen=world.seen(**{address: bad}))
        assert isinstance(decision, Halt)
        assert (decision.note.error, decision.note.at_ms) == ("AccountUnusable", 77)


def test_a_pool_is_gone_only_by_a_valid_answer_from_after_its_creation():
    world = make_world(ThreadKind.DEPOSIT)
    assert decide(world, seen=world.seen(pool=None)).note.error == "PoolMissing"
    world.pool = replace(world.pool, created_slot=world.slot + 1)
    assert decide(world, seen=world.seen(pool=None)) == Wait(reason="stale")


def test_the_same_cycle_decides_the_same():
    world = make_world(ThreadKind.SWAP)
    assert decide(world, 5) == decide(world, 5)
    assert len({decide(world, cycles).operation.inputs["amount"] for cycles in range(50)}) > 40


@pytest.mark.parametrize(("kind", "side"), ALL)
def test_emptying_operates_with_everything(kind, side):
    world = make_world(kind, side)
    operation, reason = whole_balance(world.config, world.pool, world.seen())
    assert reason == ""
    assert operation.inputs["amount"] == str(10**12)
    assert operation.inputs["empty"] is True
    assert operation.kind is OperationKind(kind.value)


def test_emptying_says_why_there_is_no_operation():
    world = make_world(ThreadKind.SWAP, pool=make_pool(10, 4, exact=True))
    world.held[Asset.TOKEN_A] = 13
    assert whole_balance(world.config, world.pool, world.seen())[0].inputs["amount"] == "10"
    world.held[Asset.TOKEN_A] = 4
    assert whole_balance(world.config, world.pool, world.seen()) == (None, "too few tokens for one operation")
    world.held[Asset.TOKEN_A] = 0
    assert whole_balance(world.config, world.pool, world.seen()) == (None, "No tokens available")
    world.held[Asset.TOKEN_A], world.sol = 10, 100
    assert whole_balance(world.config, world.pool, world.seen()) == (None, "not enough SOL for the pool's fee")
    world.sol = 10**9
    world.liquidity = dict.fromkeys(Side, 0)
    assert whole_balance(world.config, world.pool, world.seen())[0] is not None
