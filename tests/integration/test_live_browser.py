"""The live page in a real browser, before a real stack of 200 threads: its looks, every button, a lost connection."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from domain.ids import ThreadId
from tests.support.browser import Browser, Page, browser, chromium, first_paint_ms
from tests.support.live_stack import LiveStack, live_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(chromium() is None, reason="needs Chromium"),
]

THREADS, POOLS = 200, 4
LISTENERS = 4
DEADLINE_S = 60.0
#: Where the screenshots go, for people to look at.
SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) shifted += e.value; })
  .observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module", name="live")
def live_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    with live_stack(
        tmp_path_factory.mktemp("live"), threads=THREADS, pools=POOLS, max_live_listeners=LISTENERS
    ) as running:
        yield running


@pytest.fixture(scope="module", name="chrome")
def chrome_fixture() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(name="page")
def page_fixture(live: LiveStack, chrome: Browser) -> Iterator[Page]:
    """The page with a snapshot on it. Whatever its console complained about fails the test that used it."""
    page = chrome.page()
    page.size(1360, 900)
    page.scheme("light")
    page.open(live.url, before=WATCH_SHIFTS)
    page.until("performance.getEntriesByName('first-snapshot').length > 0", "the first snapshot")
    page.until("document.querySelectorAll('#threads-rows tr').length > 0", "the table of threads")
    yield page
    page.settle()
    problems = page.problems
    page.close()
    assert problems == []


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline, pause = time.monotonic() + DEADLINE_S, Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in {DEADLINE_S} s: {what}"
        pause.wait(0.05)
    return found


def status(live: LiveStack, thread_id: str) -> str:
    record = live.runtime.store.get_chain(ThreadId(thread_id))
    assert record is not None
    return record.status.value


def text(page: Page, selector: str) -> str:
    return str(page.run(f"document.querySelector({json.dumps(selector)}).innerText"))


def row_button(thread_id: str, method: str) -> str:
    return f"document.querySelector('#threads-rows tr[data-id={thread_id}] button[data-method={method}]')"


def find(page: Page, thread_id: str) -> None:
    """Filter the table down to one thread, as a person would: with the key for it, by typing its name."""
    page.press("/", 191, "/")
    page.write(thread_id)
    page.until(f"document.querySelector('#threads-rows tr')?.dataset.id === '{thread_id}'", f"{thread_id} in the table")


def press(page: Page, button: str) -> None:
    page.until(f"{button} && !{button}.disabled && !{button}.hidden", f"{button} can be pressed")
    page.click(button)


def agree(page: Page) -> None:
    page.until("document.getElementById('confirm').open", "the question")
    page.click("document.getElementById('confirm-ok')")


def test_it_paints_at_once_and_nothing_moves(page: Page, live: LiveStack, chrome: Browser) -> None:
    assert first_paint_ms(chrome, live.url) < 1_000, "the bar of the page"
    page.until("document.querySelectorAll('#threads-rows tr').length === 50", "a full page of threads")
    assert page.run("shifted") < 0.1


def test_it_shows_what_the_store_holds(page: Page, live: LiveStack) -> None:
    until(lambda: live.runtime.store.observed_pools().keys() >= set(live.pools), "a snapshot of every pool")
    page.until("document.querySelectorAll('#pools tr').length === 4", "every pool")
    page.until("document.querySelector('[data-field=confirmed]').innerText.length > 2", "confirmed operations")
    page.until("document.querySelector('[data-field=core]').innerText.endsWith('SOL')", "the core wallet's balance")
    assert text(page, "#verdict") == "pass so far"
    assert text(page, "#connection-text") == "live"
    assert text(page, "#threads-count") == "200 of 200"
    assert "200 threads in 4 pools" in text(page, "#facts")
    page.until(
        "/^Reserves: token A [\\d,.]+, token B [\\d,.]+$/.test(document.getElementById('chart-reserves').ariaLabel)",
        "reserves",
    )
    page.until("/: G [\\d,]+$/.test(document.getElementById('chart-surplus').ariaLabel)", "G")
    label = page.run("document.getElementById('chart-operations').ariaLabel")
    assert "deposit" in label
    pixels = "c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
    drawn = f"Array.from(document.querySelectorAll('.plot canvas'), c => {pixels}.some(v => v))"
    assert page.run(drawn) == [True] * 6


def test_its_looks(page: Page, live: LiveStack) -> None:
    """Light, dark and on a phone: kept for people to look at; here only what a script can tell."""
    page.until("document.getElementById('chart-surplus').querySelector('.over').hidden", "the charts")
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        page.until(f"matchMedia('(prefers-color-scheme: {scheme})').matches", scheme)
        page.screenshot(SHOTS / f"live-{scheme}.png")
    backgrounds = [page.run("getComputedStyle(document.body).backgroundColor")]
    page.click("document.getElementById('theme')")
    page.click("document.getElementById('theme')")
    assert text(page, "#theme") == "Light"
    backgrounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds == ["rgb(20, 24, 28)", "rgb(252, 252, 250)"]
    page.run("window.isTheOldOne = true")
    page.run("location.reload()")
    again = "!window.isTheOldOne && performance.getEntriesByName('first-snapshot').length > 0"
    page.until(again, "the page again")
    page.problems[:] = [each for each in page.problems if "503" not in each]  # the old page's place is not free at once
    assert page.run("getComputedStyle(document.body).backgroundColor") == backgrounds[1], "the choice is kept"
    page.run("localStorage.clear()")
    page.size(390, 844, mobile=True)
    page.until("document.documentElement.scrollWidth <= innerWidth", "a page as wide as the phone")
    page.screenshot(SHOTS / "live-phone.png")


def test_a_thread_is_stopped_started_and_emptied(page: Page, live: LiveStack) -> None:
    thread_id = live.threads[-1]
    find(page, thread_id)
    press(page, row_button(thread_id, "stop_thread"))
    until(lambda: status(live, thread_id) == "stopped", "the stop in Redis")
    press(page, row_button(thread_id, "start_thread"))
    until(lambda: status(live, thread_id) == "running", "the start in Redis")
    press(page, row_button(thread_id, "empty_thread"))
    page.until("document.getElementById('confirm').open", "the question")
    page.press("Escape", 27)
    page.until("!document.getElementById('confirm').open", "its end")
    press(page, row_button(thread_id, "empty_thread"))
    agree(page)
    page.until(f"document.getElementById('toasts').innerText.includes('Emptying {thread_id}: done')", "the answer")
    record = live.runtime.store.get_chain(ThreadId(thread_id))
    assert record is not None
    session = json.loads(record.state)["session"]
    assert int(session.get("empties", 0)) + int(session.get("empties_failed", 0)) == 1


def test_all_about_a_thread_is_shown_and_follows_the_run(page: Page, live: LiveStack) -> None:
    thread_id = live.threads[0]
    find(page, thread_id)
    page.click(f"document.querySelector('#threads-rows tr[data-id={thread_id}] .link')")
    shown = "document.getElementById('thread').innerText"
    page.until(f"{shown}.includes('operational status')", "its status")
    page.until(f"{shown}.includes('swap direction')", "what its kind has")
    assert text(page, "#h-thread").startswith(f"{thread_id} · running · ")
    number = "Number([...document.querySelectorAll('#thread dt')].find(e => e.innerText === 'total attempts')"
    number += ".nextElementSibling.innerText.replaceAll(',', ''))"
    before = page.run(number)
    page.until(f"{number} > {before}", "newer figures")
    page.press("Escape", 27)
    page.until("!document.getElementById('thread').open", "its end")
    assert page.run("document.activeElement.className") == "link", "the keyboard is where it was"


def test_the_service_is_paused_and_resumed(page: Page, live: LiveStack) -> None:
    store = live.runtime.store
    press(page, "document.getElementById('pause')")
    agree(page)
    until(store.service_paused, "the pause in Redis")
    page.until("document.getElementById('notices').innerText.includes('The service is paused')", "the notice")
    press(page, "document.getElementById('resume')")
    until(lambda: not store.service_paused(), "the end of the pause in Redis")
    page.until("!document.getElementById('notices').innerText.includes('paused')", "the end of the notice")


def test_all_threads_of_a_pool_are_stopped_and_started(page: Page, live: LiveStack) -> None:
    pool = live.pools[-1]
    button = f"document.querySelector('#pools tr[data-id=\"{pool}\"] button[data-method=%s]')"
    press(page, button % "stop_all_pool_threads")
    agree(page)
    members = [ThreadId(name) for name in live.threads[POOLS - 1 :: POOLS]]
    until(lambda: {status(live, name) for name in members} == {"stopped"}, "every thread of the pool stopped")
    assert status(live, live.threads[0]) == "running"
    page.until("document.getElementById('toasts').innerText.includes('done for 50 threads')", "the answer")
    press(page, button % "start_threads")
    until(lambda: {status(live, name) for name in members} == {"running"}, "every thread of the pool running")


def test_the_table_is_filtered_sorted_and_turned(page: Page) -> None:
    page.click("document.querySelector('#states-legend li:nth-child(1) button')")
    page.until("document.querySelector('#filters [name=status]').value === 'running'", "the filter of the legend")
    page.run("document.querySelector('#filters').reset()")
    page.click("document.querySelector('[data-key=confirmed] button')")
    page.until("document.querySelector('[data-key=confirmed]').ariaSort === 'descending'", "the sort")
    rows = "document.querySelectorAll('#threads-rows tr')"
    column = f"Array.from({rows}, r => Number(r.cells[5].innerText.replaceAll(',', '')))"
    page.until(
        f"(() => {{ const c = {column}; return c[0] > 0 && c.every((v, n) => !n || v <= c[n - 1]) }})()", "the order"
    )
    press(page, "document.getElementById('page-last')")
    page.until("document.getElementById('page-text').innerText === '151 to 200 of 200'", "the last page")
    assert page.run("document.getElementById('page-next').disabled")
    press(page, "document.getElementById('page-back')")
    page.until("document.getElementById('page-text').innerText === '101 to 150 of 200'", "the page before")
    press(page, "document.getElementById('page-first')")
    page.until("document.getElementById('page-text').innerText === '1 to 50 of 200'", "the first page")
    press(page, "document.getElementById('page-next')")
    page.until("document.getElementById('page-text').innerText === '51 to 100 of 200'", "the next page")


def test_it_says_that_the_connection_is_lost_and_comes_back(page: Page, live: LiveStack) -> None:
    (before,) = live.stack.pids()["api"]
    os.kill(before, signal.SIGKILL)
    page.until("document.getElementById('connection').className === 'lost'", "the lost connection")
    assert "connection lost, retrying" in text(page, "#connection-text")
    assert "No connection to the server: everything below is as it was at" in text(page, "#notices")
    assert page.run("document.title").startswith("no connection")
    page.until("document.getElementById('connection').className === 'live'", "the connection")
    page.until("!document.body.classList.contains('stale')", "fresh figures")
    page.until("!document.getElementById('notices').innerText.includes('No connection')", "the end of the notice")
    page.settle()
    page.problems[:] = [each for each in page.problems if "ERR_" not in each]  # of the requests that found nobody


def test_one_too_many_is_told_so(page: Page, live: LiveStack, chrome: Browser) -> None:
    others = [chrome.page() for _ in range(LISTENERS)]
    for other in others:
        other.open(live.url)
    crowded = until(
        lambda: next((each for each in others if "watch at once" in text(each, "#connection-text")), None), "a refusal"
    )
    for other in others:
        if other is not crowded:
            other.close()
    crowded.until("document.getElementById('connection').className === 'live'", "a place")
    crowded.close()


def test_a_fault_fails_the_verdict_and_shows_all_it_knows(page: Page, live: LiveStack) -> None:
    """Last: what it leaves behind stays."""
    hostile = "<img src=x onerror=alert(1)>"
    fault = {"check": "I4", "message": f"G is -5: {hostile}", "slot": 12_345, "pool_id": live.pools[0]}
    live.runtime.store.add_faults([json.dumps(fault | {"evidence": {"accounts": {"a": "1"}}})])
    page.until("document.getElementById('verdict').innerText === 'fail'", "the verdict")
    page.until("document.querySelector('#faults details')", "the fault")
    assert hostile in text(page, "#faults summary")
    page.click("document.querySelector('#faults summary')")
    page.until("document.querySelector('#faults pre')?.innerText.includes('accounts')", "the evidence")
    assert "12,345" in text(page, "#faults summary")
    assert live.pools[0] in text(page, "#faults dl")
    assert page.run("document.querySelectorAll('#faults img').length") == 0
    assert text(page, "[data-field=faults]") == "1"
    page.screenshot(SHOTS / "live-fault.png")
