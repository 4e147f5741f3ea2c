"""initialize_program: once per chain, by whoever starts first (CONTRACT.md 3.1)."""

from __future__ import annotations

from domain.operations import InitializeProgram, Operation, OperationKind
from tasks.control.commands import Command


def initialize_program(command: Command) -> None:
    """Answers at once when the program is initialised already."""
    core, state = command.core, command.runtime.chain.system_state
    receipt = command.landed() if "sent" in command.data else None
    if receipt is not None:
        command.answer({"signature": receipt.signature, "slot": receipt.slot, "network_fee_paid": receipt.fee})
        return
    seen = command.observe((state,))
    if seen is None:
        return
    if seen.accounts[state] is not None:
        command.answer({"signature": None, "slot": seen.slot, "network_fee_paid": 0})
        return
    command.send(
        Operation(
            kind=OperationKind.SETUP,
            actions=(InitializeProgram(authority=core, admin=core),),
            payer=core,
            signers=(core,),
            inputs={"method": command.method, "deltas": {}},
        ),
        slot=seen.slot,
    )
    command.data["sent"] = True
