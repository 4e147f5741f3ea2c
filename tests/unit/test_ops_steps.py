"""A scenario's steps: an effect that is not there fails the step, whatever the answer claims."""

from __future__ import annotations

from typing import Any

import pytest

from domain.facts import POOL_FLAG_LIQUIDITY_PAUSED, POOL_FLAG_OWNER_ONLY, POOL_FLAG_SWAPS_PAUSED
from domain.ids import PoolId
from ops.run.fleet import Fleet
from ops.run.steps import Steps
from ops.scenario import parse_scenario

BOTH = POOL_FLAG_LIQUIDITY_PAUSED | POOL_FLAG_SWAPS_PAUSED
FLEET = Fleet(pools={"a": PoolId("A"), "b": PoolId("B")}, actors=())
UNAUTHORIZED = {"code": -1008, "message": "refused", "data": {"name": "Unauthorized"}}


class Answers:
    """Commands whose answers are given, in the order of the calls."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, method: str, params: dict[str, Any]) -> int:
        self.sent.append((method, params))
        return len(self.sent) - 1

    def wait(self, number: int, timeout_s: float) -> dict[str, Any] | None:
        answer = self.answers[number]
        return answer if answer is None or "error" in answer else {"ok": answer}


def take(*steps: dict[str, Any], answers: Answers, local_chain: bool = True, faults=lambda _: {}):
    """The results of the steps, taken in order."""
    pools = [
        {"name": name, "decimals_a": 6, "decimals_b": 6, "ratio_whole_number": 2, "threads": {"deposit_a": 1}}
        for name in ("a", "b")
    ]
    document = {"name": "s", "duration": "9s", "pools": pools, "steps": [{"at": "1s", **step} for step in steps]}
    runner = Steps(answers, None, FLEET, faults, local_chain=local_chain, interrupted=lambda: False)
    return [runner.carry_out(step, 1.0) for step in parse_scenario(document, "s").steps]


def only(*steps, **options):
    return take(*steps, **options)[-1]


@pytest.mark.parametrize(
    ("step", "right", "wrong"),
    [
        ({"action": "pause"}, {"flags": BOTH}, {"flags": POOL_FLAG_SWAPS_PAUSED}),
        ({"action": "pause", "swaps": False}, {"flags": POOL_FLAG_LIQUIDITY_PAUSED}, {"flags": 0}),
        ({"action": "unpause", "swaps": False}, {"flags": POOL_FLAG_SWAPS_PAUSED}, {"flags": BOTH}),
        ({"action": "owner_only", "enable": True}, {"flags": POOL_FLAG_OWNER_ONLY}, {"flags": 0}),
        ({"action": "owner_only", "enable": False}, {"flags": BOTH}, {"flags": POOL_FLAG_OWNER_ONLY}),
        ({"action": "update_fees", "swap_fee": 7}, {"swap_fee": 7, "liquidity_fee": 1}, {"swap_fee": 8}),
    ],
)
def test_a_step_holds_only_when_the_pool_shows_it(step, right, wrong):
    assert only(step | {"pools": ["a"]}, answers=Answers(right)).ok
    result = only(step, answers=Answers(right, wrong))
    assert not result.ok
    assert result.detail.startswith("b: ")


def test_a_command_that_is_refused_or_not_answered_fails_the_step():
    refused = only({"action": "pause"}, answers=Answers({"error": UNAUTHORIZED}, {"flags": BOTH}))
    assert (refused.ok, refused.skipped, refused.detail) == (False, False, "a: refused")


def test_without_authority_on_a_cluster_a_step_is_skipped_and_says_so():
    result = only({"action": "pause"}, answers=Answers(*[{"error": UNAUTHORIZED}] * 2), local_chain=False)
    assert (result.ok, result.skipped) == (True, True)
    other = {"error": UNAUTHORIZED | {"data": {"name": "InvalidArgument"}}}
    assert not only({"action": "pause"}, answers=Answers(other, other), local_chain=False).ok


def consolidated(a: int, b: int, gained: int, *, local_chain: bool = True):
    """Pool a is paused on both sides, b is not; then both are to be consolidated."""
    pools = [{"pool_id": "A", "lamports_moved": a}, {"pool_id": "B", "lamports_moved": b}]
    answer = {"pools": pools, "lamports_moved": a + b, "treasury_gained": gained}
    steps = ({"action": "pause", "pools": ["a"]}, {"action": "consolidate"})
    return only(*steps, answers=Answers({"flags": BOTH}, answer), local_chain=local_chain)


@pytest.mark.parametrize(
    ("a", "b", "gained", "local_chain", "ok"),
    [
        (5, 0, 5, True, True),
        (0, 0, 0, True, False),  # an eligible pool gave nothing
        (5, 1, 6, True, False),  # a pool that was not paused gave something
        (5, 0, 4, True, False),  # a lamport is missing
        (5, 0, 6, True, False),  # a lamport too many, and nobody else is there
        (5, 0, 6, False, True),  # on a shared chain others pay the treasury, too
    ],
)
def test_exactly_the_paused_pools_give_their_fees_to_the_treasury(a, b, gained, local_chain, ok):
    assert consolidated(a, b, gained, local_chain=local_chain).ok is ok


def test_faults_that_the_chain_did_not_take_fail_the_step():
    step = {"action": "faults", "set": {"http_500": {"probability": 0.1}}}
    assert only(step, answers=Answers(), faults=lambda given: {"seed": 1, **given}).ok
    assert not only(step, answers=Answers(), faults=lambda _: {"seed": 1}).ok


LEFT = {"token_a": 9, "token_b": 0, "lp_a": 0, "lp_b": 0}
SWAP = [{"kind": "swap", "side": "A", "amount": 1, "outcome": "confirmed"}]


def attacked(left: dict[str, int] = LEFT, trades: list[dict[str, Any]] = SWAP, **outcomes: int) -> dict[str, Any]:
    return {"outcomes": outcomes, "left": left, "trades": trades}


@pytest.mark.parametrize(
    ("step", "answer", "ok"),
    [
        ({"action": "whale", "amount": 9}, attacked(confirmed=2), True),
        ({"action": "whale", "amount": 9}, attacked(LEFT | {"token_a": 0, "lp_a": 9}, confirmed=1), True),
        ({"action": "whale", "amount": 10}, attacked(confirmed=2), False),  # it lost a unit
        ({"action": "whale", "amount": 8}, attacked(confirmed=2), False),  # it gained one
        ({"action": "burst"}, attacked(confirmed=8, failed_expected=4), True),
        ({"action": "burst"}, attacked(confirmed=11, failed_unexpected=1), False),
        ({"action": "burst"}, attacked(confirmed=11, expired=1), False),
        ({"action": "burst"}, attacked(failed_expected=12), False),
        ({"action": "drain", "side": "B"}, attacked(confirmed=3, failed_expected=1), True),
        ({"action": "drain", "side": "B"}, attacked(trades=[], confirmed=1), False),
    ],
)
def test_an_attack_holds_only_when_every_operation_is_explained(step, answer, ok):
    answers = Answers(answer)
    assert only(step | {"pools": ["a"]}, answers=answers).ok is ok
    ((method, params),) = answers.sent
    assert (method, params["pool_id"], params["kind"]) == ("attack_pool", "A", step["action"])


def test_a_mint_goes_to_a_stranger_of_its_own_or_to_the_one_that_is_named():
    right = {"recipient_address": "Somebody", "amount_minted": 7}
    step = {"action": "mint", "pools": ["a"], "amount": 7, "recipient": "Somebody"}
    assert only(step, answers=Answers(right)).ok
    assert not only(step, answers=Answers(right | {"amount_minted": 6})).ok
    fresh = Answers(*[right] * 2)
    only({"action": "mint"}, answers=fresh)
    assert fresh.sent[0][1]["recipient_address"] == fresh.sent[1][1]["recipient_address"] != "Somebody"
