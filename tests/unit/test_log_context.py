"""What a task puts on every line that is logged while it runs, and that nothing of it stays for the next one."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import structlog

from domain.chains import Begun, ChainKind
from domain.faults import Fault
from domain.ids import ChainId
from domain.ports import NULL_METRICS
from domain.runtime.logs import configure_logging
from domain.runtime.settings import load
from domain.thread import ThreadStatus
from tasks import registry
from tasks.draft import Draft
from tasks.walk import Cycle, finish

IDS = {
    ChainKind.DEPOSIT: ("deposit_1", {"thread_id": "deposit_1"}),
    ChainKind.SHARE: ("share:Pool", {"pool_id": "Pool"}),
    ChainKind.COMMAND: ("command:cmd-7", {"command_id": "cmd-7"}),
}


@pytest.fixture(name="stream")
def stream_fixture():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(load({}, overrides={"log_format": "json"}), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("kind", IDS)
def test_a_task_names_its_owner_chain_generation_and_seq(monkeypatch, stream, kind):
    chain_id, owner = IDS[kind]
    counted: list[str] = []
    metrics = SimpleNamespace(cycle=counted.append)

    def walk(*_: object) -> None:
        logging.getLogger("some.library").warning("while it runs")

    monkeypatch.setattr(registry, "walk", walk)
    monkeypatch.setattr(registry.Process, "runtime", lambda: SimpleNamespace(metrics=metrics))
    registry.TASKS[kind](chain_id, 3, 4)
    logging.getLogger("some.library").warning("afterwards")
    during, after = lines(stream)
    wanted = {"chain": chain_id, "generation": 3, "seq": 4, **owner}
    assert wanted.items() <= during.items()
    assert not wanted.keys() & after.keys()
    assert counted == [kind.value]


def test_faults_and_failed_threads_are_logged_once_they_are_written(stream):
    begun = Begun(
        chain_id=ChainId("deposit_1"),
        kind=ChainKind.DEPOSIT,
        generation=1,
        seq=1,
        epoch=0,
        token="t",
        now_ms=0,
        due_ms=0,
        status=ThreadStatus.RUNNING,
        pool_id=None,
        config="{}",
        state="{}",
        intents="[]",
        order="",
        policy="",
        journal_length=0,
        service_paused=False,
    )
    written = SimpleNamespace(marks_broken=())
    runtime = SimpleNamespace(
        store=SimpleNamespace(commit=lambda _: written),
        chain=SimpleNamespace(
            submit=lambda _: None, program_id="program", keyring=SimpleNamespace(core_address="core")
        ),
        metrics=NULL_METRICS,
        reproducible=Counter(),
    )
    draft = Draft(state=orjson.dumps({"stop_reason": "WalletGone"}).decode(), status=ThreadStatus.ERROR)
    fault = Fault(check="DEP-amount", message="5 is not 6", chain_id="deposit_1", operation_id="deposit_1/9", slot=7)
    draft.add_faults([fault])
    finish(Cycle(runtime, begun, 0.0), draft)
    found, failed = lines(stream)
    assert (found["level"], found["action"], found["check"], found["operation"]) == (
        "error",
        "fault_found",
        "DEP-amount",
        "deposit_1/9",
    )
    assert (failed["level"], failed["action"], failed["reason"]) == ("warning", "thread_failed", "WalletGone")
