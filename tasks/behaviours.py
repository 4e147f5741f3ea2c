"""Which code decides for which kind of chain."""

from __future__ import annotations

from domain.chains import ChainKind
from tasks.control.commands import command_cycle
from tasks.cycles.refill import refill_cycle
from tasks.cycles.share import share_cycle
from tasks.cycles.thread import thread_cycle
from tasks.walk import Decide


def behaviour_of(kind: ChainKind) -> Decide:
    match kind:
        case ChainKind.DEPOSIT | ChainKind.WITHDRAWAL | ChainKind.SWAP:
            return thread_cycle
        case ChainKind.SHARE:
            return share_cycle
        case ChainKind.REFILL:
            return refill_cycle
        case ChainKind.PROBE:
            from tasks.cycles.probe import probe_cycle

            return probe_cycle
        case ChainKind.COMMAND:
            return command_cycle
