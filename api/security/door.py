"""The way in: puts admission, rate limits, CORS, compression and security headers into the Flask application."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from flask import Flask, Response, g, jsonify, request
from flask_compress import Compress
from flask_cors import CORS

from api.errors import RpcCode, RpcError
from api.security.audit import Audit
from api.security.callers import ANONYMOUS, Caller, Gate, Refusal, account_of
from api.security.limits import CHANGES, READS, REFUSALS, Exceeded, RateLimits
from domain.runtime.settings import Settings

RPC_PATH: Final = "/rpc"
ALIVE_PATH: Final = "/health/live"  # for whoever watches the process; says nothing
#: The live page itself, without any data: a browser loads it before a person can enter the key.
SHELL: Final = ("/", "/docs", "/favicon.ico")
SHELL_FILES: Final = "/live/static/"

#: For what sets no stricter policy of its own.
POLICY: Final = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HSTS: Final = "max-age=31536000"
COMPRESSED: Final = ["application/json", "text/html", "text/css", "text/plain", "text/javascript", "image/svg+xml"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What every way to an answer asks: ``gate`` who calls, ``limits`` how often, ``audit`` what is kept of it."""

    gate: Gate
    limits: RateLimits
    audit: Audit
    headers: tuple[tuple[str, str], ...]  # of every answer, unless it sets them itself

    def admit(self, environ: dict[str, Any], path: str, *, without_key: bool = False) -> Caller:
        """Who calls. Raises Refusal; refused requests have a low limit per address, so guessing ends soon."""
        try:
            return self.gate.admit(environ, without_key=without_key)
        except Refusal as refusal:
            address = self.gate.address(environ)
            caller = Caller(name=ANONYMOUS, address=address, read_only=True, account=account_of(address))
            self._take(caller, path, REFUSALS, 1)
            self.audit.refused(caller, path, refusal.status, refusal.text)
            raise

    def count(self, caller: Caller, path: str, *, reads: int = 0, changes: int = 0) -> None:
        """Count calls against the caller's limits. Raises Refusal 429."""
        self._take(caller, path, CHANGES, changes)
        self._take(caller, path, READS, reads)

    def _take(self, caller: Caller, path: str, kind: str, cost: int) -> None:
        exceeded = self.limits.take(caller.account, kind, cost)
        if exceeded is not None:
            if exceeded.first:  # a flood of refusals must not push everything else out of the log
                self.audit.refused(caller, path, 429, f"too many {kind}")
            raise _too_many(kind, exceeded)


def _too_many(kind: str, exceeded: Exceeded) -> Refusal:
    text = f"Too many {kind}: at most {exceeded.limit} per minute"
    return Refusal(429, RpcCode.TOO_MANY_REQUESTS, text, {"Retry-After": str(ceil(exceeded.retry_s))})


def build_door(settings: Settings) -> Door:
    """Raises StressError when the API keys cannot be read."""
    headers = [
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ]
    if settings.enable_https:
        headers.append(("Strict-Transport-Security", HSTS))
    return Door(gate=Gate(settings), limits=RateLimits(settings), audit=Audit(settings), headers=tuple(headers))


def install(app: Flask, settings: Settings, door: Door) -> None:
    """Before any route is registered, so that this is asked first."""

    def enter() -> Response | None:
        path = request.path
        if path == ALIVE_PATH:
            return None
        shell = request.method in ("GET", "HEAD") and (path in SHELL or path.startswith(SHELL_FILES))
        try:
            # a browser sends no key with the question whether it may send one (CORS)
            g.caller = door.admit(request.environ, path, without_key=shell or request.method == "OPTIONS")
            if path != RPC_PATH:  # there, each call counts
                door.count(g.caller, path, reads=1)
        except Refusal as refusal:
            return refused(refusal)
        return None

    def leave(response: Response) -> Response:
        for name, value in door.headers:
            response.headers.setdefault(name, value)
        return response

    app.before_request(enter)
    app.after_request(leave)
    if settings.cors_origins:
        CORS(
            app,
            origins=list(settings.cors_origins),
            methods=["GET", "POST"],
            allow_headers=["Content-Type", "X-API-Key", "Authorization"],
            expose_headers=["Retry-After"],
            max_age=600,
        )
    if settings.compress:
        app.config.update(COMPRESS_MIN_SIZE=settings.compress_min_bytes, COMPRESS_MIMETYPES=COMPRESSED)
        app.config.update(COMPRESS_STREAMS=False, COMPRESS_ALGORITHM=["br", "gzip"], COMPRESS_BR_LEVEL=4)
        Compress(app)


def refused(refusal: Refusal) -> Response:
    """On /rpc a JSON-RPC error without id: nothing of the body was read."""
    if request.path == RPC_PATH:
        error = RpcError(refusal.code, refusal.text)
        response = jsonify(jsonrpc="2.0", id=None, error=error.to_json())
    else:
        response = jsonify(error=refusal.text)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response
