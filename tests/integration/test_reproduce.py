"""A seeded bug's fault is carried out again from its record: it occurs, and with the true program it does not."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from domain.files.faults import FaultFile
from ops.localnet.program.build import PROGRAM_SO, build
from ops.reproduce.recorded import PROGRAM
from ops.reproduce.run import reproduce
from tests.support.driver import Driver, driver

AMOUNT = 10**12


def started(running: Driver) -> str:
    """A pool with one thread of each kind at work."""
    given = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
    pool_id = running.call("create_pool", **given)["pool_id"]
    created = [
        running.call("create_deposit_thread", pool_id=pool_id, token_type=side, initial_amount=AMOUNT) for side in "AB"
    ]
    created += [running.call("create_withdrawal_thread", pool_id=pool_id, token_type=side) for side in "AB"]
    created += [
        running.call("create_swap_thread", pool_id=pool_id, direction=direction, initial_amount=AMOUNT)
        for direction in ("a_to_b", "b_to_a")
    ]
    for one in created:
        running.call("start_thread", thread_id=one["thread_id"])
    return pool_id


def recorded(running: Driver, folder: Path, check: str) -> int:
    """Wait for a fault of this check with what a reproduction needs; write all of them down; its number."""

    def number_of() -> int:
        for number, text in enumerate(running.runtime.store.faults(), 1):
            fault = json.loads(text)
            evidence = fault["evidence"]
            if fault["check"] == check and (evidence.get("execution") or evidence.get("suspects")):
                return number
        return 0

    number = running.until(number_of, f"a fault {check}", 90)
    FaultFile(folder).append(running.runtime.store.fault_count(), running.runtime.store.faults)
    return int(number)


def carried_out(folder: Path, number: int | None, program: Path | None = None) -> tuple[int, str]:
    text = io.StringIO()
    code = reproduce(folder, Console(file=text, width=200), fault=number, program=program)
    return code, text.getvalue()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (6, "SWP-fee"),  # an operation's own receipt
        (14, "DEP-tokens"),
        (10, "J1"),  # a snapshot: the transaction that broke it has to be found
        (21, "PROBE-admin.pause.stranger"),
        (8, "ADMIN-update_pool_fees"),  # what an administrative step left in the pool
    ],
)
def test_a_mutants_fault_occurs_again_and_not_with_the_true_program(tmp_path, mutant, check):
    program = build(tmp_path / PROGRAM, mutant)
    with driver(tmp_path, program=program) as running:
        pool_id = started(running)
        if check.startswith("ADMIN-"):
            running.call("update_pool_fees", pool_id=pool_id, liquidity_fee=7_000_000, swap_fee=300_000)
        number = recorded(running, tmp_path, check)
    code, text = carried_out(tmp_path, number)
    assert code == 99, text
    assert f"BROKEN {check}: " in text
    assert f"{check} is reproduced" in text
    assert "recorded was" not in text, text
    assert "Program log" in text or "invoke [1]" in text
    code, text = carried_out(tmp_path, number, PROGRAM_SO)
    assert code == 0, text
    assert f"{check} does not occur" in text
    assert carried_out(tmp_path, None)[0] == 99  # without a number the first that can be carried out


@pytest.mark.timeout(240)
def test_accounts_that_were_wrong_before_are_said_so(tmp_path):
    """Bug 8 stores the liquidity fee as the swap fee; the swap that pays it is not to blame, with either program."""
    program = build(tmp_path / PROGRAM, 8)
    with driver(tmp_path, program=program) as running:
        pool_id = started(running)
        running.call("update_pool_fees", pool_id=pool_id, liquidity_fee=15_000_000, swap_fee=300_000)
        number = recorded(running, tmp_path, "SWP-fee")
    for tried in (None, PROGRAM_SO):
        code, text = carried_out(tmp_path, number, tried)
        assert code == 99, text
        assert "already broken before this transaction, so look at an earlier fault: I9: swap_fee 15000000" in text


@pytest.mark.timeout(240)
def test_a_cluster_has_no_past_of_its_accounts_and_the_estimate_serves(tmp_path):
    """There the accounts are those of now, set back by the balances that the transaction's meta tells."""
    program = build(tmp_path / PROGRAM, 6)
    with driver(tmp_path, program=program) as running:
        running.runtime.settings = running.runtime.settings.model_copy(update={"local_chain": False})
        started(running)
        number = recorded(running, tmp_path, "SWP-fee")
    code, text = carried_out(tmp_path, number)
    assert code == 99, text
    assert "an estimate" in text
    code, text = carried_out(tmp_path, number, PROGRAM_SO)
    assert code == 0, text
