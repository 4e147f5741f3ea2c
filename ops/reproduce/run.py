"""From a run's folder to an exit code: 0 the fault does not occur, 99 it does, 1 it cannot be said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from domain.errors import StressError
from ops.reproduce.history import last_entries
from ops.reproduce.judging import Context, broken, broken_before, is_judged, judged, names_of
from ops.reproduce.recorded import PROGRAM, Recorded, choose, read_recorded
from ops.reproduce.replay import Replay, replay
from ops.reproduce.showing import show_as_recorded, show_difference, show_fault, show_problems, show_replay

EXIT_FIXED: Final = 0
EXIT_REPRODUCED: Final = 99
EXIT_CANNOT: Final = 1


def reproduce(directory: Path, console: Console, *, fault: int | None = None, program: Path | None = None) -> int:
    """Carry one recorded fault out again, with the run's own program or with ``program``. Raises StressError."""
    recorded = read_recorded(directory)
    chosen = choose(recorded, fault)
    show_fault(chosen, len(recorded), last_entries(directory, chosen), console)
    if not chosen.executions:
        console.print(_why_not(chosen), soft_wrap=True)
        show_difference(chosen, console)
        return EXIT_CANNOT
    try:
        context = Context.of(chosen.evidence["context"])
    except (KeyError, TypeError, ValueError) as error:
        raise StressError(f"the record of fault {chosen.number} is damaged: {error!r}") from None
    own = directory / PROGRAM
    execution = _execution(chosen, context, own)
    if execution is None:
        console.print("None of the transactions that came before this snapshot breaks the check by itself.")
        show_difference(chosen, console)
        return EXIT_CANNOT
    tried = program or own
    if not tried.is_file():
        raise StressError(f"there is no program at {tried}" + ("; name one with --program" if program is None else ""))
    console.print(f"program {tried}, program id {context.program_id}", soft_wrap=True)
    console.print(f"transaction {execution['signature']} in slot {execution['slot']}", soft_wrap=True)
    if not execution["exact"]:
        console.print("the accounts are those of a later reading, set back by the transaction's balances: an estimate")
    replayed = replay(execution, context.program_id, tried)
    show_replay(replayed, names_of(context), console)
    show_as_recorded(replayed.receipt, chosen.evidence, console)
    if not is_judged(chosen):
        console.print(f"{chosen.check} compares more than this transaction: no check says anything about it alone")
        return EXIT_CANNOT
    problems = judged(chosen, context, replayed)
    show_problems(problems, broken_before(context, replayed), console)
    return _verdict(chosen, [check for check, _ in problems], console)


def _verdict(chosen: Recorded, checks: list[str], console: Console) -> int:
    if chosen.check in checks:
        console.print(f"{chosen.check} is reproduced")
    elif checks:
        console.print(f"{chosen.check} does not occur, but other checks do not hold")
    else:
        console.print(f"{chosen.check} does not occur")
    return EXIT_REPRODUCED if checks else EXIT_FIXED


def _why_not(chosen: Recorded) -> str:
    if chosen.signature is None or chosen.check.startswith("AUDIT-"):
        return "This check is not about one transaction that was recorded with its accounts. What it saw:"
    return "The accounts before this transaction were not recorded, so it cannot be carried out again. What was seen:"


def _execution(chosen: Recorded, context: Context, own: Path) -> Mapping[str, Any] | None:
    """The fault's own transaction, or the first of the suspects that breaks the check with the run's own program."""
    if chosen.evidence.get("execution"):
        return chosen.executions[0]
    if not own.is_file():
        raise StressError(f"there is no program at {own}: without it nobody can say which transaction broke the check")
    return next(
        (one for one in chosen.executions if _breaks(chosen, context, replay(one, context.program_id, own))), None
    )


def _breaks(chosen: Recorded, context: Context, replayed: Replay) -> bool:
    return chosen.check in {check for check, _ in broken(context, replayed)}
