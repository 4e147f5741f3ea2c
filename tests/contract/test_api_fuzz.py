"""20,000 random requests against the real application and a real Redis: nothing breaks, nothing wrong has an effect."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from api.errors import RpcError
from api.methods.table import METHODS
from api.params import bind
from domain.ids import CommandId
from domain.store.client import connect
from domain.store.keys import CONTROL_QUEUE, Keys
from tests.contract.test_api_params import VALID
from tests.support.api_kit import Api, furnish, make_api
from tests.support.fuzz import Fuzz, Shot
from tests.support.redis_server import redis_server

SEED = 20_260_115
REQUESTS = 20_000
COMPARED_EVERY = 1_000
KEYS = Keys()
OF_COMMANDS = ("command:", KEYS.named("open-commands"), KEYS.named("due"), KEYS.queue(CONTROL_QUEUE))
CHANGING = {method.name: method for method in METHODS if method.changes}
LARGEST_BODY = 262_144


@pytest.fixture(name="api", scope="module")
def api_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder: Path = tmp_path_factory.mktemp("data")
    with redis_server() as url:
        client = connect(url)
        api = make_api(
            client,
            max_waiting_requests=0,  # nobody carries commands out here: an accepted one is answered at once
            rate_limit_reads=0,
            rate_limit_changes=0,
            data_dir=folder,
            max_body_bytes=LARGEST_BODY,
            audit_log="all",
        )
        furnish(api.store)
        yield api
        client.close()


def acceptable(call: Any) -> bool:
    """Would the method's model take this call, and is it one that changes something?"""
    if not isinstance(call, dict) or call.get("jsonrpc") != "2.0":
        return False
    method = CHANGING.get(call.get("method")) if isinstance(call.get("method"), str) else None
    if method is None:
        return False
    try:
        bind(method.params, call.get("params", {}))
    except RpcError:
        return False
    return True


def steady(api: Api) -> dict[str, Any]:
    """Everything in Redis but what commands that were accepted stand in; those are counted one by one."""
    return {key: value for key, value in api.dump().items() if not any(part in key for part in OF_COMMANDS)}


def check_answer(answer: Any) -> str:
    """One answer object, by the letter of the specification; what kind it is."""
    assert isinstance(answer, dict), answer
    assert answer["jsonrpc"] == "2.0"
    assert "id" in answer
    assert ("result" in answer) != ("error" in answer), answer
    assert set(answer) <= {"jsonrpc", "id", "result", "error"}
    if "result" in answer:
        return "result"
    error = answer["error"]
    assert set(error) <= {"code", "message", "data"}
    assert isinstance(error["code"], int)
    assert isinstance(error["message"], str)
    assert error["code"] not in (-32603, -32000), answer
    return str(error["code"])


def fire(api: Api, shot: Shot) -> tuple[int, list[str]]:
    """Status, and the kinds of the answers."""
    response = api.client.open(
        "/rpc",
        method=shot.verb,
        data=shot.body,
        headers={"Content-Type": shot.content_type.encode("utf-8").decode("latin-1")},
    )
    data = response.get_data()
    assert response.status_code < 500, (shot, data[:500])
    assert b"Traceback" not in data
    assert b"site-packages" not in data
    if not data or shot.verb in ("OPTIONS", "HEAD"):
        assert response.status_code == 204 or shot.verb != "POST", shot
        return response.status_code, []
    answers = json.loads(data)
    if isinstance(answers, list):
        assert answers, "an empty list answers nothing"
        return response.status_code, [check_answer(one) for one in answers]
    return response.status_code, [check_answer(answers)]


@pytest.mark.timeout(400)  # takes 20 s of a core; a busy machine may give it less than one
def test_nothing_breaks_and_nothing_wrong_has_an_effect(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    fuzz = Fuzz(SEED, VALID)
    statuses: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    accepted = 0
    before = steady(api)
    with structlog.testing.capture_logs() as logged, caplog.at_level(logging.WARNING):
        for number in range(REQUESTS):
            shot = fuzz.shot()
            status, answered = fire(api, shot)
            statuses[status] += 1
            kinds.update(answered)
            taken = int(api.redis.zcard(KEYS.named("open-commands"))) - accepted
            assert taken <= sum(acceptable(call) for call in shot.calls), shot
            accepted += taken
            if number % COMPARED_EVERY == 0:
                assert steady(api) == before
    assert steady(api) == before
    assert len(list(api.redis.scan_iter("frt:command:*"))) == accepted
    loud = [entry for entry in logged if entry.get("exc_info") or entry["log_level"] in ("error", "critical")]
    assert loud == []
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []
    # It was a real hail: every kind of answer came, and some of what was sent was right.
    assert kinds["result"] > 1_000
    assert accepted > 20
    assert {"-32700", "-32600", "-32601", "-32602", "-1002", "-1004", "-1009"} <= set(kinds)
    assert {200, 204, 405, 415} <= set(statuses)


def test_an_accepted_command_is_seen_by_the_comparison(api: Api) -> None:
    """The judge judged: what was right does change something, and the same dump tells."""
    before = api.dump()
    answer = api.error("start_thread", {"thread_id": "deposit_1", "command_id": "by-hand"})
    assert answer["code"] == -1009
    assert api.dump() != before
    assert api.store.command(CommandId("by-hand")) is not None


@pytest.mark.parametrize("size", [LARGEST_BODY, LARGEST_BODY + 1, 4 * LARGEST_BODY])
def test_a_body_beyond_the_limit_is_refused(api: Api, size: int) -> None:
    head, tail = b'{"jsonrpc":"2.0","id":1,"method":"list_pools","params":{"x":"', b'"}}'
    status, answered = fire(api, Shot(body=head + b"y" * (size - len(head) - len(tail)) + tail))
    assert (status, answered) == ((413, ["-32600"]) if size > LARGEST_BODY else (200, ["-32602"]))
