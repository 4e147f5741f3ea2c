"""Builds the application for a WSGI server: ``api.wsgi:create()`` reads the settings from the environment."""

from __future__ import annotations

import os

from flask import Flask

from api.app import create_app
from domain.runtime.logs import configure_logging
from domain.runtime.settings import Settings, load


def build(settings: Settings) -> Flask:
    """The application with the real store and the real sender of commands behind it."""
    from domain.runtime.wiring import build_store
    from tasks.app import create_app as create_celery
    from tasks.client import Commands
    from tasks.publish import Publisher

    store = build_store(settings)
    publisher = Publisher(create_celery(settings), settings.redis_prefix)
    return create_app(settings, store, Commands(store, publisher))


def create() -> Flask:
    settings = load(os.environ)
    configure_logging(settings)
    return build(settings)
