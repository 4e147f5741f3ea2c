"""The documents of the data folder: the documented fields, and the very same values back."""

from __future__ import annotations

import json

import fakeredis
import pytest

from domain.documents import DocumentError, build, errors_of, values_of
from domain.files.writing import from_bytes, to_bytes
from domain.store.gateway import RedisStore
from tests.support.files_kit import WALLETS, furnish_store
from tests.support.store_kit import BIG


@pytest.fixture(name="values", scope="module")
def values_fixture():
    store = RedisStore(fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2))))
    furnish_store(store)
    return store.snapshot().values


def test_the_values_come_back_as_they_were_also_through_a_file(values):
    documents = build(values)
    assert values_of(documents) == values
    assert values_of({name: from_bytes(to_bytes(document)) for name, document in documents.items()}) == values


def test_a_thread_has_the_documented_fields(values):
    threads = build(values)["threads"]["threads"]
    one, two = threads["deposit_1"], threads["swap_3"]
    assert {name: one[name] for name in ("thread_id", "thread_type", "pool_id", "token_type", "swap_direction")} == {
        "thread_id": "deposit_1",
        "thread_type": "deposit",
        "pool_id": "PoolOne",
        "token_type": "A",
        "swap_direction": None,
    }
    assert one["status"] == "running"
    assert one["initial_amount"] == BIG
    assert one["created_at"] == "2023-11-14T22:13:20Z"
    assert one["last_operation_at"] == "2023-11-14T22:15:23Z"
    assert one["chain"]["intents"] == [{"id": "deposit_1/9", "n": 9, "sig": "Sig", "wire": "AAAA"}]
    assert (two["token_type"], two["swap_direction"], two["last_operation_at"]) == (None, "a_to_b", None)


def test_keys_stand_there_sealed_only(values):
    text = json.dumps(build(values))
    for wallet in WALLETS.values():
        assert str(wallet) not in text
        assert bytes(wallet).hex() not in text
        assert json.dumps(list(bytes(wallet))) not in text
    assert build(values)["threads"]["threads"]["deposit_1"]["wallet_keypair"].startswith("v1:")


def test_statistics_are_the_sessions_and_the_lifetimes(values):
    found = build(values)["statistics"]["statistics"]["deposit_1"]
    assert (found["successful_deposits"], found["failed_operations"], found["total_volume_processed"]) == (7, 2, BIG)
    assert found["successful_swaps"] == 0
    assert found["verification_totals"] == {
        "tokens_deposited": BIG,
        "lp_tokens_received": BIG - 1,
        "lp_tokens_shared": 4,
        "tokens_received": 6,
        "tokens_refilled": 0,
        "pool_fees_paid": 11,
        "network_fees_paid": 0,
        "total_sol_spent": 11,
    }
    assert found["lifetime"]["successful_deposits"] == 10


def test_pools_have_the_documented_fields_and_what_they_hold(values):
    documents = build(values)["pools"]
    pool = documents["pools"]["PoolOne"]
    assert (pool["ratio_a_numerator"], pool["ratio_b_denominator"]) == (2**64 - 1, 1)
    assert (pool["token_a_mint"], pool["token_a_decimals"]) == ("PoolOne-mint_a", 9)
    assert pool["created_at"] == "2023-11-14T22:13:20Z"
    assert pool["held"]["outbox"].keys() == {"deposit_1/8"}
    assert list(documents["archived_pools"]) == ["Gone"]


def test_building_leaves_the_values_alone(values):
    before = json.dumps(values)
    build(values)
    assert json.dumps(values) == before


def test_the_error_history_is_a_document_of_its_own(values):
    found = errors_of(build(values)["statistics"])
    assert found["swap_3"] == {"thread_id": "swap_3", "errors": []}
    assert [error["error_message"] for error in found["deposit_1"]["errors"]] == ["first", "second"]
    first = found["deposit_1"]["errors"][0]
    assert (first["timestamp"], first["operation_type"]) == ("2023-11-14T22:13:20Z", "deposit")


def test_documents_that_do_not_belong_together_are_refused(values):
    documents = build(values)
    del documents["statistics"]["statistics"]["swap_3"]
    with pytest.raises(DocumentError, match="do not belong together"):
        values_of(documents)
