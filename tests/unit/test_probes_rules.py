"""How a landed probe is judged: the exact code at the exact action, hidden checks, surroundings, effects and fees."""

from __future__ import annotations

import pytest

from domain.facts import ChainError, InnerTransfer, Receipt, TokenChange
from domain.ids import Address, Signature
from domain.operations import Outcome
from domain.policy import Policy, PolicyStep
from domain.probes import OK, STOPPED, Ambient, Verdict, ambients, judge, predicted

CORE, POOL, VAULT, OTHER = (Address(name) for name in ("core", "pool", "vault", "other"))


def step(slot: int | None = 0, **values) -> PolicyStep:
    given = {"operation_id": "x", "flags": 0, "liquidity_fee": 13, "swap_fee": 2, "owner": CORE} | values
    return PolicyStep(slot=slot, **given)


QUIET = Policy(steps=(step(),))


def expectation(**values) -> dict:
    base = {
        "at": 0,
        "code": "Custom(1034)",
        "stage": 2,
        "gates": ["liquidity", "none"],
        "user": CORE,
        "transfers": None,
        "fees_of": None,
        "relies": [],
        "absent": [],
        "needs": {},
        "holds": {},
        "tokens": {},
        "fee_kind": "",
        "prelude": [],
        "moot": [],
    }
    return base | values


def test_what_would_change_nothing_is_refused_only_where_it_changes_something():
    expect = expectation(
        code="ReadonlyDataModified", gates=["system", "none"], moot=["liquidity_paused", "swaps_paused"]
    )
    assert predicted(expect, Ambient()) == ("ReadonlyDataModified", 0)
    assert predicted(expect, Ambient(swaps_paused=True)) == ("ReadonlyDataModified", 0)
    assert predicted(expect, Ambient(liquidity_paused=True, swaps_paused=True)) == (STOPPED, 1)


def receipt(code: str = OK, index: int | None = None, **values) -> Receipt:
    fields = {
        "signature": Signature("s"),
        "slot": 100,
        "block_time": None,
        "error": None if code == OK else ChainError(code=code, index=index),
        "fee": 5,
        "compute_units": 1,
        "lamports": {CORE: (1000, 995), POOL: (50, 50)},
        "tokens": {},
        "inner_transfers": (),
        "logs": (),
    }
    return Receipt(**fields | values)


def verdict(expect: dict, landed: Receipt, policy: Policy | None = QUIET):
    return judge({"probe": "p", "expect": expect}, landed, policy, CORE)


def test_the_expected_code_at_the_expected_action_is_ok():
    found = verdict(expectation(), receipt("Custom(1034)", 1))
    assert (found.verdict, found.outcome, found.problems) == (Verdict.OK, Outcome.FAILED_EXPECTED, ())


@pytest.mark.parametrize(("code", "index"), [("Custom(1033)", 1), ("Custom(1034)", 2), ("Custom(1034)", None)])
def test_another_code_or_another_action_is_wrong(code, index):
    found = verdict(expectation(), receipt(code, index))
    assert (found.verdict, found.outcome) == (Verdict.WRONG, Outcome.FAILED_UNEXPECTED)
    assert found.problems[0][0] == "PROBE-p"


def test_a_probe_that_succeeds_is_wrong():
    found = verdict(expectation(), receipt())
    assert (found.verdict, found.outcome) == (Verdict.WRONG, Outcome.CONFIRMED)


def test_a_refusal_that_moved_something_is_wrong():
    lamports = {CORE: (1000, 995), POOL: (50, 51)}
    assert verdict(expectation(), receipt("Custom(1034)", 1, lamports=lamports)).verdict is Verdict.WRONG
    token = TokenChange(account=VAULT, mint=OTHER, owner=POOL, before=3, after=2)
    assert verdict(expectation(), receipt("Custom(1034)", 1, tokens={VAULT: token})).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("gate", "stage", "ambient", "code"),
    [
        ("liquidity", 0, {"system_paused": True}, "Custom(1)"),
        ("liquidity", 2, {"system_paused": True}, "Custom(1023)"),
        ("liquidity", 2, {"liquidity_paused": True}, "Custom(1)"),
        ("liquidity", 5, {"liquidity_paused": True}, "Custom(1035)"),
        ("liquidity", 5, {"swaps_paused": True}, "Custom(1)"),
        ("swap", 5, {"swaps_paused": True}, "Custom(1027)"),
        ("swap", 5, {"owner_only": True, "owner": OTHER}, "Custom(1028)"),
        ("swap", 5, {"owner_only": True, "owner": CORE}, "Custom(1)"),
        ("owners_swap", 5, {"owner_only": True, "owner": OTHER}, "Custom(1)"),
        ("swap", 4, {"owner_only": True, "owner": OTHER, "swaps_paused": True}, "Custom(1027)"),
        ("system", 5, {"liquidity_paused": True}, "Custom(1)"),
        ("pause", 5, {"system_paused": True}, "Custom(1024)"),
        ("none", 5, {"system_paused": True}, "Custom(1)"),
    ],
)
def test_an_earlier_check_hides_a_later_one(gate, stage, ambient, code):
    expect = expectation(code="Custom(1)", stage=stage, gates=[gate, "none"])
    assert predicted(expect, Ambient(**ambient)) == (code, 0)


def test_a_pause_meets_the_first_action_that_looks_at_it():
    expect = expectation(at=2, gates=["none", "system", "liquidity", "none"], stage=5)
    assert predicted(expect, Ambient(system_paused=True)) == ("Custom(1023)", 1)
    assert predicted(expect, Ambient(liquidity_paused=True)) == ("Custom(1035)", 2)


def test_lifting_a_pause_that_is_there_reaches_the_stop():
    expect = expectation(code="Custom(1025)", gates=["unpause", "none"], stage=5)
    assert predicted(expect, Ambient()) == ("Custom(1025)", 0)
    assert predicted(expect, Ambient(system_paused=True)) == (STOPPED, 1)


def test_hidden_by_a_pause_of_ours_proves_nothing_and_is_no_fault():
    expect = expectation(stage=5)
    paused = Policy(steps=(step(), step(slot=90, flags=2)))
    found = verdict(expect, receipt("Custom(1035)", 1), paused)
    assert (found.verdict, found.outcome) == (Verdict.AGAIN, Outcome.FAILED_EXPECTED)
    assert verdict(expect, receipt("Custom(1035)", 1)).verdict is Verdict.WRONG, "nobody paused"
    assert verdict(expect, receipt("Custom(1034)", 1), paused).verdict is Verdict.WRONG, "a pause hides that check"


def test_a_step_under_way_allows_both_outcomes():
    pending = Policy(steps=(step(), step(slot=None, flags=2)))
    expect = expectation(stage=5)
    assert verdict(expect, receipt("Custom(1034)", 1), pending).verdict is Verdict.OK
    assert verdict(expect, receipt("Custom(1035)", 1), pending).verdict is Verdict.AGAIN


def test_a_pool_of_others_may_be_in_any_state():
    assert len(set(ambients(None, 5))) == 16
    assert verdict(expectation(stage=5), receipt("Custom(1035)", 1), None).verdict is Verdict.AGAIN
    assert verdict(expectation(stage=5), receipt("Custom(1027)", 1), None).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("name", "value"),
    [("relies", [OTHER]), ("absent", [POOL]), ("needs", {CORE: "1001"}), ("holds", {VAULT: "4"}), ("prelude", [0])],
)
def test_without_its_surroundings_a_probe_proves_nothing(name, value):
    token = TokenChange(account=VAULT, mint=OTHER, owner=POOL, before=3, after=3)
    landed = receipt("InsufficientFunds", 1, tokens={VAULT: token})
    assert verdict(expectation(**{name: value}), landed).verdict is Verdict.AGAIN
    assert verdict(expectation(), landed).verdict is Verdict.WRONG


def test_running_out_of_compute_units_proves_nothing():
    exhausted = receipt("ProgramFailedToComplete", 1, compute_units=400_000)
    assert judge({"probe": "p", "expect": expectation()}, exhausted, QUIET, CORE, 400_000).verdict is Verdict.AGAIN
    assert judge({"probe": "p", "expect": expectation()}, exhausted, QUIET, CORE, 800_000).verdict is Verdict.WRONG


def test_the_fees_of_a_reverted_trade_are_read_from_its_inner_transfers():
    expect = expectation(code=STOPPED, at=1, transfers=["13", "swap"], fees_of=POOL)
    moves = [InnerTransfer(source=CORE, destination=POOL, lamports=n) for n in (13, 2)]
    assert verdict(expect, receipt(STOPPED, 2, inner_transfers=tuple(moves))).verdict is Verdict.OK
    for wrong in (moves[:1], moves[::-1], [*moves, moves[0]]):
        assert verdict(expect, receipt(STOPPED, 2, inner_transfers=tuple(wrong))).verdict is Verdict.WRONG


def real(**values) -> dict:
    return expectation(code=OK, at=1, tokens={VAULT: "1"}, fee_kind="liquidity", fees_of=POOL, **values)


def deposited(fee: int = 13, delta: int = 1, more: int = 0) -> Receipt:
    return receipt(
        lamports={CORE: (1000, 995 - fee), POOL: (50, 50 + fee + more)},
        tokens={VAULT: TokenChange(account=VAULT, mint=OTHER, owner=POOL, before=3, after=3 + delta)},
        inner_transfers=(InnerTransfer(source=CORE, destination=POOL, lamports=fee),),
    )


def test_a_small_real_operation_is_checked_to_the_unit():
    found = verdict(real(), deposited())
    assert (found.verdict, found.outcome) == (Verdict.OK, Outcome.CONFIRMED)
    for wrong in (deposited(fee=14), deposited(delta=2), deposited(delta=0), deposited(more=1)):
        assert verdict(real(), wrong).verdict is Verdict.WRONG
