"""A world with a pool that can be put back after every case."""

from __future__ import annotations

from tests.support.contract_cases.faults import ELSEWHERE, STRANGER, Case, Fault
from tests.support.contract_model import encoding
from tests.support.contract_model import worked_example as example
from tests.support.contract_model.runtime import Instruction
from tests.support.contract_model.state import Account
from tests.support.litesvm_world import World

VIEWER = bytes([0x97]) * 32
LATER = 1_700_000_000 + 10 * 86_400


class Stage:
    """A world that can be put back to a saved state after every case."""

    def __init__(self) -> None:
        self.world = World()
        for key, account in example.start().items():
            self.world.put(key, account)
        for key in (STRANGER, VIEWER):
            self.world.put_lamports(key, 10**10)
        self.world.seen.add(ELSEWHERE)
        self.saved: dict[bytes, Account] = {}
        self.known: set[bytes] = set()

    def save(self) -> None:
        self.saved = dict(self.world.model.accounts)
        self.known = set(self.world.seen)

    def restore(self) -> None:
        current = self.world.model.accounts
        for key in current.keys() | self.saved.keys():
            if current.get(key) != self.saved.get(key):
                self.world.put(key, self.saved.get(key, Account()))
        self.world.seen = set(self.known)

    def result(self, base: Instruction, *faults: Fault) -> str | None:
        """The common result of chain and model for the instruction with the faults, on the saved state."""
        case = Case(self.world, base)
        try:
            for fault in faults:
                fault.apply(case)
            return self.world.run(case.instruction)
        finally:
            self.restore()


def stage_for(name: str) -> Stage:
    """The state in which the base instruction of a catalogue entry succeeds."""
    stage = Stage()
    if name != "initialize_program":
        for step, instruction in example.steps()[:4]:
            assert stage.world.run(instruction) is None, step
    if name == "consolidate":
        assert stage.world.run(encoding.pause_pool(example.ADMIN, example.POOL, 3)) is None
    if name == "unpause_system":
        assert stage.world.run(encoding.pause_system(example.ADMIN, 1)) is None
    stage.world.set_time(LATER)
    stage.save()
    return stage
