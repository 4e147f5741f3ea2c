"""The echo servers judged by the Autobahn test suite, which needs a Python 2.7 of its own (minutes; -m extended).

``virtualenv -p python2.7 env && env/bin/pip install autobahntestsuite==25.10.1``, and ``env/bin`` on the PATH.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops.bench.echo.options import Impl, ServerOptions
from ops.bench.echo.run import own_server

WSTEST = shutil.which("wstest")
pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(WSTEST is None, reason="needs wstest, the Autobahn test suite"),
]
#: 9 measures speed; 12 and 13 are about compression, which no server of ours offers.
LEFT_OUT = ["9.*", "12.*", "13.*"]
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
#: picows reads one frame ahead: a second close frame is answered before the first is seen.
KNOWN = {("picows", "7.1.2")}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of every server, every case and what Autobahn says of it."""
    folder: Path = tmp_path_factory.mktemp("autobahn")
    with contextlib.ExitStack() as servers:
        urls = {impl: servers.enter_context(own_server(ServerOptions(impl=impl, port=0)))[1] for impl in Impl}
        spec = {
            "outdir": "reports",
            "servers": [{"agent": impl.value, "url": url.rstrip("/")} for impl, url in urls.items()],
            "cases": ["*"],
            "exclude-cases": LEFT_OUT,
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        subprocess.run([str(WSTEST), "-m", "fuzzingclient", "-s", "spec.json"], cwd=folder, check=True, timeout=300)
    found: dict[str, Any] = json.loads((folder / "reports" / "index.json").read_text())
    return found


def test_autobahn_finds_nothing_new(verdicts: dict[str, Any]) -> None:
    assert set(verdicts) == set(Impl)
    failed = set()
    for impl, cases in verdicts.items():
        assert len(cases) == 247
        for number, verdict in cases.items():
            if not {verdict["behavior"], verdict["behaviorClose"]} <= GOOD:
                failed.add((impl, number))
    assert failed == KNOWN
