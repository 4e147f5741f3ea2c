"""The Celery tasks: explicit stable names, three arguments, one body. All of Celery's untyped side stays here."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import Any

import structlog
from celery import signals

from domain.chains import ChainKind
from domain.ids import ChainId
from domain.runtime.logs import configure_logging
from domain.runtime.metrics import ProcessMetrics
from domain.runtime.tracing import Tracing, otlp_tracing
from tasks.app import app, settings
from tasks.behaviours import behaviour_of
from tasks.names import TASK_NAMES
from tasks.restore import check_sealing_key
from tasks.runtime import Runtime, build_runtime, watch
from tasks.walk import walk

log = structlog.get_logger()


class Process:
    """The runtime of this worker process, built on first use: after any fork, never at import.

    ``role`` and ``name`` say in metrics and logs which process it is; whoever starts the worker sets them.
    """

    role = "cycles"
    name = "worker"
    metrics: ProcessMetrics
    tracing: Tracing | None = None
    _runtime: Runtime | None = None
    _lock = Lock()

    @classmethod
    def runtime(cls) -> Runtime:
        if cls._runtime is None:
            with cls._lock:
                if cls._runtime is None:
                    cls.metrics = ProcessMetrics(cls.role, cls.name)
                    if settings.otlp_endpoint is not None:
                        cls.tracing = otlp_tracing(cls.metrics, settings.otlp_endpoint, role=cls.role, name=cls.name)
                    runtime = build_runtime(settings, app, cls.tracing or cls.metrics)
                    check_sealing_key(runtime)
                    cls._runtime = runtime
        return cls._runtime


def define(kind: ChainKind) -> Callable[[ChainId, int, int], None]:
    owner = "thread_id" if kind.is_thread else "command_id" if kind is ChainKind.COMMAND else "pool_id"

    @app.task(name=TASK_NAMES[kind], ignore_result=True)  # type: ignore[untyped-decorator]
    def run(chain_id: ChainId, generation: int, seq: int) -> None:
        structlog.contextvars.bind_contextvars(
            **{owner: chain_id.rpartition(":")[2]}, chain=chain_id, generation=generation, seq=seq
        )
        try:
            runtime, tracing = Process.runtime(), Process.tracing
            with tracing.span_of_cycle(kind.value, chain_id, generation, seq) if tracing else nullcontext():
                walk(runtime, behaviour_of(kind), chain_id, generation, seq)
            runtime.metrics.cycle(kind.value)
        finally:
            structlog.contextvars.clear_contextvars()

    return run  # type: ignore[no-any-return]


TASKS = {kind: define(kind) for kind in ChainKind}


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _settle_memory(**_: Any) -> None:
    """Build the runtime before the first message, and take everything loaded so far out of the collector's sight."""
    runtime = Process.runtime()
    if settings.worker_pool != "prefork" or Process.role != "cycles":  # a prefork parent carries nothing out itself
        watch(runtime, Process.metrics)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _watch_child(**_: Any) -> None:
    """A child of the prefork pool measures for itself."""
    runtime = Process.runtime()
    Process.metrics.name = f"{Process.name}.{os.getpid()}"
    watch(runtime, Process.metrics)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _logging(**_: Any) -> None:
    configure_logging(settings, process=Process.name)
    # Celery writes two lines per task at info; at hundreds of cycles a second nobody reads them and they cost CPU.
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)
