"""Choice, failing over and back-off of endpoints, with a clock that only moves when told."""

from __future__ import annotations

from random import Random
from threading import Event, Thread

import pytest

from domain.chain.endpoints import MAX_BACKOFF_SECONDS, Endpoints
from domain.chain.errors import RpcErrorObject, RpcThrottled, RpcTimeout, RpcUnavailable
from domain.chain.rpc import Call


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Node:
    """Answers like RpcClient; `fails` says with what, None means a good answer."""

    def __init__(self, name, *, fails=None, max_connections=2):
        self.endpoint = name
        self.timeout_seconds = 5.0
        self.max_connections = max_connections
        self.fails = fails
        self.asked = []
        self.while_asked = lambda: None

    def call(self, method, params=(), *, timeout_seconds):
        self.asked.append((method, timeout_seconds))
        self.while_asked()
        if self.fails is not None:
            raise self.fails
        return f"{self.endpoint}:{method}"

    def batch(self, calls, *, timeout_seconds):
        return [self.call(call.method, timeout_seconds=timeout_seconds) for call in calls]

    def close(self):
        self.closed = True


def down(node="x"):
    return RpcUnavailable(node, "down")


@pytest.fixture
def clock():
    return Clock()


def build(clock, *nodes):
    return Endpoints(nodes, rng=Random(7), monotonic=clock)


def health_of(endpoints, label):
    return next(each for each in endpoints.health() if each.endpoint == label)


def fail(endpoints, times, **kwargs):
    for _ in range(times):
        with pytest.raises((RpcUnavailable, RpcThrottled, RpcTimeout)):
            endpoints.call("getSlot", **kwargs)


def test_requests_rotate_and_the_answer_says_who_gave_it(clock):
    endpoints = build(clock, Node("a"), Node("b"), Node("c"))
    answers = [endpoints.batch([Call("1", "getSlot")]) for _ in range(6)]
    assert [each.endpoint for each in answers] == ["a", "b", "c"] * 2
    assert answers[1].results == ["b:getSlot"]


def test_a_wanted_endpoint_is_the_only_one_asked(clock):
    good, bad = Node("a"), Node("b", fails=down())
    endpoints = build(clock, good, bad)
    assert [endpoints.call("getSlot", endpoint="a") for _ in range(3)] == ["a:getSlot"] * 3
    fail(endpoints, 1, endpoint="b")
    assert len(good.asked) == 3
    with pytest.raises(RpcUnavailable, match="no such endpoint"):
        endpoints.call("getSlot", endpoint="z")


@pytest.mark.parametrize("error", [down(), RpcThrottled("a", "429"), RpcTimeout("a", "late")])
@pytest.mark.parametrize("method", ["getSlot", "sendTransaction"])
def test_another_endpoint_is_asked_when_one_fails(clock, error, method):
    bad, good = Node("a", fails=error), Node("b")
    assert build(clock, bad, good).call(method) == f"b:{method}"
    assert len(bad.asked) == 1


def test_a_refusal_and_an_airdrop_are_not_asked_again_elsewhere(clock):
    other = Node("b")
    refusing = build(clock, Node("a", fails=RpcErrorObject("a", -32602, "bad")), other)
    with pytest.raises(RpcErrorObject):
        refusing.call("getSlot")
    airdrop = build(clock, Node("a", fails=down()), other)
    with pytest.raises(RpcUnavailable):
        airdrop.call("requestAirdrop")
    assert other.asked == []


def test_failing_over_stays_within_one_deadline(clock):
    bad, good, idle = Node("a", fails=down()), Node("b", fails=RpcTimeout("b", "late")), Node("c")

    def pass_time(seconds):
        def waits():
            clock.now += seconds

        return waits

    bad.while_asked, good.while_asked = pass_time(1.5), pass_time(0.5)
    endpoints = build(clock, bad, good, idle)
    with pytest.raises(RpcTimeout):
        endpoints.call("getSlot", timeout_seconds=2.0)
    assert bad.asked == [("getSlot", 2.0)]
    assert good.asked == [("getSlot", 0.5)]
    assert idle.asked == []


def test_when_all_fail_the_last_error_is_raised_and_each_was_asked_once(clock):
    nodes = [Node(name, fails=down(name)) for name in "abc"]
    with pytest.raises(RpcUnavailable, match="c: down"):
        build(clock, *nodes).call("getSlot")
    assert [len(node.asked) for node in nodes] == [1, 1, 1]


def test_five_failures_in_a_row_bring_a_back_off_but_only_after_a_quiet_second(clock):
    node = Node("a", fails=down())
    endpoints = build(clock, node)
    fail(endpoints, 20)
    assert health_of(endpoints, "a").backoff_seconds == 0
    assert len(node.asked) == 20
    clock.now += 1.0
    fail(endpoints, 1)
    assert 0.125 <= health_of(endpoints, "a").backoff_seconds <= 0.25
    with pytest.raises(RpcUnavailable, match=r"backing off for another 0\.\d+ s after: x: down"):
        endpoints.call("getSlot")
    assert len(node.asked) == 21
    clock.now += 0.25
    node.fails = None
    assert endpoints.call("getSlot") == "a:getSlot"
    assert health_of(endpoints, "a").consecutive_failures == 0


def test_requests_that_fail_together_lengthen_the_back_off_once(clock):
    node = Node("a", fails=down(), max_connections=50)
    endpoints = build(clock, node)
    clock.now += 2
    fail(endpoints, 4)
    depth = 10

    def others_are_under_way():
        nonlocal depth
        depth -= 1
        if depth > 0:
            fail(endpoints, 1)

    node.while_asked = others_are_under_way
    fail(endpoints, 1)
    assert health_of(endpoints, "a").consecutive_failures == 14
    assert 0 < health_of(endpoints, "a").backoff_seconds < 0.25


def test_an_endpoint_in_back_off_is_passed_over(clock):
    bad, good = Node("a", fails=down()), Node("b")
    endpoints = build(clock, bad, good)
    clock.now += 2
    fail(endpoints, 5, endpoint="a")
    asked = len(bad.asked)
    assert [endpoints.call("getSlot") for _ in range(4)] == ["b:getSlot"] * 4
    assert len(bad.asked) == asked


def test_back_off_doubles_with_jitter_up_to_its_limit_and_a_success_ends_it(clock):
    node = Node("a", fails=down())
    endpoints = build(clock, node)
    clock.now += 2
    fail(endpoints, 5)
    seen = []
    for _ in range(12):
        seen.append(health_of(endpoints, "a").backoff_seconds)
        clock.now += seen[-1]
        fail(endpoints, 1)
    for nth, seconds in enumerate(seen):
        longest = min(MAX_BACKOFF_SECONDS, 0.25 * 2**nth)
        assert longest / 2 - 1e-9 <= seconds <= longest + 1e-9
    assert len({round(seconds / min(30.0, 0.25 * 2**nth), 6) for nth, seconds in enumerate(seen)}) > 6
    clock.now += MAX_BACKOFF_SECONDS
    node.fails = None
    endpoints.call("getSlot")
    node.fails = down()
    clock.now += 2
    fail(endpoints, 5)
    assert health_of(endpoints, "a").backoff_seconds <= 0.25


def test_the_node_s_own_wish_is_obeyed_at_once(clock):
    node = Node("a", fails=RpcThrottled("a", "429", retry_after_seconds=7.0))
    endpoints = build(clock, node)
    fail(endpoints, 1)
    assert 7.0 <= health_of(endpoints, "a").backoff_seconds <= 7.25
    with pytest.raises(RpcThrottled) as caught:
        endpoints.call("getSlot")
    assert caught.value.retry_after_seconds == pytest.approx(health_of(endpoints, "a").backoff_seconds)
    assert len(node.asked) == 1


def test_throttling_without_a_wish_counts_to_three(clock):
    node = Node("a", fails=RpcThrottled("a", "429"))
    endpoints = build(clock, node)
    fail(endpoints, 2)
    assert health_of(endpoints, "a").backoff_seconds == 0
    fail(endpoints, 1)
    assert health_of(endpoints, "a").backoff_seconds > 0


def test_a_throttled_entry_of_a_batch_counts_but_a_refused_one_does_not(clock):
    node = Node("a")
    endpoints = build(clock, node)
    node.batch = lambda calls, timeout_seconds: [1, RpcErrorObject("a", -32602, "bad")]
    endpoints.batch([Call("1", "x")])
    assert health_of(endpoints, "a").consecutive_throttles == 0
    node.batch = lambda calls, timeout_seconds: [1, RpcErrorObject("a", 429, "slow")]
    endpoints.batch([Call("1", "x")])
    assert health_of(endpoints, "a").consecutive_throttles == 1


def test_a_full_endpoint_is_passed_over_while_another_has_room(clock):
    full, free = Node("a", max_connections=1), Node("b")
    endpoints = build(clock, full, free)
    inner = []

    def while_a_is_busy():
        full.while_asked = lambda: None
        inner.extend(endpoints.call("getSlot") for _ in range(3))

    full.while_asked = while_a_is_busy
    assert endpoints.call("getSlot") == "a:getSlot"
    assert inner == ["b:getSlot"] * 3
    assert [each.in_flight for each in endpoints.health()] == [0, 0]


def test_places_are_given_back_after_errors_of_any_kind(clock):
    node = Node("a", fails=KeyboardInterrupt())
    endpoints = build(clock, node)
    with pytest.raises(KeyboardInterrupt):
        endpoints.call("getSlot")
    node.fails = down()
    fail(endpoints, 1)
    assert health_of(endpoints, "a").in_flight == 0
    assert health_of(endpoints, "a").consecutive_failures == 1


def test_a_probe_brings_an_endpoint_back_from_back_off(clock):
    node = Node("a", fails=RpcThrottled("a", "429", retry_after_seconds=20.0))
    endpoints = build(clock, node)
    fail(endpoints, 1)
    assert "429" in endpoints.probe("a", timeout_seconds=1.0)
    assert health_of(endpoints, "a").backoff_seconds > 0
    node.fails = None
    assert endpoints.probe("a", timeout_seconds=1.0) is None
    assert health_of(endpoints, "a").backoff_seconds == 0
    assert node.asked[-1] == ("getHealth", 1.0)
    assert endpoints.call("getSlot") == "a:getSlot"


def test_a_probe_tells_a_node_that_is_behind_from_one_that_knows_no_such_method(clock):
    node = Node("a", fails=RpcErrorObject("a", -32005, "Node is behind by 42 slots"))
    endpoints = build(clock, node)
    assert "behind" in endpoints.probe("a", timeout_seconds=1.0)
    node.fails = RpcErrorObject("a", -32601, "Method not found")
    assert endpoints.probe("a", timeout_seconds=1.0) is None


def test_equal_names_are_told_apart(clock):
    endpoints = build(clock, Node("https://h"), Node("https://h"), Node("https://i"))
    assert endpoints.labels == ("https://h", "https://h#2", "https://i")
    with pytest.raises(ValueError, match="at least one"):
        build(clock)


def test_slow_answers_lower_the_limit_and_quick_ones_raise_it_again(clock):
    node = Node("a", max_connections=32)
    endpoints = build(clock, node)

    def takes(seconds):
        node.while_asked = lambda: setattr(clock, "now", clock.now + seconds)
        endpoints.call("getSlot")

    for _ in range(50):
        takes(0.01)
    assert health_of(endpoints, "a").in_flight_limit == 32
    for _ in range(50):
        takes(3.0)
    assert health_of(endpoints, "a").in_flight_limit < 10
    for _ in range(1_000):
        takes(0.01)
    assert health_of(endpoints, "a").in_flight_limit == 32


def test_time_outs_and_throttling_lower_the_limit_but_a_refused_connection_does_not(clock):
    for error, lowered in ((RpcTimeout("a", "late"), True), (RpcThrottled("a", "429"), True), (down(), False)):
        node = Node("a", fails=error, max_connections=32)
        endpoints = build(clock, node)
        fail(endpoints, 1)
        assert (health_of(endpoints, "a").in_flight_limit < 32) is lowered


def test_a_request_waits_for_a_place_and_takes_it_when_another_one_ends():
    node = Node("a", max_connections=1)
    endpoints = Endpoints([node], rng=Random(7))
    entered, leave, answers = Event(), Event(), []

    def hold():
        node.while_asked = lambda: None
        entered.set()
        leave.wait(10)

    node.while_asked = hold
    first = Thread(target=lambda: answers.append(endpoints.call("first")))
    first.start()
    assert entered.wait(10)
    second = Thread(target=lambda: answers.append(endpoints.call("second")))
    second.start()
    with pytest.raises(RpcTimeout, match="no place beside 1 requests"):
        endpoints.call("third", timeout_seconds=0.05)
    leave.set()
    for thread in (first, second):
        thread.join(10)
    assert answers == ["a:first", "a:second"]
    assert health_of(endpoints, "a").in_flight == 0
