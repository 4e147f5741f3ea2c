"""The order in which a pool's chain takes its probes: none is left out for one that runs again."""

from __future__ import annotations

from domain.probes_catalogue import CATALOGUE, dealt
from tasks.cycles.probe import Deal, ProbeCycle


def test_probes_that_run_again_come_in_between_and_push_none_out():
    cycle = object.__new__(ProbeCycle)
    cycle.deal = Deal(position=0, again=[dealt(300).name, dealt(301).name, dealt(302).name])
    taken = [cycle._next().name for _ in range(len(CATALOGUE) + 3)]
    assert set(taken) == {probe.name for probe in CATALOGUE}
    assert [dealt(n).name for n in (300, 301, 302)] == taken[0:5:2]
    assert cycle.deal.again == []
