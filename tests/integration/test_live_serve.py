"""The live page from a web server alone: who may see it, a thousand threads, and an end in the midst of a stream."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from domain.store.client import connect
from domain.store.gateway import RedisStore
from domain.thread import ThreadKind, ThreadStatus
from tests.support.api_kit import furnish
from tests.support.api_process import DEADLINE_S, ApiProcess, api_process
from tests.support.browser import Browser, browser, chromium, first_paint_ms
from tests.support.redis_server import redis_server
from tests.support.store_kit import sample_pool, thread_config

pytestmark = pytest.mark.slow
needs_browser = pytest.mark.skipif(chromium() is None, reason="needs Chromium")
FULL, READER = "full-secret-of-a-test-0001", "read-secret-of-a-test-0002"
STATES = (ThreadStatus.CREATED, ThreadStatus.STOPPED, ThreadStatus.ERROR)
MANY = 1_000
BIG = 2**60 + 1  # beyond what a script's numbers hold


@pytest.fixture(scope="module", name="redis_url")
def redis_url_fixture() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(name="store")
def store_fixture(redis_url: str) -> Iterator[RedisStore]:
    client = connect(redis_url)
    client.flushall()
    yield RedisStore(client)
    client.close()


@pytest.fixture(scope="module", name="chrome")
def chrome_fixture() -> Iterator[Browser]:
    with browser() as running:
        yield running


def events(server: ApiProcess) -> Any:
    return urllib.request.urlopen(f"{server.url}live/events", timeout=DEADLINE_S)  # noqa: S310  loopback


def test_a_signal_ends_the_streams_and_the_process(tmp_path: Path, redis_url: str, store: RedisStore) -> None:
    furnish(store)
    with api_process(tmp_path, redis_url) as server, events(server) as first, events(server) as second:
        lines = [stream.readline() for stream in (first, second)]
        assert lines == [b"retry: 2000\n"] * 2
        server.process.send_signal(signal.SIGTERM)
        # a stream that is cut off raises IncompleteRead
        assert all(stream.read().endswith(b"\n\n") for stream in (first, second))
        assert server.process.wait(timeout=DEADLINE_S) == 0
    assert "Traceback" not in server.log.read_text()


def test_the_past_is_there_for_the_first_who_looks(tmp_path: Path, redis_url: str, store: RedisStore) -> None:
    """The server reads from its start on, not from the first listener on."""
    furnish(store)
    with api_process(tmp_path, redis_url) as server:
        deadline, pause = time.monotonic() + DEADLINE_S, Event()
        rows: list[Any] = []
        while len(rows) < 2:
            assert time.monotonic() < deadline
            pause.wait(1.0)  # the places of those who left become free with the next event
            with events(server) as stream:
                hello = next(line for line in stream if line.startswith(b"data: "))
            rows = json.loads(hello[6:])["rows"]
        assert rows[-1][0] > rows[0][0]


@needs_browser
@pytest.mark.browser
def test_a_key_is_asked_for_and_kept_in_the_tab(
    tmp_path: Path, redis_url: str, store: RedisStore, chrome: Browser
) -> None:
    furnish(store)
    keys = f"ops:full:{FULL},desk:read:{READER}"
    with api_process(tmp_path, redis_url, api_keys=keys) as server:
        page = chrome.page()
        page.open(server.url)
        for key, said in (("a-wrong-secret-of-a-test", "does not know this key"), (READER, "")):
            page.until("document.getElementById('ask-key').open", "the question for a key")
            page.run("document.querySelector('#ask-key input').focus()")
            page.write(key)
            page.press("Enter", 13, "\r")
            if said:
                page.until(f"document.getElementById('ask-key-text').innerText.includes('{said}')", said)
        page.until("document.getElementById('connection').className === 'live'", "the stream")
        assert page.run("sessionStorage.getItem('frt-api-key')") == READER
        assert page.run("JSON.stringify(localStorage) + document.cookie + location.href").count(READER) == 0

        button = "document.querySelector('#threads-rows button[data-method=start_thread]')"
        page.until(f"{button} && !{button}.disabled", "a thread that can be started")
        page.click(button)
        page.until("document.querySelector('.toast.bad')", "the refusal of a key that may only read")
        assert "read" in page.run("document.querySelector('.toast.bad').innerText")
        page.settle()
        assert [each for each in page.problems if "401" not in each and "403" not in each] == []
        page.close()
    logged = server.log.read_text()
    assert FULL not in logged
    assert READER not in logged


@needs_browser
@pytest.mark.browser
def test_a_thousand_threads_are_paged_through(
    tmp_path: Path, redis_url: str, store: RedisStore, chrome: Browser
) -> None:
    store.put_pool(sample_pool())
    kinds = (ThreadKind.DEPOSIT, ThreadKind.WITHDRAWAL)
    for number in range(MANY):
        name = f"{kinds[number % 2].value}_{number + 1}"
        config = thread_config(name, index=number, initial_amount=BIG if number == 0 else 1)
        store.create_thread(config, "v1:sealed", ready=True, status=STATES[number % 3])
    with api_process(tmp_path, redis_url) as server:
        page = chrome.page()
        page.size(1360, 900)
        page.open(server.url)
        page.until("document.getElementById('threads-count').innerText === '1,000 of 1,000'", "every thread counted")
        page.until("document.querySelectorAll('#threads-rows tr').length === 50", "one page of rows")
        states = "Array.from(document.querySelectorAll('#states-legend b'), b => b.innerText).join()"
        page.until(f"{states} === '0,334,333,333'", "the states")
        page.click("document.querySelector('#states-legend li:nth-child(4) button')")
        page.until("document.getElementById('page-text').innerText === '1 to 50 of 333'", "those in error")
        page.click("document.getElementById('page-last')")
        page.until("document.getElementById('page-text').innerText === '301 to 333 of 333'", "the last of them")
        assert page.run("document.querySelectorAll('#threads-rows tr').length") == 33
        assert page.run("document.getElementById('verdict').innerText") == "fail"
        page.run("document.querySelector('#filters').reset()")
        page.click("document.getElementById('page-first')")
        page.until("document.querySelector('#threads-rows tr').dataset.id === 'deposit_1'", "the first thread")
        page.click("document.querySelector('#threads-rows .link')")
        page.until(f"document.getElementById('thread').innerText.includes('{BIG:,}')", "its exact amount")
        page.press("Escape", 27)
        page.until("!document.getElementById('thread').open", "the end of its details")
        page.settle()
        assert page.problems == []
        page.close()
        assert first_paint_ms(chrome, server.url) < 1_000
