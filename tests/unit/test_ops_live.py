"""The live view: a panel on a terminal, a line for each phase and every few seconds elsewhere."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from domain.store.counts import Counts
from domain.store.histogram import bucket_of
from ops.live import LiveView, View, panel, plain_line
from ops.run.sampling import Sample

COUNTS = Counts(
    at_s=2.0,
    cycles={"deposit.started": 8, "deposit.revived": 3},
    operations={"deposit.submitted": 8, "deposit.confirmed": 6, "swap.submitted": 2, "swap.failed_unexpected": 2},
    lateness={"deposit": {bucket_of(7): 8}},
    checks={"I1": 1_200},
    faults={"SWP-failure": 5, "PROBE-a": 1, "PROBE-b": 1, "PROBE-c": 1},
)
SAMPLE = Sample(at_s=2.0, counts=COUNTS, last=COUNTS, threads={"running": 30, "error": 2}, cpu_s={})
VIEW = View(title="default  seed 5", phase="running", elapsed_s=20.0, left_s=42.4, sample=SAMPLE, threads=32)


def shown(view: View) -> str:
    console = Console(width=120, file=StringIO(), record=True)
    console.print(panel(view))
    return console.export_text()


def test_the_panel_shows_what_matters_and_names_the_broken_checks():
    text = shown(replace(VIEW, restarts={"cycle-1": 2}, note="pause on nine-six"))
    for words in (
        "default  seed 5", "running, 42 s left  pause on nine-six", "running 30", "error 2", "4 cycles/s",
        "4 transactions/s", "p99 7 ms", "1,200 checks   8 faults: SWP-failure, PROBE-a, PROBE-b and 1 more",
        "revived 3", "processes started again 2",
    ):  # fmt: skip
        assert words in text
    row = next(line.split() for line in text.splitlines() if " swap " in line)
    assert row[1:8] == ["swap", "2", "0", "0", "2", "0", "0"]


def test_a_healthy_run_names_no_check():
    healthy = replace(VIEW, sample=replace(SAMPLE, counts=replace(COUNTS, faults={})))
    assert "0 faults " in shown(healthy)
    assert "faults 0  revived 3" in plain_line(healthy)


def test_without_a_terminal_each_phase_has_a_line_and_a_long_one_several():
    out = StringIO()
    with LiveView(Console(file=out, width=200)) as live:
        for elapsed_s, phase in (
            (0.0, "starting"),
            (0.5, "starting"),
            (1.0, "running"),
            (3.0, "running"),
            (6.5, "running"),
        ):
            live.show(replace(VIEW, phase=phase, elapsed_s=elapsed_s, sample=None))
    assert [line.split("  ")[-1] for line in out.getvalue().splitlines()] == ["starting", "running", "running"]


def test_on_a_terminal_the_panel_goes_away_and_what_was_said_stays():
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=40)
    with LiveView(console) as live:
        live.say("output in runs/x")
        live.show(VIEW)
        assert "running, 42 s left" in out.getvalue()
    assert "output in runs/x" in out.getvalue()
