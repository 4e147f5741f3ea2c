"""OpenTelemetry traces (the extra "traces", setting otlp_endpoint): a span per cycle, in it one per RPC request.

Sampling, headers and resource attributes are OpenTelemetry's own environment variables (OTEL_TRACES_SAMPLER, ...).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.util import find_spec
from time import time_ns
from typing import TYPE_CHECKING, Final

from domain.ports import Metrics

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

SERVICE: Final = "frt-stress"
INSTALL: Final = ".venv/bin/uv pip install --require-hashes -r requirements/traces.lock"


def is_installed() -> bool:
    """Is the extra there? Looks only, imports nothing heavy."""
    try:
        return find_spec("opentelemetry.sdk") is not None and find_spec("opentelemetry.exporter.otlp") is not None
    except ModuleNotFoundError:
        return False


class Tracing:
    """Implements domain.ports.Metrics: passes everything on, and makes spans of it."""

    def __init__(self, metrics: Metrics, exporter: SpanExporter, *, role: str, name: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        attributes = {"service.name": SERVICE, "service.namespace": role, "service.instance.id": name}
        self._metrics = metrics
        self._provider = TracerProvider(resource=Resource.create(attributes))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE)

    def span_of_cycle(self, kind: str, chain_id: str, generation: int, seq: int) -> AbstractContextManager[object]:
        """The span of one delivered message; requests made inside it are its children. An exception marks it."""
        attributes: dict[str, str | int] = {"frt.chain": chain_id, "frt.generation": generation, "frt.seq": seq}
        return self._tracer.start_as_current_span(f"cycle.{kind}", attributes=attributes)

    def rpc_request(self, endpoint: str, method: str, seconds: float, outcome: str) -> None:
        from opentelemetry.trace import SpanKind, StatusCode

        self._metrics.rpc_request(endpoint, method, seconds, outcome)
        ended_ns = time_ns()
        span = self._tracer.start_span(
            f"rpc {method}",
            kind=SpanKind.CLIENT,
            attributes={"server.address": endpoint, "rpc.method": method, "frt.outcome": outcome},
            start_time=ended_ns - int(seconds * 1e9),
        )
        if outcome != "ok":
            span.set_status(StatusCode.ERROR, outcome)
        span.end(ended_ns)

    def redis_call(self, command: str, seconds: float, *, failed: bool) -> None:
        self._metrics.redis_call(command, seconds, failed=failed)

    def cycle(self, kind: str) -> None:
        self._metrics.cycle(kind)

    def close(self) -> None:
        """Send what is left; at a process' end it happens by itself."""
        self._provider.shutdown()


def otlp_tracing(metrics: Metrics, endpoint: str, *, role: str, name: str) -> Tracing:
    """Traces over OTLP and HTTP to a collector."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Tracing(metrics, OTLPSpanExporter(endpoint=endpoint), role=role, name=name)
