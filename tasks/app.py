"""The Celery app. Settings come from the environment; nothing connects at import."""

from __future__ import annotations

import os

from celery import Celery
from kombu.entity import Exchange, Queue

from domain.runtime.settings import Settings, load
from tasks.names import CONTROL_QUEUE, CYCLES_QUEUE

QUEUES = (CYCLES_QUEUE, CONTROL_QUEUE)


def create_app(settings: Settings) -> Celery:
    """A Celery app for these settings; every option we rely on stands here with its reason."""
    celery = Celery("frt", broker=broker_url(settings.redis_url), include=["tasks.registry"])
    celery.conf.update(
        task_default_queue=CYCLES_QUEUE,
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES],  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # outcomes live in the chains' records
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_store_errors_even_if_ignored=False,
        worker_prefetch_multiplier=4,
        worker_disable_rate_limits=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=settings.task_events,  # they cost a third of the throughput
        worker_soft_shutdown_timeout=5,
        worker_enable_soft_shutdown_on_idle=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # leases and compare-and-set make a twin harmless
        broker_connection_retry_on_startup=True,
        broker_pool_limit=(settings.worker_concurrency or 32) + 10,  # 32: the most a planned node has
        broker_transport_options={
            "global_keyprefix": settings.redis_prefix,
            # Reserved messages are not mirrored into Redis: the due set is the schedule's truth, and what a killed
            # node held is sent again by the supervisor. Saves 440 us per cycle and all twins from redelivery.
            "ack_emulation": False,
            "health_check_interval": 10,  # 0 stalls the worker
            "socket_timeout": 10,
            "socket_keepalive": True,
        },
        timezone="UTC",
        enable_utc=True,
    )
    return celery


def broker_url(redis_url: str) -> str:
    """Kombu spells Redis over a unix socket differently."""
    return redis_url.replace("unix://", "redis+socket://", 1)


settings = load(os.environ)
app = create_app(settings)
