"""Settling: an honest transaction books its amounts and nothing else passes; failures must be explained."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cycle import operation_for
from domain.facts import ChainError, TokenChange
from domain.ids import Address
from domain.operations import Outcome
from domain.pool import Asset, Side
from domain.settle import Settlement, apply_settlement, settle_thread_operation
from domain.state import ThreadState
from domain.swap import U64_MAX
from domain.thread import ThreadKind
from domain.verdicts import Verdict
from tests.support.rules import NETWORK_FEE, make_intent, make_policy, make_pool, make_step, make_world

KINDS = st.sampled_from(ThreadKind)
SIDES = st.sampled_from(Side)
PREFIX = {ThreadKind.DEPOSIT: "DEP", ThreadKind.WITHDRAWAL: "WDR", ThreadKind.SWAP: "SWP"}


def prepare(world, amount=1000, **changes):
    return make_intent(operation_for(world.config, world.pool, world.seen(), world.state(), amount), **changes)


def settle(world, intent, receipt, *steps):
    return settle_thread_operation(world.config, world.pool, intent, receipt, make_policy(*steps))


def checks(settlement):
    return sorted(fault.check for fault in settlement.faults)


@given(KINDS, SIDES, st.integers(7, 10**12), st.sampled_from([(10**9, 160_000_000), (1, 1), (3, 7), (1, 5)]))
def test_an_honest_operation_settles_with_its_exact_amounts(kind, side, amount, ratio):
    world = make_world(kind, side, pool=make_pool(*ratio))
    intent = prepare(world, amount)
    settlement = settle(world, intent, world.execute(intent))
    ratio_in, ratio_out = world.pool.ratio(side), world.pool.ratio(side.other)
    out, remainder = divmod(amount * ratio_out, ratio_in) if kind is ThreadKind.SWAP else (amount, 0)
    fee = 271_500 if kind is ThreadKind.SWAP else 13_000_000
    assert settlement.faults == ()
    assert settlement.outcome is Outcome.CONFIRMED
    assert (settlement.spent, settlement.received) == (amount, out)
    assert (settlement.pool_fee, settlement.network_fee, settlement.compute_units) == (fee, NETWORK_FEE, 90_000)
    assert settlement.rounding_loss_nano == remainder * 10**9 // ratio_in
    assert (settlement.note, settlement.error, settlement.stops) == (None, "", False)


@given(KINDS, SIDES, st.integers(0, 3), st.sampled_from([-1, 1, 10**6]))
def test_any_token_account_off_by_any_amount_is_a_fault(kind, side, which, error):
    world = make_world(kind, side)
    intent = prepare(world)
    receipt = world.execute(intent)
    account = sorted(receipt.tokens)[which]
    change = receipt.tokens[account]
    receipt.tokens[account] = replace(change, after=change.after + error)
    settlement = settle(world, intent, receipt)
    assert checks(settlement) == [f"{PREFIX[kind]}-tokens"]
    assert settlement.verdict is Verdict.FAULT
    assert not settlement.stops
    assert account in settlement.faults[0].message


@given(KINDS, SIDES)
def test_a_missing_or_an_additional_token_change_is_a_fault(kind, side):
    world = make_world(kind, side)
    intent = prepare(world)
    receipt = world.execute(intent)
    stranger = Address("stranger")
    change = TokenChange(account=stranger, mint=stranger, owner=stranger, before=0, after=1)
    more = replace(receipt, tokens={**receipt.tokens, stranger: change})
    assert checks(settle(world, intent, more)) == [f"{PREFIX[kind]}-tokens"]
    spent = world.config.accounts[world.config.spends]
    less = replace(receipt, tokens={name: value for name, value in receipt.tokens.items() if name != spent})
    assert checks(settle(world, intent, less)) == [f"{PREFIX[kind]}-tokens"]


@pytest.mark.parametrize("kind", ThreadKind)
@pytest.mark.parametrize("account", ["wallet", "pool", "system"])
@pytest.mark.parametrize("error", [-1, 1])
def test_any_lamport_off_is_a_fault(kind, account, error):
    world = make_world(kind)
    intent = prepare(world)
    receipt = world.execute(intent)
    address = world.config.wallet if account == "wallet" else Address(account)
    before, after = receipt.lamports[address]
    receipt.lamports[address] = (before, after + error)
    assert checks(settle(world, intent, receipt)) == [f"{PREFIX[kind]}-lamports"]


@pytest.mark.parametrize("kind", ThreadKind)
def test_the_fee_must_have_been_in_force(kind):
    world = make_world(kind, liquidity_fee=200_000, swap_fee=20_000)
    intent = prepare(world)
    receipt = world.execute(intent)
    lower = make_step(name="fees", liquidity_fee=200_000, swap_fee=20_000, slot=receipt.slot)
    assert checks(settle(world, intent, receipt)) == [f"{PREFIX[kind]}-fee"]
    assert settle(world, intent, receipt, make_step(), lower).faults == ()
    assert settle(world, intent, receipt, make_step(), replace(lower, slot=None)).faults == ()
    older = (make_step(name="old", liquidity_fee=200_000, swap_fee=20_000), make_step(name="new", slot=2))
    assert checks(settle(world, intent, receipt, *older)) == [f"{PREFIX[kind]}-fee"]
    world.pool = replace(world.pool, managed=False)
    assert settle(world, intent, receipt).faults == ()


@pytest.mark.parametrize("kind", ThreadKind)
def test_a_foreign_pools_fee_must_still_lie_within_the_limits(kind):
    world = make_world(kind, pool=make_pool(managed=False), liquidity_fee=99_999, swap_fee=9_999)
    intent = prepare(world)
    assert checks(settle(world, intent, world.execute(intent))) == [f"{PREFIX[kind]}-fee"]


@pytest.mark.parametrize("transfers", [(), ("twice",), ("elsewhere",)])
def test_the_fee_is_one_transfer_from_user_to_pool(transfers):
    world = make_world(ThreadKind.SWAP)
    intent = prepare(world)
    receipt = world.execute(intent)
    move = receipt.inner_transfers[0]
    moves = {"twice": (move, move), "elsewhere": (replace(move, destination=Address("else")),)}
    receipt = replace(receipt, inner_transfers=moves[transfers[0]] if transfers else ())
    assert "SWP-fee" in checks(settle(world, intent, receipt))


def test_an_output_that_is_not_the_floor_is_a_fault_even_when_everybody_agrees_on_it():
    world = make_world(ThreadKind.SWAP, pool=make_pool(3, 1))
    intent = prepare(world, 10)
    generous = replace(intent, inputs={**intent.inputs, "expected_out": "4"})
    receipt = world.execute(intent)
    for account, error in (("swap_1.token_b", 1), ("vault_b", -1)):
        change = receipt.tokens[Address(account)]
        receipt.tokens[Address(account)] = replace(change, after=change.after + error)
    assert checks(settle(world, generous, receipt)) == ["SWP-output"]


def test_an_inexact_swap_in_an_exact_pool_is_a_fault():
    world = make_world(ThreadKind.SWAP, pool=make_pool(3, 2, exact=True))
    for amount, wanted in ((4, ["I5"]), (6, [])):
        intent = prepare(world, amount)
        assert checks(settle(world, intent, world.execute(intent))) == wanted


@pytest.mark.parametrize(
    ("kind", "step", "check"),
    [
        (ThreadKind.DEPOSIT, {"flags": 0x02}, "DEP-paused"),
        (ThreadKind.WITHDRAWAL, {"flags": 0x02}, "WDR-paused"),
        (ThreadKind.SWAP, {"flags": 0x04}, "SWP-paused"),
        (ThreadKind.SWAP, {"flags": 0x20}, "SWP-owner-only"),
        (ThreadKind.SWAP, {"system_paused": True}, "SWP-system-paused"),
        (ThreadKind.DEPOSIT, {"system_paused": True}, "DEP-system-paused"),
        (ThreadKind.DEPOSIT, {"flags": 0x24}, None),
        (ThreadKind.SWAP, {"flags": 0x02}, None),
        (ThreadKind.SWAP, {"flags": 0x20, "owner": "swap_1.wallet"}, None),
    ],
)
def test_a_success_inside_a_certain_pause_is_a_fault(kind, step, check):
    world = make_world(kind)
    intent = prepare(world)
    receipt = world.execute(intent)
    paused = make_step(name="pause", slot=receipt.slot - 1, **step)
    assert checks(settle(world, intent, receipt, make_step(), paused)) == ([check] if check else [])
    for uncertain in (None, receipt.slot):
        assert settle(world, intent, receipt, make_step(), replace(paused, slot=uncertain)).faults == ()
        ending = make_step(name="unpause", slot=uncertain)
        assert settle(world, intent, receipt, make_step(), paused, ending).faults == ()


def test_more_compute_than_the_limit_is_a_fault():
    world = make_world(ThreadKind.DEPOSIT)
    intent = prepare(world, compute_limit=90_000)
    receipt = world.execute(intent)
    assert settle(world, intent, receipt).faults == ()
    assert checks(settle(world, replace(intent, compute_limit=89_999), receipt)) == ["DEP-compute"]


def sides(a, b):
    return {Side.A: a, Side.B: b}


# kind, error, what makes it explained (applied to the world before), the same one step short of it
EXPLAINED = [
    (ThreadKind.SWAP, "InsufficientFunds", {"liquidity": sides(0, 159)}, {"liquidity": sides(0, 160)}),
    (
        ThreadKind.SWAP,
        "InsufficientFunds",
        {"liquidity": sides(0, 159), "excess": sides(0, 500)},
        {"liquidity": sides(0, 160), "excess": sides(0, 500)},
    ),
    (ThreadKind.SWAP, "InvalidAccountData", {"held": {Asset.TOKEN_A: 999}}, {"held": {Asset.TOKEN_A: 1000}}),
    (ThreadKind.DEPOSIT, "InsufficientFunds", {"held": {Asset.TOKEN_A: 999}}, {"held": {Asset.TOKEN_A: 1000}}),
    (ThreadKind.DEPOSIT, "Custom(14)", {"supply": sides(U64_MAX - 999, 0)}, {"supply": sides(10**15, 0)}),
    (ThreadKind.WITHDRAWAL, "Custom(1)", {"held": {Asset.LP_A: 999}}, {"held": {Asset.LP_A: 1000}}),
    (ThreadKind.WITHDRAWAL, "Custom(1)", {"liquidity": sides(999, 0)}, {"liquidity": sides(1000, 0)}),
    (
        ThreadKind.WITHDRAWAL,
        "ArithmeticOverflow",
        {"liquidity": sides(999, 0), "excess": sides(1, 0)},
        {"liquidity": sides(1000, 0), "excess": sides(1, 0)},
    ),
    (
        ThreadKind.WITHDRAWAL,
        "ArithmeticOverflow",
        {"liquidity": sides(999, 0), "excess": sides(1, 0)},
        {"liquidity": sides(999, 0)},
    ),
    (ThreadKind.SWAP, "Custom(1031)", {"sol": 271_500 + 4_999}, {"sol": 271_500 + 5_000}),
    (ThreadKind.DEPOSIT, "Custom(1031)", {"sol": 13_004_999}, {"sol": 13_005_000}),
    (ThreadKind.WITHDRAWAL, "Custom(1031)", {"sol": 13_004_999}, {"sol": 13_005_000}),
    (ThreadKind.DEPOSIT, "InsufficientFundsForRent", {"sol": 13_005_001}, {"sol": 13_005_000}),
    (ThreadKind.SWAP, "InsufficientFundsForRent", {"sol": 276_500 + 890_879}, {"sol": 276_500 + 890_880}),
]


@pytest.mark.parametrize(("kind", "error", "cause", "no_cause"), EXPLAINED)
def test_a_failure_is_expected_exactly_when_the_balances_explain_it(kind, error, cause, no_cause):
    for changes, expected in ((cause, True), (no_cause, False)):
        world = make_world(kind, **changes)
        settlement = settle(world, prepare(world), world.refuse(error))
        assert settlement.outcome is (Outcome.FAILED_EXPECTED if expected else Outcome.FAILED_UNEXPECTED)
        assert checks(settlement) == ([] if expected else [f"{PREFIX[kind]}-failure"])
        assert settlement.stops is not expected
        assert (settlement.spent, settlement.received, settlement.network_fee) == (0, 0, NETWORK_FEE)
        assert settlement.note.attempted_amount == "1000"


PAUSES = [
    (ThreadKind.DEPOSIT, "Custom(1035)", {"flags": 0x02}, {"flags": 0x24}),
    (ThreadKind.WITHDRAWAL, "Custom(1035)", {"flags": 0x02}, {"flags": 0x24}),
    (ThreadKind.SWAP, "Custom(1027)", {"flags": 0x04}, {"flags": 0x22}),
    (ThreadKind.SWAP, "Custom(1028)", {"flags": 0x20}, {"flags": 0x20, "owner": "swap_1.wallet"}),
    (ThreadKind.SWAP, "Custom(1023)", {"system_paused": True}, {"flags": 0x26}),
]


@pytest.mark.parametrize(("kind", "error", "pause", "other"), PAUSES)
def test_a_pause_code_needs_a_pause_that_covers_the_slot(kind, error, pause, other):
    world = make_world(kind)
    intent, receipt = prepare(world), world.refuse(error)
    for slot in (receipt.slot - 1, receipt.slot, None):
        assert settle(world, intent, receipt, make_step(), make_step(name="p", slot=slot, **pause)).faults == ()
    failure = [f"{PREFIX[kind]}-failure"]
    assert checks(settle(world, intent, receipt)) == failure
    assert checks(settle(world, intent, receipt, make_step(), make_step(name="p", slot=3, **other))) == failure
    over = (make_step(name="p", slot=3, **pause), make_step(name="u", slot=4))
    assert checks(settle(world, intent, receipt, make_step(), *over)) == failure
    later = make_step(name="p", slot=receipt.slot + 1, **pause)
    assert checks(settle(world, intent, receipt, make_step(), later)) == failure
    world.pool = replace(world.pool, managed=False)
    assert settle(world, intent, receipt).faults == ()


def test_inside_a_certain_pause_no_balance_explains_a_failure():
    world = make_world(ThreadKind.SWAP, liquidity=dict.fromkeys(Side, 0))
    pause = make_step(name="p", slot=5, flags=0x04)
    receipt = world.refuse("InsufficientFunds")
    assert checks(settle(world, prepare(world), receipt, make_step(), pause)) == ["SWP-failure"]


@pytest.mark.parametrize(
    ("kind", "error", "check"),
    [
        (ThreadKind.SWAP, "Custom(1047)", "SWP-failure"),
        (ThreadKind.SWAP, "Custom(1019)", "SWP-failure"),
        (ThreadKind.SWAP, "Custom(1)", "SWP-failure"),
        (ThreadKind.DEPOSIT, "Custom(1)", "DEP-failure"),
        (ThreadKind.DEPOSIT, "Custom(1027)", "DEP-failure"),
        (ThreadKind.DEPOSIT, "Custom(3001)", "DEP-failure"),
        (ThreadKind.WITHDRAWAL, "InsufficientFunds", "WDR-failure"),
        (ThreadKind.WITHDRAWAL, "Unrecognised({})", "WDR-failure"),
        (ThreadKind.SWAP, "ProgramFailedToComplete", "SWP-compute"),
        (ThreadKind.DEPOSIT, "ComputationalBudgetExceeded", "DEP-compute"),
    ],
)
def test_errors_that_nothing_can_explain_are_faults(kind, error, check):
    world = make_world(kind, held={}, liquidity=dict.fromkeys(Side, 0), sol=6_000)
    settlement = settle(world, prepare(world), world.refuse(error), make_step(flags=0x01))
    assert checks(settlement) == [check]
    assert (settlement.outcome, settlement.verdict) == (Outcome.FAILED_UNEXPECTED, Verdict.FAULT)


@given(KINDS, st.sampled_from(["tokens", "wallet", "pool"]))
def test_a_failed_transaction_changes_nothing_but_its_network_fee(kind, what):
    world = make_world(kind, sol=200_000)
    intent, receipt = prepare(world), world.refuse("Custom(1031)")
    assert settle(world, intent, receipt).faults == ()
    if what == "tokens":
        change = receipt.tokens[Address("vault_a")]
        receipt.tokens[Address("vault_a")] = replace(change, after=change.after + 1)
    else:
        address = world.config.wallet if what == "wallet" else Address(what)
        before, after = receipt.lamports[address]
        receipt.lamports[address] = (before, after - 1)
    settlement = settle(world, intent, receipt)
    assert checks(settlement) == [f"{PREFIX[kind]}-changed"]
    assert settlement.outcome is Outcome.FAILED_EXPECTED


def test_a_fault_carries_what_reproduces_it():
    world = make_world(ThreadKind.SWAP)
    intent, receipt = prepare(world), world.refuse("Custom(1047)")
    (fault,) = settle(world, intent, receipt).faults
    assert (fault.pool_id, fault.chain_id, fault.operation_id) == ("pool", "swap_1", "swap_1/1")
    assert (fault.signature, fault.slot) == ("signature_1", receipt.slot)
    assert fault.evidence["inputs"] == intent.inputs
    assert fault.evidence["tokens"]["vault_a"] == [str(10**14)] * 2
    assert fault.evidence["error"] == {"code": "Custom(1047)", "index": 1}
    assert fault.from_text(fault.to_text()) == fault


def test_totals_grow_by_confirmed_amounts_only():
    world = make_world(ThreadKind.SWAP, pool=make_pool(3, 2))
    state = ThreadState()
    for now_ms, amount in enumerate((100, 7, 40), start=1):
        intent = prepare(world, amount)
        state = apply_settlement(state, world.config, settle(world, intent, world.execute(intent)), now_ms)
    world.liquidity = dict.fromkeys(Side, 0)
    for error in ("InsufficientFunds", "Custom(1047)"):
        state = apply_settlement(state, world.config, settle(world, prepare(world), world.refuse(error)), 9)
    state = apply_settlement(state, world.config, Settlement.expired(), 10)
    totals = state.session
    assert totals == state.lifetime
    assert (totals.confirmed, totals.failed_expected, totals.failed_unexpected, totals.expired) == (3, 1, 1, 1)
    assert (totals.spent, totals.received) == (147, 66 + 4 + 26)
    assert (totals.smallest, totals.largest) == (7, 100)
    assert (totals.pool_fees, totals.network_fees) == (3 * 271_500, 5 * NETWORK_FEE)
    assert totals.rounding_loss_nano == sum(state.loss_trend) == 3 * (2 * 10**9 // 3)
    assert (state.consecutive_failures, state.last_success_at_ms) == (3, 3)
    assert [note.error for note in state.errors] == ["PoolLiquidityShort", "AmountMismatch", "BlockhashExpired"]
    assert [note.at_ms for note in state.errors] == [9, 9, 10]
    assert {note.operation_type for note in state.errors} == {"swap"}
    world.liquidity = dict.fromkeys(Side, 10**9)
    intent = prepare(world, 3)
    state = apply_settlement(state, world.config, settle(world, intent, world.execute(intent)), 11)
    assert (state.consecutive_failures, state.last_success_at_ms) == (0, 11)


def test_every_fee_that_was_paid_is_in_the_trend_and_every_swap_in_the_range_of_losses():
    world = make_world(ThreadKind.SWAP, pool=make_pool(3, 2))
    state = ThreadState()
    for amount in (100, 7, 3):  # of 66 2/3, 4 2/3 and 2 the floor keeps two thirds, two thirds and nothing
        intent = prepare(world, amount)
        state = apply_settlement(state, world.config, settle(world, intent, world.execute(intent)), 1)
    assert (state.session.least_loss_pico, state.session.most_loss_pico) == (0, 10**12 * 2 // 14)
    first = prepare(world, 100)
    alone = apply_settlement(ThreadState(), world.config, settle(world, first, world.execute(first)), 1)
    assert alone.lifetime.least_loss_pico == alone.lifetime.most_loss_pico == 10**12 * 2 // 200
    world.liquidity = dict.fromkeys(Side, 0)
    refused = settle(world, prepare(world), world.refuse("InsufficientFunds"))
    state = apply_settlement(state, world.config, refused, 2)
    assert state.fee_trend == (NETWORK_FEE,) * 4
    state = apply_settlement(state, world.config, Settlement.expired(), 3)
    assert state.fee_trend == (NETWORK_FEE,) * 4, "what never landed has paid nothing"
    assert state.session.least_loss_pico == 0


def test_the_error_history_keeps_as_many_as_the_setting_says():
    world = make_world(ThreadKind.SWAP)
    state = ThreadState()
    for now_ms in range(1, 6):
        state = apply_settlement(state, world.config, Settlement.expired(), now_ms, 3)
    assert [note.at_ms for note in state.errors] == [3, 4, 5]
    assert state.error_counts == {"BlockhashExpired": 5}


def test_an_error_names_the_balance_that_was_seen_last_or_none():
    """A transaction that never landed has no balances of its own."""
    world = make_world(ThreadKind.SWAP)
    unseen = apply_settlement(ThreadState(), world.config, Settlement.expired(), 1)
    assert unseen.errors[0].available_balance == ""
    state = ThreadState(balances={world.config.spends.value: 77})
    assert apply_settlement(state, world.config, Settlement.expired(), 1).errors[0].available_balance == "77"
    landed = settle(world, prepare(world), world.refuse("InsufficientFunds"))
    noted = apply_settlement(state, world.config, landed, 1).errors[0]
    assert noted.available_balance not in ("", "77"), "the transaction's own"


def test_the_error_of_a_transaction_never_counts_as_success():
    world = make_world(ThreadKind.DEPOSIT)
    intent = prepare(world)
    receipt = replace(world.execute(intent), error=ChainError(code="Custom(1031)", index=1))
    settlement = settle(world, intent, receipt)
    assert settlement.outcome is not Outcome.CONFIRMED
    assert "DEP-changed" in checks(settlement)
    assert (settlement.spent, settlement.received) == (0, 0)
