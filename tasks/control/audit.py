"""run_audit takes minutes, which no step of a command may: it is left to the auditor (tasks/auditor.py)."""

from __future__ import annotations

from tasks.control.commands import Command


def run_audit(command: Command) -> None:
    command.runtime.store.request_audit(command.command_id)
    command.hand_over()
