"""Task names, queues and message shapes. Imported by everyone, imports nothing heavy.

Names are stable: renaming a module must not orphan queued messages.
"""

from __future__ import annotations

from typing import Final

from domain.chains import ChainKind
from domain.store.keys import CONTROL_QUEUE, CYCLES_QUEUE

__all__ = ["CONTROL_QUEUE", "CYCLES_QUEUE", "SPARE", "TASK_NAMES", "queue_of"]

SPARE: Final = "--spare"  # the option of a node that waits until its predecessor has died

TASK_NAMES: Final[dict[ChainKind, str]] = {
    ChainKind.DEPOSIT: "cycle.deposit",
    ChainKind.WITHDRAWAL: "cycle.withdrawal",
    ChainKind.SWAP: "cycle.swap",
    ChainKind.SHARE: "cycle.share",
    ChainKind.REFILL: "cycle.refill",
    ChainKind.PROBE: "cycle.probe",
    ChainKind.COMMAND: "control.command",
}


def queue_of(kind: ChainKind) -> str:
    """Commands run on the control queue, everything else on the cycles queue."""
    return CONTROL_QUEUE if kind is ChainKind.COMMAND else CYCLES_QUEUE
