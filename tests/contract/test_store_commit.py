"""commit: everything in one step or nothing; every reason to refuse; a lost reply asked for again."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from domain.chains import BrokenMark, Commit, Committed, Mark
from domain.ids import ChainId, CommandId, Signature, ThreadId
from domain.observed import ObservedPool
from domain.state import Order
from domain.store.gateway import RedisStore
from domain.thread import OrderKind, ThreadStatus
from tests.support.store_kit import (
    BIG,
    LEASE_MS,
    POOL,
    QUEUE,
    THREAD,
    begin,
    client_fixture,
    committed,
    dump,
    going_on,
    next_message,
    order,
    real_url_fixture,
    refused,
    started_thread,
    store_fixture,
)

__all__ = ["client_fixture", "real_url_fixture", "store_fixture"]


def test_a_commit_writes_everything(store: RedisStore, client: Any) -> None:
    store.register_command(CommandId("cmd-9"), "empty_thread", "{}")
    begun = started_thread(store)
    committed(store, going_on(begun, outbox_put=(("old", '{"amount":"5"}'),), low=("sol",)))
    begun = begin(store, THREAD)
    before_ms = store.now_ms()
    names = (field.name for field in fields(ObservedPool))
    seen = ObservedPool(**{name: BIG + n for n, name in enumerate(names)})
    answer = committed(
        store,
        Commit(
            begun=begun,
            state=f'{{"spent":"{BIG}"}}',
            intents='[{"wire":"x"}]',
            next=next_message(1, 3, countdown_ms=1500),
            journal=('{"n":1}', '{"n":2}'),
            faults=('{"check":"I4"}',),
            signatures=(Signature("Sig1"), Signature("Sig2")),
            outbox_put=(("new", f'{{"amount":"{BIG}"}}'),),
            outbox_take=(("old", '{"amount":"5"}'),),
            require_eligible=(THREAD,),
            records=(("deposit_1", '{"owed":"1"}'),),
            policy="[]",
            policy_expected="",
            marks=(Mark(name="G", slot=10, value=BIG),),
            observed=seen.to_text(),
            low=("token",),
            low_served=(f"{THREAD}|sol",),
            counts=(("operations", "deposit.confirmed", 2),),
            answer=(CommandId("cmd-9"), '{"ok":true}'),
        ),
    )
    assert answer == Committed(generation=1, seq=3)
    record = store.get_chain(THREAD)
    assert record is not None
    assert (record.state, record.intents, record.order) == (f'{{"spent":"{BIG}"}}', '[{"wire":"x"}]', "")
    assert (record.generation, record.seq, record.live, record.leased) == (1, 3, True, False)
    assert before_ms + 1500 <= record.due_ms <= store.now_ms() + 1500
    assert store.live_chains() == [(THREAD, record.due_ms)]
    assert client.lindex(QUEUE, 0) == "1:3"
    assert [line for _, line in store.read_journal()] == ['{"n":1}', '{"n":2}']
    assert store.faults() == ['{"check":"I4"}']
    assert store.outbox(POOL) == {"new": f'{{"amount":"{BIG}"}}'}
    assert store.ledger(POOL) == {"deposit_1": '{"owed":"1"}'}
    assert store.policy_text(POOL) == "[]"
    assert store.marks(POOL) == {"G": Mark(name="G", slot=10, value=BIG)}
    assert store.observed_pools() == {POOL: seen}
    assert store.low(POOL) == {f"{THREAD}|token"}
    assert store.counts("operations") == {"deposit.confirmed": 2}
    assert store.command_answer(CommandId("cmd-9")) == '{"ok":true}'
    assert store.open_commands() == []
    assert 0 < client.pttl("frt:sig:Sig1") <= 300_000


def test_a_chain_without_a_next_cycle_ends(store: RedisStore) -> None:
    begun = started_thread(store)
    committed(store, Commit(begun=begun, state="{}", intents="[]"))
    record = store.get_chain(THREAD)
    assert record is not None
    assert not record.live
    assert store.live_chains() == []


def prepared(store: RedisStore) -> Commit:
    """A commit that would be accepted, with everything in it that can be refused."""
    begun = started_thread(store)
    committed(store, going_on(begun, outbox_put=(("e", '{"amount":"5"}'),), policy="[1]"))
    return going_on(
        begin(store, THREAD),
        journal=("{}",),
        faults=("{}",),
        signatures=(Signature("Fresh"), Signature("Fresh2")),
        outbox_put=(("f", "{}"),),
        outbox_take=(("e", '{"amount":"5"}'),),
        require_eligible=(THREAD,),
        records=(("x", "{}"),),
        policy="[2]",
        policy_expected="[1]",
        marks=(Mark(name="G", slot=1, value=1),),
        low=("sol",),
        counts=(("operations", "x", 1),),
    )


def spoil(store: RedisStore, client: Any, commit: Commit, reason: str) -> Commit:
    """Make ``commit`` refusable for one reason, leaving all else as it should be."""
    match reason:
        case "epoch":
            return replace(commit, begun=replace(commit.begun, epoch=3))
        case "superseded":
            return replace(commit, begun=replace(commit.begun, seq=commit.begun.seq + 1))
        case "lease":
            return replace(commit, begun=replace(commit.begun, token="another"))
        case "signature":
            client.set("frt:sig:Fresh2", "1", px=1000)
        case "outbox":
            client.hset("frt:outbox:PoolOne", "e", '{"amount":"6"}')
        case "members":
            client.srem("frt:eligible:PoolOne", THREAD)
        case "policy":
            client.hset("frt:policies", POOL, "[1,1]")
        case "occupied":
            return replace(commit, end_only_if_pool_idle=True)
    return commit


REASONS = ["epoch", "superseded", "lease", "signature", "outbox", "members", "policy", "occupied"]


@pytest.mark.parametrize("reason", REASONS)
def test_a_refused_commit_writes_nothing(store: RedisStore, client: Any, reason: str) -> None:
    commit = spoil(store, client, prepared(store), reason)
    before = dump(client, counters=False)
    assert refused(store.commit(commit)) == reason
    assert dump(client, counters=False) == before
    assert store.counts("cycles")[f"deposit.refused_{reason}"] == 1
    assert store.counts("operations") == {}


def test_what_the_spoilt_commits_start_from_is_accepted(store: RedisStore) -> None:
    committed(store, prepared(store))


def test_an_owed_entry_is_not_overwritten_by_who_does_not_know_it(store: RedisStore) -> None:
    begun = started_thread(store)
    committed(store, going_on(begun, outbox_put=(("e", '{"amount":"5"}'),)))
    commit = going_on(begin(store, THREAD), outbox_put=(("e", '{"amount":"6"}'),))
    assert refused(store.commit(commit)) == "outbox"
    committed(store, replace(commit, outbox_take=(("e", '{"amount":"5"}'),)))
    assert store.outbox(POOL) == {"e": '{"amount":"6"}'}


def test_a_vanished_entry_cannot_be_taken(store: RedisStore) -> None:
    begun = started_thread(store)
    assert refused(store.commit(going_on(begun, outbox_take=(("gone", "{}"),)))) == "outbox"


def test_the_same_commit_again_gets_the_first_answer_and_writes_nothing(store: RedisStore, client: Any) -> None:
    begun = started_thread(store)
    committed(store, going_on(begun, marks=(Mark(name="G", slot=5, value=9),)))
    commit = going_on(
        begin(store, THREAD),
        journal=("{}",),
        signatures=(Signature("S"),),
        marks=(Mark(name="G", slot=6, value=8),),
        status=ThreadStatus.ERROR,
    )
    first = committed(store, commit)
    assert len(first.marks_broken) == 1
    before = dump(client)
    assert store.commit(commit) == first
    assert dump(client) == before


def test_a_lost_answer_is_there_after_the_next_cycle_has_begun(store: RedisStore) -> None:
    commit = going_on(started_thread(store))
    first = committed(store, commit)
    begin(store, THREAD)
    assert store.commit(commit) == first


def test_a_zombie_whose_lease_was_taken_over_is_refused(store: RedisStore) -> None:
    committed(store, going_on(started_thread(store)))
    zombie = begin(store, THREAD, lease_ms=0)
    heir = begin(store, THREAD)
    assert refused(store.commit(going_on(zombie))) == "lease"
    committed(store, going_on(heir))
    assert refused(store.commit(going_on(zombie))) == "superseded"


def test_an_expired_lease_that_nobody_took_still_commits(store: RedisStore) -> None:
    committed(store, going_on(started_thread(store)))
    committed(store, going_on(begin(store, THREAD, lease_ms=0)))


def test_a_status_change_raises_the_generation_and_leaves_the_sets(store: RedisStore) -> None:
    begun = started_thread(store)
    assert store.running(POOL) == store.eligible(POOL) == {THREAD}
    answer = committed(store, Commit(begun=begun, state="{}", intents="[]", status=ThreadStatus.ERROR))
    assert (answer.generation, answer.seq) == (begun.generation + 1, begun.seq + 1)
    assert store.running(POOL) == store.eligible(POOL) == set()


def test_a_stopped_thread_counts_as_running_until_it_has_settled(store: RedisStore) -> None:
    started_thread(store)
    store.place_order(THREAD, order(OrderKind.STOP, "stop-1"), next_message)
    assert (store.running(POOL), store.eligible(POOL)) == ({THREAD}, set())
    begun = begin(store, THREAD)
    committed(store, going_on(begun, order=begun.order))
    assert store.running(POOL) == {THREAD}
    committed(store, going_on(begin(store, THREAD), next=None))
    assert store.running(POOL) == set()


def test_a_thread_takes_payments_again_when_its_empty_order_is_done(store: RedisStore) -> None:
    started = started_thread(store)
    store.place_order(THREAD, order(OrderKind.EMPTY, "empty-1"), next_message)
    assert refused(store.commit(going_on(started))) == "superseded"
    assert (store.running(POOL), store.eligible(POOL)) == ({THREAD}, set())
    begun = begin(store, THREAD)
    committed(store, going_on(begun, order=begun.order))
    assert store.eligible(POOL) == set()
    committed(store, going_on(begin(store, THREAD), order=""))
    assert store.eligible(POOL) == {THREAD}


def test_a_pool_chain_ends_only_when_nothing_is_left_to_do(store: RedisStore) -> None:
    from domain.chains import ChainKind, pool_chain_id

    chain_id = pool_chain_id(ChainKind.SHARE, POOL)
    thread = started_thread(store)
    store.start_chain(chain_id, ChainKind.SHARE, POOL, "", next_message)
    end = Commit(begun=begin(store, chain_id), state="", intents="", end_only_if_pool_idle=True)
    assert refused(store.commit(end)) == "occupied"  # a thread runs
    stopped = Commit(begun=thread, state="", intents="", status=ThreadStatus.STOPPED, outbox_put=(("e", "{}"),))
    committed(store, stopped)
    assert refused(store.commit(end)) == "occupied"  # an entry is owed
    assert refused(store.commit(replace(end, outbox_put=(("f", "{}"),)))) == "occupied"
    # taking the last entry and ending is one step; replacing it is not an end
    replaced = replace(end, outbox_take=(("e", "{}"),), outbox_put=(("e", "[]"),))
    assert refused(store.commit(replaced)) == "occupied"
    committed(store, replace(end, outbox_take=(("e", "{}"),)))
    assert store.live_chains() == []


MARK_CASES = [
    # stored (slot, value), offered, is it a fall?, stored afterwards
    ((10, BIG), (11, BIG), False, (11, BIG)),
    ((10, BIG), (11, BIG + 1), False, (11, BIG + 1)),
    ((10, BIG), (11, BIG - 1), True, (11, BIG - 1)),
    ((10, 9), (11, 10), False, (11, 10)),  # as texts "10" < "9"
    ((9, 5), (10, 4), True, (10, 4)),  # so do slots
    ((10, 10), (11, 9), True, (11, 9)),
    ((10, 2**53), (11, 2**53 + 1), False, (11, 2**53 + 1)),
    ((10, 2**53 + 1), (11, 2**53), True, (11, 2**53)),  # equal as doubles
    ((10, BIG), (9, BIG), False, (10, BIG)),  # an older snapshot
    ((10, BIG), (9, BIG + 1), True, (10, BIG)),  # an older snapshot with more in it
    ((10, 5), (10, 7), False, (10, 7)),  # no order within one slot
    ((10, 7), (10, 5), False, (10, 7)),
    ((10, 0), (11, 0), False, (11, 0)),
]


@pytest.mark.parametrize(("stored", "offered", "fell", "after"), MARK_CASES)
def test_marks_are_compared_in_slot_order_and_exactly(
    store: RedisStore, stored: tuple[int, int], offered: tuple[int, int], fell: bool, after: tuple[int, int]
) -> None:
    begun = started_thread(store)
    first = going_on(begun, marks=(Mark(name="G", slot=stored[0], value=stored[1]),))
    assert committed(store, first).marks_broken == ()
    second = going_on(begin(store, THREAD), marks=(Mark(name="G", slot=offered[0], value=offered[1]),))
    fall = BrokenMark(name="G", stored_slot=stored[0], stored_value=stored[1], slot=offered[0], value=offered[1])
    assert committed(store, second).marks_broken == ((fall,) if fell else ())
    assert store.broken_marks() == ([fall] if fell else [])
    assert store.marks(POOL)["G"] == Mark(name="G", slot=after[0], value=after[1])


def test_each_mark_is_compared_with_its_own_past(store: RedisStore) -> None:
    begun = started_thread(store)
    first = {"I10": (7, 70), "G": (8, 80), "J3": (9, 90)}
    marks = tuple(Mark(name=name, slot=slot, value=value) for name, (slot, value) in first.items())
    committed(store, going_on(begun, marks=marks))
    second = (
        Mark(name="J3", slot=10, value=89),
        Mark(name="new", slot=1, value=1),
        Mark(name="I10", slot=10, value=71),
    )
    (fall,) = committed(store, going_on(begin(store, THREAD), marks=second)).marks_broken
    assert fall == BrokenMark(name="J3", stored_slot=9, stored_value=90, slot=10, value=89)
    values = {name: mark.value for name, mark in store.marks(POOL).items()}
    assert values == {"I10": 71, "G": 80, "J3": 89, "new": 1}


def test_deleting_a_thread_leaves_a_tombstone_and_nothing_else(store: RedisStore, client: Any) -> None:
    begun = started_thread(store, "swap_1")
    committed(store, Commit(begun=begun, state='{"n":2}', intents="[]", status=ThreadStatus.STOPPED, low=("sol",)))
    store.place_order(ThreadId("swap_1"), order(OrderKind.DELETE, "delete-1"), next_message)
    commit = Commit(begun=begin(store, "swap_1"), state="{}", intents="[]", delete_thread=True)
    first = committed(store, commit)
    assert store.commit(commit) == first  # the chain is gone, the answer is not
    (stone,) = store.tombstones()
    assert (stone.thread_id, stone.config.wallet) == ("swap_1", "Wallet-swap_1")
    left = {key for key in dump(client, counters=False) if key != QUEUE}
    assert left == {"frt:farewell:swap_1", "frt:tombstones", "frt:numbers"}
    assert refused(store.begin(ChainId("swap_1"), 3, 3, LEASE_MS)) == "stopped"
    assert refused(store.commit(replace(commit, begun=replace(commit.begun, token="zombie")))) == "superseded"


def test_an_order_overtakes_a_cycle_under_way(store: RedisStore) -> None:
    begun = started_thread(store)
    assert store.place_order(THREAD, order(OrderKind.STOP, "stop-1"), next_message) is ThreadStatus.STOPPED
    assert refused(store.commit(going_on(begun))) == "superseded"
    heir = begin(store, THREAD)
    assert Order.from_text(heir.order) == order(OrderKind.STOP, "stop-1")


NONSENSE = [
    {"outbox_put": (("e", "{}"), ("e", "{}"))},
    {"outbox_take": (("e", "{}"), ("e", "{}"))},
    {"outbox_put": (("e", ""),)},
    {"signatures": (Signature("S"), Signature("S"))},
    {"marks": (Mark(name="a|b", slot=1, value=1),)},
    {"marks": (Mark(name="a", slot=1, value=-1),)},
    {"marks": (Mark(name="a", slot=1, value=1), Mark(name="a", slot=2, value=1))},
    {"delete_thread": True},
]


@pytest.mark.parametrize("changes", NONSENSE)
def test_a_commit_that_contradicts_itself_is_an_error(store: RedisStore, client: Any, changes: dict[str, Any]) -> None:
    begun = started_thread(store)
    before = dump(client)
    with pytest.raises(ValueError, match=r"twice|empty|same|below|deleted"):
        store.commit(going_on(begun, **changes))
    assert dump(client) == before


def test_a_large_commit_is_written_whole(store: RedisStore) -> None:
    begun = started_thread(store)
    entries = tuple((f"entry-{number}", f'{{"amount":"{BIG + number}"}}') for number in range(6000))
    committed(store, going_on(begun, outbox_put=entries, journal=tuple(text for _, text in entries)))
    assert store.outbox(POOL) == dict(entries)
    assert store.journal_length() == 6000
    committed(store, going_on(begin(store, THREAD), outbox_take=entries))
    assert store.outbox(POOL) == {}
