"""Several processes of one machine: a port each, announced, and one of them tells about the machine."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import redis

from domain.runtime.metrics import ProcessMetrics
from domain.runtime.monitor import Monitor
from domain.runtime.settings import load
from domain.store.client import connect
from domain.store.errors import StoreUnavailable
from domain.store.gateway import RedisStore
from ops.stack import free_port
from tests.support.store_kit import client_fixture, real_url_fixture

__all__ = ["client_fixture", "real_url_fixture"]


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline, what
    return found


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def test_each_takes_the_next_free_port_and_one_has_the_machine(client: redis.Redis) -> None:
    settings = load({}, None, {"metrics_port": free_port(), "metrics_interval_s": 1.0})
    store = RedisStore(client)
    monitors = [Monitor(settings, store, ProcessMetrics("cycles", f"cycle-{n}")) for n in (1, 2)]
    monitors[0].start()
    until(lambda: len(store.metrics_targets()) == 1, "the first one's announcement")
    monitors[1].start()
    try:
        targets = until(lambda: len(found := store.metrics_targets()) == 2 and found, "both announcements")
        ports = [monitor.port for monitor in monitors]
        assert ports[0] != ports[1]
        announced = {labels["name"]: address for address, labels in targets}
        assert announced == {"cycle-1": f"127.0.0.1:{ports[0]}", "cycle-2": f"127.0.0.1:{ports[1]}"}
        until(lambda: "frt_machine_load1" in scrape(ports[0]), "the machine's figures")
        assert "frt_machine_load1" not in scrape(ports[1])
        assert 'name="cycle-2"' in scrape(ports[1])
    finally:
        for monitor in monitors:
            monitor.close()


def test_by_default_no_port_is_opened_and_the_machine_is_still_watched(client: redis.Redis) -> None:
    own = ProcessMetrics("api", "api")
    monitor = Monitor(load({}), RedisStore(client), own)
    monitor.start()
    try:
        until(lambda: any(family.name == "frt_machine_load1" for family in own.families()), "the machine's figures")
        assert monitor.port == 0
        assert RedisStore(client).metrics_targets() == []
    finally:
        monitor.close()


def test_the_machine_is_told_of_as_it_is_at_the_moment(client: redis.Redis) -> None:
    """However long the interval of the log lines: a rate over samples that are minutes old goes up in steps."""
    own = ProcessMetrics("api", "api")
    monitor = Monitor(load({}, None, {"metrics_interval_s": 60.0}), RedisStore(client), own)
    monitor.start()

    def spent() -> float:
        modes = [family for family in own.families() if family.name == "frt_machine_cpu_seconds"]
        return sum(sample.value for family in modes for sample in family.samples)

    try:
        before = until(spent, "the machine's figures")
        until(lambda: spent() > before, "newer ones")
    finally:
        monitor.close()


def test_a_process_that_is_gone_is_soon_forgotten(client: redis.Redis) -> None:
    settings = load({}, None, {"metrics_port": free_port(), "metrics_interval_s": 60.0})
    store = RedisStore(client)
    monitor = Monitor(settings, store, ProcessMetrics("cycles", "cycle-1"))
    monitor.start()
    try:
        until(store.metrics_targets, "the announcement")
        until(lambda: client.keys("frt:lease:machine:*"), "the machine's lease")
        (document,) = client.hvals("frt:metrics-targets")
        assert json.loads(document)["until_ms"] - store.now_ms() <= 15_000
        (lease,) = client.keys("frt:lease:machine:*")
        assert client.pttl(lease) <= 15_000
    finally:
        monitor.close()


def test_round_trips_are_measured_also_when_they_fail_but_waiting_is_not(real_url: str) -> None:
    own = ProcessMetrics("api", "api")
    store = RedisStore(connect(real_url), metrics=own)
    with closing(store):
        store.ping()
        store.overview()
        store.note_heartbeat("sweep", {"at_ms": 1, "cycle_ms": 1})
        store.wait_for_command("nobody", 0.05)
    nobody = RedisStore(connect("redis://127.0.0.1:1/0", socket_timeout_s=0.2), metrics=own)
    with pytest.raises(StoreUnavailable):
        nobody.ping()
    samples = {
        (s.name, s.labels["command"]): s.value
        for family in own.families()
        for s in family.samples
        if "command" in s.labels
    }
    assert samples["frt_redis_call_duration_seconds_count", "PING"] == 2
    assert samples["frt_redis_failures_total", "PING"] == 1
    assert samples["frt_redis_call_duration_seconds_count", "pipeline"] == 1
    assert samples["frt_redis_call_duration_seconds_count", "HSET"] == 1
    assert ("frt_redis_call_duration_seconds_count", "BLMOVE") not in samples
    with closing(connect(real_url)) as client:
        client.flushall()
