"""GET /metrics: what Redis holds about the whole service, exported once, and what this web process measures of itself.

Figures of other processes (RPC and Redis latencies, CPU, memory, in-flight limits) come from their own ports;
GET /metrics/targets tells Prometheus where those are (its HTTP service discovery).
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Final

from flask import Flask, Response, g, jsonify, request
from prometheus_client.core import Metric

from api.errors import RpcCode
from api.metrics_service import service_families
from api.service import Service
from domain.runtime.exposition import CONTENT_TYPE, gauge, histogram, rendered
from domain.runtime.metrics import ProcessMetrics
from domain.runtime.tallies import MICROSECONDS, Tallies
from domain.store.errors import StoreError

REQUESTS: Final = "frt.requests"  # the key of the Tallies of requests, by route and status
METRICS: Final = "frt.metrics"  # the key of the ProcessMetrics in ``app.extensions``
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def install(app: Flask, service: Service) -> None:
    """The routes, and a measurement of every request."""
    tallies = app.extensions[REQUESTS] = Tallies()  # route, status

    def began() -> None:
        g.began = perf_counter()

    def ended(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "unknown"
        tallies.observe((route, str(response.status_code)), perf_counter() - g.pop("began", perf_counter()))
        return response

    def metrics() -> Response:
        own: ProcessMetrics | None = app.extensions.get(METRICS)
        # The process' own last: its Redis figures then hold this very reading.
        families = [*_of_the_service(service), _of_requests(tallies), *(own.families() if own is not None else ())]
        return Response(rendered(families), content_type=CONTENT_TYPE)

    def targets() -> tuple[Response, int]:
        try:
            found = service.store.metrics_targets()
        except StoreError:
            return jsonify(error="The store is not available, try again later", code=RpcCode.STORE_UNAVAILABLE), 503
        return jsonify([{"targets": [address], "labels": labels} for address, labels in found]), 200

    app.before_request(began)
    app.after_request(ended)
    app.add_url_rule("/metrics", view_func=metrics)
    app.add_url_rule("/metrics/targets", view_func=targets)


def _of_the_service(service: Service) -> Iterable[Metric]:
    try:
        overview = service.store.overview()
    except StoreError:
        yield gauge("frt_redis_up", "Whether Redis answered this scrape.", (), [((), 0)])
        return
    yield gauge("frt_redis_up", "Whether Redis answered this scrape.", (), [((), 1)])
    yield from service_families(overview)


def _of_requests(tallies: Tallies) -> Metric:
    return histogram(
        "frt_http_request_duration_seconds",
        "HTTP requests to this web server.",
        ("route", "status"),
        [(labels, each.buckets, each.seconds) for labels, each in tallies.latencies().items()],
        bounds_s=BOUNDS_S,
        per_second=MICROSECONDS,
    )
