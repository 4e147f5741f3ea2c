"""Messages of the next cycle, built by Celery's and kombu's own code and pushed by the commit script.

Publishing inside the commit makes it and the next message one atomic step and saves the largest single cost of a cycle.
A test compares the envelope with the one that apply_async writes.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import kombu
import orjson
from celery import Celery
from kombu.serialization import dumps

from domain.chains import ChainKind, Next
from domain.ids import ChainId
from tasks.names import TASK_NAMES, queue_of

PERSISTENT = 2
NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class Publisher:
    """Builds the Redis list entries of one Celery app. Thread-safe: it holds no connection to a broker."""

    def __init__(self, app: Celery, key_prefix: str) -> None:
        self._amqp: Any = app.amqp
        self._prefix = key_prefix
        self._templates: dict[tuple[str, str], dict[str, Any]] = {}
        # The in-memory transport's channel shares kombu's virtual message format with the Redis one.
        self._channel: Any = cast("Any", kombu).Connection("memory://").channel()

    def queue_key(self, queue: str) -> str:
        return f"{self._prefix}{queue}"

    def next(
        self, kind: ChainKind, chain_id: ChainId, generation: int, seq: int, *, countdown_ms: int, now_ms: int
    ) -> Next:
        """The message (chain_id, generation, seq) due ``countdown_ms`` after ``now_ms`` (Redis time)."""
        queue = queue_of(kind)
        eta = datetime.fromtimestamp((now_ms + countdown_ms) / 1000, UTC) if countdown_ms > 0 else None
        args = (chain_id, generation, seq)
        return Next(
            queue=self.queue_key(queue),
            message=self.envelope(TASK_NAMES[kind], args, queue, eta),
            countdown_ms=countdown_ms,
        )

    def envelope(self, task: str, args: tuple[Any, ...], queue: str, eta: datetime | None) -> bytes:
        """One list entry. All but identity, due time and arguments comes from the template of this task and queue."""
        template = self._templates.get((task, queue))
        if template is None:
            template = self._templates[task, queue] = self._template(task, queue)
        task_id = str(uuid4())
        headers = {
            **template["headers"],
            "id": task_id,
            "root_id": task_id,
            "eta": None if eta is None else eta.isoformat(),
        }
        properties = {**template["properties"], "correlation_id": task_id, "delivery_tag": task_id}
        body = b64encode(orjson.dumps([args, {}, NO_CALLBACKS])).decode()
        return orjson.dumps({**template, "body": body, "headers": headers, "properties": properties})

    def _template(self, task: str, queue: str) -> dict[str, Any]:
        """What Celery and kombu write for this task on this queue, with placeholders where messages differ."""
        message = self._amqp.as_task_v2(str(uuid4()), task, (), ignore_result=True, argsrepr="", kwargsrepr="{}")
        content_type, content_encoding, body = cast("Any", dumps)(message.body, serializer="json")
        properties = {**message.properties, "delivery_mode": PERSISTENT}
        prepared: dict[str, Any] = self._channel.prepare_message(
            body, None, content_type, content_encoding, message.headers, properties
        )
        self._channel._inplace_augment_message(prepared, "", queue)  # noqa: SLF001 - the only way to the envelope
        return prepared
