"""get_thread_sessions: from files and from what has none yet, also of a deleted thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from domain.files.sessions import SessionFiles
from domain.session import session_record
from domain.thread import ThreadStatus
from tests.support.api_kit import THREAD_ID, Api, furnish, make_api
from tests.support.files_kit import busy_state
from tests.support.store_kit import begin, committed, going_on, started_thread, thread_config

MINUTE_MS = 60_000


@pytest.fixture(name="api")
def api_fixture(tmp_path) -> Iterator[Api]:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    yield make_api(client, data_dir=tmp_path)
    client.close()


def record(number: int, *, exact: bool = True) -> dict[str, Any]:
    state = busy_state(session_started_at_ms=1_700_000_000_000 + number * MINUTE_MS)
    end_ms = state.session_started_at_ms + 13_885_000
    config = thread_config(THREAD_ID)
    opening = json.dumps({"balances": {}, "slot": 3, "exact": exact})
    ledger = {f"session:{THREAD_ID}": opening}
    return session_record(config, state, ledger, end_ms=end_ms, reason="manual", exact=True)


def test_sessions_of_files_and_of_redis_are_one_list(api, tmp_path):
    begun = started_thread(api.store, THREAD_ID)
    for number in (1, 2):
        SessionFiles(tmp_path).save(record(number))
    committed(api.store, going_on(begun, session=json.dumps(record(3, exact=False))))
    found = api.result("get_thread_sessions", {"thread_id": THREAD_ID})
    assert found["thread_id"] == THREAD_ID
    starts = [session["start_time"] for session in found["sessions"]]
    assert starts == ["2023-11-14T22:16:20Z", "2023-11-14T22:15:20Z", "2023-11-14T22:14:20Z"]
    newest = found["sessions"][0]
    assert newest["session_file"] == "session_2023-11-14_22-16-20.json"
    assert (newest["duration_seconds"], newest["end_time"]) == (13_885, "2023-11-15T02:07:45Z")
    assert (newest["start_reason"], newest["stop_reason"]) == ("manual_start", "manual_stop")
    assert newest["verification_summary"]["pool_verification_passed"] is None
    checked = found["sessions"][1]["verification_summary"]
    spent = busy_state().session.spent
    assert checked == {
        "successful_operations": 7,
        "total_tokens_processed": spent,
        "total_fees_paid": 11,
        "pool_verification_passed": False,  # these made-up balances do not add up
    }
    assert len(api.result("get_thread_sessions", {"thread_id": THREAD_ID, "limit": 2})["sessions"]) == 2


def test_a_thread_without_sessions_has_none_and_an_unknown_one_is_an_error(api):
    furnish(api.store)
    assert api.result("get_thread_sessions", {"thread_id": THREAD_ID})["sessions"] == []
    for unknown in ("deposit_9", "../../etc/passwd", "deposit_1/../deposit_1"):
        assert api.error("get_thread_sessions", {"thread_id": unknown})["code"] == -1004


def test_a_deleted_threads_sessions_are_answered(api, tmp_path):
    started_thread(api.store, THREAD_ID)
    SessionFiles(tmp_path).save(record(1))
    record_ = api.store.get_chain(THREAD_ID)
    api.redis.hset(f"frt:chain:{THREAD_ID}", "lease_token", "")
    assert record_ is not None
    gone = going_on(begin(api.store, THREAD_ID), status=ThreadStatus.DELETED, next=None, delete_thread=True)
    committed(api.store, gone)
    assert len(api.result("get_thread_sessions", {"thread_id": THREAD_ID})["sessions"]) == 1
