"""The report: verdicts and their reasons, the schema, the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from domain.audit_findings import AuditResult
from domain.ids import Address, PoolId
from domain.pool import Pool
from domain.store.counts import Counts
from domain.store.histogram import bucket_of
from ops.report.books import Books, PoolBooks
from ops.report.charts import Line, Mark, line_chart, nice_ceiling, round_moments
from ops.report.document import ReportError, RunRecord, build, check_schema
from ops.report.findings import findings, other_reasons
from ops.report.page import render
from ops.report.write import write_report
from ops.run.summary import summarise
from ops.scenario import parse_scenario

CLOSED = ["violations == 0", "unexplained_units == 0", "unexplained_lamports == 0"]
SCENARIO = parse_scenario(
    {
        "name": "unit",
        "description": "<b>&amp;",
        "duration": "10s",
        "thresholds": [*CLOSED, "lateness_p99_ms < 250", "idle_kinds == 0"],
        "pools": [
            {"name": "p", "decimals_a": 9, "decimals_b": 6, "ratio_whole_number": 160, "threads": {"deposit_a": 2}}
        ],
    },
    "unit",
)
AUDIT = AuditResult(checks=10, violations=[], unexplained_units=0, unexplained_lamports=0, notes=["a note"])
POOL = Pool(
    pool_id=PoolId("Pool1"),
    owner=Address("Owner"),
    mint_a=Address("MintA"),
    mint_b=Address("MintB"),
    vault_a=Address("VaultA"),
    vault_b=Address("VaultB"),
    lp_mint_a=Address("LpA"),
    lp_mint_b=Address("LpB"),
    ratio_a=10**9,
    ratio_b=160 * 10**6,
    decimals_a=9,
    decimals_b=6,
    lp_decimals_a=9,
    lp_decimals_b=6,
    simple_ratio=True,
    exact_exchange=False,
    bumps=(1, 2, 3, 4, 5),
    created_slot=1,
    created_at_ms=0,
)
SERIES = [
    {"t": float(t), "cycles_per_s": 3.0, "tx_per_s": 2.0, "confirmed_per_s": {"deposit": 1.5}, "lateness_p50_ms": 1,
     "lateness_p99_ms": None if t == 2 else 9, "threads": {"running": 2}, "cpu_s": {"cycles": 0.4 * t}}
    for t in range(5)
]  # fmt: skip


def a_run(**changes) -> RunRecord:
    """A run in which everything held."""
    books = Books(threads={"stopped": 2})
    books.kinds["deposit"] = replace(books.kinds["deposit"], submitted=12, confirmed=10, failed_expected=2)
    books.kinds["deposit"].add_volume("MintA", 2**70)
    books.pools[PoolId("Pool1")] = PoolBooks(POOL, threads={"deposit": 2}, confirmed={"deposit": 10})
    counts = Counts(
        at_s=10.0,
        cycles={"deposit.started": 14, "deposit.revived": 1, "deposit.superseded": 2},
        operations={"deposit.confirmed": 10, "deposit.failed_expected": 2},
        lateness={"deposit": {1: 12, bucket_of(40): 1}},
        cu={"deposit": {bucket_of(50_000): 12}},
        errors={"PoolLiquidityPaused": 2},
    )
    given = {
        "scenario": SCENARIO,
        "seed": 5,
        "started_at": "2026-01-02T03:04:05.678+00:00",
        "duration_s": 10.0,
        "total": counts,
        "measured": counts,
        "books": books,
        "audit": AUDIT,
        "pool_names": {"Pool1": "p"},
        "series": SERIES,
        "steps": [{"at_s": 1.0, "title": "pause <x>", "ok": True, "skipped": False, "detail": "seen"}],
        "environment": {"cores": 2, "load_began_s": 1.0},
    }
    return RunRecord(**(given | changes))


def test_a_run_in_which_everything_held_passes_and_fits_the_schema():
    document = build(a_run())
    check_schema(document)
    assert (document["verdict"], document["reasons"]) == ("pass", [])
    assert document["cycles"]["deposit"] == {"started": 14, "superseded": 2, "revived": 1}
    assert document["operations"]["deposit"]["volume"] == {"MintA": 2**70}
    assert document["lateness_ms"]["p99"] == 40
    assert document["compute_units"]["deposit"]["limit"] == 400_000
    assert document["throughput"] == {"cycles_per_s": 1.4, "tx_per_s": 1.2}
    assert document["thresholds"][3] == {"name": "lateness_p99_ms", "limit": "< 250", "value": 40, "ok": True}


BROKEN_BOOKS = Books()
BROKEN_BOOKS.kinds["swap"].submitted = 3
BROKEN_BOOKS.kinds["swap"].confirmed = 2
IDLE_BOOKS = Books(pools={PoolId("Pool1"): PoolBooks(POOL, threads={"deposit": 2})})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audit": replace(AUDIT, violations=[{"id": "AUDIT-vault"}])}, "AUDIT-vault"),
        ({"audit": replace(AUDIT, unexplained_units=1)}, "1 unexplained units"),
        ({"audit": replace(AUDIT, unexplained_lamports=7)}, "7 unexplained lamports"),
        ({"audit": None}, "the closing audit did not take place"),
        ({"fault_count": 2, "total": Counts(faults={"I4": 2})}, "2 faults: I4 x2"),
        ({"measured": Counts(lateness={"swap": {bucket_of(400): 5}})}, "threshold lateness_p99_ms < 250"),
        ({"measured": Counts()}, "threshold lateness_p99_ms < 250: there is no value"),
        ({"books": IDLE_BOOKS}, "threshold idle_kinds == 0: it is 1"),
        ({"books": BROKEN_BOOKS}, "books: swap operations are not the sum of their outcomes"),
        ({"steps": [{"at_s": 2.0, "title": "pause", "ok": False, "skipped": False, "detail": "x"}]}, "pause: x"),
        ({"aborted": "faults > 0"}, "aborted by the rule faults > 0"),
        ({"unsettled": ["deposit_1"]}, "deposit_1"),
    ],
)
def test_whatever_did_not_hold_fails_the_run_and_is_named(changes, reason):
    document = build(a_run(**changes))
    check_schema(document)
    assert document["verdict"] == "fail"
    assert any(reason in text for text in document["reasons"]), document["reasons"]


FAULTS = [
    {"check": check, "message": f"{check} said", "pool_id": "Pool1", "slot": slot, "signature": f"Sig{slot}"}
    for check, slot in (("PROBE-x.y", 3), ("SWP-failure", 4), ("SWP-failure", 5), ("PROBE-x.y", 6), ("PROBE-x.y", 7))
]


def test_what_did_not_hold_is_gathered_by_check_and_leads_to_its_evidence():
    broken = replace(AUDIT, violations=[{"id": "AUDIT-vault", "message": "one unit is missing"}] * 3)
    counted = Counts(faults={"PROBE-x.y": 3, "SWP-failure": 2})
    document = build(a_run(faults=FAULTS, fault_count=5, total=counted, audit=broken))
    found = findings(document)
    assert [(one.check, one.count) for one in found] == [("SWP-failure", 2), ("AUDIT-vault", 3), ("PROBE-x.y", 3)]
    assert found[0].first == "pool p, slot 4, transaction Sig4, fault 2"
    assert [reason.split(":")[0] for reason in other_reasons(document)] == ["threshold violations == 0"]
    page = render(document)
    for check in ("SWP-failure", "PROBE-x.y"):
        assert f"<a href='#{check}'>" in page
        assert f"<h3 id='{check}'>" in page
    assert "3 checks did not hold." in page


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({}, ["PASS   Everything held: 10 confirmed operations, 10 checks", "report in /run/report.html"]),
        (
            {"faults": FAULTS, "fault_count": 5, "total": Counts(faults={"SWP-failure": 2})},
            [
                "SWP-failure x2: SWP-failure said",
                "first in pool p, slot 4",
                "FAIL   1 check",
                "frt reproduce /run",
                "--seed 5",
            ],
        ),
        (
            {"measured": Counts()},
            ["FAILED lateness_p99_ms < 250", "FAIL   Every check held, but a threshold was missed", "evidence in"],
        ),
        (
            {"unsettled": ["deposit_1"], "environment": {"interrupted": True}},
            [
                "did not come to an end",
                "FAIL   Interrupted. Every check held, but the run did not come to its proper end",
            ],
        ),
        ({"error": "no Redis", "books": None}, ["no Redis", "ERROR   The run could not be carried out", "frt doctor"]),
    ],
)
def test_the_terminal_ends_with_what_failed_where_the_evidence_is_and_what_to_do(changes, last):
    console = Console(record=True, width=120, file=StringIO())
    summarise(build(a_run(**changes)), Path("/run"), console)
    shown = console.export_text()
    places = [shown.index(text) for text in last]
    assert places == sorted(places)


def test_a_run_that_never_began_is_an_error_with_a_report():
    record = RunRecord(scenario=SCENARIO, seed=1, started_at="2026-01-02T03:04:05+00:00", error="no Redis")
    document = build(record)
    check_schema(document)
    assert document["verdict"] == "error"
    assert document["reasons"][0] == "no Redis"
    assert render(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict",), "ok"),
        (("operations", "swap", "confirmed"), -1),
        (("operations", "swap", "confirmed"), 1.5),
        (("audit", "unexplained_units"), "0"),
        (("lateness_ms", "p99"), "fast"),
        (("surprise",), 1),
    ],
)
def test_the_schema_refuses_what_is_no_report(path, value):
    document = build(a_run())
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(ReportError):
        check_schema(document)


def test_a_report_that_leaves_the_schema_is_not_written(tmp_path):
    document = build(a_run()) | {"version": 2}
    with pytest.raises(ReportError, match="version"):
        write_report(document, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_both_files_are_written_whole(tmp_path):
    document = build(a_run())
    write_report(document, tmp_path / "deep")
    assert json.loads((tmp_path / "deep" / "report.json").read_text()) == document
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["report.html", "report.json"]


def test_the_page_loads_nothing_and_escapes_everything():
    page = render(build(a_run(fault_count=1, faults=[{"check": "I4", "message": "<script>alert(1)</script>"}])))
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script|https?://", page)
    assert "&lt;script&gt;" in page
    assert "pause &lt;x&gt;" in page
    assert "&lt;b&gt;&amp;amp;" in page
    assert page.count("<svg") == 5  # of seven charts two have no values here


def test_a_chart_is_well_formed_and_leaves_a_gap_where_nothing_was_measured():
    figure = line_chart(
        "a < b",
        "ms",
        [0.0, 1.0, 2.0, 3.0, 4.0],
        [Line(name="x", values=[1, 2, None, 4, 3])],
        [Mark(at=2.0, text="s&t")],
    )
    tree = ET.fromstring(figure)  # noqa: S314 - our own text
    lines = tree.findall(".//polyline")
    assert [len(line.get("points").split()) for line in lines] == [2, 2]
    assert tree.find(".//line[@class='mark']/title").text == "2.0 s: s&t"


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.3, 0.5), (1, 1), (1.01, 2), (2.4, 2.5), (7, 10), (960, 1000)])
def test_axes_end_at_round_numbers(value, top):
    assert nice_ceiling(value) == pytest.approx(top)


@pytest.mark.parametrize(
    ("start", "end", "labels"),
    [(0, 3, [0, 0.5, 1, 1.5, 2, 2.5, 3]), (0.4, 61.2, [10, 20, 30, 40, 50, 60]), (0, 8, [0, 1, 2, 3, 4, 5, 6, 7, 8])],
)
def test_a_time_axis_has_round_labels_that_differ(start, end, labels):
    assert round_moments(start, end) == labels
