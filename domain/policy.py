"""What a pool's flags and fees may be at a slot, from our own administrative steps (I8, I9; DESIGN.md 6).

Each step is stored as *pending* before it is sent and gets its slot when it landed, so a snapshot can always be
explained: by the last landed step, or by one that is still open.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import combinations, permutations
from typing import Any, Final

from domain.facts import POOL_FLAG_LIQUIDITY_PAUSED, POOL_FLAG_OWNER_ONLY, POOL_FLAG_SWAPS_PAUSED

ADMIN_FLAGS = POOL_FLAG_LIQUIDITY_PAUSED | POOL_FLAG_SWAPS_PAUSED | POOL_FLAG_OWNER_ONLY


ORDERED: Final = 3  # up to so many steps of unknown order are taken in every order, more of them only as they were sent


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """What a step changes; everything else is what it was before, whichever steps before it turn out to have landed."""

    set_flags: int = 0
    clear_flags: int = 0
    liquidity_fee: int | None = None
    swap_fee: int | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStep:
    """The pool's administrative values after one step. ``slot`` None: sent or about to be, outcome unknown.

    ``change`` None: the values were read from the chain and do not depend on any step before.
    """

    operation_id: str
    flags: int  # the bits of ADMIN_FLAGS
    liquidity_fee: int
    swap_fee: int
    owner: str
    slot: int | None
    system_paused: bool = False
    change: PolicyChange | None = None

    def after(self, before: PolicyStep | None) -> PolicyStep:
        """The same step, its values those of its change upon ``before``."""
        change = self.change
        if change is None or before is None:
            return self
        return replace(
            self,
            flags=(before.flags | change.set_flags) & ~change.clear_flags,
            liquidity_fee=before.liquidity_fee if change.liquidity_fee is None else change.liquidity_fee,
            swap_fee=before.swap_fee if change.swap_fee is None else change.swap_fee,
            owner=before.owner if change.owner is None else change.owner,
            system_paused=before.system_paused,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Steps in order; the first is the pool's creation (or import) and always has a slot."""

    steps: tuple[PolicyStep, ...]

    def allowed_at(self, slot: int) -> tuple[PolicyStep, ...]:
        """Every step whose values a snapshot *at* ``slot``, or a transaction *in* it, may show.

        The last step landed before the slot; and upon it, in any order, whichever of those landed in it (their order
        with others in the slot is unknown to us) and of those still pending.
        """
        before = [step for step in self.steps if step.slot is not None and step.slot < slot]
        open_steps = [step for step in self.steps if step.slot is None or step.slot == slot]
        if not before:
            return tuple(open_steps)
        found = [before[-1]]
        for chosen in _ways(open_steps):
            shown = before[-1]
            for step in chosen:
                shown = step.after(shown)
            found.append(shown)
        return tuple(dict.fromkeys(found))

    def with_pending(self, operation_id: str, change: PolicyChange) -> Policy:
        """One more step, about to be sent."""
        step = replace(self.steps[-1], operation_id=operation_id, slot=None, change=change)
        return Policy(steps=_rebased((*self.steps, step)))

    def landed(self, operation_id: str, slot: int) -> Policy:
        steps = [replace(s, slot=slot) if s.operation_id == operation_id else s for s in self.steps]
        return Policy(steps=_rebased(sorted(steps, key=lambda s: (s.slot is None, s.slot or 0))))

    def dropped(self, operation_id: str) -> Policy:
        """The step failed or expired: it never happened, and no later step keeps anything of it."""
        return Policy(steps=_rebased(s for s in self.steps if s.operation_id != operation_id))

    def to_text(self) -> str:
        return json.dumps([asdict(step) for step in self.steps], separators=(",", ":"))

    @classmethod
    @lru_cache(maxsize=1024)  # every cycle reads its pool's, which hardly ever changes
    def from_text(cls, text: str) -> Policy | None:
        return cls(steps=tuple(_step(doc) for doc in json.loads(text))) if text else None


def _step(doc: dict[str, Any]) -> PolicyStep:
    change = doc.get("change")
    return PolicyStep(**{**doc, "change": None if change is None else PolicyChange(**change)})


def _rebased(steps: Iterable[PolicyStep]) -> tuple[PolicyStep, ...]:
    """Each step upon the one before it."""
    built: list[PolicyStep] = []
    for step in steps:
        built.append(step.after(built[-1] if built else None))
    return tuple(built)


def _ways(steps: Sequence[PolicyStep]) -> Iterator[tuple[PolicyStep, ...]]:
    """Which of the steps may have happened, in which order: at least one of them."""
    choose = permutations if len(steps) <= ORDERED else combinations
    for count in range(1, len(steps) + 1):
        yield from choose(steps, count)
