"""When lateness means a backlog: then nothing may be sent again, for more deliveries would only make it longer."""

from __future__ import annotations

import pytest

from domain.store.histogram import bucket_of
from tasks.supervisor import BACKLOG_STARTS, Starts

ON_TIME, LATE = bucket_of(3), bucket_of(2_500)


@pytest.mark.parametrize(
    ("on_time", "late", "expected"),
    [
        (0, BACKLOG_STARTS, True),
        (BACKLOG_STARTS, 0, False),
        (10, 40, True),  # four of five
        (11, 39, False),
        (0, BACKLOG_STARTS - 1, False),  # too few to tell: after a kill everything that begins was revived
        (0, 0, False),
    ],
)
def test_only_a_share_of_late_starts_is_a_backlog(on_time: int, late: int, expected: bool) -> None:
    assert Starts().are_late({"deposit": {ON_TIME: on_time}, "swap": {LATE: late}}) is expected


def test_only_what_began_since_the_last_look_counts() -> None:
    starts = Starts()
    assert starts.are_late({"swap": {LATE: 100}})
    assert not starts.are_late({"swap": {LATE: 100, ON_TIME: 100}})
    assert not starts.are_late({"swap": {LATE: 100, ON_TIME: 100}})
    assert starts.are_late({"swap": {LATE: 200, ON_TIME: 101}})
