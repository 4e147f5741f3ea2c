"""What a thread's status is made from: what Redis holds about it, its pool and its pool's other threads. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from domain.flows import Flows
from domain.ids import ThreadId
from domain.observed import ObservedPool
from domain.pool import Pool, lp_of
from domain.state import ThreadState, Totals
from domain.thread import ThreadConfig, ThreadStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One thread at ``now_ms`` of Redis. None: nobody has read it, or there is no such thing (yet).

    ``volume`` and ``pool_volume`` are in the pool's value units (amount times the other side's ratio), over the whole
    lives of this thread and of all threads the pool ever had; ``pool_fees`` are the lamports that the pool's account
    says it ever collected.
    """

    config: ThreadConfig
    status: ThreadStatus
    state: ThreadState
    flows: Flows  # over the whole life
    session_flows: Flows
    session_errors: dict[str, int]  # by name
    now_ms: int
    due_ms: int | None = None  # of the next cycle, None while none is to come
    cadence_ms: int = 2_000  # the longest pause between two cycles
    pool: Pool | None = None
    observed: ObservedPool | None = None
    pool_fees: int | None = None
    pool_volume: int = 0
    takers: int = 0  # running threads that would get a share of what this one shares
    opposite: ThreadId | None = None  # the swap thread of the other direction

    @property
    def volume(self) -> int:
        return volume_of(self.config, self.state.lifetime.spent, self.pool)

    def held(self, name: str) -> int | None:
        """A balance of the last snapshot. Before the first nothing was read, and unknown is None, not zero.

        A token that the thread has no account for is zero.
        """
        return self.state.balances.get(name, 0) if self.state.balances_at_ms else None

    @property
    def own_lp(self) -> int | None:
        return self.held(lp_of(self.config.side).value)


def volume_of(config: ThreadConfig, spent: int, pool: Pool | None) -> int:
    """What a thread moved, in the pool's value units: LP of a side is worth that side's tokens, one to one."""
    return spent * pool.ratio(config.side.other) if pool else 0


def failed(totals: Totals) -> int:
    """Operations that did not do what they were to do, whatever the reason (MON-07)."""
    return totals.failed_expected + totals.failed_unexpected + totals.expired


def successful(totals: Totals) -> int:
    """Confirmed operations, and those that landed while only the chain remembered them."""
    return totals.confirmed + totals.recovered


def attempts(totals: Totals) -> int:
    """Operations with an outcome."""
    return successful(totals) + failed(totals)


def landed(totals: Totals) -> int:
    """Operations that the chain executed, whatever came of it: each paid its network fee."""
    return attempts(totals) - totals.expired


def mean(total: int, count: int) -> int:
    """Rounded down, so that it is an amount again; 0 of nothing."""
    return total // count if count else 0


def percentage(part: int, whole: int | None, digits: int = 4) -> float | None:
    """None of nothing: no rate is known then, not even 0."""
    return round(100 * part / whole, digits) if whole else None
