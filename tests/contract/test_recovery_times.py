"""What a thread's document says of operations that Redis forgot, before they are settled."""

from __future__ import annotations

from dataclasses import replace

from domain.ids import OperationId, Signature
from domain.operations import Intent, OperationKind
from domain.state import ThreadState, Totals
from domain.store.gateway import RedisStore
from tasks.recovery_chain import _remembering
from tests.support.store_kit import client_fixture, real_url_fixture, started_thread, store_fixture

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]


def lost(number: int, at_ms: int, kind: OperationKind = OperationKind.DEPOSIT) -> Intent:
    return Intent(
        operation_id=OperationId(f"deposit_1/{number}"),
        number=number,
        kind=kind,
        pool_id=None,
        signature=Signature(f"s{number}"),
        wire="",
        last_valid_height=0,
        compute_limit=1,
        inputs={},
        prepared_at_ms=at_ms,
        prepared_slot=1,
    )


def remembered(store: RedisStore, state: ThreadState, *intents: Intent) -> ThreadState:
    begun = replace(started_thread(store, "deposit_1"), state=state.to_text())
    return ThreadState.from_text(_remembering(begun, intents))


def test_a_session_whose_operations_are_all_forgotten_begins_with_the_first_of_them(store: RedisStore) -> None:
    """The last operation known is another session's: between it and now there is no interval."""
    before = ThreadState(operation_number=4, last_operation_at_ms=700, session_started_at_ms=1_000)
    found = remembered(store, before, lost(6, 5_000), lost(5, 3_000), lost(7, 9_000, OperationKind.BURN))
    assert (found.session.submitted, found.operation_number) == (2, 7)
    assert (found.first_operation_at_ms, found.last_operation_at_ms) == (3_000, 5_000)


def test_a_session_that_is_partly_forgotten_keeps_its_beginning(store: RedisStore) -> None:
    before = ThreadState(session=Totals(submitted=3), first_operation_at_ms=1_100, last_operation_at_ms=2_000)
    found = remembered(store, before, lost(4, 3_500))
    assert (found.session.submitted, found.first_operation_at_ms, found.last_operation_at_ms) == (4, 1_100, 3_500)


def test_a_burn_alone_is_no_operation(store: RedisStore) -> None:
    found = remembered(store, ThreadState(), lost(1, 9_000, OperationKind.BURN))
    assert (found.session.submitted, found.first_operation_at_ms, found.last_operation_at_ms) == (0, 0, 0)
