"""GET /health/live: the process answers. GET /health/ready: everything it takes to carry out a command, each checked.

The chain is not asked here: the supervisor notes how its endpoints are (tasks/pulse.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from flask import Flask, Response, jsonify

from api.service import Service
from domain.store.errors import StoreError
from domain.store.overview import Overview

SUPERVISOR_MS: Final = 5_000  # a sweep is due every half second
CHAIN_MS: Final = 15_000  # endpoints are asked every two seconds, one after the other, a second each at most
QUEUE_MS: Final = 10_000
CYCLE_MS: Final = 15_000  # a thread's cycle is due every two seconds, and after 2 s it is sent again


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing the service needs. ``detail`` is for people."""

    name: str
    ok: bool
    detail: str


def install(app: Flask, service: Service) -> None:
    def ready() -> tuple[Response, int]:
        found = list(checks(service))
        good = all(check.ok for check in found)
        document = {"status": "ok" if good else "unavailable", "checks": [asdict(check) for check in found]}
        return jsonify(document), 200 if good else 503

    app.add_url_rule("/health/live", view_func=alive)
    app.add_url_rule("/health/ready", view_func=ready)


def alive() -> Response:
    """The process answers; says nothing about Redis or the chain."""
    return jsonify(status="ok")


def checks(service: Service) -> Iterable[Check]:
    """Redis first: without it nothing is known about the others."""
    try:
        overview = service.store.overview()
    except StoreError:
        yield Check(name="redis", ok=False, detail="does not answer")
        for name in ("broker", "supervisor", "chain", "cycles"):
            yield Check(name=name, ok=False, detail="unknown without Redis")
        return
    yield _redis(overview)
    yield _broker(overview)
    yield _fresh("supervisor", overview, overview.heartbeat.swept_ms, SUPERVISOR_MS, "last sweep")
    yield _chain(overview)
    yield _cycles(overview)


def _redis(overview: Overview) -> Check:
    detail = "answers, but a recovery is going on" if overview.recovering else "answers"
    return Check(name="redis", ok=not overview.recovering, detail=detail)


def _broker(overview: Overview) -> Check:
    """A message that nobody takes for so long means that no worker consumes the queue."""
    stuck = [queue for queue, waited in overview.heartbeat.waiting_ms.items() if waited > QUEUE_MS]
    detail = "messages not taken: " + ", ".join(f"{queue} {depth}" for queue, depth in overview.queues.items())
    if stuck:
        detail += f"; nobody takes messages from: {', '.join(sorted(stuck))}"
    return Check(name="broker", ok=not stuck, detail=detail)


def _chain(overview: Overview) -> Check:
    beat = overview.heartbeat
    asked = _fresh("chain", overview, beat.asked_ms, CHAIN_MS, "last asked")
    if not asked.ok:
        return asked
    well = sum(each.ok for each in beat.endpoints)
    errors = "; ".join(f"{each.endpoint}: {each.error}" for each in beat.endpoints if not each.ok)
    detail = f"{well} of {len(beat.endpoints)} endpoints healthy" + (f" ({errors})" if errors else "")
    return Check(name="chain", ok=well > 0, detail=detail)


def _cycles(overview: Overview) -> Check:
    if overview.running == 0:
        return Check(name="cycles", ok=True, detail="no thread runs")
    return _fresh("cycles", overview, overview.heartbeat.cycle_ms, CYCLE_MS, "freshest cycle")


def _fresh(name: str, overview: Overview, at_ms: int, limit_ms: int, what: str) -> Check:
    if not at_ms:
        return Check(name=name, ok=False, detail=f"{what}: never")
    age_ms = max(0, overview.at_ms - at_ms)
    return Check(
        name=name, ok=age_ms <= limit_ms, detail=f"{what} {age_ms / 1000:.1f} s ago, at most {limit_ms / 1000:.0f} s"
    )
