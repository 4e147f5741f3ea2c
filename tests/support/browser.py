"""Headless Chromium over the DevTools protocol: pages, what they log, clicks and keys, screenshots."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_DEADLINE_S = 60.0
DEADLINE_S = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """The browser's path; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class ScriptError(AssertionError):
    """A script of the test threw in the page."""


class Page:
    """One tab. ``problems``: everything its console, its network and its content security policy complained about."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        deadline = time.monotonic() + DEADLINE_S
        while True:
            message = self._receive(deadline - time.monotonic())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=max(0.0, timeout_s)))
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(f"console: {[each.get('value') for each in params['args']]}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")

    def close(self) -> None:
        with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
            self.command("Page.close")
            self._connection.close()

    def settle(self) -> None:
        """Take in what the page has reported so far."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._receive(0.05)

    def open(self, url: str, before: str = "") -> None:
        """``before``: a script that runs in the new document ahead of its own."""
        if before:
            self.command("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.command("Page.navigate", url=url)
        arrived = f"location.href === {json.dumps(url)} && document.readyState === 'complete'"
        self.until(arrived, "the page has loaded")

    def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for. Raises ScriptError."""
        found = self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise ScriptError(found["exceptionDetails"])
        return found["result"].get("value")

    def until(self, script: str, what: str, timeout_s: float = DEADLINE_S) -> None:
        """Wait until the expression is true."""
        deadline = time.monotonic() + timeout_s
        while not self.run(f"!!({script})"):  # a node has no value here
            text = self.run("document.body.innerText.slice(0, 1500)") if time.monotonic() > deadline else ""
            assert time.monotonic() <= deadline, f"not in {timeout_s} s: {what}\n{text}\n{self.problems}"
            with contextlib.suppress(TimeoutError):
                self._receive(0.05)

    def click(self, script: str) -> None:
        """A real click of the mouse in the middle of the element that the expression names."""
        self.run(f"({script}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = f"({script}).getBoundingClientRect()"
        place = self.run(f"[{box}.x + {box}.width / 2, {box}.y + {box}.height / 2]")
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key by its name and its number; ``text``: what it writes, where it does."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def write(self, text: str) -> None:
        self.command("Input.insertText", text=text)

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )

    def scheme(self, name: str) -> None:
        """The system's colours, "light" or "dark"."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def offline(self, *, offline: bool) -> None:
        self.command(
            "Network.emulateNetworkConditions",
            offline=offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        found = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole, fromSurface=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(found["data"]))


class Browser:
    """A running Chromium; every ``page`` is a new tab."""

    def __init__(self, place: str) -> None:
        self._place = place  # host:port of the DevTools
        self._open = contextlib.ExitStack()

    def page(self) -> Page:
        import urllib.request

        asking = urllib.request.Request(f"http://{self._place}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(asking, timeout=DEADLINE_S) as response:  # noqa: S310  loopback
            target = json.load(response)
        place = target["webSocketDebuggerUrl"]
        opening = connect(
            place, max_size=None, proxy=None, open_timeout=DEADLINE_S, compression=None, ping_interval=None
        )
        return Page(self._open.enter_context(opening))

    def close(self) -> None:
        self._open.close()


def first_paint_ms(chrome: Browser, url: str, tries: int = 5) -> float:
    """The fastest of several: others use the machine, too."""
    paints = []
    for _ in range(tries):
        page = chrome.page()
        page.open(url)
        page.until("performance.getEntriesByName('first-snapshot').length > 0", "the first snapshot")
        paints.append(page.run("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        page.close()
    return min(paints)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Chromium with an empty profile, ended with the context."""
    program = chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={folder}/profile", "about:blank"], stderr=stream, stdout=stream
            )
        try:
            running = Browser(_place(process, Path(folder) / "profile" / "DevToolsActivePort", log))
            yield running
            running.close()
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _place(process: subprocess.Popen[bytes], file: Path, log: Path) -> str:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        lines = file.read_text().splitlines() if file.exists() else []
        if lines and lines[0]:
            return f"127.0.0.1:{lines[0]}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    raise RuntimeError(f"chromium did not start: {log.read_text(errors='replace')[-2000:]}")
