"""Logging of every process: structlog and foreign records through one chain, for people or as JSON lines.

A record carries a machine-readable ``action`` from the closed list below, and the ids bound to its context.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from domain.runtime.redact import HIDDEN, is_secret, redact
from domain.runtime.settings import Settings

# Every `action` that our code logs. A test compares this list with the sources, both ways.
ACTIONS: Final = frozenset(
    {
        "api_listening",
        "audit_ended",
        "audit_started",
        "backup_read",
        "command_refused",
        "command_sent",
        "commit_refused",
        "damaged_set_aside",
        "export_failed",
        "export_refused",
        "limits_alone",
        "fault_found",
        "faults_remembered",
        "machine_performance",
        "metrics_off",
        "performance",
        "pool_target_missed",
        "pools_at_start",
        "pools_unanswered",
        "program_initialised",
        "pulse_failed",
        "recovered",
        "recovery_began",
        "request_failed",
        "restored",
        "revived",
        "service_performance",
        "session_unreadable",
        "store_unavailable",
        "submit_failed",
        "spill_failed",
        "sweep_failed",
        "version_unknown",
        "version_unsupported",
        "thread_not_on_chain",
        "command_failed",
        "thread_failed",
        "cycle_failed",
        "undecided",
        "evidence_incomplete",
    }
)

# The syslog priority of a level and above.
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

# Libraries whose own lines are noise below a warning.
_QUIET: Final = ("urllib3", "kombu", "amqp", "flask_jsonrpc", "werkzeug")


def configure_logging(settings: Settings, stream: TextIO | None = None, process: str = "") -> None:
    """Set up this process' logging, replacing what was there; to standard error unless ``stream`` is given.

    ``process``: its name, put on every line.
    """
    shared = _shared_processors(process)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        (JournalFormatter if _goes_to_journal(stream) else structlog.stdlib.ProcessorFormatter)(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide_secrets,
                *_renderers(settings.log_format, colors=(stream or sys.stderr).isatty()),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


@contextmanager
def log_file(settings: Settings, path: Path) -> Iterator[None]:
    """Log to the file; afterwards logging is as it was before, so that nothing writes into a closed file."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    with path.open("a") as stream:
        configure_logging(settings, stream)
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
            structlog.configure(**before)


class JournalFormatter(structlog.stdlib.ProcessorFormatter):
    """Every line begins with its priority, as the systemd journal reads it, so that `journalctl -p warning` works."""

    def format(self, record: logging.LogRecord) -> str:
        level = next((code for least, code in _PRIORITIES if record.levelno >= least), 7)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())


def _goes_to_journal(stream: TextIO | None) -> bool:
    """The journal, if the file is the one that systemd names (JOURNAL_STREAM: device:inode); it may be another one."""
    try:
        found = os.fstat((stream or sys.stderr).fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _shared_processors(process: str) -> list[Processor]:
    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return [
        *([name_process] if process else []),
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(log_format: str, *, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(default=str)]
    # the exception is text by now, so that it went through hide_secrets
    return [structlog.dev.ConsoleRenderer(colors=colors)]


def hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> Mapping[str, Any]:
    """No value with a secret's name, no URL credentials and no key bytes leave the process, whatever was logged."""
    cleaned: MutableMapping[str, Any] = {}
    for name, value in event.items():
        if is_secret(name):
            cleaned[name] = HIDDEN
        elif isinstance(value, bool | int | float) or value is None:
            cleaned[name] = value
        else:
            cleaned[name] = redact(value if isinstance(value, str | bytes | Mapping | list | tuple) else str(value))
    return cleaned
