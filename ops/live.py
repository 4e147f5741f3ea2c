"""The live view of a run: a panel on a terminal, one line now and then everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from domain.store.counts import LANDED, OUTCOMES, REPORTED_KINDS
from ops.run.sampling import Sample

PLAIN_EVERY_S: Final = 5.0
NAMED_FAULTS: Final = 3
STATES: Final = ("created", "running", "stopped", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is shown at one moment. ``left_s`` None: the end is not known."""

    title: str
    phase: str
    elapsed_s: float
    left_s: float | None
    sample: Sample | None
    threads: int
    note: str = ""
    restarts: Mapping[str, int] | None = None


class LiveView:
    """Use as a context manager and call ``show`` about once a second; ``say`` prints a lasting line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._plain_at_s = -PLAIN_EVERY_S
        self._phase = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def show(self, view: View) -> None:
        if self._live is not None:
            self._live.update(panel(view), refresh=True)
        elif view.phase != self._phase or view.elapsed_s - self._plain_at_s >= PLAIN_EVERY_S:
            self._phase, self._plain_at_s = view.phase, view.elapsed_s
            self.say(plain_line(view))


def plain_line(view: View) -> str:
    """One line with the figures that matter."""
    head = f"{view.elapsed_s:6.1f} s  {view.phase}"
    if view.note:
        head += f": {view.note}"
    if view.sample is None:
        return head
    counts, last = view.sample.counts, view.sample.last
    seconds = max(last.at_s, 1e-9)
    failed = counts.operations_of(REPORTED_KINDS, ("failed_unexpected",))
    parts = [
        head,
        f"running {view.sample.threads.get('running', 0)}/{view.threads}",
        f"{last.cycles_of(REPORTED_KINDS) / seconds:.0f} cycles/s",
        f"{last.operations_of(REPORTED_KINDS, LANDED) / seconds:.0f} tx/s",
        f"confirmed {counts.operations_of(REPORTED_KINDS, ('confirmed',))}",
        f"unexpected {failed}",
        f"late p99 {_ms(last.lateness_ms(99))}",
        f"checks {sum(counts.checks.values())}",
        f"faults {sum(counts.faults.values())}{_named(counts.faults)}",
        f"revived {counts.revived}",
    ]
    return "  ".join(parts)


def panel(view: View) -> Panel:
    """The whole view for a terminal."""
    left = "" if view.left_s is None else f", {max(0.0, view.left_s):.0f} s left"
    heading = Text(f"{view.phase}{left}", style="bold")
    if view.note:
        heading.append(f"  {view.note}", style="dim")
    parts: list[Text | Table] = [heading]
    if view.sample is not None:
        parts += [_rates(view.sample, view.restarts or {}), _operations(view.sample)]
    return Panel(Group(*parts), title=view.title, subtitle=f"{view.elapsed_s:.0f} s", expand=False)


def _rates(sample: Sample, restarts: Mapping[str, int]) -> Table:
    counts, last = sample.counts, sample.last
    seconds = max(last.at_s, 1e-9)
    faults = sum(counts.faults.values())
    table = Table.grid(padding=(0, 3))
    states = "  ".join(f"{state} {sample.threads.get(state, 0)}" for state in STATES)
    table.add_row(Text("threads", style="dim"), states)
    table.add_row(
        Text("rates", style="dim"),
        f"{last.cycles_of(REPORTED_KINDS) / seconds:.0f} cycles/s   "
        f"{last.operations_of(REPORTED_KINDS, LANDED) / seconds:.0f} transactions/s",
    )
    table.add_row(
        Text("lateness", style="dim"),
        f"p50 {_ms(last.lateness_ms(50))}   p99 {_ms(last.lateness_ms(99))}   "
        f"confirmation p50 {_ms(last.confirm_ms(50))}   p99 {_ms(last.confirm_ms(99))}",
    )
    checks = f"{sum(counts.checks.values()):,} checks   "
    found = Text(checks).append(f"{faults} faults{_named(counts.faults)}", style="bold red" if faults else "green")
    table.add_row(Text("verified", style="dim"), found)
    restarted = sum(restarts.values())
    table.add_row(
        Text("chains", style="dim"),
        f"revived {counts.revived}   dropped {counts.dropped}   refused commits {counts.refused}   "
        f"processes started again {restarted}",
    )
    return table


def _named(faults: Mapping[str, int]) -> str:
    """The checks that broke most often, so that nobody has to wait for the report."""
    names = sorted(faults, key=lambda name: (-faults[name], name))
    more = f" and {len(names) - NAMED_FAULTS} more" if len(names) > NAMED_FAULTS else ""
    return f": {', '.join(names[:NAMED_FAULTS])}{more}" if names else ""


def _operations(sample: Sample) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("operations", no_wrap=True)
    for name in ("sent", "confirmed", "refused", "unexpected", "expired", "recovered"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind in REPORTED_KINDS:
        counted = [sample.counts.operations.get(f"{kind}.{name}", 0) for name in ("submitted", *OUTCOMES)]
        bad = counted[3] > 0
        table.add_row(kind, *(f"{number:,}" for number in counted), style="red" if bad else "")
    return table


def _ms(value: int | None) -> str:
    return "-" if value is None else f"{value} ms"
