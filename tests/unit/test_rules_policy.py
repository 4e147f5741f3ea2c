"""What a pool may show while administrative steps are under way, and after some of them turned out to be nothing."""

from __future__ import annotations

from domain.facts import POOL_FLAG_LIQUIDITY_PAUSED, POOL_FLAG_OWNER_ONLY, POOL_FLAG_SWAPS_PAUSED
from domain.policy import Policy, PolicyChange
from tests.support.rules import make_policy, make_step

FEES = PolicyChange(liquidity_fee=15_000_000)
PAUSE = PolicyChange(set_flags=POOL_FLAG_LIQUIDITY_PAUSED)
UNPAUSE = PolicyChange(clear_flags=POOL_FLAG_LIQUIDITY_PAUSED | POOL_FLAG_SWAPS_PAUSED)


def values(policy: Policy, slot: int) -> set[tuple[int, int, int]]:
    return {(step.flags, step.liquidity_fee, step.swap_fee) for step in policy.allowed_at(slot)}


def test_a_step_built_on_one_that_is_dropped_keeps_nothing_of_it():
    policy = make_policy(make_step(slot=1)).with_pending("fees", FEES).with_pending("pause", PAUSE)
    after = policy.dropped("fees").landed("pause", 9)
    assert values(after, 20) == {(POOL_FLAG_LIQUIDITY_PAUSED, 13_000_000, 271_500)}
    late = policy.landed("pause", 9).dropped("fees")
    assert values(late, 20) == values(after, 20)


def test_steps_that_land_in_another_order_than_they_were_sent_have_the_chains_order():
    policy = make_policy(make_step(slot=1)).with_pending("pause", PAUSE).with_pending("unpause", UNPAUSE)
    both = policy.landed("unpause", 7).landed("pause", 8)
    assert values(both, 20) == {(POOL_FLAG_LIQUIDITY_PAUSED, 13_000_000, 271_500)}
    assert values(policy.landed("pause", 7).landed("unpause", 8), 20) == {(0, 13_000_000, 271_500)}


def test_while_steps_are_pending_any_of_them_may_show_in_any_order():
    policy = make_policy(make_step(slot=1)).with_pending("fees", FEES).with_pending("pause", PAUSE)
    paused = POOL_FLAG_LIQUIDITY_PAUSED
    assert values(policy, 5) == {
        (0, 13_000_000, 271_500),
        (0, 15_000_000, 271_500),
        (paused, 13_000_000, 271_500),
        (paused, 15_000_000, 271_500),
    }
    assert values(policy.landed("fees", 5), 5) == values(policy, 5)
    assert values(policy.landed("fees", 5), 6) == {(0, 15_000_000, 271_500), (paused, 15_000_000, 271_500)}


def test_owner_only_keeps_its_owner_when_it_ends():
    enable = PolicyChange(set_flags=POOL_FLAG_OWNER_ONLY, owner="somebody")
    policy = make_policy(make_step(slot=1)).with_pending("on", enable).landed("on", 3)
    off = policy.with_pending("off", PolicyChange(clear_flags=POOL_FLAG_OWNER_ONLY)).landed("off", 4)
    assert [(step.flags, step.owner) for step in off.allowed_at(9)] == [(0, "somebody")]


def test_a_policy_survives_its_text():
    policy = make_policy(make_step(slot=1)).with_pending("fees", FEES).landed("fees", 4).with_pending("pause", PAUSE)
    assert Policy.from_text(policy.to_text()) == policy
