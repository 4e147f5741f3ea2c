"""One chaos run: the ordinary job with a striker at its side, and the verdict over both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.chaos.gaps import AFTERMATH_S
from ops.chaos.plan import FREEZE_MS, FULL_HITS, Blow, plan_hits, shortest_window_ms
from ops.chaos.scenario import chaos_scenario
from ops.chaos.strike import LIMIT_S, QUIET_S, Outcome, Striker
from ops.plan import WorkerPlan
from ops.run.job import EXIT_ERROR, EXIT_FAIL, EXIT_PASS, Job, JobOptions
from ops.stack import MakeSettings

RAMP_MS: Final = 2_000
#: After the last hit: its freeze, what follows from it, the quiet time, and room for a slow machine.
TAIL_MS: Final = int((AFTERMATH_S + QUIET_S) * 1000) + 4_000
LONGEST_LATE_START_MS: Final = 5_000  # full load is noticed by a sample per second
FULL_WINDOW_MS: Final[Mapping[Blow, int]] = {Blow.KILL: 100_000, Blow.STOP: 150_000}
VERDICTS: Final = {EXIT_PASS: "pass", EXIT_FAIL: "fail", EXIT_ERROR: "error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosOptions:
    """``window_ms``: the time within which the hits fall. ``crowded``: see plan.py; gaps are shown, not judged."""

    directory: Path
    plan: WorkerPlan
    make_settings: MakeSettings
    seed: int
    blow: Blow
    threads: int = 60
    hits: Mapping[str, int] = field(default_factory=lambda: FULL_HITS)
    window_ms: int
    crowded: bool = False


def full_window_ms(blow: Blow) -> int:
    """Room for all the hits that the service is measured by."""
    return max(FULL_WINDOW_MS[blow], shortest_window_ms(blow, FULL_HITS))


def run_chaos(options: ChaosOptions, console: Console) -> int:
    """Carry it out, print it, write chaos.json beside the report. Exit code 0, 99, or 1 when it could not run."""
    hits = plan_hits(options.seed, options.blow, options.hits, options.window_ms, crowded=options.crowded)
    freeze_ms = FREEZE_MS if options.blow is Blow.STOP else 0
    hit_until_ms = RAMP_MS + LONGEST_LATE_START_MS + options.window_ms + freeze_ms
    scenario = chaos_scenario(
        options.threads,
        seed=options.seed,
        hit_from_ms=RAMP_MS + 1_000,
        hit_until_ms=hit_until_ms,
        duration_ms=hit_until_ms + TAIL_MS,
    )
    striker = Striker(hits, options.plan.slots)
    job_options = JobOptions(
        directory=options.directory, plan=options.plan, make_settings=options.make_settings, during_load=striker
    )
    code = Job(scenario, job_options, console).run()
    outcome = striker.outcome
    if not outcome.done.is_set():
        outcome.problem = outcome.problem or "nothing was hit"
    reasons = judge(outcome, len(hits), crowded=options.crowded)
    if outcome.problem:
        code = EXIT_ERROR
    elif reasons and code == EXIT_PASS:
        code = EXIT_FAIL
    document = describe(options, outcome, code, reasons)
    options.directory.mkdir(parents=True, exist_ok=True)
    (options.directory / "chaos.json").write_text(json.dumps(document, indent=1) + "\n")
    show(document, console)
    return code


def judge(outcome: Outcome, planned: int, *, crowded: bool = False) -> list[str]:
    """Why the run does not show what it should; the closing audit has its own verdict."""
    if outcome.problem:
        return [outcome.problem]
    reasons = [
        f"{one.gap_chain} stood still for {one.gap_s} s after the {one.blow} of {one.child} at {one.at_s} s"
        for one in outcome.struck
        if one.gap_s > LIMIT_S and not crowded
    ]
    if len(outcome.struck) != planned:
        reasons.append(f"{len(outcome.struck)} of {planned} hits were made")
    return [*reasons, *outcome.disorder]


def describe(options: ChaosOptions, outcome: Outcome, code: int, reasons: list[str]) -> dict[str, Any]:
    """Plain JSON data."""
    return {
        "verdict": VERDICTS[code],
        "reasons": reasons,
        "seed": options.seed,
        "signal": options.blow.value,
        "threads": options.threads,
        "crowded": options.crowded,
        "limit_s": LIMIT_S,
        "longest_gap_s": outcome.longest_gap_s,
        "longest_gap_chain": outcome.longest_gap_chain,
        "disorder": outcome.disorder,
        "running_with_one_live_chain": outcome.running,
        "quiet": None if outcome.quiet is None else outcome.quiet.to_json(),
        "api_failures": outcome.api_failures,
        "started_again": {name: count for name, count in outcome.restarts.items() if count},
        "load_average": list(outcome.load_average),
        "hits": [one.to_json() for one in outcome.struck],
    }


def show(document: Mapping[str, Any], console: Console) -> None:
    """The hits as a table, then the findings."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("at s", "hit", "process"):
        table.add_column(heading)
    for heading in ("longest gap s", "commands s", "api s"):
        table.add_column(heading, justify="right")
    table.add_column("longest")
    for one in document["hits"]:
        style = "red" if one["gap_s"] > document["limit_s"] else ""
        gaps = (f"{one[name]:.2f}" for name in ("gap_s", "command_gap_s", "api_gap_s"))
        shown = one["gap_chain"] if len(one["gap_chain"]) < 24 else f"{one['gap_chain'][:20]}..."
        table.add_row(f"{one['at_s']:.1f}", one["blow"], one["child"], *gaps, shown, style=style)
    console.print(table)
    quiet = document["quiet"] or {}
    console.print(
        f"  {len(document['hits'])} hits; no chain stood still for longer than {document['longest_gap_s']} s "
        f"(limit {document['limit_s']} s after a hit); {document['running_with_one_live_chain']} running threads, "
        f"each with one live chain\n  afterwards, in {QUIET_S:.0f} s: "
        + ", ".join(f"{count} {name}" for name, count in quiet.items())
        + f"; load average {document['load_average']}",
        highlight=False,
        soft_wrap=True,
    )
    for reason in document["reasons"]:
        console.print(Text(f"  {reason}", style="red"), soft_wrap=True)
    console.print(f"  chaos {document['signal']}: {document['verdict'].upper()}", highlight=False)
