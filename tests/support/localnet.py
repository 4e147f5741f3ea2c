"""A real local chain process on free ports, for tests: `with running_localnet(slot_ms=20) as chain: ...`."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
