"""A server that is not ours, measured as the benchmark's README says: Node's ws from npm."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import ops.bench.echo
from ops.bench.echo import report

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="needs Node.js and npm"),
]

SOURCES = Path(ops.bench.echo.__file__).parent / "foreign"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with its locked package; the checkout stays clean."""
    folder = tmp_path_factory.mktemp("foreign")
    for source in SOURCES.glob("*.js*"):
        shutil.copy(source, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["--text", "--binary"])
def test_ws_of_node_is_started_measured_and_ended(installed: Path, tmp_path: Path, kind: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ops.cli", "bench", "echo", "run", "--out", str(tmp_path), kind]
    command += ["--url", f"ws://127.0.0.1:{port}/", "--command", f"node {installed}/ws.js {port}"]
    command += ["--name", "ws", "--language", "javascript", "--server-version", "8.23.0"]
    command += ["--clients", "20", "--rate", "20", "--duration", "2.5", "--payload-bytes", "70000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("custom-ws-*.json")
    document = report.read(path)
    assert document["metadata"]["serverLanguage"] == "javascript"
    assert document["metadata"]["serverVersion"] == "8.23.0"
    assert document["throughput"]["messagesReceived"] == document["throughput"]["messagesPlanned"] == 20 * 20 * 2.5
    assert document["server"]["messagesPerCpuSecond"] > 0
    assert document["resourceUsage"]["samples"]
    assert min(sample["memoryBytes"] for sample in document["resourceUsage"]["samples"]) > 10 * 2**20  # a Node process
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
