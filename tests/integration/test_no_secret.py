"""A real run leaves no secret behind: not in a log, an answer, Redis, a data file, or the report, in any encoding."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from solders.keypair import Keypair

from api.methods.table import METHODS
from api.security.keys import new_key
from domain.chain.keystore import Sealer
from domain.runtime.settings import load
from domain.store.client import connect
from ops.commands.run import DEFAULT_SCENARIO
from ops.plan import worker_plan
from ops.run.driver import Driver
from ops.run.job import EXIT_PASS, Job, JobOptions
from ops.scenario import read_scenario
from ops.stack import Stack
from tests.support.api_kit import request
from tests.support.store_kit import dump

SMOKE = DEFAULT_SCENARIO.with_name("smoke.toml")
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(raw: bytes) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def encodings(raw: bytes) -> Iterator[bytes]:
    """Every text that a key of these bytes is commonly written as, and the bytes themselves."""
    numbers = list(raw)
    texts = [base58(raw), raw.hex(), raw.hex().upper(), json.dumps(numbers), json.dumps(numbers, separators=(",", ":"))]
    texts += [b64encode(raw).decode().rstrip("="), urlsafe_b64encode(raw).decode().rstrip("=")]
    texts += [repr(raw)[2:-1], "".join(f"\\u{byte:04x}" for byte in raw)]
    yield from (text.encode() for text in texts)
    yield raw


def encodings_of_keypair(raw: bytes) -> Iterator[bytes]:
    """The whole, and the half of it that is the secret."""
    yield from encodings(raw)
    yield from encodings(raw[:32])


class Visitor:
    """Calls everything while the run goes on, and remembers every answer and what Redis held."""

    def __init__(self, key: str, read_key: str, sealing_key: bytes) -> None:
        self._keys = {"full": key, "read": read_key, "wrong": new_key("x", read_only=False)[0], "none": None}
        self._sealer = Sealer(sealing_key)
        self.seen: dict[str, bytes] = {}
        self.wallets: list[bytes] = []
        self.error: Exception | None = None

    def during_load(self, stack: Stack, driver: Driver) -> None:
        try:
            self._visit(stack)
        except Exception as error:  # noqa: BLE001  shown by the test
            self.error = error
        driver.stop.set()

    def _visit(self, stack: Stack) -> None:
        client = connect(stack.settings.redis_url)
        store_keys = client.hgetall("frt:wallets")
        thread_ids = sorted(store_keys)
        for number, (who, key) in enumerate(self._keys.items()):
            for name, params in self._calls(thread_ids, client.hkeys("frt:pools")):
                self._post(stack.api_url, f"{number} {who} {name}", key, request(name, params))
            for path in ("/", "/health/live", "/health/ready", "/metrics", "/live/threads", "/live/faults", "/nope"):
                self._get(stack.api_url + path, f"{who} {path}", key)
        created = self._post(
            stack.api_url,
            "create",
            self._keys["full"],
            request("create_deposit_thread", {"pool_id": client.hkeys("frt:pools")[0], "token_type": "A"} | AMOUNT),
        )
        delete = request("delete_thread", {"thread_id": created["thread_id"]})
        self._post(stack.api_url, "delete", self._keys["full"], delete)
        for thread_id, sealed in (client.hgetall("frt:wallets") | store_keys).items():
            config = json.loads(client.hget(f"frt:chain:{thread_id}", "config") or "null")
            if config is not None:
                self.wallets.append(bytes(self._sealer.open(sealed, config["wallet"])))
        leaked = base58(self.wallets[0])
        mistaken = {"thread_id": leaked, "private_key": leaked, leaked: 1}
        for key in self._keys.values():
            self._post(stack.api_url, "mistake", key, request("start_thread", mistaken))
            self._post(stack.api_url, "mistake", key, request(leaked, [leaked]))
        self.seen["redis"] = json.dumps(dump(client), default=str).encode()
        self.seen["environment shown"] = json.dumps(stack.settings.safe_dump()).encode() + repr(stack.settings).encode()
        client.close()

    def _calls(self, thread_ids: list[str], pool_ids: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for method in METHODS:
            fields = method.params.model_fields
            known = {"thread_id": thread_ids[0], "pool_id": pool_ids[0], "evidence": True}
            if not method.changes:
                yield method.name, {name: value for name, value in known.items() if name in fields}
        for thread_id in thread_ids:
            yield "get_thread_status", {"thread_id": thread_id}

    def _post(self, url: str, name: str, key: str | None, body: Any) -> Any:
        asked = urllib.request.Request(f"{url}/rpc", json.dumps(body).encode(), headers(key))  # noqa: S310
        text = self._read(asked, f"{name} {len(self.seen)}")
        return json.loads(text).get("result")

    def _get(self, url: str, name: str, key: str | None) -> None:
        self._read(urllib.request.Request(url, headers=headers(key)), name)  # noqa: S310

    def _read(self, asked: urllib.request.Request, name: str) -> bytes:
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
                head, body = str(answer.headers).encode(), answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                head, body = str(refused.headers).encode(), refused.read()
        self.seen[name] = head + body
        return body


AMOUNT = {"initial_amount": 10**9}


def headers(key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({} if key is None else {"X-API-Key": key})


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_leaves_no_secret_behind(tmp_path: Path) -> None:
    sealing_key = secrets.token_bytes(32)
    (full, _), (read, read_key) = new_key("ops", read_only=False), new_key("dash", read_only=True)
    given = {
        "sealing_key": sealing_key.hex(),
        "api_keys": f"ops:full:{full},{read_key.entry()}",
        "audit_log": "all",
        "log_level": "debug",
        "log_format": "json",
    }
    visitor = Visitor(full, read, sealing_key)
    options = JobOptions(
        directory=tmp_path / "run",
        plan=worker_plan(range(2), nodes=2),
        make_settings=lambda more: load({}, None, {**given, **more}),
        during_load=visitor.during_load,
    )
    shown = StringIO()
    scenario = read_scenario(SMOKE).changed(duration="60s", seed=7, slot_ms=None)
    code = Job(scenario.model_copy(update={"thresholds": ["violations == 0"]}), options, Console(file=shown)).run()
    assert visitor.error is None
    assert code == EXIT_PASS, shown.getvalue()

    core_file = options.directory / "data" / "core-wallet.json"
    core = bytes(json.loads(core_file.read_text()))
    assert bytes(Keypair.from_bytes(core)) == core
    wanted: dict[str, list[bytes]] = {
        "sealing key": list(encodings(sealing_key)),
        "full API key": [full.encode()],
        "read API key": [read.encode()],
        "core wallet": list(encodings_of_keypair(core)),
    }
    assert len(visitor.wallets) >= 6
    for number, raw in enumerate(visitor.wallets):
        wanted[f"wallet {number}"] = list(encodings_of_keypair(raw))

    produced = {str(path): path.read_bytes() for path in options.directory.rglob("*") if path.is_file()}
    for part in ("redis", "logs", "report.json", "report.html", "audit.jsonl", "journal.jsonl"):
        assert any(part in path for path in produced), f"the run produced no {part}"
    everything = {"terminal": shown.getvalue().encode(), **visitor.seen, **produced}
    found = {
        (what, where)
        for where, content in everything.items()
        for what, forms in wanted.items()
        if any(form in content for form in forms)
    }
    assert found == {("core wallet", str(core_file))}, "it is in its own file, which shows that the search finds"
