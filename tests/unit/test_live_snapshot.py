"""What the live page is told: a verdict that follows from the counts, notices in words, amounts that stay exact."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from api.live.snapshot import COLUMNS, notices, point, pool_constants, snapshot, verdict
from domain.ids import PoolId
from domain.observed import ObservedPool
from domain.store.counts import Counts
from domain.store.overview import EndpointReport, Heartbeat, Overview, PoolSizes, ThreadGroup
from domain.thread import ThreadKind, ThreadStatus
from tests.support.store_kit import sample_pool

NOW_MS = 1_700_000_000_000
POOL = PoolId("PoolOne")
BIG = 2**120 + 1


def seen(**changes: Any) -> Overview:
    calm = Overview(
        at_ms=NOW_MS,
        counts=Counts(at_s=NOW_MS / 1000),
        groups=(),
        pools=(),
        live_chains=0,
        overdue_ms=0,
        queues={"cycles": 0, "control": 0},
        journal_length=0,
        fault_count=0,
        open_commands=0,
        oldest_command_ms=0,
        core_reserved_lamports=0,
        run={},
        paused=False,
        recovering=False,
        epoch=0,
        heartbeat=Heartbeat(),
    )
    return replace(calm, **changes)


def counted(**counts: Any) -> Overview:
    return seen(counts=Counts(at_s=NOW_MS / 1000, **counts))


def group(status: ThreadStatus, count: int) -> ThreadGroup:
    return ThreadGroup(pool_id=POOL, kind=ThreadKind.DEPOSIT, status=status, count=count)


def test_nothing_submitted_is_no_verdict_and_an_honest_run_passes_so_far() -> None:
    assert verdict(seen()) == {"state": "idle", "reasons": []}
    assert verdict(counted(operations={"deposit.submitted": 1}))["state"] == "pass"
    expected = {"deposit.submitted": 9, "deposit.failed_expected": 9, "swap.expired": 3}
    assert verdict(counted(operations=expected))["state"] == "pass"


@pytest.mark.parametrize(
    ("overview", "reason"),
    [
        (replace(counted(faults={"I4": 2, "J1": 1}), fault_count=3), "3 faults: I4 x2, J1 x1"),
        (seen(fault_count=1), "1 fault"),
        (counted(operations={"share.failed_unexpected": 1}), "1 unexpected failure"),
        (seen(groups=(group(ThreadStatus.ERROR, 1_234),)), "1,234 threads in error"),
    ],
)
def test_each_kind_of_failure_fails_by_its_name(overview: Overview, reason: str) -> None:
    assert verdict(overview) == {"state": "fail", "reasons": [reason]}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"paused": True}, "paused"),
        ({"recovering": True}, "Redis lost data"),
        ({"overdue_ms": 6_000}, "due for 6 s"),
        ({"oldest_command_ms": 31_000}, "open for 31 s"),
        ({"heartbeat": Heartbeat(swept_ms=NOW_MS - 11_000)}, "silent for 11 s"),
        ({"heartbeat": Heartbeat(core_asked_ms=NOW_MS - 31_000)}, "last read 31 s ago"),
    ],
)
def test_what_needs_attention_is_said_in_words(changes: dict[str, Any], text: str) -> None:
    (line,) = notices(seen(**changes))
    assert text in line


def test_an_endpoint_that_does_not_answer_is_named_and_a_calm_service_says_nothing() -> None:
    report = EndpointReport(endpoint="http://a", ok=False, latency_ms=0, backoff_ms=0, error="refused")
    lines = notices(seen(heartbeat=Heartbeat(endpoints=(report, replace(report, ok=True)))))
    assert lines == ["The endpoint http://a does not answer: refused"]
    beat = Heartbeat(swept_ms=NOW_MS - 500, core_asked_ms=NOW_MS - 5_000)
    assert notices(seen(heartbeat=beat, overdue_ms=900, oldest_command_ms=900)) == []


def test_a_snapshot_is_json_with_exact_amounts_and_rates_over_the_window() -> None:
    amounts = dict.fromkeys(ObservedPool.__dataclass_fields__, BIG) | {"slot": 9}
    overview = replace(
        counted(operations={"deposit.submitted": 30, "deposit.confirmed": 20}, errors={"probe.X": 2, "Y": 3}),
        pools=(
            PoolSizes(pool_id=POOL, outbox=1, low=2, running=3),
            PoolSizes(pool_id=PoolId("P2"), outbox=0, low=0, running=0),
        ),
        groups=(group(ThreadStatus.RUNNING, 5),),
        heartbeat=Heartbeat(core_lamports=2**63),
    )
    lately = Counts(at_s=5.0, operations={"deposit.confirmed": 12}, lateness={"deposit": {7: 1}, "command": {99: 50}})
    shown = snapshot(overview, lately, {POOL: ObservedPool(**amounts)})
    assert json.loads(json.dumps(shown)) is not None
    first, second = shown["pools"]
    assert (first["surplus"], first["liquidity_a"], first["running"]) == (str(BIG), str(BIG), 3)
    assert "surplus" not in second, "what nobody saw is not zero"
    assert shown["rates"]["deposit"] == 2.4
    assert shown["lateness_ms"] == {"p50": 7, "p99": 7}
    assert (shown["errors"], shown["refusals"]) == ([("Y", 3)], 2)
    assert shown["core"]["lamports"] == str(2**63)
    row = dict(zip(COLUMNS, point(shown), strict=True))
    assert (row["deposit_per_s"], row["lateness_p99_ms"], row["running"], row["error"]) == (2.4, 7, 5, 0)


def test_no_time_passed_is_no_rate() -> None:
    shown = snapshot(seen(), Counts(at_s=0.0), {})
    assert shown["rates"]["deposit"] is None
    assert shown["lateness_ms"] == {"p50": None, "p99": None}


def test_a_pools_constants_say_how_to_read_its_amounts() -> None:
    (constants,) = pool_constants([sample_pool(decimals_a=9, decimals_b=6, ratio_a=10**9, ratio_b=10**6)])
    assert constants["decimals"] == [9, 6]
    assert constants["ratio"] == "1 Token A = 1 Token B"
