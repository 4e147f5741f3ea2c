"""The whole catalogue of probes, in one fixed order, and how it is dealt over the pools of a run."""

from __future__ import annotations

from typing import Final

from domain.probes import Probe
from domain.probes_accounts import account_probes
from domain.probes_admin import admin_probes
from domain.probes_atomic import atomic_probes
from domain.probes_real import real_probes
from domain.probes_sandbox import sandbox_probes
from domain.probes_trading import trading_probes
from domain.probes_treasury import treasury_probes

CATALOGUE: Final[tuple[Probe, ...]] = (
    *account_probes(),
    *trading_probes(),
    *admin_probes(),
    *atomic_probes(),
    *sandbox_probes(),
    *treasury_probes(),
    *real_probes(),
)
BY_NAME: Final = {probe.name: probe for probe in CATALOGUE}
# A prime that does not divide the number of probes: neighbours in the catalogue are dealt far apart.
STRIDE: Final = 101


def dealt(position: int) -> Probe:
    """The probe at a place of the dealing order, which repeats for ever."""
    return CATALOGUE[position * STRIDE % len(CATALOGUE)]


def first_position(pool_index: int, pools: int) -> int:
    """Each pool starts at another place, so that together they are through after one share each."""
    return pool_index * len(CATALOGUE) // max(1, pools)
