"""Plans, messages, histograms and comparisons of the echo benchmark."""

from __future__ import annotations

from array import array
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.bench.echo.client.messages import NO_ID, Messages
from ops.bench.echo.client.pattern import planned_s
from ops.bench.echo.client.tally import curve_ms, histogram_of, latency_ms, merged
from ops.bench.echo.compare import rank, ratios
from ops.bench.echo.options import SCENARIOS, Load, Pattern, Placing, Target, check_cores
from ops.bench.echo.page import page
from ops.bench.echo.run import Outcome


def exact(samples: list[int], percentile: float) -> int:
    """Nearest rank."""
    return sorted(samples)[max(1, int(len(samples) * percentile / 100 + 0.5)) - 1]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 5_000),
    spread=st.sampled_from([1_000, 100_000, 10_000_000, 5_000_000_000]),
)
def test_percentiles_are_within_a_thousandth_of_the_exact_ones(seed, count, spread):
    random = Random(seed)
    samples = [1 + int(random.expovariate(1 / spread)) for _ in range(count)]
    half = len(samples) // 2
    parts = [histogram_of(array("q", part)) for part in (samples[:half], samples[half:])]
    latency = latency_ms(merged(parts))
    for name, percentile in (("p50", 50), ("p90", 90), ("p99", 99), ("p99_9", 99.9)):
        assert latency[name] * 1e6 == pytest.approx(exact(samples, percentile), rel=0.001)
    assert latency["max"] * 1e6 == pytest.approx(max(samples), rel=0.001)
    assert latency["min"] * 1e6 == pytest.approx(min(samples), rel=0.001)


def test_a_curve_ends_where_the_samples_do():
    curve = curve_ms(histogram_of(array("q", range(1_000_000, 1_001_000))))
    assert curve[-1][0] == pytest.approx(99.9)
    assert [place for place, _ in curve] == sorted(place for place, _ in curve)
    assert curve_ms(histogram_of(array("q"))) == []


@pytest.mark.parametrize("pattern", [Pattern.FIXED_RATE, Pattern.BURST, Pattern.RAMP_UP])
def test_plans_rise_end_in_time_and_hold_the_rate(pattern):
    load = Load(pattern=pattern, clients=7, rate=20, burst=5, warm_up_s=1, duration_s=9)
    plans = [list(planned_s(load, client)) for client in range(load.clients)]
    for plan in plans:
        assert plan == sorted(plan)
        assert plan[-1] < 10
    total = sum(map(len, plans))
    whole = 7 * 20 * 10 / (2 if pattern is Pattern.RAMP_UP else 1)
    assert total == pytest.approx(whole, rel=0.03)
    assert len({plan[0] for plan in plans}) == load.clients  # they do not all begin at once


def test_a_burst_is_due_at_one_moment():
    load = Load(pattern=Pattern.BURST, clients=1, rate=10, burst=4, warm_up_s=0, duration_s=2)
    assert list(planned_s(load, 0)) == [moment for moment in (0.0, 0.4, 0.8, 1.2, 1.6) for _ in range(4)]


@given(number=st.integers(0, 2**63 - 1), client=st.integers(0, 2**31), size=st.integers(0, 300), text=st.booleans())
def test_a_message_gives_its_id_back(number, client, size, text):
    messages = Messages(text=text, payload_bytes=size, seed=3)
    made = messages.make(number, client, 123)
    assert messages.id_of(made) == number
    assert made == Messages(text=text, payload_bytes=size, seed=3).make(number, client, 123)
    if text:
        made.decode()
    else:
        assert len(made) == 20 + size


@pytest.mark.parametrize("echo", [b"", b"short", b"{}", b"[1]", b'{"messageId":"x"}', b"\xff\xfe"])
def test_what_holds_no_id_has_none(echo):
    assert Messages(text=True, payload_bytes=1, seed=1).id_of(echo) == NO_ID
    assert Messages(text=False, payload_bytes=1, seed=1).id_of(echo[:19]) == NO_ID


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 0}, "rate: 0"),
        ({"rate": float("nan")}, "rate: nan"),
        ({"clients": -1}, "clients: -1"),
        ({"payload_bytes": 2**31}, "payload-bytes"),
        ({"duration_s": float("inf")}, "duration: inf"),
        ({"processes": 3, "clients": 2}, "processes: 3 is not within 1 and 2"),
        ({"burst": 0}, "burst: 0"),
    ],
)
def test_a_wrong_load_names_the_option_and_its_limits(change, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        replace(SCENARIOS["single"], **change)


def test_a_wrong_place_names_the_option():
    with pytest.raises(ValueError, match=r"client-cores: 0,9999 is not within 0"):
        Placing(cores=(0, 9999))
    with pytest.raises(ValueError, match=r"server-cores: 9999 is not within 0"):
        check_cores("server-cores", (9999,))


@pytest.mark.parametrize("url", ["http://a/", "ws://", "ws://a:99999/", "nonsense"])
def test_a_wrong_url_is_refused(url):
    with pytest.raises(ValueError, match="url: "):
        Target(url=url)


def document(name: str, rate: float, **changes) -> dict:
    metadata = {
        "serverName": name,
        "serverVersion": None,
        "serverLanguage": "python",
        "scenario": "burst",
        "measuredSeconds": 10.0,
        "startedAt": "2026-01-01T00:00:00.000+00:00",
        "system": "Linux",
        "partial": changes.get("partial", False),
    }
    load = {
        "url": name,
        "clients": changes.get("clients", 100),
        "loop": changes.get("loop", "closed"),
        "pattern": "Closed",
        "messagesPerSecondPerClient": None,
        "payloadBytes": 256,
        "payloadKind": "binary",
        "warmUpSeconds": 1.0,
        "processes": changes.get("processes", 1),
    }
    return {
        "metadata": metadata,
        "clientConfig": load,
        "serverConfig": {"loop": "uvloop", "cores": changes.get("cores", [])},
        "throughput": {"messagesPerSecond": rate},
        "latency": dict.fromkeys(("p50", "p90", "p99", "p99_9", "max"), 1.0) | {"curve": [[0.0, 0.1], [99.0, 2.0]]},
        "errors": {"errorRate": 0.0},
        "client": {
            "client_saturated": changes.get("saturated", False),
            "cpuOfOneCore": [0.5],
            "waitingForACore": [0.1],
            "coresAllowed": 2,
        },
        "server": {"cpuOfOneCore": changes.get("server", 0.95), "messagesPerCpuSecond": 2 * rate},
        "resourceUsage": {"samples": []},
    }


def test_the_fastest_comes_first():
    assert rank([document("a", 10), document("b", 30), document("c", 20)]).order == (1, 2, 0)


def test_a_server_that_did_not_fill_a_core_may_be_faster_than_measured():
    slow, idle = document("a", 10), document("b", 30, server=0.5)
    assert rank([slow, idle]).order == (1, 0)
    assert rank([slow, idle]).why == "by messages per second (b: at least, it did not fill a core)"
    ranking = rank([document("a", 40), idle])
    assert ranking.order is None
    assert ranking.why.startswith("not ranked: b did not fill a core and may be faster")
    assert rank([slow, document("b", 30, server=None)]).why == "by messages per second"  # nobody knows
    assert ratios(idle, slow) == "3.00 x the slowest, 3.00 x per CPU second of the server"


PINNED = {"saturated": True, "cores": [0], "processes": 2}


def test_a_full_client_hides_nothing_of_a_server_that_filled_its_own_core():
    ranking = rank([document("a", 10, cores=[0], processes=2), document("b", 30, **PINNED, server=0.97)])
    assert ranking.order == (1, 0)
    assert ranking.why == "by messages per second (b: at least, the client was full, too)"


@pytest.mark.parametrize("change", [{"server": 0.9}, {"cores": []}, {"processes": 1}, {"server": None}])
def test_a_full_client_is_the_limit_of_every_other_server(change):
    first = document("a", 10, cores=[0], processes=change.get("processes", 2))
    ranking = rank([first, document("b", 30, **{"server": 0.97} | PINNED | change)])
    assert ranking.order is None
    assert "the client was saturated in the run of b" in ranking.why


@pytest.mark.parametrize(
    ("cpu", "cores", "saturated"),
    [
        ([0.91], 2, True),
        ([0.89], 2, False),
        ([0.24] * 4, 1, True),  # four that share one core fill it
        ([0.24] * 4, 2, False),
    ],
)
def test_a_full_core_or_full_cores_are_saturation(cpu, cores, saturated):
    outcome = Outcome.__new__(Outcome)
    outcome.cpu, outcome.cores = cpu, cores
    assert outcome.client_saturated is saturated


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"saturated": True}, "the client was saturated in the run of b"),
        ({"partial": True}, "the run of b is partial"),
        ({"clients": 99}, "the loads differ"),
    ],
)
def test_no_ranking_where_it_would_not_be_honest(change, why):
    ranking = rank([document("a", 10), document("b", 30, **change)])
    assert ranking.order is None
    assert why in ranking.why


def test_the_page_is_self_contained_and_escapes_names():
    documents = [document("<b>", 10), document("b", 30)]
    text = page(documents, rank(documents))
    assert "&lt;b&gt;" in text
    assert "<b>" not in text.replace("<b class", "")
    assert "loop uvloop" in text
    assert "http" not in text
    assert "<script" not in text
