"""Runs the web server in this process: gunicorn with one worker of many threads, until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from api.app import SERVICE
from api.live.routes import FEED
from api.receiving import LINGERERS
from api.security.audit import Audit
from api.security.keys import load_keys
from api.wsgi import build
from domain.errors import StressError
from domain.runtime.logs import configure_logging
from domain.runtime.settings import Settings

log = structlog.get_logger(__name__)

LONGEST_REQUEST_LINE = 8_190  # gunicorn's own limit
READ_THREADS = 16  # beside those that may wait for a command and those that stream the live page
GRACE_S = 10  # to finish what is being answered; waits for commands end at once with -1009


class ChainLogger(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn's records go up to the root logger, through our one chain."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            for handler in logger.handlers[:]:
                logger.removeHandler(handler)
            logger.propagate = True


class WebServer(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn without its command line and its configuration files."""

    def __init__(self, settings: Settings, on_ready: Callable[[int], None] | None = None) -> None:
        self.settings = settings
        self._on_ready = on_ready
        super().__init__()

    def load_config(self) -> None:
        settings = self.settings
        host = f"[{settings.api_bind}]" if ":" in settings.api_bind else settings.api_bind
        options: dict[str, Any] = {
            "bind": f"{host}:{settings.listen_port}",
            "workers": 1,  # who commands and then asks must see the effect (AnswerCache), and there is one live feed
            "worker_class": "api.receiving.ImpatientWorker",
            "threads": settings.max_waiting_requests + settings.max_live_listeners + READ_THREADS + LINGERERS,
            "worker_connections": settings.max_connections,
            "limit_request_line": min(settings.max_header_bytes, LONGEST_REQUEST_LINE),
            "limit_request_fields": settings.max_header_fields,
            "limit_request_field_size": settings.max_header_bytes,
            "forwarded_allow_ips": "",  # trusted_proxies decides, in callers.py
            "timeout": int(settings.request_timeout_s) + 30,
            "graceful_timeout": GRACE_S,
            "keepalive": settings.keep_alive_s,
            "logger_class": ChainLogger,
            "loglevel": settings.log_level,
            "proc_name": "frt-api",
            "control_socket_disable": True,
            "when_ready": self._ready,
            "post_worker_init": _end_waits_on_term,
        }
        if settings.enable_https:
            options |= {"certfile": str(settings.tls_certificate), "keyfile": str(settings.tls_key)}
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return build(self.settings)

    def _ready(self, server: Any) -> None:
        port = int(server.LISTENERS[0].sock.getsockname()[1])
        tls = self.settings.enable_https
        log.info("listening", action="api_listening", address=self.settings.api_bind, port=port, tls=tls)
        if self._on_ready is not None:
            self._on_ready(port)


def _end_waits_on_term(worker: Any) -> None:
    """SIGTERM ends the waits for commands, so that their callers get an answer while the worker drains."""
    extensions = worker.app.wsgi().extensions
    service = extensions[SERVICE]
    extensions[FEED].start()  # so that a page opened later shows the past, too
    drain = signal.getsignal(signal.SIGTERM)

    def closing(number: int, frame: FrameType | None) -> None:
        service.closing.set()
        if callable(drain):
            drain(number, frame)

    signal.signal(signal.SIGTERM, closing)


def serve(settings: Settings, on_ready: Callable[[int], None] | None = None) -> None:
    """Serve until a signal, then drain and leave by SystemExit. ``on_ready`` gets the port once it listens.

    Raises StressError when the API keys, the certificate or the audit log cannot be used.
    """
    configure_logging(settings, process="api")
    check(settings)
    WebServer(settings, on_ready).run()


def check(settings: Settings) -> None:
    """What would otherwise end a worker, or fail with the first request that needs it. Raises StressError."""
    load_keys(settings)
    audit = Audit(settings)
    if audit.changes:
        audit.open()
    if settings.enable_https:
        certificate, key = str(settings.tls_certificate), str(settings.tls_key)
        try:  # a key under a password would ask the terminal for it
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
        except OSError as error:
            text = f"tls_certificate {certificate} and tls_key {key} cannot be used: {error.strerror or error}"
            raise StressError(text) from None
