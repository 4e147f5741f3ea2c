"""GET / and /live/...: the page, its files, its stream of events, and the tables that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from flask import Blueprint, Flask, Response, request, send_from_directory
from pydantic import ValidationError

from api.live.feed import Feed
from api.live.threads import ThreadQuery, ThreadTable
from api.methods.table import METHODS
from api.service import Service
from domain.ids import PoolId
from domain.store.errors import StoreError

log = structlog.get_logger(__name__)

FEED: Final = "frt.live"  # the key of the Feed in ``app.extensions``
STATIC: Final = Path(__file__).with_name("static")
MAX_FAULTS: Final = 50
EVENTS_PATH: Final = "/live/events"  # the one answer without an end
#: No script, style or connection but our own; the script sets styles through the object model only.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def install(app: Flask, service: Service) -> None:
    """Put the page into the application. Nothing is read before somebody asks, or ``app.extensions[FEED].start()``."""
    names = [method.name for method in METHODS]
    feed = Feed(service.store, service.closing, service.settings.max_live_listeners, names)
    app.extensions[FEED] = feed
    app.register_blueprint(_blueprint(service, feed, ThreadTable(service.store, service.clock)))


def _blueprint(service: Service, feed: Feed, table: ThreadTable) -> Blueprint:
    page = Blueprint("live", __name__, static_folder=str(STATIC), static_url_path="/live/static")

    @page.get("/")
    def index() -> Response:
        return send_from_directory(STATIC, "index.html")

    @page.get(EVENTS_PATH)
    def events() -> Response:
        listener = feed.listen()
        if listener is None:
            busy = _json({"error": f"No more than {service.settings.max_live_listeners} can watch at once"}, 503)
            busy.headers["Retry-After"] = "10"
            return busy
        stream = Response(listener, mimetype="text/event-stream", direct_passthrough=True)
        stream.call_on_close(listener.close)
        stream.headers["X-Accel-Buffering"] = "no"
        return stream

    @page.get("/live/pools/<pool_id>")
    def pool(pool_id: str) -> Response:
        feed.start()
        found = feed.pool_history(PoolId(pool_id))
        return _json({"columns": [], "rows": []} if found is None else found)

    @page.get("/live/threads")
    def threads() -> Response:
        asked = request.args.to_dict()
        fresh = asked.pop("fresh", "") == "1"
        try:
            return _json(table.page(ThreadQuery.model_validate(asked), fresh=fresh))
        except ValidationError as error:
            return _json({"error": _first(error)}, 400)

    @page.get("/live/faults")
    def faults() -> Response:
        """The newest first: ``before`` is the number of the oldest one known, by default all there are."""
        count = service.store.fault_count()
        before = request.args.get("before", str(count))
        if not before.isascii() or not before.isdecimal() or len(before) > 15:
            return _json({"error": "before: must be the number of a fault"}, 400)
        end = min(int(before), count)
        start = max(0, end - MAX_FAULTS)
        listed = [orjson.loads(text) for text in service.store.faults(start, end - start)] if end else []
        numbered = [{"number": start + n} | fault for n, fault in enumerate(listed)]
        return _json({"count": count, "faults": numbered[::-1]})

    page.register_error_handler(StoreError, _unavailable)
    page.after_request(_guard)
    return page


def _guard(response: Response) -> Response:
    """The strictest policy that the page can live with; what is read now is never kept."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    if not request.path.startswith("/live/static/"):
        response.headers["Cache-Control"] = "no-store"
    return response


def _unavailable(error: StoreError) -> Response:
    log.warning("store unavailable", action="store_unavailable", error=str(error))
    return _json({"error": "The store is not available, try again later"}, 503)


def _json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, mimetype="application/json")


def _first(error: ValidationError) -> str:
    """Field and reason, without the value."""
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc']))[:64]}: {found['msg']}"
