"""The load under which processes are hit: the default scenario's four shapes of pools, an order every few seconds."""

from __future__ import annotations

from typing import Any, Final

from ops.scenario import Scenario, parse_scenario

SHAPES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("nine-six", {"decimals_a": 9, "decimals_b": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}),
    ("zero-nine", {"decimals_a": 0, "decimals_b": 9, "ratio_whole_number": 3, "ratio_direction": "b_to_a"}),
    (
        "six-six-exact",
        {"decimals_a": 6, "decimals_b": 6, "ratio_a": 1_000_000, "ratio_b": 1_010_000, "exact_exchange": True},
    ),
    ("nine-zero", {"decimals_a": 9, "decimals_b": 0, "ratio_a": 1_500_000_000, "ratio_b": 1}),
)
FEWEST_PER_POOL: Final = 6  # one of each kind and side
THRESHOLDS: Final = (
    "violations == 0",
    "unexplained_units == 0",
    "unexplained_lamports == 0",
    "failed_unexpected == 0",
    "steps_failed == 0",
    "threads_in_error == 0",
)
_GROUPS: Final = ("swap_a_to_b", "swap_b_to_a", "deposit_a", "deposit_b", "withdrawal_a", "withdrawal_b")
_STEP_EVERY_MS: Final = 3_000


def chaos_scenario(threads: int, *, seed: int, hit_from_ms: int, hit_until_ms: int, duration_ms: int) -> Scenario:
    """``threads`` threads in up to four pools. Steps come all the time that processes are hit.

    ValueError for fewer than six threads.
    """
    if threads < FEWEST_PER_POOL:
        raise ValueError(f"at least {FEWEST_PER_POOL} threads are needed, one of each kind and side")
    count = min(len(SHAPES), threads // FEWEST_PER_POOL)
    pools = []
    for index, (name, shape) in enumerate(SHAPES[:count]):
        share = threads // count + (1 if index < threads % count else 0)
        pools.append({"name": name, **shape, "threads": _groups(share)})
    names = [name for name, _ in SHAPES[:count]]
    document = {
        "name": "chaos",
        "description": "Processes are killed or frozen under load",
        "duration": f"{duration_ms}ms",
        "seed": seed,
        "pools": pools,
        "steps": _steps(names, hit_from_ms, hit_until_ms),
        "thresholds": list(THRESHOLDS),
    }
    return parse_scenario(document, "chaos")


def _groups(threads: int) -> dict[str, int]:
    """A pool has one swap thread per direction; the others take turns."""
    groups = dict.fromkeys(_GROUPS, 1)
    for number in range(threads - len(_GROUPS)):
        groups[_GROUPS[2 + number % 4]] += 1
    return groups


def _steps(names: list[str], from_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """Every kind of command again and again, so that every control worker is hit while it carries some out.

    A round ends as it began: nothing stays paused or stopped.
    """
    steps: list[dict[str, Any]] = []
    at_ms, number = from_ms, 0
    while at_ms + len(_ROUND) * _STEP_EVERY_MS <= until_ms or not steps:
        for action, details in _ROUND:
            fees = {"liquidity_fee": 13_000_000 + 1_000_000 * (number % 3)} if action == "update_fees" else {}
            where = [names[number % len(names)]]
            steps.append({"at": f"{at_ms}ms", "action": action, "pools": where, **details, **fees})
            at_ms += _STEP_EVERY_MS
        number += 1
    return steps


_ROUND: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("update_fees", {}),
    ("stop", {"kinds": ["deposit"], "count": 2}),
    ("start", {"kinds": ["deposit"], "count": 2}),
    ("pause", {}),
    ("consolidate", {}),
    ("unpause", {}),
    ("empty", {"kinds": ["swap"], "count": 1}),
)
