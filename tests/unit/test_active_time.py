"""How long a session was at work: the time in which the service was down is none."""

from __future__ import annotations

from domain.state import ThreadState

AT_MS = 1_736_937_045_123
HOUR_MS = 3_600_000


def begun() -> ThreadState:
    return ThreadState().session_begun(AT_MS, reason="manual").looked({}, 1, AT_MS + 10_000)


def test_a_session_that_goes_on_is_at_work_until_now() -> None:
    assert ThreadState().session_ms(AT_MS) == 0
    assert ThreadState().session_begun(AT_MS, reason="manual").session_ms(AT_MS + 30_000) == 30_000
    assert begun().session_ms(AT_MS + 20_000) == 20_000


def test_who_has_not_looked_for_a_minute_was_last_at_work_then() -> None:
    assert begun().session_ms(AT_MS + 70_000) == 70_000
    assert begun().session_ms(AT_MS + 70_001) == 10_000
    assert begun().session_ms(AT_MS + HOUR_MS) == 10_000


def test_an_outage_counts_for_nothing_once_it_is_over() -> None:
    again = begun().looked({}, 2, AT_MS + HOUR_MS).looked({}, 3, AT_MS + HOUR_MS + 2_000)
    assert again.session_ms(AT_MS + HOUR_MS + 5_000) == 15_000
    assert ThreadState.from_text(again.to_text()).session_ms(AT_MS + HOUR_MS + 5_000) == 15_000
    stopped = again.evolved(stopped_at_ms=AT_MS + HOUR_MS + 6_000)
    assert stopped.session_ms(AT_MS + 9 * HOUR_MS) == 16_000
    restarted = stopped.session_begun(AT_MS + 9 * HOUR_MS, reason="manual")
    assert (restarted.past_active_ms, restarted.session_idle_ms) == (16_000, 0)


def test_a_look_between_sessions_is_no_outage() -> None:
    stopped = begun().evolved(stopped_at_ms=AT_MS + 12_000)
    looked = stopped.looked({"sol": 1}, 5, AT_MS + HOUR_MS)
    assert (looked.session_ms(AT_MS + HOUR_MS), looked.balances, looked.balances_slot) == (12_000, {"sol": 1}, 5)
