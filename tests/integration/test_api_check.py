"""The whole API of a live service, method by method, as `frt api-check` calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from api.methods.table import METHODS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_method_answers_as_documented(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops.cli", "api-check", "--nodes", "2", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=850)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    told = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 2}
    assert {name: told.get(name) for name in (method.name for method in METHODS)} == dict.fromkeys(
        (method.name for method in METHODS), "ok"
    )
