"""Logs: one chain for our records and foreign ones, ids from the context, closed actions, nothing secret shown."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from domain.runtime.logs import ACTIONS, configure_logging, log_file
from domain.runtime.redact import redact, redact_text, redact_url
from domain.runtime.settings import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configured(log_format: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(load({}, overrides={"log_format": log_format, "log_level": level}), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_own_and_foreign_records_share_chain_and_context() -> None:
    stream = configured("json")
    with structlog.contextvars.bound_contextvars(thread="deposit_1", chain="deposit_1"):
        structlog.get_logger("tasks.walk").info("commit refused", action="commit_refused", reason="lease")
        logging.getLogger("some.library").warning("lost %s of %d", "one", 3)
    logging.getLogger("some.library").warning("outside")
    own, foreign, outside = lines(stream)
    assert (own["message"], own["action"], own["thread"]) == ("commit refused", "commit_refused", "deposit_1")
    assert (foreign["message"], foreign["thread"], foreign["logger"]) == ("lost one of 3", "deposit_1", "some.library")
    assert "thread" not in outside
    for line in (own, foreign, outside):
        assert line["timestamp"].endswith("Z")
        assert line["level"] in ("info", "warning")


def test_an_exception_is_one_line_of_json_with_its_traceback() -> None:
    stream = configured("json")
    try:
        int("redis://:hunter2@host/0")
    except ValueError:
        structlog.get_logger().exception("failed", action="request_failed")
        logging.getLogger("library").exception("failed too")
    own, foreign = lines(stream)
    for line in (own, foreign):
        assert "ValueError" in line["exception"]
        assert "hunter2" not in line["exception"]


def test_the_level_holds_for_both_kinds() -> None:
    stream = configured("json", "warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["message"] for line in lines(stream)] == ["loud"]


def test_configuring_again_does_not_double_the_lines() -> None:
    configured("json")
    stream = configured("console")
    structlog.get_logger().info("hello", thread="swap_1")
    assert len(stream.getvalue().splitlines()) == 1
    assert "thread=swap_1" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_leaves_in_any_shape(log_format: str) -> None:
    stream = configured(log_format)
    key_file = str(list(range(100, 164)))
    structlog.get_logger().info(
        "connecting to redis://u:hunter2@h/0",
        sealing_key="hunter2",
        nested={"api_key": "hunter2", "list": ["https://rpc.example/?api-key=hunter2"]},
        raw=b"hunter2",
        error=ValueError("http://a:hunter2@b"),
        file=key_file,
        keypair=list(range(100, 164)),
        numbers=list(range(100, 164)),
    )
    logging.getLogger("library").warning("at %s", "https://a:hunter2@b/", extra={"password": "hunter2"})
    logging.getLogger("library").warning("no answer (https://x.example/v2/hunter2hunter2hunter2): refused")
    shown = stream.getvalue()
    assert "hunter2" not in shown
    assert "101" not in shown
    assert "redis://***@h/0" in shown
    assert "no answer (https://x.example/v2/***): refused" in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:p@ss@h:1/0", "redis://***@h:1/0"),
        (
            "unix:///run/redis/abcdefghijklmnopqrstuvwxyz.sock?db=1",
            "unix:///run/redis/abcdefghijklmnopqrstuvwxyz.sock?db=1",
        ),
        ("unix:///s?password=p&db=1", "unix:///s?***"),
        ("https://api.devnet.solana.com", "https://api.devnet.solana.com"),
        ("https://x.example/rpc/0123456789abcdef0123/?k=1#f", "https://x.example/rpc/***/?***"),
        ("not a url", "***"),
        ("http://[broken", "***"),
    ],
)
def test_urls_stay_recognisable(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_what_is_no_secret_stays() -> None:
    signature = "5" * 88
    text = f"deposit_1 sent {signature} to pool; fee=5000 at http://127.0.0.1:8899/"
    assert redact_text(text) == text
    value = {"token_type": "A", "amount": 10**30, "none": None, "list": [1, 2], "flag": True}
    assert redact(value) == value


def test_the_list_of_actions_is_closed() -> None:
    """Every action in the sources is in ACTIONS, and every one of ACTIONS is used."""
    used: set[str] = set()
    for folder in ("api", "tasks", "domain", "ops"):
        for file in (ROOT / folder).rglob("*.py"):
            used |= set(actions_of(ast.parse(file.read_text("utf-8"))))
    assert used - ACTIONS == set()
    assert ACTIONS - used == set()


def actions_of(tree: ast.AST) -> Iterator[str]:
    levels = {"debug", "info", "warning", "error", "critical", "exception"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in levels:
            for keyword in node.keywords:
                if keyword.arg == "action" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)


def test_every_line_names_the_process() -> None:
    stream = io.StringIO()
    configure_logging(load({}, overrides={"log_format": "json"}), stream, process="cycle-1")
    structlog.get_logger().info("own")
    logging.getLogger("library").warning("foreign")
    assert [line["process"] for line in lines(stream)] == ["cycle-1", "cycle-1"]


def test_in_the_journal_every_line_begins_with_its_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+") as journal, (tmp_path / "else").open("w+") as elsewhere:
        found = (tmp_path / "journal").stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        settings = load({}, overrides={"log_format": "json"})
        for stream in (journal, elsewhere):
            configure_logging(settings, stream)
            structlog.get_logger().info("said")
            logging.getLogger("library").warning("two\nlines")
            structlog.get_logger().error("wrong")
    prefixes = [line[:3] for line in (tmp_path / "journal").read_text().splitlines()]
    assert prefixes == ["<6>", "<4>", "<3>"]
    assert all(line.startswith("{") for line in (tmp_path / "else").read_text().splitlines())


def test_a_trace_in_the_journal_keeps_its_priority_on_every_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        found = (tmp_path / "journal").stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        configure_logging(load({}, overrides={"log_format": "console"}), journal)
        try:
            int("x")
        except ValueError:
            structlog.get_logger().exception("failed", action="request_failed")
    rows = (tmp_path / "journal").read_text().splitlines()
    assert len(rows) > 3
    assert all(row.startswith("<3>") for row in rows)


def test_a_log_file_is_left_as_it_was_found(tmp_path: Path) -> None:
    outside = configured("json")
    with log_file(load({}, overrides={"log_format": "json", "log_level": "error"}), tmp_path / "run.log"):
        structlog.get_logger().error("inside")
    structlog.get_logger().info("own afterwards")
    logging.getLogger("library").warning("foreign afterwards")
    assert [json.loads(line)["message"] for line in (tmp_path / "run.log").read_text().splitlines()] == ["inside"]
    assert [line["message"] for line in lines(outside)] == ["own afterwards", "foreign afterwards"]
