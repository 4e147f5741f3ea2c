"""A real local chain process on free ports, for tests: `with running_localnet(slot_ms=20) as chain: ...`."""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

T = TypeVar("T")

_START_TIMEOUT_S = 20
_ROOT = Path(__file__).parents[2]


class LocalnetError(Exception):
    """The server answered with an error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


@dataclass(slots=True)
class Localnet:
    """Addresses of a running local chain and a plain HTTP client of it."""

    rpc_url: str
    ws_url: str
    process: subprocess.Popen[bytes]
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def post(self, document: Any, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """One HTTP request over a connection of its own; status and body. ConnectionError when it is cut."""
        address = urlsplit(self.rpc_url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        try:
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            connection.request("POST", path, body, {"Content-Type": "application/json"} | (headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def call(self, method: str, *params: Any, path: str = "/") -> Any:
        """One method's result. LocalnetError for an error object."""
        document = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        status, body = self.post(document, path)
        assert status == 200, (status, body)
        answer = json.loads(body)
        assert answer["id"] == document["id"]
        if "error" in answer:
            raise LocalnetError(answer["error"])
        return answer["result"]

    def batch(self, *calls: tuple[str, list[Any]], path: str = "/") -> list[dict[str, Any]]:
        """A batch's answers as they came; ids count from 0."""
        document = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        status, body = self.post(document, path)
        assert status == 200, (status, body)
        answers = json.loads(body)
        assert isinstance(answers, list)
        return answers


def _arguments(options: dict[str, Any]) -> list[str]:
    arguments = [sys.executable, "-m", "ops.localnet", "--port", "0", "--ws-port", "0"]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            arguments.append(flag)
        elif value is not None and value is not False:
            arguments += [flag, str(value)]
    return arguments


@contextmanager
def running_localnet(**options: Any) -> Iterator[Localnet]:
    """Start `python -m ops.localnet` with the options of its command line, wait for it, end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="localnet-") as folder:
        log_path = Path(folder, "log")
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                _arguments(options),
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=_ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        try:
            yield _connect(process, log_path)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _connect(process: subprocess.Popen[bytes], log_path: Path) -> Localnet:
    """Read the line that the server prints once both ports answer."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_TIMEOUT_S)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise RuntimeError(f"localnet did not start: {log_path.read_text()}")
    addresses = json.loads(line)
    return Localnet(rpc_url=addresses["rpc_url"], ws_url=addresses["ws_url"], process=process)


def wait_for(condition: Callable[[], T | None], timeout_s: float = 10.0) -> T:
    """The first result of `condition` that is true. AssertionError when there is none in time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        pause.wait(0.005)
    raise AssertionError("the condition was not met in time")


def status(chain: Localnet, signature: str) -> dict[str, Any] | None:
    """What the chain says of one signature."""
    found: dict[str, Any] | None = chain.call("getSignatureStatuses", [signature])["value"][0]
    return found


def wait_landed(chain: Localnet, signature: str) -> dict[str, Any]:
    """The signature's status once it has landed."""
    return wait_for(lambda: status(chain, signature))


def wait_height(chain: Localnet, height: int) -> int:
    """The processed height once it is at least `height`."""

    def reached() -> int | None:
        now: int = chain.call("getBlockHeight", {"commitment": "processed"})
        return now if now >= height else None

    return wait_for(reached)


def latest_blockhash(chain: Localnet) -> tuple[Hash, int]:
    """The newest blockhash and its last valid height."""
    value = chain.call("getLatestBlockhash", {"commitment": "processed"})["value"]
    return Hash.from_string(value["blockhash"]), value["lastValidBlockHeight"]


def funded(chain: Localnet, lamports: int = 10_000_000_000) -> Keypair:
    """A new wallet that the faucet has paid."""
    wallet = Keypair()
    assert wait_landed(chain, chain.call("requestAirdrop", str(wallet.pubkey()), lamports))["err"] is None
    return wallet


def transfer_of(payer: Keypair, to: Pubkey, lamports: int, blockhash: Hash) -> VersionedTransaction:
    """A signed SOL transfer."""
    instruction = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
    return VersionedTransaction(Message.new_with_blockhash([instruction], payer.pubkey(), blockhash), [payer])


def wire(tx: VersionedTransaction) -> str:
    """The transaction as sendTransaction takes it with encoding base64."""
    return base64.b64encode(bytes(tx)).decode()


def send(chain: Localnet, tx: VersionedTransaction, **options: Any) -> str:
    """sendTransaction without preflight."""
    signature: str = chain.call("sendTransaction", wire(tx), {"encoding": "base64", "skipPreflight": True, **options})
    return signature
