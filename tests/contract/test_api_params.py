"""Bad input: for every method and every parameter an error that names it, and nothing changes in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from api.methods.table import METHODS
from api.params import MAX_CONSOLIDATED, U64, CommandParams, is_address, names_of
from tests.support.api_kit import POOL_ID, THREAD_ID, UNKNOWN, Api, furnish, make_api

INVALID_PARAMS = -32602
HUGE = 10**30

# Parameters with which the method is accepted, apart from the command_id that every command takes as well.
VALID: dict[str, dict[str, Any]] = {
    "create_pool": {
        "token_a_decimals": 9,
        "token_b_decimals": 6,
        "ratio_whole_number": 160,
        "ratio_direction": "a_to_b",
        "exact_exchange": False,
    },
    "list_pools": {},
    "pause_pool": {"pool_id": POOL_ID, "liquidity": True, "swaps": False},
    "unpause_pool": {"pool_id": POOL_ID, "liquidity": True, "swaps": False},
    "set_swap_owner_only": {"pool_id": POOL_ID, "enable": True, "owner": "1" * 32},
    "update_pool_fees": {"pool_id": POOL_ID, "liquidity_fee": 100_000, "swap_fee": 10_000},
    "consolidate_pool_fees": {"pool_ids": [POOL_ID]},
    "create_deposit_thread": {
        "pool_id": POOL_ID,
        "token_type": "A",
        "initial_amount": U64,
        "auto_refill": True,
        "share_lp_tokens": False,
    },
    "create_withdrawal_thread": {"pool_id": POOL_ID, "token_type": "B", "share_tokens": False},
    "create_swap_thread": {"pool_id": POOL_ID, "direction": "b_to_a", "initial_amount": 0},
    "start_thread": {"thread_id": THREAD_ID},
    "stop_thread": {"thread_id": THREAD_ID},
    "delete_thread": {"thread_id": THREAD_ID},
    "empty_thread": {"thread_id": THREAD_ID},
    "get_thread_status": {"thread_id": THREAD_ID},
    "get_all_threads": {},
    "get_pool": {"pool_id": POOL_ID},
    "list_threads": {"pool_id": POOL_ID, "kind": "deposit", "status": "created", "token_type": "A", "limit": 5},
    "get_thread_sessions": {"thread_id": THREAD_ID, "limit": 3},
    "core_wallet_status": {},
    "get_faults": {"limit": 5, "offset": 3, "order": "oldest", "evidence": False},
    "get_journal": {"limit": 5, "order": "newest", "kind": "deposit", "event": "settled", "pool_id": POOL_ID},
    "create_pool_random": {"exact_exchange": True},
    "fund_thread": {"thread_id": THREAD_ID, "funding_type": "token_a", "amount": U64},
    "mint_and_send_tokens": {
        "pool_id": POOL_ID,
        "token_type": "B",
        "recipient_address": "1" * 32,
        "amount": 1,
    },
    "airdrop_sol": {"amount": 9 * 10**15, "thread_id": THREAD_ID},
    "create_threads": {
        "count": 1_000,
        "template": {"kind": "deposit", "pool_id": POOL_ID, "token_type": "A", "initial_amount": 5},
    },
    "start_threads": {"thread_ids": [THREAD_ID, UNKNOWN]},
    "stop_threads": {"pool_id": POOL_ID},
    "delete_threads": {"all": True},
    "stop_all_pool_threads": {"pool_id": POOL_ID},
    "stop_all": {},
    "stop_service": {},
    "pause": {},
    "resume": {},
    "run_audit": {},
    "rpc.discover": {},
    "get_command": {"command_id": "some-command"},
}
COMMANDS = sorted(method.name for method in METHODS if issubclass(method.params, CommandParams))

NO_NUMBER = (None, True, 1.0, 1.5, "1", "", [1], {"a": 1}, -1, -HUGE, HUGE)
NO_BOOL = (None, 0, 1, "true", "", [], {}, 1.0, HUGE)
NO_TEXT = (None, 1, True, 1.5, [], ["A"], {}, HUGE, "", "x" * 129)
NO_LIST = (None, True, 1, "x", {}, [], [1], [None], [[]], [""], HUGE)
NEW_THREAD: dict[str, Any] = {"kind": "deposit", "pool_id": POOL_ID, "token_type": "A", "initial_amount": 5}
NO_CHOICE = (*NO_TEXT, "a", "C", "A ", "A_TO_B")
WRONG: dict[str, tuple[Any, ...]] = {
    "token_a_decimals": (*NO_NUMBER, 10, U64),
    "token_b_decimals": (*NO_NUMBER, 10, U64),
    "ratio_whole_number": (*NO_NUMBER, 0, U64 + 1),
    "ratio_direction": NO_CHOICE,
    "ratio_a": (*NO_NUMBER, 0, U64 + 1),
    "ratio_b": (*NO_NUMBER, 0, U64 + 1),
    "exact_exchange": NO_BOOL,
    "pool_id": (*NO_TEXT, "lone surrogate \ud800"),
    "thread_id": (*NO_TEXT, "lone surrogate \ud800"),
    "token_type": NO_CHOICE,
    "direction": NO_CHOICE,
    "initial_amount": (*NO_NUMBER, U64 + 1),
    "auto_refill": NO_BOOL,
    "share_lp_tokens": NO_BOOL,
    "share_tokens": NO_BOOL,
    "liquidity": NO_BOOL,
    "swaps": NO_BOOL,
    "enable": NO_BOOL,
    "threads": (*NO_LIST, [NEW_THREAD | {"kind": "probe"}], [NEW_THREAD | {"command_id": "c"}], [NEW_THREAD] * 1_001),
    "count": (*NO_NUMBER, 0, 1_001),
    "template": (*NO_TEXT, [NEW_THREAD], NEW_THREAD | {"initial_amount": -1}, {"kind": "swap", "pool_id": POOL_ID}),
    "thread_ids": (*NO_LIST, [THREAD_ID] * 2, [f"t{n}" for n in range(1_001)]),
    "all": (None, False, 1, "true", [True], {}),
    "funding_type": (*NO_CHOICE, "lp_a", "SOL"),
    "amount": (*NO_NUMBER, 0, U64 + 1),
    "recipient_address": (*NO_TEXT, "0" * 32, "1" * 31, "z" * 44, "l" * 43),
    "owner": (*NO_TEXT, "0" * 32, "1" * 31, "z" * 44, "l" * 43),
    "liquidity_fee": (*NO_NUMBER, 99_999, 100_000_001),
    "swap_fee": (*NO_NUMBER, 9_999, 10_000_001),
    "pool_ids": (None, True, 1, "x", {}, [], [1], [None], [[]], [""], ["p"] * 2, [f"p{n}" for n in range(21)], HUGE),
    "kind": NO_CHOICE,
    "status": NO_CHOICE,
    "order": NO_CHOICE,
    "event": NO_CHOICE,
    "limit": (*NO_NUMBER, 0, 10_001),
    "offset": (*NO_NUMBER, 2**31 + 1),
    "evidence": NO_BOOL,
    "cursor": (*NO_TEXT, "n0", "x0.1-1", "n-1.1-1", "nend.1", "o5.1-1 ", f"o0.{10**20}-0"),
    "command_id": (*NO_TEXT, "x" * 65, "with space", "new\nline", "slash/"),
}


@pytest.fixture(name="api", scope="module")
def api_fixture() -> Iterator[Api]:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    api = make_api(client)
    furnish(api.store)
    yield api
    client.close()


def refused(api: Api, method: str, params: Any, field: str) -> None:
    before = api.dump()
    error = api.error(method, params)
    assert error["code"] == INVALID_PARAMS, error
    assert field in {found["field"].split(".")[0] for found in error["data"]["errors"]}, error
    assert field in error["message"]
    assert api.dump() == before


def test_the_matrix_covers_every_method_and_parameter() -> None:
    assert set(VALID) == {method.name for method in METHODS}
    for method in METHODS:
        assert set(names_of(method.params)) <= set(WRONG)


CASES = [
    pytest.param(method.name, name, value, id=f"{method.name}-{name}-{number}")
    for method in METHODS
    for name in names_of(method.params)
    for number, value in enumerate(WRONG[name])
    # any text is a good id to look a command up by
    if not (method.name == "get_command" and isinstance(value, str) and 0 < len(value) < 129)
]


@pytest.mark.parametrize(("method", "name", "value"), CASES)
def test_a_wrong_value_is_refused_by_name(api: Api, method: str, name: str, value: Any) -> None:
    params = VALID[method] | {name: value}
    if name in ("ratio_a", "ratio_b"):
        params = {"ratio_a": 1, "ratio_b": 1, name: value}
    refused(api, method, params, name)


REQUIRED = [
    (method.name, name)
    for method in METHODS
    for name, field in method.params.model_fields.items()
    if field.is_required()
]


@pytest.mark.parametrize(("method", "name"), REQUIRED)
def test_a_missing_parameter_is_named(api: Api, method: str, name: str) -> None:
    refused(api, method, {key: value for key, value in VALID[method].items() if key != name}, name)


def test_required_is_what_the_design_does_not_call_optional() -> None:
    assert ("create_deposit_thread", "initial_amount") in REQUIRED
    assert ("create_swap_thread", "direction") in REQUIRED
    assert [name for method, name in REQUIRED if method == "create_pool"] == []
    assert [name for method, name in REQUIRED if method == "create_withdrawal_thread"] == ["pool_id", "token_type"]


@pytest.mark.parametrize("method", sorted(VALID))
def test_unknown_names_are_refused(api: Api, method: str) -> None:
    refused(api, method, VALID[method] | {"surprise": 1}, "surprise")
    refused(api, method, VALID[method] | {"": None}, "")
    refused(api, method, VALID[method] | {"\ud800": 1}, r"\ud800")


@pytest.mark.parametrize("method", sorted(VALID))
@pytest.mark.parametrize("params", [1, "text", True, 1.5, "null"])
def test_parameters_are_an_object_or_an_array(api: Api, method: str, params: Any) -> None:
    before = api.dump()
    status, answer = api.post(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": None if params == "null" else params}
    )
    assert status == 200
    assert answer["error"]["code"] == INVALID_PARAMS
    assert answer["error"]["data"]["field"] == "params"
    assert api.dump() == before


@pytest.mark.parametrize("method", sorted(VALID))
def test_surplus_positional_parameters_are_refused(api: Api, method: str) -> None:
    names = names_of(next(one.params for one in METHODS if one.name == method))
    refused(api, method, ["x"] * (len(names) + 1), "params")


@pytest.mark.parametrize("method", COMMANDS)
def test_positional_parameters_are_the_named_ones_in_order(api: Api, method: str) -> None:
    """Each position is checked as the parameter of that name: a wrong value there is refused under its name."""
    names = names_of(next(one.params for one in METHODS if one.name == method))
    for position, name in enumerate(names):
        refused(api, method, [*("x" for _ in range(position)), {"no": "value"}], name)


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("create_deposit_thread", {"initial_amount": 0, "auto_refill": True}, "auto_refill"),
        ("update_pool_fees", {"liquidity_fee": ..., "swap_fee": ...}, "liquidity_fee"),
        ("pause_pool", {"liquidity": False, "swaps": False}, "liquidity"),
        ("unpause_pool", {"liquidity": False, "swaps": False}, "liquidity"),
        ("create_pool", {"ratio_whole_number": ..., "ratio_direction": ..., "ratio_a": 5}, "ratio_b"),
        ("create_pool", {"ratio_whole_number": ..., "ratio_direction": ..., "ratio_b": 5}, "ratio_a"),
        ("create_pool", {"ratio_direction": ..., "ratio_a": 5, "ratio_b": 5}, "ratio_whole_number"),
        ("create_pool", {"ratio_whole_number": ..., "ratio_a": 5, "ratio_b": 5}, "ratio_direction"),
        ("create_pool", {"ratio_whole_number": U64}, "ratio_whole_number"),  # 10^6 times that leaves u64
        (
            "create_pool",  # engineering ratio: the program refuses it with Custom(1049)
            {"ratio_whole_number": ..., "ratio_direction": ..., "ratio_a": 3 * 10**9, "ratio_b": 7 * 10**6},
            "ratio_a",
        ),
    ],
)
def test_values_that_do_not_go_together(api: Api, method: str, params: dict[str, Any], field: str) -> None:
    given = VALID[method] | params
    refused(api, method, {name: value for name, value in given.items() if value is not ...}, field)


@pytest.mark.parametrize(
    ("method", "field", "code"),
    [
        ("pause_pool", "pool_id", -1002),
        ("unpause_pool", "pool_id", -1002),
        ("set_swap_owner_only", "pool_id", -1002),
        ("update_pool_fees", "pool_id", -1002),
        ("create_deposit_thread", "pool_id", -1002),
        ("create_withdrawal_thread", "pool_id", -1002),
        ("create_swap_thread", "pool_id", -1002),
        ("start_thread", "thread_id", -1004),
        ("stop_thread", "thread_id", -1004),
        ("delete_thread", "thread_id", -1004),
        ("empty_thread", "thread_id", -1004),
        ("get_thread_status", "thread_id", -1004),
        ("get_command", "command_id", INVALID_PARAMS),
    ],
)
@pytest.mark.parametrize("unknown", [UNKNOWN, "ABC123...", "\u0000", "💥" * 100, "../etc", "PoolOne:", " PoolOne"])
def test_an_unknown_id_has_its_own_code(api: Api, method: str, field: str, code: int, unknown: str) -> None:
    before = api.dump()
    error = api.error(method, VALID[method] | {field: unknown})
    assert error["code"] == code
    if code != INVALID_PARAMS:
        assert error["data"] == {field: unknown}
        assert unknown in error["message"]
    assert api.dump() == before


def test_one_unknown_pool_among_many_refuses_a_consolidation(api: Api) -> None:
    before = api.dump()
    error = api.error("consolidate_pool_fees", {"pool_ids": [POOL_ID, UNKNOWN]})
    assert (error["code"], error["data"]) == (-1002, {"pool_id": UNKNOWN})
    assert api.dump() == before


def test_deeply_nested_values_are_refused_by_name(api: Api) -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    refused(api, "start_thread", {"thread_id": deep}, "thread_id")
    refused(api, "consolidate_pool_fees", {"pool_ids": deep}, "pool_ids")
    refused(api, "list_pools", {"deep": deep}, "deep")


def test_an_answer_to_bad_input_stays_small_and_shows_no_value(api: Api) -> None:
    secret = "s3cret-" + "x" * 500
    error = api.error("start_thread", {f"name{n}": secret for n in range(1_000)} | {"n" * 10_000: 1})
    assert secret[:7] not in str(error)
    assert len(str(error)) < 4_000


@pytest.mark.parametrize("method", COMMANDS)
def test_what_is_valid_is_sent(api: Api, method: str) -> None:
    """The counterpart of all the above: the same parameters, unchanged, are accepted and registered."""
    before = {command_id for command_id, _ in api.store.open_commands()}
    assert api.error(method, VALID[method])["code"] == -1009
    sent = {command_id for command_id, _ in api.store.open_commands()} - before
    assert len(sent) == 1
    record = api.store.command(sent.pop())
    assert record is not None
    assert record.method == method


def test_addresses() -> None:
    assert is_address("4aeVqtWhrUh6wpX8acNj2hpWXKEQwxjA3PYb2sHhNyCn")
    assert is_address("1" * 32)
    assert not is_address("1" * 33)
    assert not is_address("4aeVqtWhrUh6wpX8acNj2hpWXKEQwxjA3PYb2sHhNyC")
    assert not is_address("O" * 43)
    assert MAX_CONSOLIDATED == 20
