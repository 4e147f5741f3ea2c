"""The audit log: who called what with which outcome, one JSON line each, in a file of its own; never a secret."""

from __future__ import annotations

import json
import logging
import os
import weakref
from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, Final

import structlog

from api.security.callers import Caller
from domain.errors import StressError
from domain.runtime.logs import hide_secrets
from domain.runtime.redact import is_secret
from domain.runtime.settings import Settings

AUDIT_FILE: Final = Path("logs") / "audit.jsonl"  # in the data directory
LONGEST_TEXT: Final = 64  # an address has 44 characters, a private key in base58 87 or 88
MOST_ITEMS: Final = 20


class _PrivateFile(RotatingFileHandler):
    """Every file it opens can be read by its owner alone."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")


class Audit:
    """One per process. The file is opened with the first line; one web server writes to a data directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.changes = settings.audit_log != "off"
        self.reads = settings.audit_log == "all"
        self._sink = logging.Logger("frt.audit", logging.INFO)  # noqa: LOG001  not of the tree: nothing else writes here
        self._opening = Lock()
        self._log = structlog.wrap_logger(
            self._sink,
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                hide_secrets,
                structlog.processors.JSONRenderer(default=str),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=False,
        )

    def call(
        self,
        caller: Caller,
        method: str,
        params: Mapping[str, Any],
        code: int,
        began_s: float,
        command_ids: Iterable[str] = (),
    ) -> None:
        """One JSON-RPC call. ``code`` 0: it succeeded; ``began_s`` of perf_counter."""
        self._write(
            caller,
            method=method,
            params=params,
            code=code,
            duration_ms=round((perf_counter() - began_s) * 1_000, 2),
            command_ids=list(command_ids),
        )

    def refused(self, caller: Caller, path: str, status: int, reason: str) -> None:
        """A request that got no further than the door."""
        if self.changes:
            self._write(caller, path=path[:LONGEST_TEXT], status=status, reason=reason)

    def _write(self, caller: Caller, **fields: Any) -> None:
        if not self._sink.handlers:
            self.open()
        event = "refused" if "status" in fields else "call"
        self._log.info(event, caller=caller.name, address=caller.address, **fields)

    def open(self) -> None:
        """Raises StressError when the file cannot be written."""
        settings = self._settings
        path = settings.data_dir / AUDIT_FILE
        with self._opening:
            if self._sink.handlers:
                return
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                handler = _PrivateFile(path, maxBytes=settings.log_max_bytes, backupCount=settings.log_backups)
            except OSError as error:
                raise StressError(f"the audit log {path} cannot be written: {error.strerror}") from None
            handler.setFormatter(logging.Formatter("%(message)s"))
            self._sink.addHandler(handler)
            weakref.finalize(self, handler.close)


def shown_params(names: Iterable[str], params: object) -> dict[str, Any]:
    """Parameters as the log may hold them: values of declared, non-secret names, cut short; of others the name alone.

    What a caller sends under a name that nobody declared may be anything, a private key by mistake, too.
    """
    declared = list(names)
    if isinstance(params, list):
        params = dict(zip(declared, params, strict=False))
    if not isinstance(params, dict):
        return {}
    known = {name: _short(params[name]) for name in declared if name in params and not is_secret(name)}
    hidden = [name[:LONGEST_TEXT] for name in params if name not in known][:MOST_ITEMS]
    return known | ({"(not shown)": hidden} if hidden else {})


def _short(value: Any) -> Any:
    """Only lists of texts are shown: those of numbers may be a key, and deeper ones are for nobody to read."""
    if not isinstance(value, list):
        return _short_item(value)
    texts = [_short_item(item) for item in value[:MOST_ITEMS] if isinstance(item, str)]
    rest = len(value) - len(texts)
    return [*texts, f"({rest} more)"] if rest else texts


def _short_item(value: Any) -> Any:
    if isinstance(value, dict | list):
        return f"({len(value)} {'fields' if isinstance(value, dict) else 'items'})"
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= LONGEST_TEXT else f"({len(text)} characters)"
