"""What `frt reproduce` reads, what it chooses, and what it says where nothing can be carried out again."""

from __future__ import annotations

import io
import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from rich.console import Console

from domain.chain import program
from domain.chain.rewind import rewound
from domain.errors import StressError
from domain.faults import Fault
from ops.reproduce.recorded import choose, read_recorded
from ops.reproduce.run import reproduce
from tests.support.rules import make_pool

SNAPSHOT = {
    "check": "I4-G",
    "message": "I4-G fell from 9 at slot 3 to 8 at slot 4",
    "slot": 4,
    "evidence": {"stored": "9", "seen": "8"},
}
OWN = {
    "check": "SWP-fee",
    "message": "charged too much",
    "signature": "Sig",
    "slot": 5,
    "evidence": {"execution": {"a": 1}},
}
VIOLATION = {
    "id": "AUDIT-J5",
    "check": "AUDIT-J5",
    "message": "the treasury's lamports are not what was paid in",
    "expected": "100",
    "actual": "99",
    "evidence": {},
}


def report(folder, faults: list[dict], violations: list[dict]) -> None:
    document = {"faults": {"listed": faults}, "audit": {"violations": violations}}
    (folder / "report.json").write_text(json.dumps(document))


def said(folder, **options: Any) -> tuple[int, str]:
    text = io.StringIO()
    return reproduce(folder, Console(file=text, width=200), **options), text.getvalue()


def test_faults_come_before_the_audits_violations_and_are_numbered_from_one(tmp_path):
    report(tmp_path, [SNAPSHOT, OWN], [VIOLATION])
    assert [(one.number, one.check) for one in read_recorded(tmp_path)] == [
        (1, "I4-G"),
        (2, "SWP-fee"),
        (3, "AUDIT-J5"),
    ]


def test_the_first_that_can_be_carried_out_is_chosen_and_a_number_goes_before(tmp_path):
    report(tmp_path, [SNAPSHOT, OWN], [VIOLATION])
    recorded = read_recorded(tmp_path)
    assert choose(recorded, None).check == "SWP-fee"
    assert choose(recorded, 3).check == "AUDIT-J5"
    for number in (0, 4, -1):
        with pytest.raises(StressError, match=f"--fault {number}: this run recorded 3"):
            choose(recorded, number)


def test_the_data_folder_of_a_service_is_read_where_there_is_no_report(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "faults.jsonl").write_text(Fault(check="J1", message="short", slot=7).to_text() + "\n")
    assert [one.check for one in read_recorded(tmp_path)] == ["J1"]
    assert [one.check for one in read_recorded(tmp_path / "data")] == ["J1"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"faults":{"listed":[]}}'])
def test_a_folder_without_a_fault_is_said_so(tmp_path, content):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(StressError, match=r"records no fault|cannot be read|is no report"):
        read_recorded(tmp_path)


def test_a_snapshot_or_an_audit_shows_the_difference_it_saw(tmp_path):
    report(tmp_path, [SNAPSHOT], [VIOLATION])
    code, text = said(tmp_path)
    assert code == 1
    assert "not about one transaction" in text
    assert "stored: 9" in text
    assert "seen: 8" in text
    code, text = said(tmp_path, fault=2)
    assert code == 1
    assert "expected: 100" in text
    assert "actual: 99" in text


def test_the_accounts_of_a_snapshot_are_shown_by_field(tmp_path):
    vault = {"lamports": "77", "owner": str(program.TOKEN_PROGRAM_ID), "data": token(903)["data"][0]}
    accounts = {"vault": vault, "gone": None}
    report(tmp_path, [SNAPSHOT | {"check": "J1", "evidence": {"accounts": accounts}}], [])
    _, text = said(tmp_path)
    assert "amount: 903" in text
    assert "lamports: 77" in text
    assert "gone is not there" in text


def test_the_pools_last_operations_before_the_fault_are_told(tmp_path):
    def line(number: int, slot: int, pool: str = "pool", outcome: str = "confirmed") -> str:
        entry = {"event": "settled", "op": f"swap_1/{number}", "kind": "swap", "pool": pool, "slot": slot}
        return f"{number}-0\t{json.dumps(entry | {'outcome': outcome, 'spent': '5', 'received': '0'})}\n"

    report(tmp_path, [SNAPSHOT | {"pool_id": "pool", "slot": 20}], [])
    (tmp_path / "data").mkdir()
    rows = [line(n, n) for n in range(1, 23)] + [line(30, 19, pool="other"), line(31, 19, outcome="failed_expected")]
    (tmp_path / "data" / "journal.jsonl").write_text("".join(rows))
    _, text = said(tmp_path)
    told = [row.strip() for row in text.splitlines() if "swap_1/" in row]
    assert told == [f"slot {n} swap_1/{n} swap spent 5" for n in range(13, 21)]


def test_a_damaged_record_is_said_so(tmp_path):
    report(tmp_path, [OWN], [])
    with pytest.raises(StressError, match="the record of fault 1 is damaged: KeyError"):
        said(tmp_path)


def test_a_transaction_whose_accounts_were_not_recorded_is_said_so(tmp_path):
    report(tmp_path, [OWN | {"evidence": {"wanted": "x", "shown": "y"}}], [])
    code, text = said(tmp_path)
    assert code == 1
    assert "were not recorded" in text


def entry(data: bytes, lamports: int = 5_000_000, owner: str = "Owner", *, executable: bool = False) -> dict[str, Any]:
    return {
        "data": [b64encode(data).decode(), "base64"],
        "lamports": lamports,
        "owner": owner,
        "executable": executable,
    }


def u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def token(amount: int) -> dict[str, Any]:
    return entry(bytes(64) + amount.to_bytes(8, "little") + bytes(program.TOKEN_ACCOUNT_BYTES - 72))


def test_accounts_are_set_back_to_what_the_meta_says():
    pool = make_pool()
    state = bytearray(program.POOL_STATE_BYTES)
    for offset, amount in ((240, 1_000), (248, 2_000), (310, 700), (318, 300), (326, 1_000)):
        state[offset : offset + 8] = amount.to_bytes(8, "little")
    now = {
        pool.pool_id: entry(bytes(state), lamports=4_000_000),
        pool.vault_a: token(1_003),  # three more than counted: it must still be so
        pool.vault_b: token(2_000),
        "new": entry(b"made by it"),
        "program": entry(b"elf", executable=True),
        "gone": None,
    }
    lamports = {pool.pool_id: ["3999200", "3999900"], "new": ["0", "9"], pool.vault_a: ["77", "77"]}
    tokens = {pool.vault_a: ["903", "953"], pool.vault_b: ["2050", "2000"]}
    back = rewound(now, lamports, tokens, pool)
    assert back["new"] is None
    assert back["gone"] is None
    assert "program" not in back
    held = back[pool.pool_id]
    assert held is not None
    assert held["lamports"] == "3999200"
    data = b64decode(held["data"])
    assert [u64(data, offset) for offset in (240, 248)] == [900, 2_050]
    assert [u64(data, offset) for offset in (310, 318, 326)] == [0, 200, 200]  # 800 lamports less were collected
    vault = back[pool.vault_a]
    assert vault is not None
    assert (vault["lamports"], u64(b64decode(vault["data"]), 64)) == ("77", 903)
