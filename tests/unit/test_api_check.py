"""`frt api-check` tells right answers from wrong ones, by method, and its exit code says which there were."""

from __future__ import annotations

from typing import Any

import pytest

from api.client import CallError, NoAnswer
from api.methods.table import METHODS
from api.openrpc import result_schema
from domain.errors import CommandCode
from ops.api_check.checker import Checker, CheckFailedError
from ops.api_check.run import EXIT_FAILED, EXIT_OK, report

PAUSED = {"status": "paused"}


class Stub:
    """Answers every call with what the test says."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def call(self, method: str, params: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    command = call


def checker(answer: Any) -> Checker:
    return Checker(Stub(answer))  # type: ignore[arg-type]


def lines(check: Checker, failed: list[str] | None = None) -> tuple[int, dict[str, str]]:
    told: list[str] = []
    code = report(check, failed or [], told.append)
    return code, {line.split()[0]: line for line in told}


def test_a_right_answer_counts() -> None:
    check = checker(PAUSED)
    assert check.ok("pause") == PAUSED
    assert "ok" in lines(check)[1]["pause"]


@pytest.mark.parametrize("answer", [{}, {"status": "running"}, {"status": "paused", "more": 1}, [], None])
def test_a_result_that_does_not_fit_its_schema_fails(answer: Any) -> None:
    check = checker(answer)
    with pytest.raises(CheckFailedError, match="schema"):
        check.ok("pause")
    code, told = lines(check)
    assert code == EXIT_FAILED
    assert "FAILED" in told["pause"]


@pytest.mark.parametrize("answer", [CallError("pause", -1005, "no"), NoAnswer("nobody")])
def test_an_error_instead_of_a_result_fails(answer: Exception) -> None:
    with pytest.raises(CheckFailedError):
        checker(answer).ok("pause")


def test_an_expected_error_counts_when_it_is_the_documented_one() -> None:
    check = checker(CallError("get_pool", -1002, "not found", {"pool_id": "x"}))
    assert check.refused("get_pool", -1002, pool_id="x").code == -1002
    with pytest.raises(CheckFailedError, match="expected -1004"):
        check.refused("get_pool", -1004, pool_id="x")
    with pytest.raises(CheckFailedError, match="among"):
        checker(CallError("list_pools", -1002, "not found")).refused("list_pools", -1002)
    with pytest.raises(CheckFailedError, match="the result"):
        checker(PAUSED).refused("pause", -1005)


def test_a_schema_in_another_file_is_found() -> None:
    example = result_schema("list_pools")["examples"][0]
    assert checker(example).ok("list_pools") == example
    with pytest.raises(CheckFailedError, match="threads"):
        checker({"threads": [{}], "summary": {}}).ok("get_all_threads")


def test_a_method_that_nobody_called_fails_the_whole() -> None:
    check = checker(PAUSED)
    check.ok("pause")
    code, told = lines(check)
    assert code == EXIT_FAILED
    assert set(told) == {"FAILED", *(method.name for method in METHODS)}
    assert "never answered" in told["list_pools"]


def test_all_answered_is_a_pass_unless_a_step_failed() -> None:
    check = checker(PAUSED)
    for method in METHODS:
        check.seen[method.name].results = 1
    check.seen["create_pool"].codes = {int(code) for code in CommandCode} - {-1006}
    code, told = lines(check)
    assert code == EXIT_FAILED
    assert "-1006 (CHAIN_UNREACHABLE)" in told["FAILED"]
    check.seen["create_pool"].codes.add(-1006)
    assert lines(check)[0] == EXIT_OK
    assert lines(check, ["fund: no effect"])[0] == EXIT_FAILED
