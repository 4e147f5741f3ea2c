"""What a pool's flags and fees may be at a slot, from our own administrative steps (I8, I9; DESIGN.md 6).

Each step is stored as *pending* before it is sent and gets its slot when it landed, so a snapshot can always be
explained: by the last landed step, or by one that is still open.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from domain.facts import POOL_FLAG_LIQUIDITY_PAUSED, POOL_FLAG_OWNER_ONLY, POOL_FLAG_SWAPS_PAUSED

ADMIN_FLAGS = POOL_FLAG_LIQUIDITY_PAUSED | POOL_FLAG_SWAPS_PAUSED | POOL_FLAG_OWNER_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStep:
    """The pool's administrative values after one step. ``slot`` None: sent or about to be, outcome unknown."""

    operation_id: str
    flags: int  # the bits of ADMIN_FLAGS
    liquidity_fee: int
    swap_fee: int
    owner: str
    slot: int | None
    system_paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Steps in order; the first is the pool's creation (or import) and always has a slot."""

    steps: tuple[PolicyStep, ...]

    def allowed_at(self, slot: int) -> tuple[PolicyStep, ...]:
        """Every step whose values a snapshot *at* ``slot``, or a transaction *in* it, may show.

        The last step landed before the slot, all landed in it (their order with others in the slot is unknown to us),
        and all pending ones.
        """
        before = [step for step in self.steps if step.slot is not None and step.slot < slot]
        within = [step for step in self.steps if step.slot == slot]
        pending = [step for step in self.steps if step.slot is None]
        return (*before[-1:], *within, *pending)

    def with_pending(self, step: PolicyStep) -> Policy:
        return Policy(steps=(*self.steps, replace(step, slot=None)))

    def landed(self, operation_id: str, slot: int) -> Policy:
        steps = [replace(s, slot=slot) if s.operation_id == operation_id else s for s in self.steps]
        steps.sort(key=lambda s: (s.slot is None, s.slot or 0))
        return Policy(steps=tuple(steps))

    def dropped(self, operation_id: str) -> Policy:
        """The step failed or expired: it never happened."""
        return Policy(steps=tuple(s for s in self.steps if s.operation_id != operation_id))

    def to_text(self) -> str:
        return json.dumps([asdict(step) for step in self.steps], separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Policy | None:
        return cls(steps=tuple(PolicyStep(**doc) for doc in json.loads(text))) if text else None
