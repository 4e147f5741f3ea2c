"""Builds the application for a WSGI server: ``api.wsgi:create()`` reads the settings from the environment."""

from __future__ import annotations

import os

from flask import Flask

from api.app import create_app
from api.metrics import METRICS
from domain.runtime.logs import configure_logging
from domain.runtime.metrics import ProcessMetrics
from domain.runtime.monitor import Monitor
from domain.runtime.settings import Settings, load


def build(settings: Settings) -> Flask:
    """The application with the real store and the real sender of commands behind it; once per process."""
    from domain.runtime.wiring import build_store
    from tasks.app import create_app as create_celery
    from tasks.client import Commands
    from tasks.publish import Publisher

    own = ProcessMetrics("api", "api")
    store = build_store(settings, own)
    publisher = Publisher(create_celery(settings), settings.redis_prefix)
    app = create_app(settings, store, Commands(store, publisher))
    app.extensions[METRICS] = own
    Monitor(settings, store, own).start(with_port=False)
    return app


def create() -> Flask:
    settings = load(os.environ)
    configure_logging(settings)
    return build(settings)
