"""Expired is a proof: what every kind of answer lets us conclude (DESIGN.md 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cycle import operation_for
from domain.expiry import Expired, Landed, Pending, Unanswered, resolve
from domain.facts import ChainError, Lookup, Observation, SignatureStatus
from domain.thread import ThreadKind
from tests.support.rules import make_intent, make_receipt, make_world

WORLD = make_world(ThreadKind.DEPOSIT)
INTENT = make_intent(operation_for(WORLD.config, WORLD.pool, WORLD.seen(), WORLD.state(), 5))
HALF = INTENT.expired_seen(200, "e1")


def answer(*, height=100, slot=200, endpoint="e1", height_slot=None):
    return Observation(endpoint=endpoint, slot=slot, block_height=height, height_slot=height_slot or slot)


def unknown(status_slot=200):
    return Lookup(asked=True, status_slot=status_slot)


def status(confirmation="confirmed", error=None):
    return SignatureStatus(slot=10, confirmation=confirmation, error=error)


def test_a_receipt_lands_even_where_other_answers_are_missing():
    receipt = make_receipt({}, {"w": (1, 1)})
    for lookup in (Lookup(asked=True, receipt=receipt), Lookup(asked=False, receipt=receipt)):
        assert resolve(HALF, lookup, answer(height=999)) == (Landed(receipt=receipt), HALF)


@pytest.mark.parametrize("confirmation", ["processed", "confirmed", "finalized"])
@pytest.mark.parametrize("error", [None, ChainError(code="Custom(1035)", index=1)])
@pytest.mark.parametrize("asked", [True, False])
def test_a_known_signature_is_waited_for_and_not_sent_again(confirmation, error, asked):
    lookup = Lookup(asked=asked, status=status(confirmation, error), status_slot=999)
    assert resolve(HALF, lookup, answer(height=999, slot=999)) == (Pending(resend=False), HALF)


def test_an_unknown_signature_is_sent_again_while_it_may_land():
    assert resolve(INTENT, unknown(), answer(height=150)) == (Pending(resend=True), INTENT)


def test_the_first_height_above_the_last_valid_one_is_remembered_and_proves_nothing_yet():
    resolution, kept = resolve(INTENT, unknown(999), answer(height=151, slot=200, height_slot=203))
    assert resolution == Pending(resend=False)
    assert kept == INTENT.expired_seen(203, "e1")


def test_a_later_answer_of_the_same_endpoint_proves_it():
    assert resolve(HALF, unknown(200), answer(height=151, slot=200)) == (Expired(), HALF)


@pytest.mark.parametrize(
    ("lookup", "seen"),
    [
        (unknown(199), answer(height=151, slot=300)),  # the status answer is from before S
        (unknown(300), answer(height=151, slot=199)),  # the confirmed snapshot is from before S
        (unknown(300), answer(height=150, slot=300)),  # a node behind in height
    ],
)
def test_an_older_answer_proves_nothing(lookup, seen):
    assert resolve(HALF, lookup, seen) == (Pending(resend=False), HALF)


def test_a_node_that_could_not_answer_proves_nothing():
    for intent in (INTENT, HALF):
        assert resolve(intent, Lookup(asked=False), answer(height=999, slot=999)) == (Unanswered(), intent)


def test_another_endpoint_starts_its_own_proof():
    resolution, kept = resolve(HALF, unknown(400), answer(height=160, slot=400, endpoint="e2"))
    assert resolution == Pending(resend=False)
    assert kept == HALF.expired_seen(400, "e2")
    assert resolve(kept, unknown(400), answer(height=160, slot=400, endpoint="e2"))[0] == Expired()


def test_another_endpoint_that_is_behind_changes_nothing():
    assert resolve(HALF, unknown(400), answer(height=100, slot=400, endpoint="e2")) == (Pending(resend=False), HALF)


answers = st.tuples(
    st.builds(answer, height=st.integers(140, 160), slot=st.integers(190, 210), endpoint=st.sampled_from(["e1", "e2"])),
    st.builds(
        Lookup,
        asked=st.booleans(),
        status=st.sampled_from([None, None, status()]),
        status_slot=st.integers(190, 210),
    ),
)


@given(st.lists(answers, max_size=8))
def test_no_single_answer_and_no_mixture_of_endpoints_concludes_expiry(history):
    intent = INTENT
    seen_past: dict[str, int] = {}
    for seen, lookup in history:
        resolution, kept = resolve(intent, lookup, seen)
        if isinstance(resolution, Expired):
            assert lookup.asked
            assert lookup.status is None
            assert seen.endpoint in seen_past
            assert min(seen.slot, lookup.status_slot) >= seen_past[seen.endpoint]
            return
        assert not (isinstance(resolution, Pending) and resolution.resend and seen.block_height > 150)
        if kept != intent:
            seen_past[seen.endpoint] = kept.past_expiry_slot
        intent = kept
        assert replace(kept, past_expiry_slot=None, past_expiry_endpoint=None) == INTENT
