"""The Flask application: POST /rpc, health, and errors of HTTP itself as JSON."""

from __future__ import annotations

from threading import Semaphore
from typing import cast

from flask import Flask, Response, jsonify, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from api import docs, health, metrics
from api.direct import DirectRpc
from api.errors import RpcCode, RpcError
from api.live import routes as live
from api.ports import Commands, Store
from api.rpc import StrictSite, install
from api.security import door as security
from api.security.door import RPC_PATH
from api.service import Service
from domain.runtime.clock import Clock, SystemClock
from domain.runtime.settings import Settings

SERVICE = "frt.service"  # the key of the Service in ``app.extensions``


def create_app(settings: Settings, store: Store, commands: Commands, clock: Clock | None = None) -> Flask:
    """An application over a store and a sender of commands; nothing connects here. Raises StressError (API keys)."""
    app = Flask("frt-api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json = DefaultJSONProvider(app)
    app.json.sort_keys = False  # answers keep the documented order
    service = Service(
        settings=settings,
        store=store,
        commands=commands,
        clock=clock or SystemClock(),
        waiting=Semaphore(settings.max_waiting_requests),
    )
    app.extensions[SERVICE] = service
    door = security.build_door(settings)
    security.install(app, settings, door)
    jsonrpc = install(service, door)
    jsonrpc.init_app(app)
    live.install(app, service)
    health.install(app, service)
    metrics.install(app, service)
    docs.install(app)
    app.register_error_handler(HTTPException, _http_error)
    site = cast("StrictSite", jsonrpc.get_jsonrpc_site())
    direct = DirectRpc(app.wsgi_app, site, door, settings, app.extensions[metrics.REQUESTS])
    app.wsgi_app = direct  # type: ignore[method-assign]  # the place that Flask names for this
    return app


def _http_error(error: HTTPException) -> tuple[Response, int]:
    """413, 404, 405 ...: the status stays, the body is JSON; on /rpc it is a JSON-RPC error."""
    status = error.code or 500
    if request.path != RPC_PATH:
        return jsonify(error=error.name), status
    failure = RpcError(RpcCode.INVALID_REQUEST, f"Invalid Request: {error.name}")
    response = jsonify(jsonrpc="2.0", id=None, error=failure.to_json())
    if status == 405:
        response.headers["Allow"] = "POST, OPTIONS"
    return response, status
