"""The README's blocks about playing by hand, word by word against a running stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.live_stack import live_stack
from tests.support.pages import ROOT, blocks, commands, ours

ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):8080")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with live_stack(tmp_path_factory.mktemp("readme"), threads=0, pools=0) as stack:
        yield stack.url.rstrip("/")


def run(command: list[str]) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(180)
def test_the_calls_of_the_readme_do_what_it_says(url):
    pool, seen = "", []
    for words in commands("README.md"):
        arguments = ours(words)
        if arguments is None or arguments[0] not in ("call", "status") or "METHOD" in arguments:
            continue
        typed = [word.replace("POOL", pool) for word in arguments]
        out = run([sys.executable, "-P", "-m", "ops.cli", *typed, "--url", url])
        pool = json.loads(out)["pool_id"] if "create_pool" in typed else pool
        seen.append(typed[1] if len(typed) > 1 else typed[0])
    assert seen == ["create_pool", "create_deposit_thread", "start_thread", "get_thread_status", "status"]


def test_the_curl_of_the_readme_is_answered(url):
    if shutil.which("curl") is None:
        pytest.fail("curl is needed")
    [words] = [words for words in commands("README.md") if words[0] == "curl"]
    assert "result" in json.loads(run([ADDRESS.sub(url, word) for word in words]))


def test_the_python_of_the_readme_runs(url):
    [code] = blocks("README.md", "python")
    assert "deposits" in run([sys.executable, "-c", ADDRESS.sub(url, code)])
